from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aisf_geo.change.transition import NOT_COMPARED, add_to_matrix, check_same_legend, transition_codes
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import LegendError

maps = arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 7, 253, 254, 255]))
areas = arrays(np.float64, (6, 7), elements=st.floats(0.5, 200))


def matrix_of(before: np.ndarray[Any, Any], after: np.ndarray[Any, Any], area_m2: np.ndarray[Any, Any]) -> np.ndarray:
    return add_to_matrix(np.zeros((256, 256)), transition_codes(before, after), area_m2)


def test_a_code_says_from_where_to_where() -> None:
    before, after = np.array([[0, 1, 2]], np.uint8), np.array([[1, 1, 253]], np.uint8)
    codes = transition_codes(before, after)
    assert codes.dtype == np.uint16
    assert codes.tolist() == [[1, 257, 2 * 256 + 253]]


@pytest.mark.parametrize(("before", "after"), [(255, 1), (1, 255), (254, 1), (1, 254), (255, 255), (254, 255)])
def test_what_was_unknown_or_unseen_on_either_date_is_not_compared(before: int, after: int) -> None:
    assert transition_codes(np.array([[before]], np.uint8), np.array([[after]], np.uint8)).item() == NOT_COMPARED


def test_no_pair_of_classes_collides_with_not_compared() -> None:
    every = np.arange(254, dtype=np.uint8)
    codes = transition_codes(np.repeat(every, 254)[None], np.tile(every, 254)[None])
    assert len(np.unique(codes)) == 254 * 254
    assert codes.max() < NOT_COMPARED


def test_the_matrix_of_a_tiny_change_can_be_seen() -> None:
    before = np.array([[1, 1, 0], [1, 255, 0]], np.uint8)
    after = np.array([[1, 0, 0], [0, 1, 254]], np.uint8)
    matrix = matrix_of(before, after, np.array([[10, 20, 30], [40, 50, 60]], float))
    assert matrix[:2, :2].tolist() == [[30, 0], [60, 10]]
    assert matrix.sum() == 100


@given(before=maps, after=maps, area_m2=areas)
def test_swapping_the_epochs_transposes_the_matrix(before: np.ndarray, after: np.ndarray, area_m2: np.ndarray) -> None:
    assert np.allclose(matrix_of(after, before, area_m2), matrix_of(before, after, area_m2).T)


@given(before=maps, after=maps, area_m2=areas)
def test_margins_are_the_areas_of_the_classes_where_both_dates_are_known(
    before: np.ndarray, after: np.ndarray, area_m2: np.ndarray
) -> None:
    matrix = matrix_of(before, after, area_m2)
    compared = (before < 254) & (after < 254)
    assert matrix.sum() == pytest.approx(area_m2[compared].sum())
    for epoch, axis in ((before, 1), (after, 0)):
        expected = np.bincount(epoch[compared], weights=area_m2[compared], minlength=256)
        np.testing.assert_allclose(matrix.sum(axis=axis), expected)


@given(labels=maps, area_m2=areas)
def test_a_map_compared_with_itself_changes_nothing(labels: np.ndarray, area_m2: np.ndarray) -> None:
    matrix = matrix_of(labels, labels, area_m2)
    assert matrix.sum() == pytest.approx(np.trace(matrix))


@given(before=maps, after=maps, area_m2=areas, cut=st.integers(1, 5))
def test_windows_add_up_to_the_whole(before: np.ndarray, after: np.ndarray, area_m2: np.ndarray, cut: int) -> None:
    matrix = np.zeros((256, 256))
    for part in (slice(0, cut), slice(cut, 6)):
        matrix = add_to_matrix(matrix, transition_codes(before[part], after[part]), area_m2[part])
    assert np.allclose(matrix, matrix_of(before, after, area_m2))


def legend_of(**names: int) -> Legend:
    classes = tuple(LegendClass(code, name, (0, 0, 0)) for name, code in sorted(names.items(), key=lambda kv: kv[1]))
    return Legend("l", classes)


def test_legends_that_mean_the_same_may_differ_in_name_and_colour() -> None:
    painted = Legend("other", (LegendClass(0, "rest", (9, 9, 9)), LegendClass(1, "water", (8, 8, 8), "water")))
    check_same_legend(legend_of(rest=0, water=1), painted)


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        pytest.param(legend_of(rest=0, snow=1), "code 1 is 'water' before and 'snow' after", id="another meaning"),
        pytest.param(legend_of(rest=0), "code 1 is 'water' before and 'absent' after", id="a class less"),
        pytest.param(
            legend_of(rest=0, water=1, snow=2), "code 2 is 'absent' before and 'snow' after", id="a class more"
        ),
        pytest.param(legend_of(water=0, rest=1), "code 0 is 'rest' before and 'water' after", id="swapped"),
    ],
)
def test_legends_that_differ_are_refused_with_the_first_difference(after: Legend, difference: str) -> None:
    with pytest.raises(LegendError, match=difference):
        check_same_legend(legend_of(rest=0, water=1), after)
