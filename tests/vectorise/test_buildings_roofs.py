"""Touching roofs are parted the same way whatever the blocks, and as if each had a code of its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import TRANSFORMS, assert_same, drawn, grid_of, traced

from aisf_geo.domain.grid import Window
from aisf_geo.errors import GridError, UsageError
from aisf_geo.vectorise import roofs
from aisf_geo.vectorise.polygons import Features
from aisf_geo.vectorise.roofs import RoofRules, Split, split_roofs

#: Two roofs that touch along one pixel, between two other classes; the second ends at the edge of the image.
DUMBBELL = drawn(
    """
    0000000002222222
    0111110002111111
    0111110002111111
    0111111111111111
    0111110002111111
    0111110002111111
    0000000002222222
    """
)
RULES = RoofRules(min_roof_m2=0)


def parted(
    labels: np.ndarray,
    crs: str = "EPSG:32633",
    block: tuple[int, int] | None = None,
    confidence: np.ndarray | None = None,
    rules: RoofRules = RULES,
) -> Split:
    def read(window: Window) -> tuple[np.ndarray, np.ndarray | None]:
        return labels[window.slices], None if confidence is None else confidence[window.slices]

    grid = grid_of(labels, crs)
    return split_roofs(traced(labels, block, confidence, grid), read, grid, 1, rules)


def painted(labels: np.ndarray, features: Features) -> np.ndarray:
    """The map in which every roof has a code of its own, from 100 on: what tracing should then give."""
    from rasterio.features import rasterize

    grid = grid_of(labels)
    roofs = features.geometry[features.code == 1]
    codes = rasterize(zip(roofs, range(100, 100 + len(roofs)), strict=True), labels.shape, transform=grid.transform)
    return np.where(labels == 1, codes, labels).astype(np.uint8)


def test_two_roofs_part_at_the_neck() -> None:
    result = parted(DUMBBELL)
    assert (result.split, result.roofs, result.too_large) == (1, 2, 0)
    roofs = result.features.take(np.flatnonzero(result.features.code == 1))
    assert sorted(roofs.pixels.tolist()) == [28, 31]
    assert sorted(roofs.edge.tolist()) == [False, True]


def test_a_line_of_low_confidence_parts_what_has_no_neck() -> None:
    labels = np.pad(np.ones((6, 13), np.uint8), 1)
    confidence = np.full(labels.shape, 250, np.uint8)
    assert parted(labels, confidence=confidence).split == 0
    confidence[:, 7] = 130
    assert parted(labels, confidence=confidence).roofs == 2


def test_a_wing_is_no_roof_of_its_own() -> None:
    wing = np.zeros((30, 30), np.uint8)
    wing[2:12, 2:28] = wing[2:28, 2:12] = 1
    assert parted(wing).split == 0


def test_small_parts_stay_with_their_roof() -> None:
    assert parted(DUMBBELL, rules=RoofRules(min_roof_m2=2700)).split == 0


def test_what_is_too_large_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofs, "MAX_SPLIT_PX", 20)
    assert parted(DUMBBELL).too_large == 1


@st.composite
def towns(draw: st.DrawFn) -> np.ndarray:
    """Boxes of buildings on two other classes, with unobserved stripes."""
    labels = np.zeros((24, 24), np.uint8)
    labels[:, 12:] = 2
    for _ in range(draw(st.integers(1, 8))):
        row, col, height, width = (draw(st.integers(*r)) for r in ((0, 22), (0, 22), (1, 9), (1, 9)))
        labels[row : row + height, col : col + width] = 1
    if draw(st.booleans()):
        labels[draw(st.integers(0, 23))] = 255
    return labels


@settings(max_examples=25)
@given(labels=towns(), block=st.tuples(st.integers(3, 24), st.integers(3, 24)), crs=st.sampled_from(list(TRANSFORMS)))
def test_blocks_leave_no_mark(labels: np.ndarray, block: tuple[int, int], crs: str) -> None:
    whole, pieces = parted(labels, crs), parted(labels, crs, block)
    assert_same(whole.features, pieces.features)
    assert whole.split == pieces.split


@settings(max_examples=25)
@given(labels=towns(), seed=st.integers(0, 3))
def test_the_result_is_that_of_tracing_a_map_with_parted_roofs(labels: np.ndarray, seed: int) -> None:
    confidence = np.random.default_rng(seed).integers(100, 255, labels.shape, dtype=np.uint8)
    features = parted(labels, confidence=confidence).features
    expected = traced(painted(labels, features), confidence=confidence)
    # Vertices at junctions of two roofs with a third region are in the outlines of roofs on both ways.
    expected = replace(expected, code=np.where(expected.code >= 100, 1, expected.code).astype(np.uint8))
    roof = expected.code == 1
    assert_same(features.take(np.flatnonzero(features.code == 1)), expected.take(np.flatnonzero(roof)))
    assert shapely.coverage_is_valid(features.geometry[features.code == 1])
    np.testing.assert_array_equal(features.pixels, expected.pixels)


def test_the_wrong_map_is_refused() -> None:
    features = traced(DUMBBELL)
    with pytest.raises(GridError, match="does not hold"):
        split_roofs(features, lambda w: (np.zeros((w.height, w.width), np.uint8), None), grid_of(DUMBBELL), 1)


@pytest.mark.parametrize("options", [{"neck_share": 0}, {"neck_share": 1}, {"min_roof_m2": -1}])
def test_rules_are_checked(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="roofs"):
        RoofRules(**options)
