"""Road graphs of masks small enough to see; pixels are 10 m."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from label_maps import grid_of
from pyproj import Geod

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.roads import RoadGraph, RoadOptions, as_networkx, road_graph


def drawn(text: str) -> np.ndarray:
    return np.array([[c != "." for c in row] for row in text.split()])


def graph_of(mask: np.ndarray, grid: Grid | None = None, **options: float) -> RoadGraph:
    chosen = {"spur_m": 0.0, "gap_m": 0.0} | options
    return road_graph(lambda w: (mask[w.slices], None), grid or grid_of(mask), RoadOptions(**chosen))


def edges(graph: RoadGraph) -> list[tuple[int, int, float]]:
    return list(zip(graph.start.tolist(), graph.end.tolist(), graph.length_m.round(0).tolist(), strict=True))


PLUS = drawn(
    """
    ....#....
    ....#....
    ....#....
    ....#....
    #########
    ....#....
    ....#....
    ....#....
    ....#....
    """
)


def test_a_crossing_is_one_node_with_four_roads() -> None:
    graph = graph_of(PLUS)
    assert graph.node_id.tolist() == [4, 36, 40, 44, 76]
    assert graph.degree.tolist() == [1, 1, 4, 1, 1]
    assert edges(graph) == [(4, 40, 40), (36, 40, 40), (40, 44, 40), (40, 76, 40)]
    assert graph.node_xy[2].tolist() == [500_045, 4_999_955]
    assert graph.edge_ids() == ["4-40", "36-40", "40-44", "40-76"]


def test_a_ring_without_crossing_starts_at_its_first_pixel() -> None:
    ring = drawn(
        """
        ........
        ..###...
        .#...#..
        .#...#..
        .#...#..
        ..###...
        ........
        """
    )
    graph = graph_of(ring, simplify_m=0)
    assert (graph.node_id.tolist(), graph.degree.tolist()) == ([10], [2])
    assert graph.lines[0].is_ring
    assert graph.length_m[0] == pytest.approx(8 * 10 + 4 * 10 * 2**0.5, rel=1e-3)


def test_two_roads_between_the_same_nodes_are_two_edges() -> None:
    lens = np.zeros((20, 40), np.bool_)
    lens[10, :10] = lens[10, 30:] = lens[5, 10:30] = lens[15, 10:30] = lens[5:16, 10] = lens[5:16, 30] = True
    graph = graph_of(lens)
    assert sorted(graph.degree.tolist()) == [1, 1, 3, 3]
    ids = graph.edge_ids()
    assert any(name.endswith("-2") for name in ids)
    assert len(set(ids)) == len(ids) == 4
    assert as_networkx(graph).number_of_edges() == 4


def test_an_empty_mask_has_an_empty_graph() -> None:
    graph = graph_of(np.zeros((20, 20), np.bool_))
    assert (graph.node_id.size, graph.start.size, len(graph.lines)) == (0, 0, 0)
    assert graph.tally.road_px == 0


STREET = np.zeros((21, 60), np.bool_)
STREET[9:12, 5:55] = True


def test_width_and_length_of_a_street() -> None:
    graph = graph_of(STREET)
    # Centre to nearest pixel off the road: 2 pixels; twice that less half a pixel.
    assert graph.width_m.tolist() == pytest.approx([35], rel=1e-3)
    assert graph.length_m[0] == pytest.approx(490, abs=20)


def test_lengths_follow_the_ellipsoid_in_a_stretched_projection() -> None:
    # Web Mercator at 60 degrees north shows everything twice as large as it is.
    grid = Grid("EPSG:3857", Affine(20, 0, 1_000_000, 0, -20, 8_399_737), Shape(*STREET.shape))
    graph = graph_of(STREET, grid)
    assert graph.length_m[0] == pytest.approx(490, abs=20)
    assert graph.width_m[0] == pytest.approx(35, rel=0.01)


def test_lengths_and_widths_in_degrees() -> None:
    # At 60 degrees north a pixel is half as wide as it is high.
    grid = Grid("EPSG:4326", Affine(2e-4, 0, 10, 0, -1e-4, 60), Shape(*STREET.T.shape))
    graph = graph_of(STREET.T, grid)
    (x0, y0), (x1, y1) = graph.node_xy.tolist()
    assert graph.length_m[0] == pytest.approx(Geod(ellps="WGS84").inv(x0, y0, x1, y1)[2], rel=1e-6)
    assert graph.width_m[0] == pytest.approx(3.5 * 11.15, rel=0.01)


SPUR = STREET.copy()
SPUR[5:9, 30] = True


def test_short_spurs_are_pruned_and_the_street_is_whole_again() -> None:
    assert graph_of(SPUR, spur_m=20).start.size == 3
    graph = graph_of(SPUR, spur_m=80)
    assert graph.degree.tolist() == [1, 1]
    assert graph.tally.spurs == 1
    assert graph.length_m[0] == pytest.approx(graph_of(STREET).length_m[0], rel=0.01)


def test_a_road_that_leaves_the_image_is_no_spur() -> None:
    leaving = STREET.copy()
    leaving[:9, 30] = True
    assert graph_of(leaving, spur_m=150).degree.tolist() == [1, 1, 3, 1]


def test_a_forked_end_keeps_its_longer_branch() -> None:
    fork = np.zeros((40, 40), np.bool_)
    fork[20, :20] = True
    for i in range(6):
        fork[20 - i, 19 + i] = True
        fork[20 + i, 19 + i] = i < 4
    graph = graph_of(fork, spur_m=100)
    assert graph.start.size == 1
    assert graph.node_xy[:, 0].max() == 500_000 + 10 * 24.5


def test_a_star_of_short_branches_does_not_vanish() -> None:
    star = np.pad(PLUS, 3)
    # Two of four branches stay, cutting the corner of the pixel in which they met.
    assert graph_of(star, spur_m=50).length_m.tolist() == pytest.approx([40 * 2**0.5 + 15], rel=0.01)


def test_isolated_pieces_are_removed_by_their_total_length() -> None:
    specks = STREET.copy()
    specks[2, 2] = specks[17, 20:24] = True
    graph = graph_of(specks, spur_m=60)
    assert graph.start.size == 1
    assert graph.tally.fragments == 2


def gap_street(shift: int = 0) -> np.ndarray:
    mask = np.zeros((30, 60), np.bool_)
    mask[10, 2:28] = True
    mask[10 + shift, 31:58] = True
    return mask


def test_a_gap_between_two_ends_is_bridged_and_marked() -> None:
    graph = graph_of(gap_street(), gap_m=50)
    assert graph.bridge.tolist() == [False, True, False]
    assert graph.length_m.tolist() == pytest.approx([250, 40, 260], rel=1e-3)
    assert np.isnan(graph.width_m[1])
    assert graph.degree.tolist() == [1, 2, 2, 1]


@pytest.mark.parametrize(("shift", "gap_m"), [(0, 30), (8, 100)], ids=["too wide", "too much of a bend"])
def test_what_is_no_gap_is_left_alone(shift: int, gap_m: float) -> None:
    assert graph_of(gap_street(shift), gap_m=gap_m, gap_angle_deg=30).tally.bridges == 0


def test_an_end_is_bridged_to_its_nearest_partner_only() -> None:
    mask = gap_street()
    mask[12, 34:58] = True
    graph = graph_of(mask, gap_m=100, gap_angle_deg=45)
    assert graph.tally.bridges == 1
    assert graph.length_m[graph.bridge].tolist() == pytest.approx([40], rel=1e-3)


def test_an_area_too_wide_is_one_node_and_counted() -> None:
    square = np.zeros((60, 60), np.bool_)
    square[15:45, 15:45] = True
    square[30, :] = True
    square[:, 30] = True
    graph = graph_of(square, max_half_width_m=40, spur_m=60)
    assert graph.wide.sum() == 1
    assert graph.degree[graph.wide].tolist() == [4]
    # 4.5 pixels and more from the border of 30 x 30: all but a frame of four.
    assert graph.tally.too_wide_px == pytest.approx(22 * 22, abs=4)


@pytest.mark.parametrize(
    "options",
    [{"max_half_width_m": 0}, {"max_half_width_m": 1e5}, {"spur_m": -1}, {"gap_angle_deg": 91}, {"gap_m": -1}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        graph_of(PLUS, **options)
