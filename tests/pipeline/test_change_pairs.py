"""Laws of comparing two images: shifts, swaps, controls, refusals, and what the outputs say."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import BandError, GridError, LegendError, OutputError, UsageError
from aisf_geo.pipeline.change_pair import Compared, compare
from aisf_geo.pipeline.mapped import LEGEND_TAG, legend_json

BANDS = ("blue", "green", "red", "nir")
SIDE = 160


def ground(seed: int = 0) -> NDArray[np.float64]:
    """Four bands of fields with borders, 40 pixels wider than an image on every side."""
    rng = np.random.default_rng(seed)
    fields = np.stack([np.kron(rng.uniform(60, 180, (30, 30)), np.ones((8, 8))) for _ in BANDS])
    return np.asarray(ndimage.gaussian_filter(fields + rng.normal(0, 6, fields.shape), (0, 0.8, 0.8)))


def image(
    path: Path, pixels: NDArray[np.float64], right: float = 0, noise: int = 0, new: slice | None = None, gain: float = 1
) -> Path:
    """A date: the middle of ``pixels`` moved right, with noise, a gain, and a square of new ground."""
    moved = ndimage.shift(pixels, (0, 0, right), order=3, mode="nearest")[:, 40 : 40 + SIDE, 40 : 40 + SIDE].copy()
    if new is not None:
        moved[:, new, new] = np.array([200, 60, 210, 90])[:, None, None]
    moved = moved * gain + np.random.default_rng(noise).normal(0, 1.5, moved.shape)
    profile = {
        "driver": "GTiff",
        "count": 4,
        "height": SIDE,
        "width": SIDE,
        "dtype": "uint16",
        "crs": "EPSG:32635",
        "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        "photometric": "MINISBLACK",
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(moved.clip(1, 60_000).astype(np.uint16))
        for i, band in enumerate(BANDS, start=1):
            dataset.set_band_description(i, band)
    return path


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return image(tmp_path / "before.tif", ground(), noise=1)


class TestShifts:
    def test_one_and_a_half_pixels_are_found_and_taken_out(self, before: Path, tmp_path: Path) -> None:
        after = image(tmp_path / "after.tif", ground(), right=1.5, noise=2)
        found = compare(Compared(before, after, "irmad"), tmp_path / "out")
        assert found["registration"]["corrected"]
        assert found["registration"]["shift_px"]["right"] == pytest.approx(1.5, abs=0.1)
        assert found["registration"]["shift_px"]["down"] == pytest.approx(0, abs=0.1)
        assert "warped" in found["resampling"]
        assert found["mappable_m2"] < 0.02 * found["compared_m2"]

    def test_twenty_pixels_are_refused_with_the_measured_shift(self, before: Path, tmp_path: Path) -> None:
        after = image(tmp_path / "after.tif", ground(), right=20, noise=2)
        with pytest.raises(GridError, match=r"(19\.9|20\.\d) px apart"):
            compare(Compared(before, after, "cva"), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_refused_date_leaves_what_was_found_before(self, before: Path, tmp_path: Path) -> None:
        after = image(tmp_path / "after.tif", ground(), noise=2)
        compare(Compared(before, after, "cva"), tmp_path / "out")
        kept = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
        image(after, ground(), right=20, noise=2)
        with pytest.raises(GridError, match="px apart"):
            compare(Compared(before, after, "cva"), tmp_path / "out", overwrite=True)
        assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == kept

    def test_numbers_of_dates_that_fit_are_not_touched(self, before: Path, tmp_path: Path) -> None:
        after = image(tmp_path / "after.tif", ground(), noise=2)
        found = compare(Compared(before, after, "cva"), tmp_path / "out")
        assert not found["registration"]["corrected"]
        assert found["resampling"].startswith("none")


@pytest.mark.parametrize("method", ["cva", "irmad"])
def test_new_ground_is_found_whatever_the_gain_and_an_unchanged_pair_shows_none(
    method: str, before: Path, tmp_path: Path
) -> None:
    quiet = image(tmp_path / "quiet.tif", ground(), noise=2)
    after = image(tmp_path / "after.tif", ground(), noise=3, new=slice(60, 100), gain=1.4)
    asked = Compared(before, after, method, control=(before, quiet))
    found = compare(asked, tmp_path / "out")
    folder = tmp_path / "out" / "change" / f"before_after_{method}"
    control = json.loads((folder / "control.json").read_text())
    assert control["false_alarm_rate"] < 0.002
    assert control["false_alarm_rate"] <= control["false_alarm_rate_pixels"] < 0.01
    truth = np.zeros((SIDE, SIDE), bool)
    truth[60:100, 60:100] = True
    with rasterio.open(folder / "change.tif") as dataset:
        changed = dataset.read(1) == 1
    assert changed[truth].mean() > 0.95
    assert changed[~truth].mean() < 0.02
    table = geopandas.read_parquet(folder / "change.parquet")
    assert (table["false_alarm_rate"] == control["false_alarm_rate"]).all()
    assert table["area_m2"].min() >= found["min_area_m2"] == pytest.approx(900, rel=0.01)
    assert {"change.tif", "change.parquet", "matrix.csv", "control.json"} <= {p.name for p in folder.iterdir()}
    page = (folder / "report.html").read_text()
    assert "Made by automatic (AI) interpretation" in page
    assert "the same settings call" in page


def test_without_a_control_no_rate_is_invented(before: Path, tmp_path: Path) -> None:
    after = image(tmp_path / "after.tif", ground(), noise=2, new=slice(20, 40))
    found = compare(Compared(before, after, "cva"), tmp_path / "out")
    assert found["control"]["false_alarm_rate"] is None
    assert "no pair of dates" in found["control"]["reason"]
    table = geopandas.read_parquet(tmp_path / "out" / "change" / "before_after_cva" / "change.parquet")
    assert table["false_alarm_rate"].isna().all()


LAND = Legend("land", (LegendClass(0, "other", (0, 0, 0)), LegendClass(4, "trees", (0, 99, 0), "tree-cover")))


def label_map(path: Path, seed: int, version: str = "sha256:1", legend: Legend = LAND) -> Path:
    """Labels drawn at random, a tenth of them unknown or not observed, as a model would have left them."""
    labels = np.random.default_rng(seed).choice([0, 4, 254, 255], (60, 80), p=[0.5, 0.4, 0.05, 0.05]).astype(np.uint8)
    profile = {"driver": "GTiff", "count": 1, "height": 60, "width": 80, "dtype": "uint8", "nodata": 255}
    place = {"crs": "EPSG:32635", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)}
    with rasterio.open(path, "w", **profile, **place) as dataset:
        dataset.write(labels, 1)
        dataset.update_tags(METHOD="landuse", METHOD_VERSION=version, **{LEGEND_TAG: legend_json(legend)})
    return path


def read_labels(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1))


def matrix_of(folder: Path) -> NDArray[np.float64]:
    rows = [row.split(",") for row in (folder / "matrix.csv").read_text().splitlines()[1:]]
    return np.array([[float(v) for v in row[1:]] for row in rows])


class TestTwoLabelMaps:
    def test_margins_are_the_totals_of_both_dates_where_both_are_known(self, tmp_path: Path) -> None:
        paths = [label_map(tmp_path / f"{name}.tif", seed) for name, seed in (("a", 1), ("b", 2))]
        found = compare(Compared(*paths), tmp_path / "out")
        a, b = (read_labels(path) for path in paths)
        known = (a < 254) & (b < 254)
        matrix, pixel_m2 = matrix_of(tmp_path / "out/change/a_b"), found["compared_m2"] / known.sum()
        assert matrix.sum(axis=1) == pytest.approx([pixel_m2 * ((a == c) & known).sum() for c in (0, 4)], rel=1e-4)
        assert matrix.sum(axis=0) == pytest.approx([pixel_m2 * ((b == c) & known).sum() for c in (0, 4)], rel=1e-4)

    def test_swapped_dates_have_the_transposed_matrix_and_the_opposite_processes(self, tmp_path: Path) -> None:
        one, two = (label_map(tmp_path / f"{name}.tif", seed) for name, seed in (("a", 1), ("b", 2)))
        there = compare(Compared(one, two, min_area_m2=0), tmp_path / "out")
        back = compare(Compared(two, one, min_area_m2=0), tmp_path / "out")
        assert (matrix_of(tmp_path / "out/change/a_b") == matrix_of(tmp_path / "out/change/b_a").T).all()
        assert there["by_process_m2"]["forest loss"] == pytest.approx(back["by_process_m2"]["recovery"])

    def test_a_map_compared_with_itself_has_no_feature(self, tmp_path: Path) -> None:
        path = label_map(tmp_path / "a.tif", 1)
        found = compare(Compared(path, path, control=(path, path), min_area_m2=0), tmp_path / "out")
        assert (found["changed_m2"], found["features"], found["control"]["false_alarm_rate_pixels"]) == (0, 0, 0)

    def test_two_versions_of_a_model_are_refused_with_the_remedy(self, tmp_path: Path) -> None:
        one = label_map(tmp_path / "a.tif", 1)
        two = label_map(tmp_path / "b.tif", 2, version="sha256:2")
        with pytest.raises(
            LegendError, match=r"sha256:1.*sha256:2.*Interpret both dates with .* one version of a model"
        ):
            compare(Compared(one, two), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_two_legends_are_refused_with_the_remedy(self, tmp_path: Path) -> None:
        other = Legend("land", (LegendClass(0, "other", (0, 0, 0)), LegendClass(4, "crops", (9, 9, 0), "crop")))
        one, two = label_map(tmp_path / "a.tif", 1), label_map(tmp_path / "b.tif", 2, legend=other)
        with pytest.raises(LegendError, match=r"code 4 is 'trees' before and 'crops' after; interpret both dates"):
            compare(Compared(one, two), tmp_path / "out")


class TestRefusals:
    def test_images_need_a_method(self, before: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="--method is needed, one of cva, irmad, dnbr, siamese"):
            compare(Compared(before, before), tmp_path / "out")

    def test_a_label_map_and_an_image_are_not_compared(self, before: Path, tmp_path: Path) -> None:
        labels = tmp_path / "labels.tif"
        with rasterio.open(before) as source, rasterio.open(labels, "w", **source.profile) as dataset:
            dataset.write(source.read())
            dataset.update_tags(LEGEND="{}")
        with pytest.raises(LegendError, match="two of one kind"):
            compare(Compared(labels, before, "cva"), tmp_path / "out")

    def test_a_missing_band_is_named(self, before: Path, tmp_path: Path) -> None:
        with pytest.raises(BandError, match="swir22"):
            compare(Compared(before, before, "dnbr"), tmp_path / "out")

    def test_a_pair_is_replaced_only_on_demand(self, before: Path, tmp_path: Path) -> None:
        after = image(tmp_path / "after.tif", ground(), noise=2)
        compare(Compared(before, after, "cva"), tmp_path / "out")
        with pytest.raises(OutputError, match="--overwrite"):
            compare(Compared(before, after, "cva"), tmp_path / "out")
        compare(Compared(before, after, "cva"), tmp_path / "out", overwrite=True)
