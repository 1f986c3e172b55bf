"""How often an interval keeps its word: samples drawn again and again from a population that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.indicators.area import Z95, Sample, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Coverage:
    """Share of repeated samples whose 95 % interval holds the true area of a class.

    Attributes:
        adequate: True where every contributing cell has enough units for the normal interval.
        normal, rare: coverage of the normal interval and of the one for rare classes.
        normal_width, rare_width: their mean widths as a share of the true area.
    """

    name: str
    adequate: bool
    normal: float
    rare: float
    normal_width: float
    rare_width: float


def measure_coverage(truth: Sample, times: int = 10_000, seed: int = 0) -> list[Coverage]:
    """Coverage for each class with the population's cells set to what ``truth`` found, and its sample sizes.

    Samples are multinomial inside each stratum, as simple random samples from large strata are. Nothing is tuned: a
    drawn sample without any unit of a class gives an interval of width zero, which counts as a miss.
    """
    rng = np.random.default_rng(seed)
    n, area = truth.n, np.asarray(truth.area, float)
    counts = np.stack(
        [rng.multinomial(int(k), s, size=times) for k, s in zip(n, truth.shares, strict=True)], axis=1
    ).astype(float)
    found = []
    for j, name in enumerate(truth.classes):
        share = counts[:, :, j] / n
        value, true = share @ area, float(truth.shares[:, j] @ area)
        half = Z95 * np.sqrt((area**2 * share * (1 - share) / (n - 1)).sum(axis=1))
        low, high = wilson(counts[:, :, j], n)
        below = np.sqrt(((area * (share - low)) ** 2).sum(axis=1))
        above = np.sqrt(((area * (high - share)) ** 2).sum(axis=1))
        found.append(
            Coverage(
                name,
                not truth.thin_cells(name),
                _held(value - half, value + half, true),
                _held(np.maximum(value - below, 0), np.minimum(value + above, area.sum()), true),
                float((2 * half).mean() / true) if true else np.nan,
                float((below + above).mean() / true) if true else np.nan,
            )
        )
    return found


def _held(low: Floats, high: Floats, true: float) -> float:
    return float(((low <= true) & (true <= high)).mean())
