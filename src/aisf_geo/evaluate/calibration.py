"""Whether a confidence is a probability, and how to make it one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN
from aisf_geo.evaluate.metrics import UNLABELLED

#: Bins of the expected calibration error (Guo et al. 2017, section 2).
BINS = 15
#: Width of the bins in which a confidence is compared with a coin, in steps of 1/254; and the least pixels in one.
DOUBT_STEPS, DOUBT_PIXELS = 5, 200

#: int64 ``(255, 2)``: pixels by confidence 0..254, all and those that are right.
Levels = NDArray[np.int64]


def confidence_levels(truth: NDArray[np.uint8], answer: NDArray[np.uint8], confidence: NDArray[np.uint8]) -> Levels:
    """How often each confidence was right, over labelled and observed pixels."""
    compared = (truth != UNLABELLED) & (answer != NOT_OBSERVED) & (answer != UNKNOWN) & (confidence != NO_CONFIDENCE)
    given, right = confidence[compared], (truth == answer)[compared]
    return np.stack([np.bincount(each, minlength=CONFIDENCE_STEPS + 1) for each in (given, given[right])], axis=1)


def reliability(levels: Levels) -> list[dict[str, Any]]:
    """Mean confidence and share of right pixels in each of :data:`BINS` bins that has any."""
    confidence = np.arange(CONFIDENCE_STEPS + 1) / CONFIDENCE_STEPS
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = []
    for k in range(BINS):
        count, right = levels[place == k].sum(axis=0)
        if count:
            mean = float((levels[place == k, 0] * confidence[place == k]).sum() / count)
            rows.append({"confidence": mean, "accuracy": float(right / count), "pixels": int(count)})
    return rows


def expected_error(levels: Levels) -> float | None:
    """Expected calibration error: mean distance of confidence from accuracy over bins, weighted by their pixels."""
    rows = reliability(levels)
    pixels = sum(row["pixels"] for row in rows)
    if not pixels:
        return None
    return float(sum(abs(row["confidence"] - row["accuracy"]) * row["pixels"] for row in rows) / pixels)


def doubt_below(levels: Levels) -> float:
    """The confidence under which an answer is more often wrong than right, 0..1; 0 where there is none.

    The highest level up to which every bin that has enough pixels is right in less than half of the cases.
    """
    level = 0
    for start in range(0, CONFIDENCE_STEPS + 1, DOUBT_STEPS):
        count, right = levels[start : start + DOUBT_STEPS].sum(axis=0)
        if count >= DOUBT_PIXELS and right * 2 >= count:
            break
        if count >= DOUBT_PIXELS:
            level = start + DOUBT_STEPS
    return round(min(level / CONFIDENCE_STEPS, 0.99), 3)


def fit_temperature(scores: Sequence[NDArray[np.float32]], classes: Sequence[NDArray[np.int64]]) -> float:
    """The number that logits are divided by so that the likelihood of the truth is highest (Guo et al. 2017).

    Args:
        scores: of each image, logits ``(class, pixel)`` before any temperature.
        classes: the true class of each pixel, by position.
    """
    logits = np.concatenate(scores, axis=1).astype(np.float64)
    truth = np.concatenate(classes)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        top = scaled.max(axis=0)
        total = top + np.log(np.exp(scaled - top).sum(axis=0))
        return float((total - scaled[truth, np.arange(len(truth))]).mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(10)), method="bounded", options={"xatol": 1e-3})
    return round(float(np.exp(found.x)), 3)
