from __future__ import annotations

import math

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import GridError
from aisf_geo.indicators.zonal import Zone, ZoneAreas, add_window, start_zones, zone_area_m2

#: Equal area, so that a pixel of 10 m is 100 m2 and sums can be checked by hand.
SMALL = Grid("EPSG:3035", Affine(10, 0, 4_321_000, 0, -10, 3_210_030), Shape(3, 3))
LABELS = np.array([[1, 1, 2], [1, 254, 2], [255, 0, 0]], np.uint8)
GRIDS = {
    "utm": Grid("EPSG:32631", Affine(30, 0, 590_000, 0, -30, 5_750_000), Shape(40, 50)),
    "degrees": Grid("EPSG:4326", Affine(0.0003, 0, 4.38, 0, -0.0003, 51.91), Shape(40, 50)),
}

#: Each example measures several zones; a few dozen find what hundreds do.
few_examples = settings(max_examples=25)


def zone_of(geometry: shapely.Geometry) -> Zone:
    return Zone("z", "zone", geometry)


def measured(grid: Grid, labels: np.ndarray, geometry: shapely.Geometry, block_px: int = 4096) -> ZoneAreas:
    zones = [zone_of(geometry)]
    (areas,) = accounts = start_zones(zones, grid)
    for block in blocks(grid, block_px):
        add_window(accounts, zones, grid, block.core, labels[block.core.slices])
    return areas


def box_px(grid: Grid, west: float, north: float, east: float, south: float) -> shapely.Polygon:
    """A box in pixels from the upper left corner."""
    corners = [(west, north), (east, north), (east, south), (west, south)]
    return shapely.Polygon([grid.transform @ corner for corner in corners])


class TestByHand:
    def test_a_zone_on_pixel_borders_counts_whole_pixels(self) -> None:
        areas = measured(SMALL, LABELS, box_px(SMALL, 0, 0, 3, 3))
        expected = {0: 200, 1: 300, 2: 200, 254: 100}
        assert areas.by_code == pytest.approx(expected, rel=1e-5)
        assert areas.not_observed_m2 == pytest.approx(100, rel=1e-5)
        assert areas.zone_m2 == pytest.approx(900, rel=1e-5)
        assert areas.observed_m2 == pytest.approx(800, rel=1e-5)
        assert areas.coverage == pytest.approx(8 / 9, rel=1e-5)

    def test_a_pixel_the_zone_cuts_counts_by_the_share_inside(self) -> None:
        """A box from the centre of the first pixel: a quarter of it, halves beside it, one whole."""
        areas = measured(SMALL, LABELS, box_px(SMALL, 0.5, 0.5, 2, 2))
        assert areas.by_code == pytest.approx({1: 25 + 50 + 50, 254: 100}, rel=1e-5)

    def test_a_triangle_counts_half_of_each_pixel_on_its_side(self) -> None:
        """Below the diagonal: 1, 254, 0 in half, and 1, 255, 0 whole."""
        triangle = shapely.Polygon([SMALL.transform @ c for c in ((0, 0), (3, 3), (0, 3))])
        areas = measured(SMALL, LABELS, triangle)
        assert areas.by_code == pytest.approx({0: 150, 1: 150, 254: 50}, rel=1e-5)
        assert areas.not_observed_m2 == pytest.approx(100, rel=1e-5)

    def test_a_hole_is_not_counted(self) -> None:
        ring = box_px(SMALL, 0, 0, 3, 3).difference(box_px(SMALL, 1, 1, 2, 2))
        assert 254 not in measured(SMALL, LABELS, ring).by_code

    def test_a_zone_of_parts_is_their_sum(self) -> None:
        parts = shapely.union_all([box_px(SMALL, 0, 0, 1, 1), box_px(SMALL, 2, 2, 3, 3)])
        assert measured(SMALL, LABELS, parts).by_code == pytest.approx({1: 100, 0: 100}, rel=1e-5)

    def test_a_zone_half_outside_the_image_is_half_covered(self) -> None:
        areas = measured(SMALL, np.ones((3, 3), np.uint8), box_px(SMALL, -3, 0, 3, 3))
        assert areas.zone_m2 == pytest.approx(1800, rel=1e-4)
        assert areas.coverage == pytest.approx(0.5, rel=1e-4)

    @pytest.mark.parametrize(
        "geometry", [box_px(SMALL, 5, 5, 8, 8), box_px(SMALL, 3, 0, 5, 3)], ids=["far away", "sharing a border"]
    )
    def test_a_zone_outside_the_image_has_nothing(self, geometry: shapely.Polygon) -> None:
        areas = measured(SMALL, LABELS, geometry)
        assert (areas.by_code, areas.not_observed_m2, areas.coverage) == ({}, 0.0, 0.0)

    def test_a_zone_where_nothing_was_observed_has_no_coverage(self) -> None:
        areas = measured(SMALL, np.full((3, 3), 255, np.uint8), box_px(SMALL, 0, 0, 3, 3))
        assert areas.coverage == 0.0
        assert areas.by_code == {}

    def test_zones_that_overlap_are_each_counted_in_full(self) -> None:
        zones = [zone_of(box_px(SMALL, 0, 0, 2, 1)), zone_of(box_px(SMALL, 1, 0, 3, 1))]
        accounts = start_zones(zones, SMALL)
        add_window(accounts, zones, SMALL, SMALL.full_window, LABELS)
        assert accounts[0].by_code == pytest.approx({1: 200}, rel=1e-5)
        assert accounts[1].by_code == pytest.approx({1: 100, 2: 100}, rel=1e-5)

    def test_wider_codes_are_counted_by_their_own_number(self) -> None:
        areas = measured(SMALL, LABELS.astype(np.int32), box_px(SMALL, 2, 0, 3, 1))
        assert areas.by_code == pytest.approx({2: 100}, rel=1e-5)

    def test_rows_that_run_north_are_counted_where_they_lie(self) -> None:
        """The first row of such a raster is its southern one."""
        north = Grid("EPSG:3035", Affine(10, 0, 4_321_000, 0, 10, 3_210_000), Shape(3, 3))
        assert measured(north, LABELS, box_px(north, 0, 0, 3, 1)).by_code == pytest.approx({1: 200, 2: 100}, rel=1e-5)

    @pytest.mark.parametrize("angle", [30, 90, 180])
    def test_a_turned_image_is_counted_where_it_lies_or_refused(self, angle: float) -> None:
        turned = Grid("EPSG:3035", SMALL.transform @ Affine.rotation(angle), Shape(3, 3))
        try:
            areas = measured(turned, LABELS, box_px(turned, 0, 0, 2, 1))
        except GridError:
            return
        assert areas.by_code == pytest.approx({1: 200}, rel=1e-5)


