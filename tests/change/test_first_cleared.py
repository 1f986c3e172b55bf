from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aisf_geo.errors import AisfGeoError
from aisf_geo.pipeline.clearing import NO_BASELINE_TREES, STANDING, UNCONFIRMED, first_cleared

#: Trees, no trees, cloud, undecided: as in the label maps of a run.
T, N, C, U = 1, 0, 255, 254


def dates(*labels: int) -> np.ndarray:
    """A series of one pixel."""
    return np.array(labels, np.uint8).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("baseline", "later", "expected"),
    [
        pytest.param([T], [T, T, T], STANDING, id="stands"),
        pytest.param([T], [N, N, N], 1, id="gone at once"),
        pytest.param([T], [T, N, N], 2, id="gone on the second date"),
        pytest.param([T], [T, T, N], STANDING, id="one sight without trees confirms nothing"),
        pytest.param([T], [T, N, T], STANDING, id="one sight without trees, then green: a mistake of one date"),
        pytest.param([T], [N, N, T], 1, id="green again stays cleared"),
        pytest.param([T], [N, T, N], 1, id="seen without trees twice, not in a row"),
        pytest.param([T], [C, N, N], 2, id="a cloud is no clearing"),
        pytest.param([T], [C, C, N], UNCONFIRMED, id="too few clear dates to confirm"),
        pytest.param([T], [C, C, C], UNCONFIRMED, id="never seen again"),
        pytest.param([T], [U, U, N], UNCONFIRMED, id="undecided is not seen"),
        pytest.param([T], [C, T, N], STANDING, id="seen twice, without trees once"),
        pytest.param([N], [N, N, N], NO_BASELINE_TREES, id="never had trees"),
        pytest.param([N], [T, N, N], NO_BASELINE_TREES, id="trees only after the baseline"),
        pytest.param([T, N], [N, N, N], NO_BASELINE_TREES, id="trees on one baseline date only"),
        pytest.param([T, C], [N, N, T], 1, id="a baseline date under cloud does not count against"),
        pytest.param([T, U], [N, N, T], 1, id="an undecided baseline date does not count against"),
        pytest.param([C, C], [N, N, N], 255, id="not seen in the baseline"),
        pytest.param([U], [T, T, T], 255, id="undecided in the baseline"),
    ],
)
def test_a_pixel_is_cleared_when_trees_of_the_baseline_are_missing_on_two_clear_dates(
    baseline: list[int], later: list[int], expected: int
) -> None:
    assert first_cleared(dates(*baseline), dates(*later), (1,), clear_dates=2).item() == expected


@pytest.mark.parametrize(("clear_dates", "expected"), [(1, 2), (2, 2), (3, STANDING)])
def test_the_recipe_says_how_many_dates_confirm(clear_dates: int, expected: int) -> None:
    assert first_cleared(dates(T), dates(T, N, N, T), (1,), clear_dates).item() == expected


def test_several_codes_may_count_as_trees() -> None:
    assert first_cleared(dates(3), dates(5, 3, 5), (3, 5), 2).item() == STANDING


def test_every_pixel_has_its_own_answer() -> None:
    baseline = np.array([[[T, N], [T, C]]], np.uint8)
    later = np.array([[[T, N], [N, N]], [[T, N], [N, N]]], np.uint8)
    assert first_cleared(baseline, later, (1,), 2).tolist() == [[STANDING, NO_BASELINE_TREES], [1, 255]]


labels = st.sampled_from([T, N, C, U])


@given(baseline=arrays(np.uint8, (2, 4, 5), elements=labels), later=arrays(np.uint8, (6, 4, 5), elements=labels))
def test_a_date_on_which_nothing_was_seen_changes_nothing_but_the_numbering(
    baseline: np.ndarray, later: np.ndarray
) -> None:
    cloudy = np.full((1, 4, 5), C, np.uint8)
    plain = first_cleared(baseline, later, (1,), 2)
    with_cloud = first_cleared(baseline, np.concatenate([cloudy, later]), (1,), 2)
    dated = (plain >= 1) & (plain <= 6)
    assert np.array_equal(with_cloud[dated], plain[dated] + 1)
    assert np.array_equal(with_cloud[~dated], plain[~dated])


@given(baseline=arrays(np.uint8, (2, 4, 5), elements=labels), later=arrays(np.uint8, (6, 4, 5), elements=labels))
def test_a_date_more_never_takes_a_confirmed_clearing_back(baseline: np.ndarray, later: np.ndarray) -> None:
    known = first_cleared(baseline, later[:5], (1,), 2)
    longer = first_cleared(baseline, later, (1,), 2)
    dated = (known >= 1) & (known <= 5)
    assert np.array_equal(longer[dated], known[dated])


@pytest.mark.parametrize("number", [252, 253, 256, 300])
def test_a_date_too_late_for_its_code_is_refused_rather_than_read_as_something_else(number: int) -> None:
    later = dates(*[T] * (number - 1), N, N)
    try:
        cleared = first_cleared(dates(T), later, (1,), 2).item()
    except AisfGeoError:
        assert number > 251
    else:
        assert cleared == number
        assert cleared < NO_BASELINE_TREES
