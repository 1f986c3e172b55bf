"""Figures that count things rather than pixels: roads with a tolerance, footprints, boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.domain.objects import Objects

#: Tolerance of the relaxed road figures, as Mnih (thesis 2013, section 3.5) chose it for 1 m pixels.
ROAD_TOLERANCE_PX = 3
#: Overlap from which a footprint is found; above one half no two can claim the same one.
FOOTPRINT_IOU = 0.5
#: Overlaps at which boxes are matched: for F1, and for the average precision.
BOX_F1_IOU, BOX_AP_IOU = 0.3, 0.5


@dataclass(frozen=True)
class Hits:
    """How many of the things answered are true, and how many of the true ones are found.

    Attributes:
        right, answered: of what the map shows.
        found, true: of what there is.
    """

    right: int = 0
    answered: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Hits) -> Hits:
        return Hits(
            self.right + other.right, self.answered + other.answered, self.found + other.found, self.true + other.true
        )

    @property
    def precision(self) -> float | None:
        """Share of the answered that is right; None where nothing was answered."""
        return self.right / self.answered if self.answered else None

    @property
    def recall(self) -> float | None:
        """Share of the true that is found; None where there is nothing."""
        return self.found / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 0 where either is; None where there is nothing on either side."""
        if not self.answered and not self.true:
            return None
        precision, recall = self.precision or 0.0, self.recall or 0.0
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def relaxed_hits(truth: NDArray[np.bool_], answer: NDArray[np.bool_], tolerance_px: int = ROAD_TOLERANCE_PX) -> Hits:
    """Pixels that have their like within ``tolerance_px`` (Euclidean) on the other map, arrays ``(y, x)``."""
    near_truth, near_answer = (_near(mask, tolerance_px) for mask in (truth, answer))
    return Hits(int((answer & near_truth).sum()), int(answer.sum()), int((truth & near_answer).sum()), int(truth.sum()))


def _near(mask: NDArray[np.bool_], distance_px: int) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) <= distance_px)


def footprint_hits(truth: NDArray[np.bool_], answer: NDArray[np.bool_]) -> Hits:
    """Connected components (edges, not corners) whose intersection over union exceeds :data:`FOOTPRINT_IOU`."""
    true_ids, true_count = ndimage.label(truth)
    answer_ids, answer_count = ndimage.label(answer)
    pairs = true_ids.astype(np.int64) * (answer_count + 1) + answer_ids
    shared = np.bincount(pairs.ravel(), minlength=(true_count + 1) * (answer_count + 1))
    shared = shared.reshape(true_count + 1, answer_count + 1)
    union = shared.sum(axis=1)[1:, None] + shared.sum(axis=0)[None, 1:] - shared[1:, 1:]
    matched = int((shared[1:, 1:] > FOOTPRINT_IOU * union).sum())
    return Hits(matched, answer_count, matched, true_count)


NO_HITS = Hits()


@dataclass(frozen=True)
class BoxTally:
    """Boxes of several images against the truth.

    Attributes:
        hits: whatever the class, at :data:`BOX_F1_IOU`.
        by_class: where the class must be right too, at :data:`BOX_F1_IOU`, by code.
        scores: by code the confidence and success of each answered box at :data:`BOX_AP_IOU`.
    """

    hits: Hits = NO_HITS
    by_class: dict[int, Hits] = field(default_factory=dict)
    scores: dict[int, tuple[tuple[float, bool], ...]] = field(default_factory=dict)

    def __add__(self, other: BoxTally) -> BoxTally:
        codes = self.by_class.keys() | other.by_class.keys()
        return BoxTally(
            self.hits + other.hits,
            {code: self.by_class.get(code, NO_HITS) + other.by_class.get(code, NO_HITS) for code in codes},
            {code: self.scores.get(code, ()) + other.scores.get(code, ()) for code in codes},
        )

    def average_precision(self, code: int) -> float | None:
        """Area under precision over recall (all points, PASCAL VOC 2010); None where the class does not occur."""
        true = self.by_class[code].true
        if not true:
            return None
        ordered = sorted(self.scores[code], key=lambda pair: -pair[0])
        success = np.cumsum([ok for _, ok in ordered])
        if not len(success):
            return 0.0
        precision = success / np.arange(1, len(success) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        recall = np.concatenate([[0.0], success / true])
        return float((np.diff(recall) * precision).sum())

    def ap50(self) -> float | None:
        """Mean average precision of the classes that occur."""
        known = [ap for code in self.by_class if (ap := self.average_precision(code)) is not None]
        return float(np.mean(known)) if known else None


def box_tally(truth: Objects, answer: Objects, codes: Sequence[int]) -> BoxTally:
    """One image's boxes; both tables in pixels of the image."""
    any_class = match_boxes(truth, answer, BOX_F1_IOU)
    by_class, scores = {}, {}
    for code in codes:
        true, answered = truth[truth["code"] == code], answer[answer["code"] == code]
        right = int(match_boxes(true, answered, BOX_F1_IOU).sum())
        by_class[code] = Hits(right, len(answered), right, len(true))
        success = match_boxes(true, answered, BOX_AP_IOU)
        scores[code] = tuple(zip(answered["confidence"].tolist(), success.tolist(), strict=True))
    right = int(any_class.sum())
    return BoxTally(Hits(right, len(answer), right, len(truth)), by_class, scores)


def match_boxes(truth: Objects, answer: Objects, least_iou: float) -> NDArray[np.bool_]:
    """True for each answer that takes a box of the truth; the surest choose first, each the best one left."""
    matched = np.zeros(len(answer), np.bool_)
    iou = _box_iou(truth, answer)
    for k in np.argsort(-answer["confidence"], kind="stable"):
        if len(truth) and iou[:, k].max() >= least_iou:
            matched[k] = True
            iou[iou[:, k].argmax()] = -1
    return matched


def _box_iou(truth: Objects, answer: Objects) -> NDArray[np.float64]:
    """Intersection over union of each true box with each answer, ``(true, answer)``."""
    shared = np.ones((len(truth), len(answer)))
    for centre, side in (("row", "height_px"), ("col", "width_px")):
        low = np.maximum.outer(truth[centre] - truth[side] / 2, answer[centre] - answer[side] / 2)
        high = np.minimum.outer(truth[centre] + truth[side] / 2, answer[centre] + answer[side] / 2)
        shared *= np.clip(high - low, 0, None)
    areas = [(table["height_px"] * table["width_px"]).astype(np.float64) for table in (truth, answer)]
    return np.asarray(shared / np.maximum(np.add.outer(*areas) - shared, 1e-12))
