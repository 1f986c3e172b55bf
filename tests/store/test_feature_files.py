from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.parquet
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.errors import UsageError
from aisf_geo.store.features import FORMATS, read_features, write_features

#: A square with a hole, its ring the wrong way round for RFC 7946; a far square; and one beside it.
RING = [(500_000, 5_700_000), (500_000, 5_700_400), (500_400, 5_700_400), (500_400, 5_700_000)]
HOLE = [(500_100, 5_700_100), (500_300, 5_700_100), (500_300, 5_700_300), (500_100, 5_700_300)]


def table_of(*geometries: shapely.Geometry, crs: str = "EPSG:32631") -> geopandas.GeoDataFrame:
    count = len(geometries)
    columns: dict[str, list[Any]] = {
        "id": [f"ms2-{i}" for i in range(count)],
        "class": [1, 254, 0][:count],
        "class_name": ["water", "unknown", "not water"][:count],
        "area_m2": [120_000.123456789, 1e-3, 7.5e9][:count],
        "confidence": [0.9123, float("nan"), 1.0][:count],
        "confidence_p10": [0.5, float("nan"), 0.0][:count],
        "datetime": ["2019-08-31T00:00:00Z", "", "2019-08-31T00:00:00Z"][:count],
        "scene": ["ms2"] * count,
        "edge": [True, False, True][:count],
        "perimeter_m": [2400.0, 40.0, 400.125][:count],
        "open_border_share": [1.0, 0.0, 0.25][:count],
    }
    table = geopandas.GeoDataFrame(columns, geometry=list(geometries), crs=crs)
    return table.astype({c.name: c.dtype for c in FEATURE_COLUMNS})


def three() -> geopandas.GeoDataFrame:
    far, beside = (
        shapely.box(600_000, 5_600_000, 600_010, 5_600_010),
        shapely.box(500_400, 5_700_000, 500_500, 5_700_100),
    )
    return table_of(shapely.Polygon(RING, [HOLE]), far, beside)


def by_id(table: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    return table.sort_values("id").reset_index(drop=True)[[c.name for c in FEATURE_COLUMNS] + ["geometry"]]


@pytest.mark.parametrize("suffix", FORMATS)
def test_features_read_back_equal(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    write_features(path, three())
    found = by_id(read_features(path))
    if suffix == ".geojson":
        assert found.crs.to_epsg() == 4326
        # Seven decimals of a degree are a centimetre.
        moved = found.to_crs(32631)
        distances = shapely.hausdorff_distance(moved.geometry.values, three().geometry.values)
        assert distances.max() < 0.02
        found = found.set_geometry(three().geometry.values)
    found = found.astype({c.name: c.dtype for c in FEATURE_COLUMNS})
    assert_geodataframe_equal(found, by_id(three()), check_crs=suffix != ".geojson", normalize=True)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_table_without_features_is_a_file_with_all_columns(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    write_features(path, three().iloc[:0])
    found = read_features(path)
    assert len(found) == 0
    if suffix != ".geojson":
        assert {c.name for c in FEATURE_COLUMNS} <= set(found.columns)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_single_feature_is_written_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    write_features(path, three().iloc[:1])
    assert read_features(path)["id"].tolist() == ["ms2-0"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_writing_again_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"features{suffix}"
    write_features(path, three())
    write_features(path, three().iloc[1:])
    assert len(read_features(path)) == 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["features.shp", "features", "features.GEOJSON"])
def test_a_format_nobody_asked_for_is_refused_and_nothing_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"features are written as \.parquet, \.gpkg, \.geojson"):
        write_features(tmp_path / name, three())
    assert list(tmp_path.iterdir()) == []


class TestGeoJson:
    def test_it_is_rfc_7946_in_wgs_84_without_a_crs_member(self, tmp_path: Path) -> None:
        write_features(tmp_path / "f.geojson", three())
        said = json.loads((tmp_path / "f.geojson").read_text())
        assert said["type"] == "FeatureCollection"
        assert "crs" not in said
        assert "name" not in said
        lon, lat = said["features"][0]["geometry"]["coordinates"][0][0]
        assert (round(lon), round(lat)) == (3, 51)

    def test_exteriors_wind_counter_clockwise_and_holes_clockwise(self, tmp_path: Path) -> None:
        assert not shapely.is_ccw(three().geometry[0].exterior)
        write_features(tmp_path / "f.geojson", three())
        said = json.loads((tmp_path / "f.geojson").read_text())
        for feature in said["features"]:
            exterior, *holes = feature["geometry"]["coordinates"]
            assert shapely.is_ccw(shapely.LinearRing(exterior))
            assert not any(shapely.is_ccw(shapely.LinearRing(hole)) for hole in holes)

    def test_a_missing_confidence_is_null_and_not_nan(self, tmp_path: Path) -> None:
        write_features(tmp_path / "f.geojson", three())

        def refuse(text: str) -> None:
            raise AssertionError(f"{text} is not JSON")

        said = json.loads((tmp_path / "f.geojson").read_text(), parse_constant=refuse)
        assert said["features"][1]["properties"]["confidence"] is None


class TestGeoParquet:
    def test_it_says_its_version_crs_and_covering_box(self, tmp_path: Path) -> None:
        write_features(tmp_path / "f.parquet", three())
        said = json.loads(pyarrow.parquet.read_metadata(tmp_path / "f.parquet").metadata[b"geo"])
        assert said["version"] == "1.1.0"
        column = said["columns"]["geometry"]
        assert column["crs"]["id"] == {"authority": "EPSG", "code": 32631}
        assert column["covering"]["bbox"] == {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}

    def test_a_box_query_finds_what_lies_there_and_nothing_else(self, tmp_path: Path) -> None:
        write_features(tmp_path / "f.parquet", three())
        found = geopandas.read_parquet(tmp_path / "f.parquet", bbox=(599_000, 5_599_000, 601_000, 5_601_000))
        assert found["id"].tolist() == ["ms2-1"]

    def test_neighbours_lie_together(self, tmp_path: Path) -> None:
        """Hilbert order: walking a shuffled chequered square in file order never jumps across it."""
        boxes = [shapely.box(x, y, x + 1, y + 1) for x in range(16) for y in range(16)]
        order = [(i * 97) % 256 for i in range(256)]
        table = geopandas.GeoDataFrame({"id": order}, geometry=[boxes[i] for i in order], crs=32631)
        write_features(tmp_path / "f.parquet", table)
        centres = geopandas.read_parquet(tmp_path / "f.parquet").geometry.centroid
        steps = centres.distance(centres.shift(1)).dropna()
        assert steps.max() < 3
