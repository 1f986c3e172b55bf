"""Felled forest in Romania: the figures say what the images show, and clouds are never taken for clearing."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.windows import Window, bounds, from_bounds

HARD = ("2018-08-15", "2019-08-20", "2020-09-03")
CLOUDY = ("2018-08-15", "2019-08-05", "2020-09-03")
ZONES = ("forest-west", "forest-east")
YEARS = (2017, 2018, 2019, 2020)


@pytest.fixture(scope="module")
def rows(romania: Path) -> list[dict]:
    return json.loads((romania / "indicators.json").read_text())


@pytest.fixture(scope="module")
def first_seen(romania: Path, category_names: Callable[[Path], list[str]]) -> dict[str, NDArray[np.bool_]]:
    """For each meaning of a code of the clearing map, its pixels."""
    path = romania / "change" / "clearing" / "clearing.tif"
    names = category_names(path)
    with rasterio.open(path) as dataset:
        codes = dataset.read(1)
    return {names[code].removeprefix("cleared, first seen "): codes == code for code in np.unique(codes)}


def band(romania: Path, sample_tiles: Path, date: str, name: str) -> NDArray[np.float64]:
    """Reflectance of one date where the clearing map lies."""
    with (
        rasterio.open(romania / "change" / "clearing" / "clearing.tif") as where,
        rasterio.open(sample_tiles / "romania" / f"{date}.tif") as tile,
    ):
        window = from_bounds(*where.bounds, tile.transform)
        return tile.read(tile.descriptions.index(name) + 1, window=window) * 1e-4


def series(rows: list[dict], code: str, zone: str) -> dict[str, float | None]:
    """As counted on the map; where a sample was labelled the published value is its estimate."""
    mine = [r for r in rows if (r["indicator"], r["zone"]) == (code, zone)]
    found = {r["period"]["start"][:10]: r["inputs"].get("mapped_value", r["value"]) for r in mine}
    return dict(sorted(found.items()))


def reached(cleared: dict[str, float | None], year: int) -> float:
    """The cumulative area at the end of a year."""
    return max(value or 0.0 for day, value in cleared.items() if day < f"{year + 1}")


class TestClearing:
    @pytest.mark.parametrize("zone", ZONES)
    def test_the_cumulative_area_never_shrinks_and_grows_to_2020(self, rows: list[dict], zone: str) -> None:
        cleared = series(rows, "cleared-area", zone)
        values = list(cleared.values())
        assert None not in values
        assert values == sorted(values)
        at_end_of = {
            year: max(v for day, v in cleared.items() if day < f"{year + 1}") for year in (2017, 2018, 2019, 2020)
        }
        assert at_end_of[2020] > at_end_of[2019] + 0.5
        assert at_end_of[2019] >= at_end_of[2018] >= at_end_of[2017]

    def test_every_year_adds_some_in_the_whole_forest(self, rows: list[dict]) -> None:
        totals = [sum(reached(series(rows, "cleared-area", zone), year) for zone in ZONES) for year in YEARS]
        assert all(later > earlier + 0.5 for earlier, later in pairwise(totals))

    def test_what_was_felled_in_2019_is_bright_then_and_was_forest_before(
        self, romania: Path, sample_tiles: Path, first_seen: dict[str, NDArray[np.bool_]]
    ) -> None:
        felled, forest = first_seen["2019-06-16"], first_seen["tree cover, not cleared"]
        assert felled.sum() > 50
        then = band(romania, sample_tiles, "2019-06-16", "swir16")
        assert np.median(then[felled]) > np.median(then[forest]) + 0.05
        assert np.percentile(then[felled], 25) > np.percentile(then[forest], 75)
        before = band(romania, sample_tiles, "2017-07-06", "swir16")
        assert np.median(before[felled]) < np.median(before[forest]) + 0.03

    @pytest.mark.parametrize("date", ["2017-06-06", "2018-05-22", "2019-06-16", "2020-05-16"])
    def test_new_clearings_stand_out_on_the_day_they_are_first_seen(
        self, romania: Path, sample_tiles: Path, first_seen: dict[str, NDArray[np.bool_]], date: str
    ) -> None:
        red = band(romania, sample_tiles, date, "red")
        felled, forest = first_seen[date], first_seen["tree cover, not cleared"]
        assert np.median(red[felled]) > 2 * np.median(red[forest])

    @pytest.mark.parametrize("date", HARD)
    def test_a_hard_date_creates_no_clearing(self, first_seen: dict[str, NDArray[np.bool_]], date: str) -> None:
        assert date not in first_seen

    def test_a_cloudy_date_creates_no_clearing(self, first_seen: dict[str, NDArray[np.bool_]]) -> None:
        assert "2019-08-05" not in first_seen

    @pytest.mark.parametrize("zone", ZONES)
    def test_the_figure_is_the_area_on_the_map(self, romania: Path, rows: list[dict], zone: str) -> None:
        """Oracle: the zone drawn ten times finer, pixels counted, nominal pixel areas."""
        zones = geopandas.read_file(Path(__file__).parents[2] / "configs" / "zones" / "romania_forest.geojson")
        with rasterio.open(romania / "change" / "clearing" / "clearing.tif") as dataset:
            codes, transform = dataset.read(1), dataset.transform
            outline = zones[zones["zone_id"] == zone].to_crs(dataset.crs).geometry
        fine = rasterize(outline, [10 * n for n in codes.shape], transform=transform @ rasterio.Affine.scale(0.1))
        share = fine.reshape(codes.shape[0], 10, codes.shape[1], 10).mean(axis=(1, 3))
        counted_ha = share[(codes >= 1) & (codes < 250)].sum() * 100 / 1e4
        assert list(series(rows, "cleared-area", zone).values())[-1] == pytest.approx(counted_ha, rel=0.01)


class TestCloud:
    @pytest.mark.parametrize("date", CLOUDY)
    @pytest.mark.parametrize("zone", ZONES)
    def test_a_cloudy_date_is_withheld_with_the_reason(self, rows: list[dict], date: str, zone: str) -> None:
        (row,) = [r for r in rows if (r["indicator"], r["zone"], r["period"]["start"][:10]) == ("15.1.1", zone, date)]
        assert row["coverage"] < 0.7
        assert row["value"] is None
        assert "of the zone was observed, the recipe asks for 70 %" in row["withheld_reason"]

    def test_clear_dates_are_seen_better_than_cloudy_ones(self, rows: list[dict]) -> None:
        seen = {r["period"]["start"][:10]: r["coverage"] for r in rows if r["indicator"] == "15.1.1"}
        hidden = [seen[date] for date in {*CLOUDY, *HARD}]
        clear = [share for date, share in seen.items() if date not in {*CLOUDY, *HARD}]
        assert len(clear) == 10
        assert min(clear) > 0.98 > max(hidden)

    def test_a_missed_cloud_is_not_observed_and_not_bare(self, romania: Path, sample_tiles: Path) -> None:
        """On 2019-08-20 the quality band misses a cloud in rows 29-45, columns 0-17 of the tile (ORIGIN.md)."""
        with (
            rasterio.open(sample_tiles / "romania" / "2019-08-20.tif") as tile,
            rasterio.open(romania / "items" / "2019-08-20" / "labels.tif") as cloudy,
            rasterio.open(romania / "items" / "2019-07-06" / "labels.tif") as clear,
        ):
            cloud = bounds(Window.from_slices((29, 46), (0, 18)), tile.transform)
            window = from_bounds(*cloud, cloudy.transform).intersection(Window(0, 0, cloudy.width, cloudy.height))
            hidden, seen = cloudy.read(1, window=window), clear.read(1, window=window)
        assert (seen != 255).sum() > 100
        assert (hidden[seen != 255] == 255).mean() > 0.5


class TestHonesty:
    def test_no_interval_is_invented(self, rows: list[dict]) -> None:
        for row in rows:
            sampled = "sample_units" in row["inputs"]
            assert sampled == (row["interval"] is not None)
            assert sampled or "sample" in row["inputs"]["interval_note"]

    def test_a_value_is_null_exactly_where_a_reason_is_given(self, rows: list[dict]) -> None:
        assert [row["value"] is None for row in rows] == [bool(row["withheld_reason"]) for row in rows]
        assert any(row["value"] is None for row in rows)
        assert any(row["value"] is not None for row in rows)

    def test_proxies_say_so(self, rows: list[dict]) -> None:
        assert all(row["proxy"] and "not" in row["caveat"] for row in rows if row["indicator"] == "15.1.1")

    def test_tree_cover_is_a_share_of_what_was_seen(self, rows: list[dict]) -> None:
        for row in rows:
            if row["indicator"] == "15.1.1" and row["value"] is not None:
                inputs = row["inputs"]
                assert row["value"] == pytest.approx(100 * inputs["tree_cover_m2"] / inputs["land_m2"])
                assert inputs["land_m2"] / inputs["zone_m2"] == pytest.approx(row["coverage"], abs=1e-6)
                assert 70 < row["value"] <= 100
