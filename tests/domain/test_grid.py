from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from aisf_geo.domain.grid import Bounds, Grid, Shape, Window
from aisf_geo.errors import GridError

BOUND = "+proj=utm +zone=31 +ellps=intl +towgs84=-87,-98,-121 +units=m +type=crs"


def utm_grid(height: int = 300, width: int = 400, transform: Affine | None = None) -> Grid:
    return Grid("EPSG:32631", transform or Affine(10, 0, 500_000, 0, -10, 5_700_000), Shape(height, width))


def geodesic_area_m2(grid: Grid, row: int, col: int, points_per_side: int = 16) -> float:
    """Oracle: the area of one pixel as a polygon of geodesics with many corners."""
    crs, share = CRS(grid.crs), np.arange(points_per_side) / points_per_side
    cols = np.concatenate([share, np.ones_like(share), 1 - share, np.zeros_like(share)]) + col
    rows = np.concatenate([np.zeros_like(share), share, np.ones_like(share), 1 - share]) + row
    x, y = grid.transform @ (cols, rows)
    if not crs.is_geographic:
        x, y = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    degrees = math.degrees((crs.geodetic_crs or crs).axis_info[0].unit_conversion_factor)
    return abs(crs.get_geod().polygon_area_perimeter(x * degrees, y * degrees)[0])


def assert_area_is_geodesic(crs: str, gsd: float, west: float, north: float, row: int = 100, col: int = 130) -> None:
    grid = Grid(crs, Affine(gsd, 0, west, 0, -gsd, north), Shape(row + 1, col + 1))
    area = grid.pixel_area_m2(Window(row, col, 1, 1))
    assert area.shape == (1, 1)
    assert area[0, 0] == pytest.approx(geodesic_area_m2(grid, row, col), rel=1e-4)


