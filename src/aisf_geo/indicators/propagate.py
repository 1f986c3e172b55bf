"""From intervals of areas to intervals of what is computed from them: ratios, shares, changes between dates.

The delta method (first-order Taylor) with the design's own covariance where the denominator is well known, and Wilson
limits in its place where counts are thin; percentiles of samples drawn anew where the denominator is not well known; no
interval, and why, where those are not defined either. Two dates have independent samples (each map is sampled with a
seed of its own), so that their covariance is zero by design.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.indicator import Interval
from aisf_geo.indicators.area import LEVEL, Z95, Floats, Sample, wilson

#: Above this coefficient of variation of the denominator a ratio is too skewed for the delta method.
MAX_CV = 0.1
DRAWS = 4000
#: Share of draws in which a formula may be undefined before its percentiles mean nothing.
MAX_UNDEFINED = 0.01

Areas = Mapping[str, float]
#: Areas by class, one mapping for each sample, to a figure; None where the formula is not defined.
Formula = Callable[[Sequence[Areas]], float | None]


@dataclass(frozen=True)
class Estimated:
    """A figure from samples.

    Attributes:
        se: standard error by the delta method; None where the formula is not defined at the estimates.
        interval: None where it would not mean anything; ``note`` says why.
    """

    value: float | None
    se: float | None
    interval: Interval | None
    note: str | None = None


def estimate(
    formula: Formula, samples: Sequence[Sample], denominator: Formula | None = None, seed: int = 0
) -> Estimated:
    """``formula`` of the estimated areas, with an interval.

    Args:
        formula: the figure as a function of the areas of each sample.
        samples: drawn independently of each other.
        denominator: what the figure divides by; None for figures that divide by nothing.
        seed: of the draws, where they are needed.
    """
    at = [s.areas() for s in samples]
    value = formula(at)
    if value is None:
        return Estimated(None, None, None, "the formula is not defined at the estimated areas")
    gradients = _gradients(formula, samples)
    se = _standard_error(gradients, samples)
    if denominator is not None:
        spread, size = delta(denominator, samples), denominator(at)
        if not size or spread is None or spread / abs(size) >= MAX_CV:
            return _by_draws(formula, samples, value, se, seed)
    if gradients is None or se is None:
        return _by_draws(formula, samples, value, None, seed)
    independent = "; dates sampled independently" if len(samples) > 1 else ""
    if any(s.thin_cells(c) for s in samples for c in s.classes):
        below, above = joined_limits(gradients, samples)
        method = f"stratified estimator with thin counts, Wilson limits joined (Zou & Donner 2008){independent}"
        return Estimated(value, se, Interval(value - below, value + above, LEVEL, method))
    method = f"stratified estimator, delta method{independent}"
    return Estimated(value, se, Interval(value - Z95 * se, value + Z95 * se, LEVEL, method))


def delta(formula: Formula, samples: Sequence[Sample]) -> float | None:
    """Standard error by the delta method: ``sqrt(sum_s g_s' V_s g_s)``; None where the formula is not defined."""
    return _standard_error(_gradients(formula, samples), samples)


def joined_limits(gradients: Sequence[Floats], samples: Sequence[Sample]) -> tuple[float, float]:
    """How far an interval reaches below and above a figure whose ``gradients`` by the areas of each sample are given.

    As the delta method, with the distance from a share to its Wilson limit, on the side that moves the figure down (or
    up), in place of 1.96 standard errors, and the correlation of the shares of a multinomial sample. For the area of
    one class it is :func:`~aisf_geo.indicators.area.rare_interval`. Source: variance estimates recovery, Zou & Donner
    2008, Statistics in Medicine 27:1693-1702; with correlated parts Zou 2008, American Journal of Epidemiology
    168:212-224. First-order for figures that are no sums; ``benchmarks/interval_coverage.py`` measures its coverage.
    """
    below = above = 0.0
    for sample, gradient in zip(samples, gradients, strict=True):
        counts = np.asarray(sample.counts, float)
        for size, n, found, share in zip(sample.area, sample.n, counts, sample.shares, strict=True):
            low, high = wilson(found, np.full_like(found, n))
            odds = np.sqrt(np.divide(share, 1 - share, out=np.zeros_like(share), where=share < 1))
            correlation = -np.outer(odds, odds)
            np.fill_diagonal(correlation, 1.0)
            weight = size * gradient
            down = weight * np.where(weight > 0, share - low, high - share)
            up = weight * np.where(weight > 0, high - share, share - low)
            below += float(down @ correlation @ down)
            above += float(up @ correlation @ up)
    return float(np.sqrt(max(below, 0.0))), float(np.sqrt(max(above, 0.0)))


def _standard_error(gradients: Sequence[Floats] | None, samples: Sequence[Sample]) -> float | None:
    if gradients is None:
        return None
    variance = sum(float(g @ s.covariance() @ g) for g, s in zip(gradients, samples, strict=True))
    return float(np.sqrt(max(variance, 0.0)))


def _gradients(formula: Formula, samples: Sequence[Sample]) -> list[Floats] | None:
    """Derivatives of the figure by the areas of each sample, taken numerically; None where it is not defined."""
    at = [s.areas() for s in samples]
    found = []
    for k, sample in enumerate(samples):
        step = 1e-6 * sample.total
        gradient = []
        for name in sample.classes:
            ends = [
                formula([a if i != k else {**a, name: a[name] + d} for i, a in enumerate(at)]) for d in (-step, step)
            ]
            if ends[0] is None or ends[1] is None:
                return None
            gradient.append((ends[1] - ends[0]) / (2 * step))
        found.append(np.asarray(gradient))
    return found


def draw(formula: Formula, samples: Sequence[Sample], times: int = DRAWS, seed: int = 0) -> NDArray[np.float64]:
    """The figure in samples drawn anew, NaN where it is not defined."""
    drawn = [s.draws(times, seed + k) for k, s in enumerate(samples)]
    values = (
        formula([dict(zip(s.classes, d[i].tolist(), strict=True)) for s, d in zip(samples, drawn, strict=True)])
        for i in range(times)
    )
    return np.array([np.nan if v is None else v for v in values])


def _by_draws(formula: Formula, samples: Sequence[Sample], value: float, se: float | None, seed: int) -> Estimated:
    values = draw(formula, samples, seed=seed)
    undefined = float(np.isnan(values).mean())
    if undefined > MAX_UNDEFINED:
        note = (
            f"no interval: the denominator is so uncertain that the formula is undefined in {100 * undefined:.0f} % of "
            "samples drawn anew"
        )
        return Estimated(value, se, None, note)
    low, high = np.nanpercentile(values, (2.5, 97.5))
    method = f"percentiles of {DRAWS} samples drawn anew; the denominator varies too much for the delta method"
    return Estimated(value, se, Interval(float(low), float(high), LEVEL, method))
