"""From numbers to network input, and from logits to labels and confidence: the loops over pixels, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aisf_geo.domain.grid import Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN
from aisf_geo.segment.card import Head

#: Adding and subtracting it rounds a float32 of small size to a whole number.
_ROUNDER = np.float32(3 << 22)
#: Taylor coefficients of 2**f: relative error below 3e-6 for |f| <= 1/2, a hundredth of a step of confidence at most.
_EXP2 = tuple(np.float32(c) for c in (1.0, 0.6931472, 0.2402265, 0.05550411, 0.009618129, 0.001333356))


def decided(
    head: Head, logits: NDArray[np.float32], inside: Window, valid: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and confidence ``(y, x)`` of the pixels ``inside`` a patch; of equal classes the first wins."""
    shape = (inside.height, inside.width)
    labels, confidence = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    codes = np.array([entry.code for entry in head.legend.classes], np.uint8)
    scale, unknown_below = np.float32(np.log2(np.e) / head.temperature), np.float32(head.unknown_below)
    _decide(
        np.ascontiguousarray(logits), inside.row, inside.col, valid, codes, scale, unknown_below, labels, confidence
    )
    return labels, confidence


def softmax(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities over the first axis of ``scores / temperature``."""
    powers = np.exp((scores - scores.max(axis=0)) / np.float32(temperature))
    return np.asarray(powers / powers.sum(axis=0), dtype=np.float32)


@njit(nogil=True, cache=True)
def normalise(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    row: int,
    col: int,
    mean: NDArray[np.float32],
    gain: NDArray[np.float32],
    pixels: NDArray[np.float32],
) -> None:
    """Writes ``(values - mean) * gain`` from ``row`` and ``col`` on into ``pixels``, ``(band, y, x)``; 0 if not valid.

    Arrays are to be contiguous: the compiler makes vectors of their rows.
    """
    width = pixels.shape[2]
    for b in range(pixels.shape[0]):
        for y in range(pixels.shape[1]):
            given, seen, line = values[b, row + y, col : col + width], valid[row + y, col : col + width], pixels[b, y]
            for x in range(width):
                normal = (given[x] - mean[b]) * gain[b]
                line[x] = normal if seen[x] else np.float32(0)


@njit(nogil=True, cache=True)
def _decide(
    logits: NDArray[np.float32],
    row: int,
    col: int,
    valid: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    scale: np.float32,
    unknown_below: np.float32,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> None:
    """Row by row, the best class from ``row`` and ``col`` of ``logits`` on, and the softmax's share of it."""
    height, width = labels.shape
    best, top, total = np.empty(width, np.int32), np.empty(width, np.float32), np.empty(width, np.float32)
    exponent = np.empty(width, np.int32)
    power_of_two = exponent.view(np.float32)
    rest = np.empty(width, np.float32)
    for y in range(height):
        line = logits[0, row + y, col : col + width]
        for x in range(width):
            best[x], top[x], total[x] = 0, line[x], np.float32(0)
        for k in range(1, len(codes)):
            candidate, line = np.int32(k), logits[k, row + y, col : col + width]
            for x in range(width):
                # Without a branch, and with operands of equal width, so that the compiler makes vectors of it.
                score = line[x]
                better = score > top[x]
                best[x] = candidate if better else best[x]
                top[x] = score if better else top[x]
        for k in range(len(codes)):
            line = logits[k, row + y, col : col + width]
            for x in range(width):
                # 2**t = 2**whole * 2**f with |f| <= 1/2; the exponent of a float32 is its bits from the 23rd on.
                t = max((line[x] - top[x]) * scale, np.float32(-126))
                whole = (t + _ROUNDER) - _ROUNDER
                exponent[x] = (np.int32(whole) + np.int32(127)) << np.int32(23)
                f = t - whole
                series = _EXP2[4] + f * _EXP2[5]
                series = _EXP2[2] + f * (_EXP2[3] + f * series)
                rest[x] = _EXP2[0] + f * (_EXP2[1] + f * series)
            for x in range(width):
                total[x] += rest[x] * power_of_two[x]
        for x in range(width):
            probability = np.float32(1) / total[x]
            label = codes[best[x]] if probability >= unknown_below else np.uint8(UNKNOWN)
            steps = np.uint8(probability * np.float32(CONFIDENCE_STEPS) + np.float32(0.5))
            labels[y, x] = label if valid[y, x] else np.uint8(NOT_OBSERVED)
            confidence[y, x] = steps if valid[y, x] else np.uint8(NO_CONFIDENCE)
