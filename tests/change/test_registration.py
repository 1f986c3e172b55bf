"""Shifts are found to a tenth of a pixel, corrected up to a limit and refused beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from aisf_geo.change.registration import Shift, block_shift, consensus
from aisf_geo.errors import GridError

SIDE = 160


def ground(seed: int) -> NDArray[np.float64]:
    """Fields with borders and a fine texture: what an image of land has."""
    rng = np.random.default_rng(seed)
    fields = np.kron(rng.random((30, 30)), np.ones((9, 9)))
    return np.asarray(ndimage.gaussian_filter(fields + 0.1 * rng.random(fields.shape), 1.0))


def cut(picture: NDArray[np.float64], down: float = 0, right: float = 0) -> NDArray[np.float64]:
    """The middle of ``picture``, what it shows moved by so many pixels."""
    moved = ndimage.shift(picture, (down, right), order=3, mode="nearest")
    edge = (picture.shape[0] - SIDE) // 2
    return np.asarray(moved[edge : edge + SIDE, edge : edge + SIDE])


SEEN = np.ones((SIDE, SIDE), np.bool_)


@given(st.integers(0, 20), st.floats(-6, 6), st.floats(-6, 6))
@settings(max_examples=25, deadline=None)
def test_any_shift_is_found_whatever_the_light(seed: int, down: float, right: float) -> None:
    picture = ground(seed)
    found = block_shift(cut(picture), 3.0 * cut(picture, down, right) + 7, SEEN)
    assert found is not None
    assert (found.down, found.right) == pytest.approx((down, right), abs=0.12)


def test_the_answer_is_that_of_scikit_image() -> None:
    one, two = cut(ground(1)), cut(ground(1), 2.3, -1.4)
    taper = np.outer(np.hanning(SIDE), np.hanning(SIDE))
    tapered = [(p - p.mean()) * taper for p in (one, two)]
    theirs, *_ = phase_cross_correlation(*tapered, upsample_factor=50, normalization=None)
    ours = block_shift(one, two, SEEN)
    assert ours is not None
    # They say how to move the second onto the first, we say how far it lies off.
    assert (-ours.down, -ours.right) == pytest.approx(theirs, abs=0.1)


def test_twenty_pixels_are_measured_and_refused() -> None:
    found = consensus([block_shift(cut(ground(3)), cut(ground(3), 0, 20), SEEN)])
    with pytest.raises(GridError, match=r"20\.0 px apart .* at most 5 px .* Co-register"):
        found.check()


def test_unlike_pictures_do_not_tell() -> None:
    rng = np.random.default_rng(0)
    assert block_shift(rng.random((SIDE, SIDE)), rng.random((SIDE, SIDE)), SEEN) is None
    assert block_shift(np.ones((SIDE, SIDE)), cut(ground(1)), SEEN) is None
    assert consensus([None, None]).shift is None


def test_a_hole_in_the_data_does_not_draw_the_shift_to_itself() -> None:
    seen = SEEN.copy()
    seen[40:90, 60:100] = False
    one, two = (np.where(seen, p, 0) for p in (cut(ground(4)), cut(ground(4), 1.5, 0.5)))
    found = block_shift(one, two, seen)
    assert found is not None
    assert (found.down, found.right) == pytest.approx((1.5, 0.5), abs=0.15)


def test_one_wrong_block_does_not_move_the_pair() -> None:
    found = consensus([Shift(1.5, 0.0), Shift(1.4, 0.1), Shift(1.6, 0.0), Shift(-30.0, 9.0), None])
    assert found.shift is not None
    assert found.shift.down == pytest.approx(1.45, abs=0.1)
    assert (found.blocks, found.asked) == (4, 5)
