from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from aisf_geo.domain.objects import OBJECT
from aisf_geo.evaluate.matching import Hits, box_tally, footprint_hits, match_boxes, relaxed_hits

MASKS = arrays.arrays(np.bool_, (9, 11))


def boxes(*rows: tuple[float, float, float, float, int, float]) -> np.ndarray:
    return np.array(list(rows), OBJECT)


def mask(*lines: str) -> np.ndarray:
    return np.array([[c == "#" for c in line] for line in lines])


def test_a_road_three_pixels_aside_is_found_and_one_four_aside_is_not() -> None:
    truth = np.zeros((20, 20), np.bool_)
    truth[5] = True
    for shift, found in ((3, 20), (4, 0)):
        hits = relaxed_hits(truth, np.roll(truth, shift, axis=0))
        assert (hits.found, hits.right, hits.f1) == (found, found, float(found > 0))


@given(MASKS, MASKS)
def test_tolerance_zero_is_the_plain_f1(truth: np.ndarray, answer: np.ndarray) -> None:
    hits = relaxed_hits(truth, answer, 0)
    both = int((truth & answer).sum())
    assert (hits.right, hits.found) == (both, both)


@given(MASKS, MASKS)
def test_exchanging_truth_and_answer_exchanges_precision_and_recall(truth: np.ndarray, answer: np.ndarray) -> None:
    for count in (relaxed_hits, footprint_hits):
        there, back = count(truth, answer), count(answer, truth)
        assert (there.precision, there.recall, there.f1) == (back.recall, back.precision, back.f1)


def test_a_footprint_is_found_only_above_one_half_overlap() -> None:
    truth = mask("####....##", "####....##")
    half = mask("##......##", "##......##")
    most = mask("###.....##", "###.....##")
    assert footprint_hits(truth, half) == Hits(1, 2, 1, 2)
    assert footprint_hits(truth, most) == Hits(2, 2, 2, 2)
    assert footprint_hits(truth, np.zeros_like(truth)).f1 == 0


def test_nothing_on_either_side_is_no_figure() -> None:
    empty = np.zeros((4, 4), np.bool_)
    assert footprint_hits(empty, empty).f1 is None


def test_each_true_box_is_taken_once_and_by_the_surest() -> None:
    truth = boxes((10, 10, 4, 4, 1, 1))
    answer = boxes((10, 11, 4, 4, 1, 0.6), (10, 10, 4, 4, 1, 0.9))
    assert match_boxes(truth, answer, 0.3).tolist() == [False, True]
    assert match_boxes(truth, boxes(), 0.3).tolist() == []
    assert match_boxes(boxes(), answer, 0.3).tolist() == [False, False]


def test_average_precision_of_a_ranking_that_can_be_drawn_by_hand() -> None:
    truth = boxes((10, 10, 4, 4, 1, 1), (30, 30, 4, 4, 1, 1))
    answer = boxes((10, 10, 4, 4, 1, 0.9), (50, 50, 4, 4, 1, 0.8), (30, 30, 4, 4, 1, 0.7))
    tally = box_tally(truth, answer, [1, 2])
    # Precision 1 up to a recall of one half, then two thirds.
    assert tally.average_precision(1) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert tally.average_precision(2) is None
    assert tally.ap50() == tally.average_precision(1)
    assert (tally.hits.precision, tally.hits.recall) == (2 / 3, 1.0)


def test_a_box_of_another_class_counts_for_the_object_and_not_for_the_class() -> None:
    tally = box_tally(boxes((10, 10, 4, 4, 1, 1)), boxes((10, 10, 4, 4, 2, 0.9)), [1, 2])
    assert tally.hits.f1 == 1.0
    assert (tally.by_class[1].f1, tally.by_class[2].f1) == (0.0, 0.0)


@given(st.integers(0, 1000))
def test_images_add_up_to_the_same_average_precision_as_one(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def some(shift: float) -> np.ndarray:
        centres = rng.uniform(5, 95, (6, 2))
        return boxes(*[(r, c + shift, 8, 8, 1, float(rng.random())) for r, c in centres])

    one, two = (some(0), some(0)), (some(1000), some(1000))
    together = box_tally(np.concatenate([one[0], two[0]]), np.concatenate([one[1], two[1]]), [1])
    parts = box_tally(*one, [1]) + box_tally(*two, [1])
    assert parts.hits == together.hits
    assert parts.average_precision(1) == pytest.approx(together.average_precision(1))
