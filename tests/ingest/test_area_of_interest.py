from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.errors import AisfGeoError, GridError, UnreadableError, UsageError
from aisf_geo.ingest.area_of_interest import AreaOfInterest, area_from_bbox, area_from_file, read_polygons

#: 3 km east of the central meridian of zone 31, on latitude 51.45.
GRID = Grid("EPSG:32631", Affine(10, 0, 500_000, 0, -10, 5_700_000), Shape(200, 300))


def area_of(polygon: shapely.Geometry) -> AreaOfInterest:
    return AreaOfInterest(shapely.to_wkb(polygon))


def geojson(path: Path, *geometries: dict[str, Any] | None) -> Path:
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def square(west: float, south: float, side: float) -> dict[str, Any]:
    return json.loads(shapely.to_geojson(shapely.box(west, south, west + side, south + side)))


class TestCovers:
    def test_a_pixel_is_in_where_its_centre_is(self) -> None:
        grid = Grid("EPSG:32631", Affine(10, 0, 0, 0, -10, 30), Shape(3, 3))
        triangle = area_of(shapely.Polygon([(0, 0), (30, 0), (0, 32)]))
        expected = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
        assert triangle.covers(grid, grid.full_window).astype(int).tolist() == expected

    @given(
        corners=st.lists(st.tuples(st.floats(-50, 350), st.floats(-50, 250)), min_size=3, max_size=6),
        row=st.integers(0, 199), col=st.integers(0, 299), height=st.integers(1, 80), width=st.integers(1, 80),
    )  # fmt: skip
    def test_a_window_is_the_same_part_of_the_whole(
        self, corners: list[tuple[float, float]], row: int, col: int, height: int, width: int
    ) -> None:
        polygon = shapely.MultiPoint([GRID.transform @ c for c in corners]).convex_hull.buffer(3)
        window = Window(row, col, min(height, 200 - row), min(width, 300 - col))
        area = area_of(polygon)
        assert np.array_equal(area.covers(GRID, window), area.covers(GRID, GRID.full_window)[window.slices])

    @given(corners=st.lists(st.tuples(st.floats(-50, 350), st.floats(-50, 250)), min_size=3, max_size=6))
    def test_nothing_outside_the_extent_is_covered(self, corners: list[tuple[float, float]]) -> None:
        polygon = shapely.MultiPoint([GRID.transform @ c for c in corners]).convex_hull.buffer(3)
        if not polygon.intersects(shapely.box(*GRID.bounds)):
            return
        area = area_of(polygon)
        covered = area.covers(GRID, GRID.full_window)
        covered[area.extent(GRID).slices] = False
        assert not covered.any()


class TestBox:
    def test_a_box_in_degrees_becomes_the_window_that_holds_it(self) -> None:
        corners = geopandas.GeoSeries([shapely.box(500_500, 5_698_500, 501_500, 5_699_500)], crs=32631).to_crs(4326)
        extent = area_from_bbox(tuple(corners.total_bounds), GRID).extent(GRID)
        assert abs(extent.row - 50) <= 1
        assert abs(extent.col - 50) <= 1
        assert abs(extent.height - 100) <= 3
        assert abs(extent.width - 100) <= 3

    def test_a_parallel_is_a_curve_on_the_grid(self) -> None:
        """Between 10 and 30 degrees east a parallel of LAEA Europe bulges by tens of kilometres."""
        europe = Grid("EPSG:3035", Affine(1000, 0, 3_000_000, 0, -1000, 5_000_000), Shape(3000, 3000))
        box = area_from_bbox((0, 45, 30, 55), europe).geometry
        southern_middle = geopandas.GeoSeries([shapely.Point(15, 45)], crs=4326).to_crs(3035).iloc[0]
        assert box.exterior.distance(southern_middle) < 500

    @pytest.mark.parametrize(
        "bbox",
        [(5, 51, 4, 52), (4, 52, 5, 51), (4, 51, 4, 52), (-181, 51, 4, 52), (4, 51, 5, 91), (4, float("nan"), 5, 52)],
    )
    def test_numbers_that_are_no_box_on_the_earth_are_refused(self, bbox: tuple[float, float, float, float]) -> None:
        with pytest.raises(UsageError, match="bbox: expected west < east and south < north"):
            area_from_bbox(bbox, GRID)

    def test_a_box_elsewhere_is_said_to_lie_outside_with_both_places(self) -> None:
        with pytest.raises(GridError, match=r"lies outside the image \(500000, .*UTM zone 31N"):
            area_from_bbox((20, 45, 21, 46), GRID).extent(GRID)

    @pytest.mark.parametrize("bbox", [(-180, -90, 180, 90), (-90, 0, 95, 80), (-100, 40, 110, 60), (-5, 40, 15, 60)])
    @pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:3857", "EPSG:4326"])
    def test_a_box_much_larger_than_the_image_takes_all_of_it(
        self, bbox: tuple[float, float, float, float], crs: str
    ) -> None:
        west, south = {"EPSG:32631": (500_000, 5_698_000), "EPSG:3857": (334_000, 6_700_000), "EPSG:4326": (3, 51)}[crs]
        step = 0.0001 if crs == "EPSG:4326" else 10
        grid = Grid(crs, Affine(step, 0, west, 0, -step, south + 200 * step), Shape(200, 300))
        area = area_from_bbox(bbox, grid)
        assert area.extent(grid) == grid.full_window
        assert area.covers(grid, grid.full_window).all()


