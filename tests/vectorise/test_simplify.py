"""Simplified features still fit each other, and say what it cost."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import TRANSFORMS, drawn, grid_of, label_maps, traced

from aisf_geo.errors import UsageError
from aisf_geo.vectorise.simplify import simplify

STAIRS = drawn(
    """
    00000000
    10000000
    11000000
    11100000
    11110000
    11111000
    11111100
    11111110
    """
)


def test_stairs_between_two_classes_become_a_slope() -> None:
    before = traced(STAIRS)
    result = simplify(before, 15, grid_of(STAIRS))
    assert (
        shapely.get_num_coordinates(result.features.geometry).sum() < shapely.get_num_coordinates(before.geometry).sum()
    )
    assert shapely.coverage_is_valid(result.features.geometry)


def test_the_outer_boundary_stays() -> None:
    before = traced(drawn("0111 .011 ..01 ...0"))
    after = simplify(before, 100, grid_of(drawn("0111 .011 ..01 ...0"))).features
    union, kept = shapely.coverage_union_all(before.geometry), shapely.coverage_union_all(after.geometry)
    assert shapely.equals(union, kept)


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("crs", TRANSFORMS)
@given(labels=label_maps(), tolerance_px=st.floats(0, 4))
def test_areas_move_between_classes_and_are_reported(crs: str, labels: np.ndarray, tolerance_px: float) -> None:
    grid = grid_of(labels, crs)
    before = traced(labels, grid=grid)
    result = simplify(before, tolerance_px * grid.gsd_m, grid)
    after = result.features
    assert shapely.is_valid(after.geometry).all()
    assert shapely.coverage_is_valid(after.geometry)
    np.testing.assert_allclose(after.area_m2 - before.area_m2, result.area_change_m2)
    np.testing.assert_allclose(sum(result.class_change_m2.values()), result.area_change_m2.sum(), atol=1e-6)
    # Pixels of one map differ in area by parts in a million; what one class loses another gains.
    assert abs(result.area_change_m2.sum()) <= 1e-5 * before.area_m2.sum()
    np.testing.assert_array_equal(after.pixels, before.pixels)


def test_perimeters_are_of_the_new_outlines() -> None:
    for crs in ("EPSG:32633", "EPSG:4326"):
        grid = grid_of(STAIRS, crs)
        before = traced(STAIRS, grid=grid)
        np.testing.assert_allclose(simplify(before, 0, grid).features.perimeter_m, before.perimeter_m, rtol=1e-6)
        assert (simplify(before, 2 * grid.gsd_m, grid).features.perimeter_m < before.perimeter_m).all()


@pytest.mark.parametrize("tolerance_m", [-1, math.nan, math.inf])
def test_a_tolerance_is_a_length(tolerance_m: float) -> None:
    with pytest.raises(UsageError, match="tolerance"):
        simplify(traced(STAIRS), tolerance_m, grid_of(STAIRS))
