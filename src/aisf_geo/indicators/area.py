"""From a reference sample to areas and accuracies with intervals, by the design the sample was drawn with.

Two designs: strata that are the classes of the map (Olofsson et al. 2014, Remote Sensing of Environment 148:42-57) and
strata that are something else (Stehman 2014, International Journal of Remote Sensing 35:4923-4939, in
:mod:`aisf_geo.indicators.stehman`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.indicator import Interval
from aisf_geo.errors import UsageError

#: Normal quantile of a 95 % interval, as Olofsson et al. round it.
Z95 = 1.96
LEVEL = 0.95
#: A cell of the sample with fewer units is too thin for a normal interval to keep its word.
ADEQUATE_COUNT = 5
#: Cells that bring less than this share of an area's variance cannot spoil its interval.
CONTRIBUTES = 0.05

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sample:
    """A simple random sample in each stratum, counted by what the reference says.

    Attributes:
        strata: names of the strata.
        classes: names of the reference classes.
        area: area of each stratum, in any one unit.
        counts: units, ``(stratum, reference class)``; at least two in each stratum.
        note: what belongs to every interval from it: who labelled, and what was borrowed from elsewhere.
    """

    strata: tuple[str, ...]
    classes: tuple[str, ...]
    area: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.strata), len(self.classes))
        if np.shape(self.counts) != shape or len(self.area) != shape[0]:
            raise UsageError(f"sample: {shape[0]} strata and {shape[1]} classes need counts of that shape")
        thin = [s for s, row in zip(self.strata, self.counts, strict=True) if sum(row) < 2]
        if thin:
            raise UsageError(f"sample: a variance needs two units in each stratum; too few in {', '.join(thin)}")
        if min(self.area) < 0 or sum(self.area) <= 0 or min(map(min, self.counts)) < 0:
            raise UsageError("sample: areas and counts cannot be negative, and some area is needed")

    @cached_property
    def n(self) -> Floats:
        """Units of each stratum."""
        return np.asarray(np.asarray(self.counts, float).sum(axis=1))

    @cached_property
    def shares(self) -> Floats:
        """Share of each reference class inside each stratum, ``(stratum, class)``."""
        return np.asarray(np.asarray(self.counts, float) / self.n[:, None])

    @cached_property
    def p(self) -> Floats:
        """``p_ij = W_i n_ij / n_i.``: share of the whole area, ``(stratum, class)``."""
        area = np.asarray(self.area, float)
        return np.asarray(self.shares * (area / area.sum())[:, None])

    @property
    def total(self) -> float:
        """Area of all strata."""
        return float(sum(self.area))

    def areas(self) -> dict[str, float]:
        """Estimated area of each reference class: ``A_j = A sum_i p_ij``."""
        return dict(zip(self.classes, (self.total * self.p.sum(axis=0)).tolist(), strict=True))

    def covariance(self) -> Floats:
        """Covariance of the estimated areas, ``(class, class)``; strata are independent, classes in one are not."""
        area = np.asarray(self.area, float)
        total = np.zeros((len(self.classes), len(self.classes)))
        for size, n, share in zip(area, self.n, self.shares, strict=True):
            total += size**2 / (n - 1) * (np.diag(share) - np.outer(share, share))
        return total

    def standard_error(self, name: str) -> float:
        """``S(A_j) = A sqrt(sum_i (W_i p_ij - p_ij^2) / (n_i. - 1))`` (Olofsson et al. 2014, eq. 10 and 11)."""
        j = self._index(name)
        return float(np.sqrt(self.covariance()[j, j]))

    def _index(self, name: str) -> int:
        if name not in self.classes:
            raise UsageError(f"sample: no class {name!r}; it has {', '.join(self.classes)}")
        return self.classes.index(name)

    def thin_cells(self, name: str) -> list[str]:
        """Strata whose share of the class rests on too few units for a normal interval; empty where all are adequate.

        Cells count that may bring more than a twentieth of the area's variance, and must have at least five units with
        the class and five without. Their variance is taken two units of either kind from what was found (Agresti &
        Coull 1998, American Statistician 52:119-126): no find in a large stratum is no proof that there is nothing.
        """
        j = self._index(name)
        found, area = np.asarray(self.counts, float)[:, j], np.asarray(self.area, float)
        share = (found + 2) / (self.n + 4)
        variance = area**2 * share * (1 - share) / (self.n - 1)
        brings = variance > CONTRIBUTES * variance.sum()
        thin = brings & (np.minimum(found, self.n - found) < ADEQUATE_COUNT)
        return [s for s, is_thin in zip(self.strata, thin, strict=True) if is_thin]

    def merged(self, into: Mapping[str, str]) -> Sample:
        """The same sample with reference classes merged: ``into`` maps each class to its new name."""
        names = tuple(dict.fromkeys(into[c] for c in self.classes))
        rows = tuple(
            tuple(sum(n for c, n in zip(self.classes, row, strict=True) if into[c] == name) for name in names)
            for row in self.counts
        )
        return Sample(self.strata, names, self.area, rows, self.note)

    def draws(self, times: int, seed: int) -> Floats:
        """Areas of the classes in ``times`` samples drawn anew from what this one found, ``(draw, class)``."""
        rng = np.random.default_rng(seed)
        total = np.zeros((times, len(self.classes)))
        for size, n, share in zip(self.area, self.n, self.shares, strict=True):
            total += size * rng.multinomial(int(n), share, size=times) / n
        return total


def wald(value: float, se: float, method: str = "stratified estimator, normal (Olofsson et al. 2014)") -> Interval:
    """``value +- 1.96 se``."""
    return Interval(value - Z95 * se, value + Z95 * se, LEVEL, method)


def area_interval(sample: Sample, name: str) -> Interval:
    """The interval of a class's area: normal where counts are adequate, Wilson-type where some cell is thin."""
    if thin := sample.thin_cells(name):
        return rare_interval(sample, name, f"; few units of the class or of the rest in {', '.join(thin)}")
    return wald(sample.areas()[name], sample.standard_error(name))


