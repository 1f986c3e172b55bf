"""What happened between the first and the last date of a run, published as indicator values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.pipeline.explain import explain
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.transitions import process_numbers
from aisf_geo.recipe import parse_recipe

#: 100 m2 pixels: the river is 8 wide on each date and moves by 12; the north-east of the last date is not observed.
SIDE, WIDE = 40, 8


def river(path: Path, date: str, col: int, hidden: int = 0) -> None:
    """Green and near infrared of land with a river from north to south."""
    water = np.zeros((SIDE, SIDE), np.bool_)
    water[:, col : col + WIDE] = True
    bands = np.stack([np.where(water, 900, 600), np.where(water, 200, 3000)]).astype(np.uint16)
    bands[:, :hidden, 30:] = 0
    profile = {"driver": "GTiff", "count": 2, "height": SIDE, "width": SIDE, "dtype": "uint16", "nodata": 0}
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_400)}
    with rasterio.open(path, "w", **profile, **place) as dataset:
        dataset.write(bands)
        dataset.descriptions = ("green", "nir")
        dataset.update_tags(TIFFTAG_DATETIME=date)


def published(folder: Path, **other: Any) -> Path:
    """A run over the tiles in ``folder`` that asks for areas by process in two zones."""
    zones = {"zone": ["all", "west"], "name": ["All of it", "West"]}
    shapes = [shapely.box(500_000, 5_000_000, 500_400, 5_000_400), shapely.box(500_000, 5_000_000, 500_100, 5_000_400)]
    geopandas.GeoDataFrame(zones, geometry=shapes, crs=32631).to_file(folder / "zones.geojson")
    recipe = {
        "name": "river",
        "title": "A river that moved",
        "sources": [{"path": str(folder / "tiles"), "licence": "CC0-1.0", "attribution": "drawn"}],
        "segment": {"method": "water", "threshold": 0.0},
        "clouds": {"bright_white": False},
        "indicators": ["process-area"],
        "zones": {"path": str(folder / "zones.geojson"), "id": "zone", "name": "name"},
        "min_coverage": 0.7,
    }
    out = folder / "out"
    run(plan_run(parse_recipe(recipe | other)), out, "refuse")
    return out


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    (folder / "tiles").mkdir()
    river(folder / "tiles/a.tif", "2016:06:01 10:00:00", 4)
    river(folder / "tiles/between.tif", "2018:06:01 10:00:00", 10)
    river(folder / "tiles/b.tif", "2020:06:01 10:00:00", 16, hidden=10)
    return published(folder)


def test_water_gained_and_lost_is_counted_by_zone(moved: Path) -> None:
    rows = json.loads((moved / "indicators.json").read_text())
    found = {(r["zone"], r["name"]): r["value"] for r in rows}
    lost = WIDE * SIDE / 100
    assert found == pytest.approx(
        {
            ("all", "Water gain"): lost,
            ("all", "Water loss"): lost,
            ("west", "Water gain"): 0.0,
            ("west", "Water loss"): 6 * SIDE / 100,
        },
        rel=2e-3,
    )


def test_each_value_says_what_it_rests_on(moved: Path) -> None:
    for row in json.loads((moved / "indicators.json").read_text()):
        assert row["formula"] == "process-area@1"
        assert row["interval"] is None
        assert "errors of both count as change" in row["inputs"]["interval_note"]
        assert row["provenance"]["items"] == ["a", "b"]
        assert row["period"]["start"].startswith("2016-06-01")
        assert row["period"]["end"].startswith("2020-06-01")
        assert row["coverage"] == pytest.approx(1 - 10 * 10 / 1600 if row["zone"] == "all" else 1.0, abs=1e-3)
    said = "\n".join(explain(moved, "process-area", "all")["lines"])
    assert "roles before and after" in said


def test_one_date_is_withheld_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "tiles").mkdir()
    river(tmp_path / "tiles/a.tif", "2016:06:01 10:00:00", 4)
    rows = json.loads((published(tmp_path) / "indicators.json").read_text())
    assert [(r["value"], r["withheld_reason"]) for r in rows] == [
        (None, "needs two dates that were both seen well enough")
    ] * 2


def test_forest_that_becomes_built_up_counts_as_both() -> None:
    legend = Legend(
        "l", (LegendClass(3, "trees", (0, 9, 0), "tree-cover"), LegendClass(7, "houses", (9, 0, 0), "built-up"))
    )
    number, names = process_numbers(legend)
    assert names[number[3 * 256 + 7]] == ("forest loss", "urban expansion")
    assert names[number[7 * 256 + 3]] == ("built-up loss", "recovery")
    assert names[number[3 * 256 + 3]] == ()
    assert number[65535] == 255