class TestPixelArea:
    @pytest.mark.parametrize("latitude", [0.05, -0.05, 45, -45, 70, 85, 89.99])
    def test_in_degrees_is_that_of_the_geodesic_polygon(self, latitude: float) -> None:
        assert_area_is_geodesic("EPSG:4326", 0.01, 10, latitude, row=2, col=3)

    @pytest.mark.parametrize(
        ("crs", "gsd", "west", "north"),
        [
            pytest.param("EPSG:32631", 10, 500_000, 5_000_000, id="UTM, centre of the zone"),
            pytest.param("EPSG:32631", 10, 166_000, 5_000_000, id="UTM, western edge"),
            pytest.param("EPSG:32631", 10, 830_000, 2_000, id="UTM, eastern edge at the equator"),
            pytest.param("EPSG:32731", 10, 300_000, 1_200_000, id="UTM south, near the pole"),
            pytest.param("EPSG:3035", 10, 5_271_982, 2_533_004, id="LAEA Europe"),
            pytest.param("EPSG:2263", 3, 980_000, 200_000, id="New York in US survey feet"),
            pytest.param("EPSG:27572", 10, 600_000, 2_400_000, id="Lambert on the meridian of Paris"),
            pytest.param("EPSG:2048", 10, 60_000, 3_000_000, id="South Africa, axes to the west and south"),
            pytest.param("EPSG:32631+5773", 10, 500_000, 5_000_000, id="compound with heights"),
            pytest.param(BOUND, 10, 500_000, 5_000_000, id="bound to WGS 84"),
        ],
    )
    def test_in_a_projection_is_that_of_the_geodesic_polygon(
        self, crs: str, gsd: float, west: float, north: float
    ) -> None:
        assert_area_is_geodesic(crs, gsd, west, north)

    @pytest.mark.parametrize("northing", [500, 2_500_000, 5_000_000, 8_400_000, 11_000_000])
    def test_in_web_mercator_is_that_on_the_ellipsoid_not_on_its_sphere(self, northing: float) -> None:
        assert_area_is_geodesic("EPSG:3857", 10, 600_000, northing)

    @pytest.mark.parametrize(
        ("crs", "gsd", "west", "north", "row", "col"),
        [
            pytest.param("EPSG:3413", 25_000, -3_850_000, 5_850_000, 200, 150, id="sea ice, 25 km"),
            pytest.param("EPSG:3413", 25_000, -3_850_000, 5_850_000, 32, 96, id="sea ice, 25 km, between nodes"),
            pytest.param("EPSG:32631", 1_000, 200_000, 6_000_000, 32, 32, id="UTM, 1 km"),
        ],
    )
    def test_holds_where_pixels_are_so_wide_that_the_scale_bends_between_them(
        self, crs: str, gsd: float, west: float, north: float, row: int, col: int
    ) -> None:
        assert_area_is_geodesic(crs, gsd, west, north, row, col)

    def test_of_the_whole_world_sums_to_the_ellipsoid(self) -> None:
        grid = Grid("EPSG:4326", Affine(1, 0, -180, 0, -1, 90), Shape(180, 360))
        ellipsoid = CRS(4326).ellipsoid
        assert ellipsoid is not None
        a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
        e = math.sqrt(1 - (b / a) ** 2)
        whole_m2 = 2 * math.pi * a**2 + 2 * math.pi * b**2 * math.atanh(e) / e
        assert grid.pixel_area_m2(grid.full_window).sum() == pytest.approx(whole_m2, rel=1e-12)

    def test_is_the_same_in_grads_as_in_degrees(self) -> None:
        """NTF (Paris) counts in grads, NTF in degrees, on one ellipsoid."""
        degrees = Grid("EPSG:4275", Affine(0.009, 0, 2, 0, -0.009, 45), Shape(5, 5))
        grads = Grid("EPSG:4807", Affine(0.01, 0, 2, 0, -0.01, 50), Shape(5, 5))
        area = degrees.pixel_area_m2(degrees.full_window)
        np.testing.assert_allclose(grads.pixel_area_m2(grads.full_window), area, rtol=1e-9)

    def test_of_a_projection_on_a_sphere_is_that_of_the_sphere(self) -> None:
        grid = Grid("+proj=longlat +R=6371000 +type=crs", Affine(1, 0, -180, 0, -1, 90), Shape(180, 360))
        assert grid.pixel_area_m2(grid.full_window).sum() == pytest.approx(4 * math.pi * 6_371_000**2)

    @given(
        row=st.integers(0, 290), col=st.integers(0, 390), height=st.integers(1, 200), width=st.integers(1, 200),
        crs=st.sampled_from(["EPSG:32631", "EPSG:4326", "EPSG:3857", "EPSG:2263"]),
    )  # fmt: skip
    def test_does_not_depend_on_the_window(self, row: int, col: int, height: int, width: int, crs: str) -> None:
        step = 0.001 if crs == "EPSG:4326" else 10
        grid = Grid(crs, Affine(step, 0, 3, 0, -step, 52), Shape(300, 400))
        window = Window(row, col, min(height, 300 - row), min(width, 400 - col))
        whole = grid.pixel_area_m2(grid.full_window)
        assert np.array_equal(grid.pixel_area_m2(window), whole[window.slices])

    def test_of_a_cropped_grid_is_that_of_the_grid_it_was_cut_from(self) -> None:
        grid, window = utm_grid(), Window(37, 81, 100, 120)
        cropped = grid.crop(window)
        area = cropped.pixel_area_m2(cropped.full_window)
        np.testing.assert_allclose(area, grid.pixel_area_m2(window), rtol=1e-7)

    def test_of_a_rotated_projected_grid_is_that_of_the_geodesic_polygon(self) -> None:
        turned = Affine.translation(300_000, 5_700_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
        grid = utm_grid(transform=turned)
        area = grid.pixel_area_m2(Window(100, 130, 1, 1))[0, 0]
        assert area == pytest.approx(geodesic_area_m2(grid, 100, 130), rel=1e-6)

    def test_of_rows_that_run_north_mirrors_that_of_rows_that_run_south(self) -> None:
        south = Grid("EPSG:4326", Affine(0.1, 0, 3, 0, -0.1, 52), Shape(20, 2))
        north = Grid("EPSG:4326", Affine(0.1, 0, 3, 0, 0.1, 50), Shape(20, 2))
        areas = south.pixel_area_m2(south.full_window), north.pixel_area_m2(north.full_window)
        np.testing.assert_allclose(areas[0], areas[1][::-1], rtol=1e-9)

    def test_of_a_rotated_grid_in_degrees_is_refused_with_the_remedy(self) -> None:
        transform = Affine.translation(3, 52) @ Affine.rotation(30) @ Affine.scale(0.1, -0.1)
        turned = Grid("EPSG:4326", transform, Shape(9, 9))
        with pytest.raises(GridError, match=r"rotated.*warp it north-up"):
            turned.pixel_area_m2(turned.full_window)

    def test_where_a_projection_is_not_defined_is_refused(self) -> None:
        world = Grid("ESRI:54009", Affine(100_000, 0, -18_040_000, 0, -100_000, 9_020_000), Shape(180, 360))
        with pytest.raises(GridError, match="not defined"):
            world.pixel_area_m2(Window(0, 0, 2, 2))


class TestGroundSampleDistance:
    def test_is_the_root_of_the_central_pixels_area(self) -> None:
        grid = Grid("EPSG:3035", Affine(20, 0, 4_321_000, 0, -20, 3_210_000), Shape(101, 101))
        assert grid.gsd_m == pytest.approx(20, rel=1e-6)

    def test_is_in_metres_where_the_crs_counts_in_feet(self) -> None:
        grid = Grid("EPSG:2263", Affine(10, 0, 980_000, 0, -10, 200_000), Shape(11, 11))
        assert grid.gsd_m == pytest.approx(3.048, rel=1e-3)


pixels = st.integers(1, 60)


@st.composite
def windows(draw: st.DrawFn, height: int = 300, width: int = 400) -> Window:
    row, col = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(row, col, draw(st.integers(1, height - row)), draw(st.integers(1, width - col)))


TRANSFORMS = [
    Affine(10, 0, 500_000, 0, -10, 5_700_000),
    Affine(1.0000483155950517, 0, 595455.3102195401, 0, -1.0000483155950517, 5751487.266472591),
    Affine(0.3, 0, 500_000.1, 0, -0.3, 5_700_000.7),
    Affine(10, 0, 500_000, 0, 10, 5_700_000),
]


class TestWindows:
    @given(window=windows(), transform=st.sampled_from(TRANSFORMS))
    def test_the_window_of_a_windows_bounds_is_the_window(self, window: Window, transform: Affine) -> None:
        grid = utm_grid(transform=transform)
        assert grid.window_of(grid.window_bounds(window)) == window

    @given(window=windows(), angle=st.floats(1, 89))
    def test_on_a_rotated_grid_the_window_of_a_windows_bounds_holds_the_window(
        self, window: Window, angle: float
    ) -> None:
        turned = Affine.translation(500_000, 5_700_000) @ Affine.rotation(angle) @ Affine.scale(10, -10)
        grid = utm_grid(transform=turned)
        found = grid.window_of(grid.window_bounds(window))
        assert found is not None
        assert found.intersection(window) == window

    @given(window=windows(), inner=st.data())
    def test_every_pixel_a_box_touches_is_in_its_window(self, window: Window, inner: st.DataObject) -> None:
        grid = utm_grid()
        west, south, east, north = grid.window_bounds(window)
        x = sorted(inner.draw(st.tuples(st.floats(west + 1, east - 1), st.floats(west + 1, east - 1))))
        y = sorted(inner.draw(st.tuples(st.floats(south + 1, north - 1), st.floats(south + 1, north - 1))))
        found = grid.window_of(Bounds(x[0], y[0], x[1], y[1]))
        if found is not None:
            assert window.intersection(found) == found
            box = grid.window_bounds(found)
            assert box.west - 1e-3 <= x[0]
            assert box.east + 1e-3 >= x[1]
            assert box.south - 1e-3 <= y[0]
            assert box.north + 1e-3 >= y[1]
        else:
            assert x[1] - x[0] < 1e-3 or y[1] - y[0] < 1e-3

    @pytest.mark.parametrize(
        "bounds",
        [
            pytest.param(Bounds(400_000, 5_699_000, 499_999, 5_699_500), id="to the west"),
            pytest.param(Bounds(504_000, 5_699_000, 504_100, 5_699_500), id="sharing only the eastern border"),
            pytest.param(Bounds(500_000, 5_700_000, 504_000, 5_700_100), id="sharing only the northern border"),
        ],
    )
    def test_a_box_that_touches_no_pixel_has_no_window(self, bounds: Bounds) -> None:
        assert utm_grid().window_of(bounds) is None

    def test_a_box_larger_than_the_grid_has_the_full_window(self) -> None:
        assert utm_grid().window_of(Bounds(0, 0, 1e6, 1e7)) == Window(0, 0, 300, 400)

    @given(window=windows())
    def test_the_grid_of_a_window_has_the_windows_bounds(self, window: Window) -> None:
        grid = utm_grid()
        cropped = grid.crop(window)
        assert cropped.shape == Shape(window.height, window.width)
        assert tuple(cropped.bounds) == pytest.approx(tuple(grid.window_bounds(window)))

    @given(one=windows(), other=windows())
    def test_the_intersection_holds_the_pixels_that_both_hold(self, one: Window, other: Window) -> None:
        masks = np.zeros((2, 300, 400), bool)
        masks[0][one.slices], masks[1][other.slices] = True, True
        both, shared = masks.all(axis=0), one.intersection(other)
        expected = np.zeros_like(both)
        if shared is not None:
            expected[shared.slices] = True
        assert np.array_equal(both, expected)
        assert shared == other.intersection(one)

    def test_padding_stops_at_the_edge_of_the_grid(self) -> None:
        assert Window(2, 390, 10, 10).padded(5, Shape(300, 400)) == Window(0, 385, 17, 15)

    @given(window=windows(), halo_px=st.integers(0, 50))
    def test_a_window_lies_in_its_padded_window_where_relative_to_says(self, window: Window, halo_px: int) -> None:
        padded = window.padded(halo_px, Shape(300, 400))
        numbers = np.arange(300 * 400).reshape(300, 400)
        assert np.array_equal(numbers[padded.slices][window.relative_to(padded).slices], numbers[window.slices])


class TestSamePixels:
    def test_a_grid_has_the_same_pixels_as_itself_whatever_its_crs_is_called(self) -> None:
        grid = utm_grid()
        assert grid.same_pixels(Grid(CRS(32631).to_wkt(), grid.transform, grid.shape))

    @pytest.mark.parametrize(
        ("shift_px", "same"), [(0.0, True), (0.0005, True), (-0.0005, True), (0.01, False), (1.0, False)]
    )
    def test_corners_may_differ_by_a_thousandth_of_a_pixel(self, shift_px: float, same: bool) -> None:
        moved = utm_grid(transform=utm_grid().transform @ Affine.translation(shift_px, -shift_px))
        assert utm_grid().same_pixels(moved) is same
        assert moved.same_pixels(utm_grid()) is same

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param(utm_grid(height=299), id="shape"),
            pytest.param(Grid("EPSG:32632", utm_grid().transform, Shape(300, 400)), id="zone"),
            pytest.param(utm_grid(transform=Affine(10.001, 0, 500_000, 0, -10.001, 5_700_000)), id="pixel size"),
            pytest.param(utm_grid(transform=Affine(10, 0, 500_000, 0, 10, 5_697_000)), id="direction of the rows"),
        ],
    )
    def test_another_grid_has_other_pixels(self, other: Grid) -> None:
        assert not utm_grid().same_pixels(other)


