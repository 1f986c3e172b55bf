"""How often an interval keeps its word: samples drawn again and again from a population that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.indicator import Interval
from aisf_geo.indicators.area import Sample, area_interval, wald
from aisf_geo.indicators.propagate import Formula, estimate

#: From a sample its usual interval (1.96 standard errors) and the one this program gives; None where there is none.
Intervals = Callable[[Sample], tuple[Interval, Interval] | None]


@dataclass(frozen=True)
class Coverage:
    """Share of repeated samples with an interval in which it holds the truth.

    Attributes:
        normal, given: of 1.96 standard errors on either side, and of the interval this program gives.
        normal_width, given_width: their mean widths as a share of the truth.
    """

    normal: float
    given: float
    normal_width: float
    given_width: float


def of_area(name: str) -> Intervals:
    """The intervals of the area of a class."""
    return lambda sample: (
        wald(sample.areas()[name], sample.standard_error(name)),
        area_interval(sample, name),
    )


def of_figure(formula: Formula, denominator: Formula | None) -> Intervals:
    """The intervals of a figure of the areas of one map, the usual one by the delta method."""

    def intervals(sample: Sample) -> tuple[Interval, Interval] | None:
        found = estimate(formula, [sample], denominator)
        if found.value is None or found.se is None or found.interval is None:
            return None
        return wald(found.value, found.se), found.interval

    return intervals


def measure_coverage(truth: Sample, true: float, intervals: Intervals, times: int, seed: int = 0) -> Coverage:
    """Coverage of ``true``, with the population's cells set to what ``truth`` found, and its sample sizes.

    Samples are multinomial inside each stratum, as simple random samples from large strata are. Nothing is tuned: a
    drawn sample without any unit of a class gives a normal interval of width zero, which counts as a miss.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, ...]] = []
    for _ in range(times):
        drawn = [rng.multinomial(int(n), share).tolist() for n, share in zip(truth.n, truth.shares, strict=True)]
        pair = intervals(Sample(truth.strata, truth.classes, truth.area, tuple(map(tuple, drawn))))
        if pair is not None:
            found.append(tuple(limit for interval in pair for limit in (interval.low, interval.high)))
    low, high, given_low, given_high = np.array(found).T
    widths = (float((b - a).mean() / true) if true else np.nan for a, b in ((low, high), (given_low, given_high)))
    return Coverage(_held(low, high, true), _held(given_low, given_high, true), *widths)


def _held(low: NDArray[np.float64], high: NDArray[np.float64], true: float) -> float:
    return float(((low <= true) & (true <= high)).mean())
