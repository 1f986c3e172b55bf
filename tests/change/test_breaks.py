"""Breaks against ruptures (PELT, exact optimal partitioning), and what a date map owes its reader."""

from __future__ import annotations

import numpy as np
import pytest
import ruptures
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aisf_geo.change.breaks import NEVER_SEEN, break_dates, noise_of, partition


def series(seed: int, dates: int, levels: int) -> NDArray[np.float64]:
    """Noisy levels, 60 pixels side by side: ``(t, 6, 10)``."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.integers(1, dates, (levels - 1, 6, 10)), axis=0)
    place = (np.arange(dates)[:, None, None, None] >= ends).sum(axis=1)
    return np.take_along_axis(rng.normal(0, 1, (levels, 6, 10)), place, axis=0) + rng.normal(0, 0.1, (dates, 6, 10))


@given(st.integers(0, 1000), st.integers(6, 24), st.integers(1, 4), st.integers(1, 3), st.floats(0.02, 0.5))
@settings(max_examples=20, deadline=None)
def test_partitions_cost_what_those_of_ruptures_cost(
    seed: int, dates: int, levels: int, min_clear: int, penalty: float
) -> None:
    stack = series(seed, dates, levels)
    ours = partition(stack, penalty, min_clear)
    for row, col in ((0, 0), (3, 4), (5, 9)):
        pixel = stack[:, row, col]
        ends = ruptures.Pelt("l2", min_size=min_clear, jump=1).fit(pixel).predict(penalty)
        theirs = np.concatenate([np.full(len(part), part.mean()) for part in np.split(pixel, ends[:-1])])
        cost = ((pixel - theirs) ** 2).sum() + penalty * (len(ends) - 1)
        breaks = int(ours.starts[:, row, col].sum())
        assert ((pixel - ours.level[:, row, col]) ** 2).sum() + penalty * breaks == pytest.approx(cost, abs=1e-9)


@given(st.integers(0, 1000), st.integers(0, 12))
@settings(max_examples=20, deadline=None)
def test_dates_that_were_not_seen_change_nothing(seed: int, where: int) -> None:
    stack = series(seed, 12, 2)
    gapped = np.insert(stack, where, np.nan, axis=0)
    plain, other = partition(stack, 0.1), partition(gapped, 0.1)
    assert np.allclose(np.delete(other.level, where, axis=0), plain.level)
    assert np.array_equal(np.delete(other.starts, where, axis=0), plain.starts)


def one_pixel(*values: float) -> NDArray[np.float64]:
    return np.array(values, np.float64)[:, None, None]


class TestDates:
    def test_a_fall_is_dated_to_the_first_low_observation_and_the_last_high_one(self) -> None:
        found = break_dates(one_pixel(0.9, 0.88, np.nan, 0.9, np.nan, 0.3, 0.32, 0.31), 0.02, 0.2)
        assert (found.lost[0, 0], found.last_before[0, 0], found.recovered[0, 0]) == (6, 4, 0)
        assert found.size[0, 0] == pytest.approx(0.583, abs=0.001)

    def test_regrowth_is_recovery_of_the_same_clearing(self) -> None:
        found = break_dates(one_pixel(0.9, 0.9, 0.3, 0.3, 0.32, 0.8, 0.82, 0.85), 0.02, 0.2)
        assert (found.lost[0, 0], found.recovered[0, 0]) == (3, 6)

    @pytest.mark.parametrize("hole", range(1, 7))
    def test_one_low_observation_is_no_loss(self, hole: int) -> None:
        values = np.full(8, 0.9)
        values[hole] = 0.2
        found = break_dates(one_pixel(*values), 0.02, 0.2)
        assert found.lost[0, 0] == 0

    def test_a_rise_without_a_loss_is_none(self) -> None:
        assert break_dates(one_pixel(0.2, 0.2, 0.2, 0.9, 0.9, 0.9), 0.02, 0.2).lost[0, 0] == 0

    def test_a_small_fall_is_left_out(self) -> None:
        assert break_dates(one_pixel(0.9, 0.9, 0.9, 0.8, 0.8, 0.8), 0.005, 0.2).lost[0, 0] == 0

    def test_too_few_observations_are_said(self) -> None:
        nan = np.nan
        assert break_dates(one_pixel(0.9, nan, nan, 0.2, 0.2, nan), 0.02, 0.2).lost[0, 0] == NEVER_SEEN

    def test_noise_is_that_of_the_observations_not_of_the_breaks(self) -> None:
        rng = np.random.default_rng(0)
        stack = 0.8 + rng.normal(0, 0.03, (14, 40, 40))
        stack[7:, :20] -= 0.5
        assert noise_of(stack) == pytest.approx(0.03, rel=0.1)
