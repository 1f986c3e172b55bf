"""What holds for every label map and every way to cut it into blocks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import TRANSFORMS, assert_same, grid_of, label_maps, traced, windows
from rasterio.features import rasterize, shapes

from aisf_geo.vectorise.polygons import Features
from aisf_geo.vectorise.trace import join, trace_block

LAW = settings(max_examples=40, deadline=None)
BLOCKS = st.tuples(st.integers(1, 6), st.integers(1, 6))


def rasterised(features: Features, shape: tuple[int, int], transform: object) -> np.ndarray:
    if not len(features):
        return np.full(shape, 255, dtype=np.uint8)
    return rasterize(
        zip(features.geometry, features.code.tolist(), strict=True),
        out_shape=shape,
        fill=255,
        transform=transform,
        dtype=np.uint8,
    )


@LAW
@given(label_maps(), BLOCKS, st.randoms(use_true_random=False))
def test_blocks_change_nothing(labels: np.ndarray, block: tuple[int, int], random: object) -> None:
    confidence = np.array(list(random.randbytes(labels.size)), dtype=np.uint8).reshape(labels.shape)
    assert_same(traced(labels, block, confidence), traced(labels, None, confidence))


@LAW
@given(label_maps(), BLOCKS)
def test_rasterising_the_polygons_returns_the_map(labels: np.ndarray, block: tuple[int, int]) -> None:
    out = rasterised(traced(labels, block), labels.shape, grid_of(labels).transform)
    np.testing.assert_array_equal(out, labels)


@LAW
@given(label_maps(), BLOCKS)
def test_the_polygons_are_a_valid_coverage(labels: np.ndarray, block: tuple[int, int]) -> None:
    geometry = traced(labels, block).geometry
    assert shapely.is_valid(geometry).all()
    assert shapely.coverage_is_valid(geometry)
    assert all(p.exterior.is_ccw and not any(hole.is_ccw for hole in p.interiors) for p in geometry)


@LAW
@given(label_maps(), BLOCKS)
def test_regions_are_those_of_the_reference_tracer(labels: np.ndarray, block: tuple[int, int]) -> None:
    grid = grid_of(labels)
    features = traced(labels, block)
    reference = [
        (int(code), shapely.geometry.shape(shape))
        for shape, code in shapes(labels, mask=labels != 255, connectivity=4, transform=grid.transform)
    ]
    ours = zip(features.code.tolist(), shapely.normalize(features.geometry).tolist(), strict=True)
    by_place = sorted((code, p.area, *p.bounds) for code, p in ours)
    assert by_place == sorted((code, p.area, *p.bounds) for code, p in reference)
    assert (shapely.equals(sorted_by_place(features.geometry), sorted_by_place([p for _, p in reference]))).all()


def sorted_by_place(polygons: object) -> np.ndarray:
    """By the first pixel: the uppermost, there leftmost vertex, which no two regions share."""

    def first(polygon: shapely.Polygon) -> tuple[float, float]:
        return min((-y, x) for x, y in polygon.exterior.coords)

    return np.array(sorted(polygons, key=first), dtype=object)


@LAW
@given(label_maps(), BLOCKS)
def test_areas_and_pixels_add_up_to_what_is_observed(labels: np.ndarray, block: tuple[int, int]) -> None:
    grid = grid_of(labels)
    features = traced(labels, block)
    observed = labels != 255
    assert features.pixels.sum() == observed.sum()
    assert features.area_m2.sum() == pytest.approx(grid.pixel_area_m2(grid.full_window)[observed].sum(), rel=1e-12)
    np.testing.assert_allclose(shapely.area(features.geometry), features.pixels * 100.0)


@LAW
@given(label_maps(), BLOCKS)
def test_edge_and_open_border_are_counted_in_pixel_edges(labels: np.ndarray, block: tuple[int, int]) -> None:
    grid = grid_of(labels)
    features = traced(labels, block)
    padded = np.pad(labels, 1, constant_values=255)
    for polygon, code, share, edge, perimeter_m in zip(
        features.geometry,
        features.code,
        features.open_border_share,
        features.edge,
        features.perimeter_m,
        strict=True,
    ):
        inside = np.pad(rasterize([(polygon, 1)], labels.shape, transform=grid.transform), 1)
        total = opened = 0
        for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
            border = (inside == 1) & (np.roll(inside, step, axis) == 0)
            total += border.sum()
            opened += (border & (np.roll(padded, step, axis) == 255)).sum()
        assert padded[inside == 1].tolist() == [code] * int(inside.sum())
        assert share == opened / total
        assert edge == (opened > 0)
        assert perimeter_m == pytest.approx(total * 10)


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("crs", TRANSFORMS)
@given(labels=label_maps(), block=BLOCKS)
def test_any_grid_gives_counter_clockwise_exteriors(crs: str, labels: np.ndarray, block: tuple[int, int]) -> None:
    grid = grid_of(labels, crs)
    features = traced(labels, block, grid=grid)
    assert all(p.exterior.is_ccw for p in features.geometry)
    assert shapely.coverage_is_valid(features.geometry)
    assert_same(features, traced(labels, grid=grid))
    np.testing.assert_array_equal(rasterised(features, labels.shape, grid.transform), labels)


@settings(max_examples=15, deadline=None)
@given(label_maps(), BLOCKS)
def test_a_traced_block_travels_between_processes(labels: np.ndarray, block: tuple[int, int]) -> None:
    grid = grid_of(labels)
    parts = (
        pickle.loads(pickle.dumps(trace_block(labels[w.slices], None, grid, w)))  # noqa: S301 - our own bytes
        for w in windows(labels.shape, *block)
    )
    travelled = list(join(parts, grid))
    assert sum(map(len, travelled)) == len(traced(labels))


@pytest.mark.parametrize("block", [(16, 16), (37, 50), (1000, 7)])
def test_a_larger_noisy_map_does_not_depend_on_blocks(block: tuple[int, int]) -> None:
    random = np.random.default_rng(7)
    labels = random.choice(np.array([0, 0, 0, 1, 2, 255], dtype=np.uint8), (160, 170))
    confidence = random.integers(0, 256, labels.shape, dtype=np.uint8)
    assert_same(traced(labels, block, confidence), traced(labels, None, confidence))