def rare_interval(sample: Sample, name: str, why: str = "") -> Interval:
    """Interval of the area of a rare class: Wilson limits in each stratum, joined by their squared distances.

    With ``l_i`` and ``u_i`` the Wilson limits of the share in stratum ``i``: ``low = A - sqrt(sum_i (A_i (p_i -
    l_i))^2)`` and likewise above. It stays within 0 and the total, is lopsided as rare counts are, and does not take
    a stratum without a find for proof that there is none. Source: Zou & Donner 2008, Statistics in Medicine
    27:1693-1702 (variance estimates recovery); Wilson 1927, JASA 22:209-212.
    """
    j = sample._index(name)
    low, high = wilson(np.asarray(sample.counts, float)[:, j], sample.n)
    area = np.asarray(sample.area, float)
    value = sample.areas()[name]
    below = float(np.sqrt(((area * (sample.shares[:, j] - low)) ** 2).sum()))
    above = float(np.sqrt(((area * (high - sample.shares[:, j])) ** 2).sum()))
    method = f"stratified estimator, Wilson limits joined (Zou & Donner 2008){why}"
    return Interval(max(value - below, 0.0), min(value + above, sample.total), LEVEL, method)


def wilson(found: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Wilson limits of a share, for ``found`` of ``n`` (arrays of one shape)."""
    share, z2 = found / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


@dataclass(frozen=True)
class Accuracy:
    """A share of correct decisions.

    Attributes:
        se: standard error; None where the sample cannot give it.
    """

    value: float | None
    se: float | None

    @property
    def half_width(self) -> float | None:
        """Half of the 95 % interval."""
        return None if self.se is None else Z95 * self.se


@dataclass(frozen=True)
class Accuracies:
    """Overall, user's and producer's accuracy, the latter two by class."""

    overall: Accuracy
    users: Mapping[str, Accuracy]
    producers: Mapping[str, Accuracy]


def accuracies(sample: Sample) -> Accuracies:
    """Accuracies where the strata are the classes of the map, in the same order (Olofsson et al. 2014, eq. 2-7).

    A class without a unit in the reference has no producer's accuracy.

    Raises:
        UsageError: the strata are not the reference classes.
    """
    if sample.strata != sample.classes:
        raise UsageError("accuracies: the strata are not the classes; use stehman.accuracies with the map's classes")
    area, share, n, p = np.asarray(sample.area, float), sample.shares, sample.n, sample.p
    weights, users = area / area.sum(), np.diag(share)
    of_users = users * (1 - users) / (n - 1)
    overall = Accuracy(float(np.trace(p)), float(np.sqrt((weights**2 * of_users).sum())))
    producers = {}
    for j, name in enumerate(sample.classes):
        column = float((area * share[:, j]).sum())
        if column == 0:
            producers[name] = Accuracy(None, None)
            continue
        right = p[j, j] / p[:, j].sum()
        others = np.arange(len(n)) != j
        # Equation 7 sums over the other strata; a sum over all of them, as found in one public package, is wrong.
        missed = (area**2 * share[:, j] * (1 - share[:, j]) / (n - 1))[others].sum()
        variance = (area[j] ** 2 * (1 - right) ** 2 * of_users[j] + right**2 * missed) / column**2
        producers[name] = Accuracy(float(right), float(np.sqrt(variance)))
    by_class = {
        c: Accuracy(float(u), float(np.sqrt(v))) for c, u, v in zip(sample.classes, users, of_users, strict=True)
    }
    return Accuracies(overall, by_class, producers)


def sample_size(weights: Sequence[float], users_guess: Sequence[float], target_se: float) -> int:
    """Units that reach a standard error of overall accuracy: ``n = (sum_i W_i S_i / S(O))^2`` (Cochran 1977, eq. 5.25).

    ``S_i = sqrt(U_i (1 - U_i))`` from a guess of the user's accuracies.
    """
    spread = np.sqrt(np.asarray(users_guess) * (1 - np.asarray(users_guess)))
    return round(float((np.asarray(weights) @ spread / target_se) ** 2))


def allocate(total: int, weights: Sequence[float], at_least: int) -> list[int]:
    """Units for each stratum: ``at_least`` for each, the rest in proportion to area; sums to ``total``.

    Raises:
        UsageError: there are not enough units for the minimum.
    """
    spare = total - at_least * len(weights)
    if spare < 0:
        raise UsageError(f"sample: {total} units do not give {len(weights)} strata {at_least} each")
    exact = spare * np.asarray(weights, float) / sum(weights)
    given = np.floor(exact).astype(int)
    # What rounding down left over goes to the largest remainders.
    for i in np.argsort(given - exact, kind="stable")[: spare - given.sum()]:
        given[i] += 1
    return [at_least + int(g) for g in given]


def bootstrap_scores(sample: Sample, times: int = 2000, seed: int = 0) -> dict[str, dict[str, Interval]]:
    """95 % percentile intervals of F1 and IoU of each class, resampling the units inside their strata.

    Raises:
        UsageError: the strata are not the reference classes.
    """
    if sample.strata != sample.classes:
        raise UsageError("bootstrap: F1 and IoU need strata that are the classes of the map")
    rng = np.random.default_rng(seed)
    area = np.asarray(sample.area, float) / sample.total
    cells = np.stack(
        [w * rng.multinomial(int(n), s, size=times) / n for w, n, s in zip(area, sample.n, sample.shares, strict=True)],
        axis=1,
    )
    both = np.diagonal(cells, axis1=1, axis2=2)
    either = cells.sum(axis=1) + area - both
    iou = both / either
    method = f"bootstrap within strata, {times} draws"
    limits = {
        "iou": np.percentile(iou, (2.5, 97.5), axis=0),
        "f1": np.percentile(2 * iou / (1 + iou), (2.5, 97.5), axis=0),
    }
    return {
        name: {score: Interval(float(lim[0, j]), float(lim[1, j]), LEVEL, method) for score, lim in limits.items()}
        for j, name in enumerate(sample.classes)
    }