@st.composite
def polygons(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Corners in pixels, some beyond the image."""
    return draw(st.lists(st.tuples(st.floats(-20, 70), st.floats(-20, 60)), min_size=3, max_size=7, unique=True))


def hull(grid: Grid, corners: list[tuple[float, float]]) -> shapely.Geometry:
    pixel = abs(grid.transform.a)
    return shapely.MultiPoint([grid.transform @ c for c in corners]).convex_hull.buffer(pixel / 2)


def random_labels(grid: Grid, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 5, 254, 255], np.uint8), tuple(grid.shape))


class TestLaws:
    @pytest.mark.parametrize("name", GRIDS)
    @few_examples
    @given(corners=polygons(), seed=st.integers(0, 9))
    def test_classes_and_gaps_sum_to_the_part_of_the_zone_inside_the_image(
        self, name: str, corners: list[tuple[float, float]], seed: int
    ) -> None:
        grid = GRIDS[name]
        zone = hull(grid, corners)
        areas = measured(grid, random_labels(grid, seed), zone)
        inside = zone.intersection(shapely.box(*grid.bounds))
        expected = zone_area_m2(zone_of(inside), grid) if inside.area > 0 else 0.0
        assert areas.observed_m2 + areas.not_observed_m2 == pytest.approx(expected, rel=1e-4, abs=1)
        assert areas.zone_m2 >= (areas.observed_m2 + areas.not_observed_m2) * (1 - 1e-4)
        assert 0 <= areas.coverage <= 1

    @pytest.mark.parametrize("name", GRIDS)
    @few_examples
    @given(corners=polygons(), seed=st.integers(0, 9), block_px=st.integers(16, 60))
    def test_areas_do_not_depend_on_the_windows(
        self, name: str, corners: list[tuple[float, float]], seed: int, block_px: int
    ) -> None:
        grid = GRIDS[name]
        labels, zone = random_labels(grid, seed), hull(grid, corners)
        whole, parts = measured(grid, labels, zone), measured(grid, labels, zone, block_px)
        assert parts.by_code == pytest.approx(whole.by_code, rel=1e-6, abs=1e-3)
        assert parts.not_observed_m2 == pytest.approx(whole.not_observed_m2, rel=1e-6, abs=1e-3)

    @few_examples
    @given(corners=polygons(), cut=st.floats(1, 49), seed=st.integers(0, 9))
    def test_two_halves_of_a_zone_sum_to_the_zone(
        self, corners: list[tuple[float, float]], cut: float, seed: int
    ) -> None:
        grid = GRIDS["utm"]
        labels, zone = random_labels(grid, seed), hull(grid, corners)
        sides = [box_px(grid, -99, -99, cut, 199), box_px(grid, cut, -99, 199, 199)]
        halves = [
            measured(grid, labels, zone.intersection(side)) for side in sides if zone.intersection(side).area > 1e-6
        ]
        whole = measured(grid, labels, zone)
        for code, area in whole.by_code.items():
            assert sum(h.by_code.get(code, 0.0) for h in halves) == pytest.approx(area, rel=1e-6, abs=1e-2)


class TestOracles:
    @pytest.mark.parametrize("name", GRIDS)
    @few_examples
    @given(corners=polygons(), seed=st.integers(0, 9))
    def test_areas_are_exactextracts_weighted_by_the_pixels_areas(
        self, name: str, corners: list[tuple[float, float]], seed: int
    ) -> None:
        grid = GRIDS[name]
        labels, zone = random_labels(grid, seed), hull(grid, corners)
        frame = geopandas.GeoDataFrame(geometry=[zone], crs=grid.crs)
        areas = measured(grid, labels, zone)
        for code in (0, 1, 5, 254):
            m2 = np.where(labels == code, grid.pixel_area_m2(grid.full_window), 0.0)
            result = exact_extract(NumPyRasterSource(m2, *grid.bounds), frame, ["sum"], output="pandas")["sum"][0]
            expected = 0.0 if math.isnan(result) else result
            assert areas.by_code.get(code, 0.0) == pytest.approx(expected, rel=1e-5, abs=1e-3)

    @pytest.mark.parametrize("name", GRIDS)
    @few_examples
    @given(corners=polygons())
    def test_areas_are_those_of_shapelys_pieces_on_the_ellipsoid(
        self, name: str, corners: list[tuple[float, float]]
    ) -> None:
        grid = GRIDS[name]
        labels = np.zeros(tuple(grid.shape), np.uint8)
        labels[10:30, 20:40] = 1
        zone = hull(grid, corners)
        piece = zone.intersection(shapely.box(*grid.window_bounds(Window(10, 20, 20, 20))))
        expected = zone_area_m2(zone_of(piece), grid) if piece.area > 0 else 0.0
        assert measured(grid, labels, zone).by_code.get(1, 0.0) == pytest.approx(expected, rel=1e-4, abs=0.5)


class TestZoneArea:
    @pytest.mark.parametrize(
        ("crs", "box"),
        [
            pytest.param("EPSG:4326", (10, 45, 11, 46), id="degrees"),
            pytest.param("EPSG:4326", (-180, -60, 180, 60), id="nearly the world"),
            pytest.param("EPSG:32631", (400_000, 5_000_000, 500_000, 5_100_000), id="UTM"),
            pytest.param("EPSG:3035", (4_000_000, 3_000_000, 4_100_000, 3_100_000), id="LAEA"),
            pytest.param("EPSG:3857", (0, 6_000_000, 100_000, 6_100_000), id="web Mercator"),
            pytest.param("EPSG:2263", (980_000, 200_000, 990_000, 210_000), id="feet"),
            pytest.param("EPSG:27572", (600_000, 2_400_000, 610_000, 2_410_000), id="a datum that counts in grads"),
        ],
    )
    def test_it_is_that_of_a_geodesic_polygon_with_many_corners(
        self, crs: str, box: tuple[float, float, float, float]
    ) -> None:
        grid = Grid(crs, Affine(1, 0, box[0], 0, -1, box[3]), Shape(1, 1))
        ring = shapely.segmentize(shapely.box(*box), (box[2] - box[0]) / 2000).exterior.coords
        x, y = np.array(ring).T
        if not CRS(crs).is_geographic:
            x, y = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
        expected = abs(Geod(ellps="WGS84").polygon_area_perimeter(x, y)[0])
        if crs == "EPSG:27572":
            # Clarke's ellipsoid of 1880 is a little larger.
            expected *= (6_378_249.2 / 6_378_137) ** 2
        assert zone_area_m2(zone_of(shapely.box(*box)), grid) == pytest.approx(expected, rel=1e-3)

    def test_a_hole_is_taken_off_whichever_way_its_ring_runs(self) -> None:
        outer, inner = box_px(SMALL, 0, 0, 3, 3), box_px(SMALL, 1, 1, 2, 2)
        for hole in (inner.exterior.coords, inner.exterior.coords[::-1]):
            ring = shapely.Polygon(outer.exterior.coords, [hole])
            assert zone_area_m2(zone_of(ring), SMALL) == pytest.approx(800, rel=1e-5)

    def test_parts_are_added(self) -> None:
        parts = shapely.MultiPolygon([box_px(SMALL, 0, 0, 1, 1), box_px(SMALL, 2, 2, 3, 3).reverse()])
        assert zone_area_m2(zone_of(parts), SMALL) == pytest.approx(200, rel=1e-5)

    @pytest.mark.parametrize("name", GRIDS)
    def test_a_zone_of_whole_pixels_has_the_area_of_its_pixels(self, name: str) -> None:
        grid, window = GRIDS[name], Window(5, 7, 20, 30)
        zone = zone_of(shapely.box(*grid.window_bounds(window)))
        assert zone_area_m2(zone, grid) == pytest.approx(grid.pixel_area_m2(window).sum(), rel=1e-5)
