"""Romania: dates of felling from imagery; what the recipes of series owe their reader."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import GridError, RecipeError, UsageError
from aisf_geo.pipeline.series import run_series
from aisf_geo.recipe_series import SeriesRecipe, read_series_recipe
from aisf_geo.shipped import recipe_path, shipped


@pytest.fixture(scope="module")
def felling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("felling")
    run_series(read_series_recipe(recipe_path("romania_felling", "series")), None, out / "run")
    return out / "run" / "change"


class TestRomania:
    #: Clearings seen by eye on the images: row and column of a pixel in them, and the year they are first bright.
    SEEN = (((29, 46), 2017), ((63, 8), 2018), ((41, 13), 2018), ((30, 13), 2018), ((57, 60), 2019), ((71, 47), 2019))
    LATER = (((66, 34), 2020), ((55, 86), 2020))

    @pytest.mark.parametrize(("pixel", "year"), SEEN + LATER)
    def test_a_clearing_seen_by_eye_gets_its_year(self, felling: Path, pixel: tuple[int, int], year: int) -> None:
        days = [row["date"] for row in json.loads((felling / "series.json").read_text())["breaks"]["dates"]]
        with rasterio.open(felling / "breaks" / "lost.tif") as lost:
            code = int(lost.read(1)[pixel])
        assert code not in (0, 255)
        assert date.fromisoformat(days[code - 1]).year == year

    @pytest.mark.parametrize("hard", ["2018-08-15", "2019-08-20", "2020-09-03"])
    def test_a_hard_date_creates_no_clearing(self, felling: Path, hard: str) -> None:
        rows = json.loads((felling / "series.json").read_text())["breaks"]["dates"]
        assert sum(row["lost_m2"] for row in rows if row["date"] == hard) == 0

    def test_the_area_lost_grows_and_regrowth_is_recovery(self, felling: Path) -> None:
        rows = json.loads((felling / "series.json").read_text())["breaks"]["dates"]
        sums = [row["lost_since_start_m2"] for row in rows]
        assert sums == sorted(sums)
        assert 100_000 < sums[-1] < 300_000
        assert sum(row["recovered_m2"] for row in rows) > 50_000

    def test_standing_forest_is_the_control(self, felling: Path) -> None:
        control = json.loads((felling / "breaks" / "control.json").read_text())
        assert control["false_alarm_rate"] < 0.02
        table = geopandas.read_parquet(felling / "breaks" / "breaks.parquet")
        assert (table["false_alarm_rate"] == control["false_alarm_rate"]).all()
        assert (table["area_m2"] >= 899).all()
        assert set(table["process"]) == {"forest loss"}

    def test_every_output_says_what_made_it(self, felling: Path) -> None:
        about = geopandas.read_parquet(felling / "breaks" / "breaks.parquet").attrs
        assert about["made_by"] == MADE_BY
        assert "2019-06-16" in about["scenes"]
        assert "(nir - swir16) / (nir + swir16)" in about["formula"]
        rows = (felling / "breaks" / "breaks.csv").read_text().splitlines()
        assert all(MADE_BY in row and "ndmi min_drop=0.15" in row for row in rows[1:])
        page = (felling / "breaks" / "report.html").read_text()
        assert MADE_BY in page
        assert "first seen in 2019" in page
        assert "romania_standing.geojson" in page

    def test_areas_by_date_are_those_of_the_map(self, felling: Path) -> None:
        rows = json.loads((felling / "series.json").read_text())["breaks"]["dates"]
        with rasterio.open(felling / "breaks" / "lost.tif") as lost:
            counts = np.bincount(lost.read(1).ravel(), minlength=256)
        # Pixels of EPSG:3035 are 100 m2.
        for code, row in enumerate(rows, start=1):
            assert row["lost_m2"] == pytest.approx(100 * counts[code], rel=2e-3)


@pytest.mark.parametrize("path", sorted((shipped("configs") / "series").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_is_read_and_its_files_are_there(path: Path) -> None:
    recipe = read_series_recipe(path)
    for file in (recipe.source, recipe.area, recipe.control_area):
        where = recipe.resolve(file)
        assert where is None or where.exists()


def test_a_recipe_without_imagery_asks_for_it(tmp_path: Path) -> None:
    recipe = read_series_recipe(recipe_path("landsat_river", "series"))
    with pytest.raises(UsageError, match="name its folder"):
        run_series(recipe, None, tmp_path / "out")


def test_an_unknown_key_of_a_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("title: t\nbreaks: {indx: ndvi}\n")
    with pytest.raises(RecipeError, match=r"breaks\.indx"):
        read_series_recipe(path)


def landsat_like(folder: Path, shift_px: int = 0) -> Path:
    """Two years of a stack as the recipes for Landsat expect it: a river that moves, forest, and a wedge of nodata."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 40, (140, 200))
    fields = np.kron(rng.integers(0, 60, (20, 25)), np.ones((7, 8), int))
    for year, col in ((1985, 60), (2020, 90)):
        water = np.zeros((140, 200), bool)
        water[:, col : col + 20] = True
        land = [90 + fields + texture, 160 + texture, 60 + texture, 70 + texture]
        bands = [np.where(water, value, layer) for value, layer in zip((8, 20, 40, 90), land, strict=True)]
        pixels = np.stack(bands).clip(1, 255).astype(np.uint8)
        pixels[:, :, -10:] = 0
        if year == 2020:
            pixels = np.roll(pixels, shift_px, axis=1)
        profile = {
            "driver": "GTiff",
            "count": 4,
            "height": 140,
            "width": 200,
            "dtype": "uint8",
            "crs": "EPSG:32718",
            "transform": rasterio.Affine(90, 0, 500_000, 0, -90, 9_000_000),
        }
        with rasterio.open(folder / f"{year}.tif", "w", **profile) as dataset:
            dataset.write(pixels)
    return folder


RIVER = {
    "title": "river",
    "bands": ("swir16", "nir", "red", "green"),
    "nodata": 0,
    "classes": {"layers": ({"method": "water", "threshold": 0.0},), "rest": "land"},
}


class TestTransitions:
    def test_water_is_gained_and_lost_and_nodata_is_not_compared(self, tmp_path: Path) -> None:
        found = run_series(SeriesRecipe(**RIVER), landsat_like(tmp_path / "in"), tmp_path / "out")["transitions"]
        pixel_m2 = found["compared_m2"] / (140 * 190)
        assert pixel_m2 == pytest.approx(8100, rel=0.01)
        assert found["by_process_m2"]["water gain"] == pytest.approx(20 * 140 * pixel_m2, rel=0.01)
        assert found["by_process_m2"]["water loss"] == pytest.approx(20 * 140 * pixel_m2, rel=0.01)

    def test_dates_far_apart_are_refused_with_the_shift(self, tmp_path: Path) -> None:
        with pytest.raises(GridError, match=r"20\.\d px apart"):
            run_series(SeriesRecipe(**RIVER), landsat_like(tmp_path / "in", 20), tmp_path / "out")