class TestRefusedGrids:
    @pytest.mark.parametrize("crs", ["EPSG:999999", "nonsense", ""])
    def test_a_crs_nobody_knows_is_named_in_the_error(self, crs: str) -> None:
        with pytest.raises(GridError, match="not a coordinate system") as caught:
            Grid(crs, Affine.identity(), Shape(1, 1))
        assert repr(crs) in str(caught.value)

    @pytest.mark.parametrize(
        "crs",
        [
            pytest.param("EPSG:4978", id="geocentric"),
            pytest.param("EPSG:5773", id="vertical"),
            pytest.param('LOCAL_CS["drawing board",UNIT["metre",1]]', id="local"),
        ],
    )
    def test_a_crs_in_which_pixels_have_no_area_is_refused(self, crs: str) -> None:
        with pytest.raises(GridError, match="geographic or projected"):
            Grid(crs, Affine.identity(), Shape(1, 1))

    @pytest.mark.parametrize(
        ("transform", "shape"),
        [(Affine(10, 0, 0, 0, 0, 0), Shape(3, 3)), (Affine.identity(), Shape(0, 3)), (Affine.identity(), Shape(3, 0))],
    )
    def test_a_grid_without_area_is_refused(self, transform: Affine, shape: Shape) -> None:
        with pytest.raises(GridError, match="has no area"):
            Grid("EPSG:32631", transform, shape)


def test_a_grid_is_a_value_that_can_be_a_key() -> None:
    assert len({utm_grid(), utm_grid(), utm_grid(height=9)}) == 2
