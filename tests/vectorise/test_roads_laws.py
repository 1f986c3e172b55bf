"""What holds for every road mask and every way to cut it into blocks."""

from __future__ import annotations

import dataclasses

import networkx
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import grid_of, windows
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.ndimage import label as components

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.vectorise.road_graph import joined, network
from aisf_geo.vectorise.roads import RoadGraph, RoadOptions, as_networkx, road_graph
from aisf_geo.vectorise.skeleton import CentrePixels, PixelSize, Reach, centre_pixels, depths, gap_in_column, thin

LAW = settings(max_examples=40, deadline=None)
EIGHT = np.ones((3, 3))


@st.composite
def masks(draw: st.DrawFn, side: int = 90) -> np.ndarray:
    """Strips, blobs and specks: smoothed noise cut at any level, from thin threads to areas too wide for roads."""
    shape = draw(st.integers(1, side)), draw(st.integers(1, side))
    noise = np.random.default_rng(draw(st.integers(0, 10**6))).standard_normal(shape)
    relief = gaussian_filter(noise, draw(st.sampled_from([0.0, 0.7, 2.0, 5.0])))
    return np.abs(relief) < draw(st.sampled_from([0.3, 1.0, 2.0])) * relief.std()


def centred(mask: np.ndarray, block: tuple[int, int], grid: Grid, half_width_m: float) -> CentrePixels:
    size = PixelSize.of(grid)
    reach = Reach.of(size, half_width_m)
    outer = [(w.padded(reach.halo_px, grid.shape), w) for w in windows(mask.shape, *block)]
    return joined([centre_pixels(mask[o.slices], o, w, grid, size, reach) for o, w in outer])


def graph_of(mask: np.ndarray, block_px: int, workers: int = 1, **options: float) -> RoadGraph:
    confidence = np.linspace(0, 1, mask.size).reshape(mask.shape)
    return road_graph(
        lambda w: (mask[w.slices], confidence[w.slices]), grid_of(mask), RoadOptions(**options), block_px, workers
    )


def assert_same(a: RoadGraph, b: RoadGraph) -> None:
    """Equal to the last bit."""
    for f in dataclasses.fields(RoadGraph):
        if f.name == "lines":
            assert shapely.to_wkb(a.lines).tolist() == shapely.to_wkb(b.lines).tolist()
        else:
            np.testing.assert_array_equal(getattr(a, f.name), getattr(b, f.name), err_msg=f.name)


@LAW
@given(masks(), st.tuples(st.integers(3, 40), st.integers(3, 40)), st.sampled_from(["EPSG:32633", "EPSG:4326"]))
def test_blocks_find_the_centre_pixels_of_the_whole(mask: np.ndarray, block: tuple[int, int], crs: str) -> None:
    grid = grid_of(mask, crs)
    whole, parts = centred(mask, mask.shape, grid, 25.0), centred(mask, block, grid, 25.0)
    for f in dataclasses.fields(CentrePixels):
        np.testing.assert_array_equal(getattr(parts, f.name), getattr(whole, f.name), err_msg=f.name)


@LAW
@given(masks(), st.integers(16, 64), st.integers(1, 2))
def test_the_graph_does_not_depend_on_blocks_or_threads(mask: np.ndarray, block_px: int, workers: int) -> None:
    options = {"max_half_width_m": 25.0, "spur_m": 40.0, "gap_m": 80.0}
    assert_same(graph_of(mask, block_px, workers, **options), graph_of(mask, 1024, **options))


@LAW
@given(masks(), st.integers(0, 12))
def test_thinning_is_that_of_scikit_image(mask: np.ndarray, iterations: int) -> None:
    morphology = pytest.importorskip("skimage.morphology")
    expected = morphology.thin(mask, max_num_iter=iterations) if iterations else mask
    np.testing.assert_array_equal(thin(mask.astype(np.uint8), iterations), expected)


@LAW
@given(masks())
def test_depth_is_the_euclidean_distance_up_to_the_limit(mask: np.ndarray) -> None:
    rows, cols = np.nonzero(mask)
    ones = np.ones(mask.shape[0])
    found = depths(gap_in_column(mask.astype(np.uint8), 7), rows, cols, ones, ones, 7, 6.5)
    expected = distance_transform_edt(mask)[rows, cols] if not mask.all() else 7
    np.testing.assert_allclose(found, np.minimum(expected, 6.5))


@LAW
@given(masks())
def test_thinning_neither_joins_nor_parts_roads(mask: np.ndarray) -> None:
    thinned = thin(mask.astype(np.uint8), 200)
    assert components(thinned, EIGHT)[1] == components(mask, EIGHT)[1]


@LAW
@given(masks())
def test_the_network_has_the_pieces_and_pixels_of_the_centre_pixels(mask: np.ndarray) -> None:
    pixels = centred(mask, mask.shape, grid_of(mask), 25.0)
    net = network(pixels, Shape(*mask.shape), limit_m=30.0, pixel_m=10.0)
    drawn = np.zeros(mask.shape, np.bool_)
    drawn.reshape(-1)[pixels.index] = True
    inner = [int(p) for chain in net.inner for p in chain]
    assert len(inner) == len(set(inner))
    graph = networkx.MultiGraph(list(zip(net.start.tolist(), net.end.tolist(), strict=True)))
    graph.add_nodes_from(range(len(net.nodes)))
    assert len(list(networkx.connected_components(graph))) == components(drawn, EIGHT)[1]


@LAW
@given(masks())
def test_lines_join_the_places_of_their_nodes(mask: np.ndarray) -> None:
    graph = graph_of(mask, 1024, spur_m=30.0, gap_m=60.0, max_half_width_m=25.0)
    for nodes, place in ((graph.start, 0), (graph.end, -1)):
        ends = shapely.get_coordinates(shapely.get_point(graph.lines, place))
        np.testing.assert_allclose(ends, graph.node_xy[np.searchsorted(graph.node_id, nodes)], atol=1e-6)
    routable = as_networkx(graph)
    assert dict(routable.degree) == dict(zip(graph.node_id.tolist(), graph.degree.tolist(), strict=True))
    assert len(routable.edges) == len(graph.start)
