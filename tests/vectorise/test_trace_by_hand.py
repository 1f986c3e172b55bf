"""Maps whose polygons one can see."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from label_maps import assert_same, drawn, grid_of, traced, windows

from aisf_geo.errors import GridError
from aisf_geo.vectorise.trace import join, trace, trace_array, trace_block

#: Upper left corner and pixel size of the test grid: vertices are easier to read as (column, row).
LEFT, TOP, PX = 500_000, 5_000_000, 10


def vertices(ring: shapely.LinearRing) -> list[tuple[int, int]]:
    return [(round((x - LEFT) / PX), round((TOP - y) / PX)) for x, y in ring.coords]


def outline(polygon: shapely.Polygon) -> list[list[tuple[int, int]]]:
    return [vertices(ring) for ring in (polygon.exterior, *polygon.interiors)]


def test_one_pixel_is_a_square_drawn_counter_clockwise_from_its_upper_left_corner() -> None:
    features = traced(drawn("7"))
    assert outline(features.geometry[0]) == [[(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]]
    assert features.code.tolist() == [7]
    assert features.pixels.tolist() == [1]
    assert features.edge.tolist() == [True]
    assert features.perimeter_m.tolist() == [40.0]
    assert features.open_border_share.tolist() == [1.0]


def test_where_three_regions_meet_all_of_them_have_a_vertex() -> None:
    features = traced(
        drawn(
            """
            11
            23
            """
        )
    )
    assert outline(features.geometry[0]) == [[(0, 0), (0, 1), (1, 1), (2, 1), (2, 0), (0, 0)]]
    assert shapely.coverage_is_valid(features.geometry)


@pytest.mark.parametrize("block", [(1, 1), (2, 2), (3, 1), (1, 3)])
def test_no_vertex_stays_on_a_seam(block: tuple[int, int]) -> None:
    features = traced(np.zeros((3, 3), dtype=np.uint8), block)
    assert outline(features.geometry[0]) == [[(0, 0), (0, 3), (3, 3), (3, 0), (0, 0)]]


def test_pixels_that_touch_in_a_corner_are_not_connected() -> None:
    features = traced(
        drawn(
            """
            0101
            1010
            0101
            """
        ),
        (2, 2),
    )
    assert features.pixels.tolist() == [1] * 12
    assert shapely.coverage_is_valid(features.geometry)


def test_a_hole_is_a_clockwise_ring_and_its_filling_a_feature() -> None:
    features = traced(
        drawn(
            """
            000
            010
            000
            """
        )
    )
    inner, outer = features.geometry
    assert outline(inner) == [[(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]]
    assert outline(outer)[1] == [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]
    assert features.edge.tolist() == [False, True]
    assert features.open_border_share.tolist() == [0.0, 12 / 16]


def test_what_is_not_observed_is_no_feature_and_makes_an_edge() -> None:
    features = traced(
        drawn(
            """
            000
            0.0
            000
            """
        )
    )
    assert features.code.tolist() == [0]
    assert features.pixels.tolist() == [8]
    assert len(features.geometry[0].interiors) == 1
    assert features.open_border_share.tolist() == [1.0]


def test_undecided_pixels_are_features_like_others() -> None:
    assert traced(np.full((2, 2), 254, dtype=np.uint8)).code.tolist() == [254]


@pytest.mark.parametrize("block", [(9, 9), (1, 1), (2, 2), (3, 2)])
def test_a_hole_may_touch_the_exterior_and_another_hole_in_a_corner(block: tuple[int, int]) -> None:
    features = traced(
        drawn(
            """
            00001
            01010
            00100
            00000
            """
        ),
        block,
    )
    background = features.geometry[features.pixels.argmax()]
    assert shapely.is_valid(features.geometry).all()
    assert len(background.interiors) == 3
    assert all(ring.is_simple for ring in (background.exterior, *background.interiors))


@pytest.mark.parametrize("block", [(9, 9), (1, 1), (2, 2), (3, 2), (4, 7)])
def test_holes_nest(block: tuple[int, int]) -> None:
    features = traced(
        drawn(
            """
            0000000
            0111110
            0100010
            0101010
            0100010
            0111110
            0000000
            """
        ),
        block,
    )
    assert features.pixels.tolist() == [1, 8, 16, 24]
    assert [len(p.interiors) for p in features.geometry] == [0, 1, 1, 1]


@pytest.mark.parametrize("block", [(1, 1), (2, 3), (3, 2), (4, 4)])
def test_a_spiral_over_many_seams_is_one_region(block: tuple[int, int]) -> None:
    labels = drawn(
        """
        111111111
        000000001
        011111101
        010000101
        010110101
        010100101
        010111101
        010000001
        011111111
        """
    )
    assert traced(labels, block).pixels.tolist() == [int((labels == 1).sum()), int((labels == 0).sum())]
    assert_same(traced(labels, block), traced(labels))


def test_nothing_observed_gives_no_features() -> None:
    features = traced(np.full((4, 5), 255, dtype=np.uint8), (2, 2))
    assert len(features) == 0
    assert features.geometry.shape == (0,)


def test_features_are_ordered_by_last_row_then_first_pixel() -> None:
    features = traced(
        drawn(
            """
            1200
            1002
            3333
            """
        ),
        (1, 2),
    )
    assert list(zip(features.last_row.tolist(), features.first_pixel.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (1, 2),
        (1, 7),
        (2, 8),
    ]


def test_confidence_is_the_mean_and_the_lowest_tenth() -> None:
    confidence = np.full((1, 20), 254, dtype=np.uint8)
    confidence[0, :4] = [0, 127, 127, 255]
    labels = np.zeros((1, 20), dtype=np.uint8)
    features = traced(labels, (1, 3), confidence)
    # Of 19 pixels with a confidence two do not exceed 127 / 254, and two are at least a tenth.
    assert features.confidence[0] == pytest.approx((127 * 2 + 254 * 16) / 19 / 254)
    assert features.confidence_p10.tolist() == [0.5]


def test_without_confidence_the_columns_say_so() -> None:
    features = traced(np.zeros((2, 2), dtype=np.uint8), confidence=np.full((2, 2), 255, dtype=np.uint8))
    assert np.isnan(features.confidence).all()
    assert np.isnan(features.confidence_p10).all()


def test_a_degree_grid_has_perimeters_on_the_ellipsoid() -> None:
    labels = np.zeros((100, 100), dtype=np.uint8)
    grid = grid_of(labels, "EPSG:4326")
    features = traced(labels, (30, 30), grid=grid)
    # A box of 0.01 degrees below 45 degrees north: geodesics differ from parallels by far less than a metre.
    geodesic_m = grid.pyproj_crs.get_geod().geometry_length(features.geometry[0].exterior)
    assert features.perimeter_m[0] == pytest.approx(geodesic_m, rel=1e-6)


def test_a_block_must_fill_its_window() -> None:
    labels = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(GridError, match="must be uint8 and fill"):
        trace_block(labels[:3], None, grid_of(labels), next(windows((4, 4), 4, 4)))


def test_a_missing_block_is_an_error_and_not_a_gap() -> None:
    labels = np.zeros((4, 4), dtype=np.uint8)
    grid = grid_of(labels)
    parts = [trace_block(labels[w.slices], None, grid, w) for w in windows((4, 4), 2, 2)]
    with pytest.raises(GridError, match="column 2"):
        list(join([parts[0], *parts[2:]], grid))
    with pytest.raises(GridError, match="row 2 of 4"):
        list(join(parts[:2], grid))


def test_threads_change_nothing() -> None:
    labels = (np.arange(70 * 50).reshape(70, 50) // 7 % 3).astype(np.uint8)
    grid = grid_of(labels)
    batches = list(trace(lambda window: (labels[window.slices], None), grid, block_px=16, workers=2))
    assert len(batches) == 5
    assert sum(map(len, batches)) == len(trace_array(labels, grid))
