"""Accuracy and area where the strata of the sample are not the classes of the map.

Stehman 2014, International Journal of Remote Sensing 35:4923-4939: every figure is a mean, or a ratio of two means, of
an indicator that each sampled unit carries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.errors import UsageError
from aisf_geo.indicators.area import Accuracies, Accuracy

Text = NDArray[np.str_]


@dataclass(frozen=True)
class Units:
    """Sampled units.

    Attributes:
        size: pixels of each stratum in the population.
        stratum, mapped, reference: of each unit, in one order.
    """

    size: Mapping[str, float]
    stratum: Sequence[str]
    mapped: Sequence[str]
    reference: Sequence[str]

    def __post_init__(self) -> None:
        missing = sorted(set(self.stratum) - set(self.size))
        thin = [h for h in self.size if list(self.stratum).count(h) < 2]
        if missing or thin:
            raise UsageError(
                f"sample: each stratum needs a size and two units; no size for {missing}, too few units in {thin}"
            )

    def _mean(self, of_unit: NDArray[np.bool_]) -> tuple[float, float]:
        """Mean over the population and its standard error, with the finite population correction (eq. 3 and 25)."""
        y, stratum, total = of_unit.astype(float), np.asarray(self.stratum), sum(self.size.values())
        mean = variance = 0.0
        for h, size in self.size.items():
            inside = y[stratum == h]
            mean += size * inside.mean() / total
            variance += (size / total) ** 2 * (1 - len(inside) / size) * inside.var(ddof=1) / len(inside)
        return float(mean), float(np.sqrt(variance))

    def _ratio(self, top: NDArray[np.bool_], bottom: NDArray[np.bool_]) -> Accuracy:
        """``R = Y / X`` and its standard error (eq. 27 and 28)."""
        y, x, stratum = top.astype(float), bottom.astype(float), np.asarray(self.stratum)
        inside = {h: (y[stratum == h], x[stratum == h]) for h in self.size}
        whole_x = sum(size * inside[h][1].mean() for h, size in self.size.items())
        if whole_x == 0:
            return Accuracy(None, None)
        ratio = sum(size * inside[h][0].mean() for h, size in self.size.items()) / whole_x
        variance = 0.0
        for h, size in self.size.items():
            yh, xh = inside[h]
            spread = yh.var(ddof=1) + ratio**2 * xh.var(ddof=1) - 2 * ratio * np.cov(yh, xh)[0, 1]
            variance += size**2 * (1 - len(yh) / size) * spread / len(yh)
        return Accuracy(float(ratio), float(np.sqrt(max(variance, 0.0)) / whole_x))

    def area_share(self, name: str) -> tuple[float, float]:
        """Share of the area that the reference gives to a class, and its standard error."""
        return self._mean(np.asarray(self.reference) == name)

    def cell(self, mapped: str, reference: str) -> tuple[float, float]:
        """A cell of the error matrix as a share of the area, and its standard error."""
        return self._mean((np.asarray(self.mapped) == mapped) & (np.asarray(self.reference) == reference))


def accuracies(units: Units) -> Accuracies:
    """Overall, user's and producer's accuracy of the map."""
    mapped, reference = np.asarray(units.mapped), np.asarray(units.reference)
    right = mapped == reference
    names = sorted(set(units.mapped) | set(units.reference))

    def by_class(of: Text) -> dict[str, Accuracy]:
        ratio: Callable[[str], Accuracy] = lambda name: units._ratio(right & (of == name), of == name)  # noqa: E731
        return {name: ratio(name) for name in names}

    return Accuracies(Accuracy(*units._mean(right)), by_class(mapped), by_class(reference))
