"""From a confusion matrix to the figures people compare, and how far they may be trusted.

Every figure is a function of one matrix of counts, so that figures of places add up to those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.errors import DataError

#: Mask value of a pixel that nobody labelled.
UNLABELLED = 255
#: Draws of places, and the share of them the interval holds.
BOOTSTRAP_DRAWS = 2000
BOOTSTRAP_LEVEL = 0.95


@dataclass(frozen=True)
class Confusion:
    """Counts of pixels, or of objects, by truth and answer.

    Attributes:
        counts: int64 ``(class, class)``; rows are the truth, columns the answer, both in ascending order of code.
        names: of the classes.
    """

    counts: NDArray[np.int64]
    names: tuple[str, ...]

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.counts + other.counts, self.names)

    @property
    def pixels(self) -> int:
        """How many were compared."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float | None:
        """Share of pixels answered right, 0..1; None where there are none."""
        return _ratio(np.trace(self.counts), self.counts.sum())

    @property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of each class (Jaccard 1912); NaN for one that neither occurs nor was answered."""
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - hits
        with np.errstate(invalid="ignore"):
            return np.asarray(hits / union)

    @property
    def mean_iou(self) -> float | None:
        """Mean over the classes that occur or were answered; None where there are none."""
        return None if np.isnan(self.iou).all() else float(np.nanmean(self.iou))

    def classes(self) -> list[dict[str, Any]]:
        """One row for each class: iou, f1, precision, recall (None where undefined), and its pixels in the truth."""
        hits, truth, answers = np.diag(self.counts), self.counts.sum(axis=1), self.counts.sum(axis=0)
        return [
            {
                "name": name,
                "iou": _ratio(hits[k], truth[k] + answers[k] - hits[k]),
                "f1": _ratio(2 * hits[k], truth[k] + answers[k]),
                "precision": _ratio(hits[k], answers[k]),
                "recall": _ratio(hits[k], truth[k]),
                "pixels": int(truth[k]),
            }
            for k, name in enumerate(self.names)
        ]


def empty_confusion(legend: Legend) -> Confusion:
    """No pixel compared yet."""
    count = len(legend.classes)
    return Confusion(np.zeros((count, count), np.int64), tuple(c.name for c in legend.classes))


def confusion(truth: NDArray[np.uint8], answer: NDArray[np.uint8], legend: Legend) -> Confusion:
    """Counts over the pixels that were labelled, observed and decided, shapes ``(y, x)``.

    Raises:
        DataError: a value that the legend does not have.
    """
    compared = (truth != UNLABELLED) & (answer != NOT_OBSERVED) & (answer != UNKNOWN)
    rows, cols = (_positions(values[compared], legend) for values in (truth, answer))
    count = len(legend.classes)
    counts = np.bincount(rows * count + cols, minlength=count * count).reshape(count, count)
    return Confusion(counts, tuple(c.name for c in legend.classes))


def _positions(values: NDArray[np.uint8], legend: Legend) -> NDArray[np.int64]:
    """The place of each code in the legend."""
    place = np.full(256, -1, np.int64)
    place[[c.code for c in legend.classes]] = np.arange(len(legend.classes))
    found = place[values]
    if (found < 0).any():
        unknown = np.unique(values[found < 0]).tolist()
        raise DataError(
            f"class values {unknown[:5]} are not in the legend {legend.name!r}, which has "
            f"{[c.code for c in legend.classes]}; remap the mask, or set what is not labelled to {UNLABELLED}"
        )
    return found


def total(parts: Sequence[Confusion]) -> Confusion:
    """The counts of several parts together; at least one."""
    return Confusion(np.sum([part.counts for part in parts], axis=0), parts[0].names)


def place_rows(places: Mapping[str, Confusion]) -> list[dict[str, Any]]:
    """Accuracy and mean IoU of each place, the worst first."""
    rows = [
        {"place": name, "accuracy": each.accuracy, "mean_iou": each.mean_iou, "pixels": each.pixels}
        for name, each in places.items()
    ]
    return sorted(rows, key=lambda row: (row["mean_iou"] is None, row["mean_iou"] or 0.0, row["place"]))


class Counts(Protocol):
    """Anything whose parts add up."""

    def __add__(self, other: Self, /) -> Self: ...


Part = TypeVar("Part", bound=Counts)


def bootstrap(
    places: Sequence[Part], figures: Mapping[str, Callable[[Part], float | None]], seed: int = 0
) -> dict[str, Any] | None:
    """Intervals of figures had other places of the same kind been drawn; None for fewer than two places.

    Places, not pixels, are drawn with replacement (Efron 1979, the block bootstrap): neighbouring pixels repeat each
    other, and a figure over one place says nothing of the next.
    """
    if len(places) < 2:
        return None
    draws = np.random.default_rng(seed).integers(0, len(places), (BOOTSTRAP_DRAWS, len(places)))
    drawn = [reduce(add, [places[k] for k in draw]) for draw in draws]
    tail = (1 - BOOTSTRAP_LEVEL) / 2
    interval: dict[str, Any] = {
        "level": BOOTSTRAP_LEVEL,
        "method": f"bootstrap of {len(places)} places, {BOOTSTRAP_DRAWS} draws",
    }
    for key, figure in figures.items():
        known = [value for each in drawn if (value := figure(each)) is not None]
        interval[key] = [float(v) for v in np.quantile(known, [tail, 1 - tail])] if known else None
    return interval


def _ratio(part: float | np.generic, whole: float | np.generic) -> float | None:
    return float(part) / float(whole) if whole else None
