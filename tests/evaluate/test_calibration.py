from __future__ import annotations

import numpy as np
import pytest

from aisf_geo.evaluate.calibration import confidence_levels, doubt_below, expected_error, fit_temperature, reliability


def sampled(probability: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits of two classes and a truth drawn from exactly these probabilities of the second."""
    truth = (np.random.default_rng(seed).random(len(probability)) < probability).astype(np.int64)
    second = np.log(probability / (1 - probability))
    return np.stack([np.zeros_like(second), second]).astype(np.float32), truth


def test_the_temperature_undoes_overconfidence() -> None:
    logits, truth = sampled(np.random.default_rng(1).uniform(0.02, 0.98, 40_000))
    assert fit_temperature([logits], [truth]) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature([3 * logits], [truth]) == pytest.approx(3.0, abs=0.15)


def test_levels_count_only_what_was_labelled_and_decided() -> None:
    truth = np.array([[0, 1, 255, 1, 1]], np.uint8)
    answer = np.array([[0, 0, 0, 255, 254]], np.uint8)
    confidence = np.array([[200, 100, 50, 255, 10]], np.uint8)
    levels = confidence_levels(truth, answer, confidence)
    assert levels.sum(axis=0).tolist() == [2, 1]
    assert (levels[200].tolist(), levels[100].tolist()) == ([1, 1], [1, 0])


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    levels = np.zeros((255, 2), np.int64)
    levels[254] = (100, 80)
    levels[127] = (300, 150)
    assert expected_error(levels) == pytest.approx(0.2 * 0.25)
    assert [row["pixels"] for row in reliability(levels)] == [300, 100]
    assert expected_error(np.zeros((255, 2), np.int64)) is None


def test_answers_that_are_more_often_wrong_than_right_are_doubted() -> None:
    levels = np.zeros((255, 2), np.int64)
    levels[60:100] = (100, 30)
    levels[100:] = (100, 70)
    assert doubt_below(levels) == pytest.approx(100 / 254, abs=0.001)


def test_a_head_of_two_classes_that_is_calibrated_has_nothing_to_doubt() -> None:
    levels = np.zeros((255, 2), np.int64)
    confidence = np.arange(127, 255)
    levels[127:] = np.stack([np.full(128, 1000), 1000 * confidence // 254 + 1], axis=1)
    assert doubt_below(levels) == 0
