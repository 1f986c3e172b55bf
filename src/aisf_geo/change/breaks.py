"""When a pixel changed: the date at which the level of an index breaks, over a series of any length and spacing.

Optimal partitioning (Jackson et al. 2005, An algorithm for optimal partitioning of data on an interval, IEEE SPL
12(2):105-108) of each pixel's clear observations into stretches of one level: the sum of squared deviations plus a
penalty for each break is least over all partitions, found exactly. Every stretch holds enough observations to confirm
it. A handful of summer dates a year is enough, where methods that model the season need dozens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Stack = NDArray[np.float64]

#: A level's penalty in units of the noise's variance times the logarithm of the observations: 2 for a level and a
#: date (BIC), raised because noise in index series comes in runs.
PENALTY = 4.0


@dataclass(frozen=True)
class Partition:
    """Stretches of one level, per pixel and date.

    Attributes:
        level: float64 ``(t, y, x)``, mean of the stretch each date belongs to; NaN where the pixel was never seen.
        starts: bool ``(t, y, x)``, True at the first clear observation of a stretch other than the first.
    """

    level: Stack
    starts: NDArray[np.bool_]


def noise_of(stack: Stack) -> float:
    """Noise of one observation, from differences of neighbours in time over all pixels; robust to breaks.

    1.4826 times the median absolute difference, over the square root of two (von Neumann 1941; Rousseeuw & Croux 1993).
    """
    seen = np.isfinite(stack)
    filled, last = [], np.full(stack.shape[1:], np.nan)
    for layer, here in zip(stack, seen, strict=True):
        filled.append((layer - last)[here & np.isfinite(last)])
        last = np.where(here, layer, last)
    differences = np.concatenate(filled) if filled else np.zeros(0)
    return float(1.4826 * np.median(np.abs(differences)) / np.sqrt(2)) if differences.size else 0.0


def partition(stack: Stack, penalty: float, min_clear: int = 2) -> Partition:
    """The best stretches of ``stack`` ``(t, y, x)``, NaN where not seen.

    Args:
        stack: an index by date.
        penalty: what a break must save in summed squared deviations.
        min_clear: clear observations that every stretch has at least.
    """
    dates, *shape = stack.shape
    seen = np.isfinite(stack)
    values = np.where(seen, stack, 0.0)
    pad = ((1, 0), (0, 0), (0, 0))
    count = np.pad(np.cumsum(seen, axis=0), pad)
    total = np.pad(np.cumsum(values, axis=0), pad)
    square = np.pad(np.cumsum(values**2, axis=0), pad)
    best = np.full((dates + 1, *shape), np.inf)
    best[0] = -penalty
    cut = np.zeros((dates + 1, *shape), np.int64)
    for end in range(1, dates + 1):
        for start in range(end):
            n = count[end] - count[start]
            with np.errstate(invalid="ignore", divide="ignore"):
                cost = square[end] - square[start] - (total[end] - total[start]) ** 2 / n
            whole = best[start] + penalty + np.maximum(cost, 0)
            # A date that was not seen neither opens a stretch nor is lost: the stretch before it may end there.
            better = (n >= min_clear) & (whole < best[end] - 1e-12)
            best[end] = np.where(better, whole, best[end])
            cut[end] = np.where(better, start, cut[end])
    return _traced_back(values, seen, count, total, cut)


def _traced_back(
    values: Stack, seen: NDArray[np.bool_], count: NDArray[np.int64], total: Stack, cut: NDArray[np.int64]
) -> Partition:
    """Levels and starts from the best cut before each end."""
    dates = len(values)
    level, starts = np.full(values.shape, np.nan), np.zeros(values.shape, np.bool_)
    end = np.full(values.shape[1:], dates)
    while (end > 0).any():
        start = np.take_along_axis(cut, end[None], axis=0)[0]
        n, s = (
            np.take_along_axis(a, end[None], 0)[0] - np.take_along_axis(a, start[None], 0)[0] for a in (count, total)
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = s / n
        number = np.arange(dates)[:, None, None]
        inside = (number >= start) & (number < end)
        level = np.where(inside, mean, level)
        # The stretch opens at its first clear observation.
        first = inside & seen & (np.cumsum(seen & inside, axis=0) == 1) & (start > 0)
        starts |= first
        end = start
    return Partition(level, starts)


@dataclass(frozen=True)
class BreakDates:
    """The first loss and the first recovery after it, per pixel; shape ``(y, x)``.

    Attributes:
        lost: uint8, ``k`` first seen with the lower level on date ``k`` (1-based); 0 none; 255 too few clear dates.
        recovered: uint8, the same of the rise after that loss, 0 where there is none.
        last_before: uint8, number of the last clear date before the loss: it happened between the two.
        size: float32, by how much the level fell; NaN where it did not.
        confidence: float32 0..1, of the loss: its size against noise and the observations on both sides.
    """

    lost: NDArray[np.uint8]
    recovered: NDArray[np.uint8]
    last_before: NDArray[np.uint8]
    size: NDArray[np.float32]
    confidence: NDArray[np.float32]


NEVER_SEEN = 255


def without_spikes(stack: Stack, height: float) -> Stack:
    """``stack`` less the observations that both clear neighbours in time contradict: missed clouds, shadows and snow.

    A spike stands out from the mean of its neighbours by more than ``height`` and by more than twice what these differ
    from each other (the despiking of Kennedy et al. 2010, LandTrendr, RSE 114(12):2897-2910).
    """
    before, after = _last_clear(stack), _last_clear(stack[::-1])[::-1]
    with np.errstate(invalid="ignore"):
        off = np.abs(stack - (before + after) / 2)
        spike = (off > height) & (off > 2 * np.abs(before - after))
    return np.where(spike, np.nan, stack)


def _last_clear(stack: Stack) -> Stack:
    """For each date the clear observation before it, NaN where there is none."""
    result, last = np.full(stack.shape, np.nan), np.full(stack.shape[1:], np.nan)
    for k, layer in enumerate(stack):
        result[k] = last
        last = np.where(np.isfinite(layer), layer, last)
    return result


def break_dates(stack: Stack, noise: float, min_drop: float, min_clear: int = 2) -> BreakDates:
    """When the index first fell by ``min_drop`` or more, and when it rose again by half of that fall.

    Args:
        stack: float64 ``(t, y, x)`` in order of time, NaN where not seen; at most 254 dates.
        noise: standard deviation of one observation, see :func:`noise_of`.
        min_drop: fall of the level that counts as loss, in units of the index.
        min_clear: clear observations that confirm a level.
    """
    dates, stack = len(stack), without_spikes(stack, min_drop / 2)
    # A thousandth of the index keeps a series without noise from being cut at rounding errors.
    noise = max(noise, 1e-3)
    found = partition(stack, PENALTY * noise**2 * np.log(max(dates, 3)), min_clear)
    seen = np.isfinite(stack)
    enough = seen.sum(axis=0) >= 2 * min_clear
    lost, recovered, before = (np.zeros(stack.shape[1:], np.uint8) for _ in range(3))
    size, high = np.full(stack.shape[1:], np.nan), np.full(stack.shape[1:], np.nan)
    last_level, last_seen = found.level[0], np.zeros(stack.shape[1:], np.uint8)
    for k in range(dates):
        fall = last_level - found.level[k]
        falls = found.starts[k] & (lost == 0) & (fall >= min_drop)
        low = high - size
        rises = found.starts[k] & (lost > 0) & (recovered == 0) & (found.level[k] - low >= size / 2)
        lost[falls], before[falls] = k + 1, last_seen[falls]
        size, high = np.where(falls, fall, size), np.where(falls, last_level, high)
        recovered[rises] = k + 1
        last_level = np.where(seen[k], found.level[k], last_level)
        last_seen[seen[k]] = k + 1
    lost[~enough] = NEVER_SEEN
    recovered[~enough] = 0
    sides = _observations_beside(seen, lost)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = size / (noise * np.sqrt(1 / sides[0] + 1 / sides[1]))
    return BreakDates(lost, recovered, before, size.astype(np.float32), (z / (z + 3)).astype(np.float32))


def _observations_beside(
    seen: NDArray[np.bool_], lost: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clear observations before a loss, and from it on."""
    number = np.arange(1, len(seen) + 1)[:, None, None]
    earlier = (seen & (number < lost)).sum(axis=0)
    return earlier, seen.sum(axis=0) - earlier
