from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import DataError
from aisf_geo.evaluate.metrics import bootstrap, confusion, empty_confusion, place_rows, total

LAND = Legend("land", tuple(LegendClass(code, f"c{code}", (0, 0, code)) for code in (0, 3, 7)))
CODES = st.sampled_from([0, 3, 7, 255])
MAPS = arrays.arrays(np.uint8, (5, 6), elements=CODES)


def test_figures_of_a_matrix_that_can_be_counted_by_hand() -> None:
    truth = np.array([[0, 0, 0, 3], [3, 3, 255, 7]], np.uint8)
    answer = np.array([[0, 0, 3, 3], [3, 0, 3, 255]], np.uint8)
    found = confusion(truth, answer, LAND)
    assert found.counts.tolist() == [[2, 1, 0], [1, 2, 0], [0, 0, 0]]
    assert (found.pixels, found.accuracy, found.mean_iou) == (6, 4 / 6, 0.5)
    first, _, absent = found.classes()
    assert first == {"name": "c0", "iou": 0.5, "f1": 2 / 3, "precision": 2 / 3, "recall": 2 / 3, "pixels": 3}
    assert absent == {"name": "c7", "iou": None, "f1": None, "precision": None, "recall": None, "pixels": 0}


@given(MAPS, MAPS)
def test_parts_add_up_to_the_whole(truth: np.ndarray, answer: np.ndarray) -> None:
    whole = confusion(truth, answer, LAND)
    parts = [confusion(truth[rows], answer[rows], LAND) for rows in (slice(0, 2), slice(2, 5))]
    assert np.array_equal(total(parts).counts, whole.counts)
    assert whole.pixels == int(((truth != 255) & (answer != 255)).sum())


@given(MAPS)
def test_a_map_agrees_wholly_with_itself(truth: np.ndarray) -> None:
    found = confusion(truth, truth, LAND)
    assert found.accuracy in (1.0, None)
    assert found.mean_iou in (1.0, None)


def test_nothing_compared_is_no_figure_rather_than_zero() -> None:
    assert (empty_confusion(LAND).accuracy, empty_confusion(LAND).mean_iou) == (None, None)


def test_a_value_outside_the_legend_is_refused_with_what_there_is() -> None:
    with pytest.raises(DataError, match=r"class values \[5\] are not in the legend 'land', which has \[0, 3, 7\]"):
        confusion(np.full((2, 2), 5, np.uint8), np.zeros((2, 2), np.uint8), LAND)


def test_places_are_listed_worst_first() -> None:
    good, bad = np.zeros((4, 4), np.uint8), np.full((4, 4), 3, np.uint8)
    rows = place_rows({"a": confusion(good, good, LAND), "b": confusion(good, bad, LAND)})
    assert [row["place"] for row in rows] == ["b", "a"]


def test_one_place_has_no_interval_and_several_have_one_that_holds_the_figure() -> None:
    rng = np.random.default_rng(1)
    truth = rng.choice(np.array([0, 3], np.uint8), (8, 50, 50))
    noise = rng.random(truth.shape) < np.linspace(0.05, 0.4, 8)[:, None, None]
    places = [confusion(t, np.where(n, 3 - t, t).astype(np.uint8), LAND) for t, n in zip(truth, noise, strict=True)]
    figures = {"accuracy": lambda part: part.accuracy}
    assert bootstrap(places[:1], figures) is None
    interval = bootstrap(places, figures)
    assert interval is not None
    accuracy = total(places).accuracy or 0
    low, high = interval["accuracy"]
    assert low < accuracy < high
    assert high - low > 0.1  # as wide as places differ, not as narrow as 20,000 pixels would make it
    assert interval == bootstrap(places, figures)