class TestFile:
    def test_several_polygons_are_their_union(self, tmp_path: Path) -> None:
        path = geojson(tmp_path / "a.geojson", square(3.0, 51.44, 0.01), square(3.005, 51.44, 0.01))
        west, _, east, _ = (
            geopandas.GeoSeries([area_from_file(path, GRID).geometry], crs=32631).to_crs(4326).total_bounds
        )
        assert (west, east) == pytest.approx((3.0, 3.015), abs=1e-6)

    def test_a_file_in_another_crs_is_brought_to_the_images(self, tmp_path: Path) -> None:
        box = shapely.box(500_100, 5_698_500, 501_000, 5_699_000)
        table = geopandas.GeoDataFrame(geometry=[box], crs=32631)
        table.to_crs(3035).to_file(tmp_path / "a.gpkg", engine="pyogrio")
        assert area_from_file(tmp_path / "a.gpkg", GRID).geometry.symmetric_difference(box).area < 10

    @pytest.mark.parametrize(
        ("geometries", "found"),
        [
            pytest.param([{"type": "Point", "coordinates": [3, 51]}], "Point", id="point"),
            pytest.param([{"type": "LineString", "coordinates": [[3, 51], [4, 52]]}], "LineString", id="line"),
            pytest.param([square(3, 51, 1), {"type": "Point", "coordinates": [3, 51]}], "Point, Polygon", id="mixed"),
            pytest.param([None], "without geometry", id="no geometry"),
            pytest.param([square(3, 51, 1), None], "Polygon", id="one without geometry"),
            pytest.param([], "holds no features", id="no features"),
        ],
    )
    def test_a_file_that_holds_something_else_than_polygons_is_refused(
        self, tmp_path: Path, geometries: list[dict[str, Any] | None], found: str
    ) -> None:
        with pytest.raises(UsageError, match=found):
            read_polygons(geojson(tmp_path / "a.geojson", *geometries))

    def test_a_file_without_a_crs_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_text('WKT,name\n"POLYGON ((0 0, 1 0, 1 1, 0 0))",x\n')
        with pytest.raises(UsageError, match="names no coordinate system"):
            read_polygons(tmp_path / "a.csv")

    @pytest.mark.parametrize("content", [b"", b"not json", b"\x89PNG\r\n\x1a\n"])
    def test_a_file_that_is_no_vector_file_is_unreadable(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.geojson").write_bytes(content)
        with pytest.raises(UnreadableError, match="not a vector file"):
            read_polygons(tmp_path / "a.geojson")

    def test_a_file_that_is_not_there_is_unreadable(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match="No such file"):
            read_polygons(tmp_path / "gone.gpkg")

    @pytest.mark.parametrize(
        "geometry",
        [
            pytest.param({"type": "Polygon", "coordinates": []}, id="empty"),
            pytest.param({"type": "Polygon", "coordinates": [[[3, 51], [3.1, 51.5]]]}, id="two corners"),
            pytest.param(
                {"type": "Polygon", "coordinates": [[[3, 51], [3.1, 51.5], [3.1, 51], [3, 51.5], [3, 51]]]},
                id="bow tie",
            ),
        ],
    )
    @pytest.mark.parametrize("beside", [[], [square(2.9, 51, 0.3)]], ids=["alone", "beside a good one"])
    @pytest.mark.filterwarnings("ignore:Non closed ring:RuntimeWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_broken_polygon_is_refused_in_one_sentence(
        self, tmp_path: Path, geometry: dict[str, Any], beside: list[dict[str, Any]]
    ) -> None:
        path = geojson(tmp_path / "a.geojson", geometry, *beside)
        with pytest.raises(AisfGeoError, match=r"a\.geojson"):
            area_from_file(path, GRID).extent(GRID)


def test_an_area_is_a_value_that_can_be_a_key() -> None:
    box = shapely.box(0, 0, 1, 1)
    assert len({area_of(box), area_of(box), area_of(shapely.box(0, 0, 1, 2))}) == 2
