from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.store import overviews
from aisf_geo.store.overviews import halved, level_shapes


def of(*rows: list[float], dtype: str = "uint8") -> np.ndarray[Any, Any]:
    return np.array([rows], dtype)


class TestByHand:
    @pytest.mark.parametrize(
        ("four", "mode"),
        [
            ([1, 1, 2, 2], 1),
            ([1, 2, 2, 3], 2),
            ([3, 2, 1, 1], 1),
            ([4, 3, 2, 1], 4),
            ([255, 1, 2, 2], 2),
            ([255, 255, 255, 6], 6),
            ([255] * 4, 255),
        ],
    )
    def test_mode_is_the_most_frequent_and_of_equals_the_first(self, four: list[int], mode: int) -> None:
        assert halved(of(four[:2], four[2:]), 255, "MODE").tolist() == [[[mode]]]

    @pytest.mark.parametrize(("four", "mean"), [([1, 2, 3, 4], 2), ([10, 255, 20, 255], 15), ([255] * 4, 255)])
    def test_mean_leaves_out_what_is_not_observed(self, four: list[int], mean: int) -> None:
        assert halved(of(four[:2], four[2:]), 255, "AVERAGE").tolist() == [[[mean]]]

    def test_mean_of_real_numbers_with_nan(self) -> None:
        nan = float("nan")
        small = halved(of([1.0, nan, nan], [2.0, nan, nan], dtype="float32"), nan, "AVERAGE")
        np.testing.assert_array_equal(small, [[[1.5, nan]]])

    def test_nearest_is_the_upper_left(self) -> None:
        assert halved(of([1, 2, 3], [4, 5, 6]), 255, "NEAREST").tolist() == [[[1, 3]]]


def test_levels_end_where_one_tile_holds_the_map() -> None:
    assert level_shapes(512, 512, 512) == []
    assert level_shapes(1100, 1300, 512) == [(550, 650), (275, 325)]
    assert level_shapes(40_001, 10, 512)[-1] == (313, 1)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    reduction=st.sampled_from(["MODE", "AVERAGE", "NEAREST"]),
    seed=st.integers(0, 9),
)
def test_squares_give_the_levels_of_the_whole(height: int, width: int, reduction: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).choice([0, 7, 9, 255], (1, height, width)).astype(np.uint8)
    whole = halved(halved(pixels, 255, reduction), 255, reduction)
    parts = np.zeros_like(whole)
    for row in range(0, height, 16):
        for col in range(0, width, 16):
            part = halved(halved(pixels[:, row : row + 16, col : col + 16], 255, reduction), 255, reduction)
            parts[:, row // 4 : row // 4 + part.shape[1], col // 4 : col // 4 + part.shape[2]] = part
    assert np.array_equal(parts, whole)


def test_squares_cover_a_map_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overviews, "SQUARE_PX", 16)
    seen = np.zeros((37, 50), np.uint8)
    for row, col, height, width in overviews.squares(37, 50):
        seen[row : row + height, col : col + width] += 1
    assert (seen == 1).all()
