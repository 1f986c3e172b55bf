"""Judging: every labelled image is answered once, and counts by place add up to figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError, UsageError
from aisf_geo.evaluate.answerers import Answerer
from aisf_geo.evaluate.archives import archive_patches
from aisf_geo.evaluate.boxes import BoxedImage, find_boxed
from aisf_geo.evaluate.calibration import Levels, confidence_levels
from aisf_geo.evaluate.labelled import Labelled, Sample, find_pairs
from aisf_geo.evaluate.matching import NO_HITS, BoxTally, Hits, box_tally, footprint_hits, relaxed_hits
from aisf_geo.evaluate.metrics import UNLABELLED, Confusion, confusion, empty_confusion
from aisf_geo.evaluate.places import split_of
from aisf_geo.segment.domain import Look, look_at, windows


class Placed(Protocol):
    """What has a name and a place."""

    @property
    def name(self) -> str:
        """Unique in its data set."""
        ...

    @property
    def place(self) -> str:
        """Where it was taken."""
        ...


#: Images that are all labelled in one way.
Samples = Sequence[Sample] | Sequence[BoxedImage]
Each = TypeVar("Each", bound=Placed)


@dataclass(frozen=True)
class Tally:
    """What was counted in one image, or in many.

    Attributes:
        pixels: by true and answered class.
        levels: by confidence.
        undecided: labelled and observed pixels that got no class and are in no other figure.
        things: road pixels with their tolerance, or footprints; zero where the head answers neither.
        boxes: of a detector; None of one that decides pixels.
    """

    pixels: Confusion
    levels: Levels
    undecided: int = 0
    things: Hits = NO_HITS
    boxes: BoxTally | None = None

    def __add__(self, other: Tally) -> Tally:
        boxes = self.boxes + other.boxes if self.boxes and other.boxes else self.boxes or other.boxes
        undecided, things = self.undecided + other.undecided, self.things + other.things
        return Tally(self.pixels + other.pixels, self.levels + other.levels, undecided, things, boxes)

    @property
    def score(self) -> float:
        """By which images are ranked: F1 of boxes, else mean IoU; nothing to judge ranks last."""
        figure = self.boxes.hits.f1 if self.boxes else self.pixels.mean_iou
        return 2.0 if figure is None else figure


@dataclass(frozen=True)
class Judged:
    """One head on one data set.

    Attributes:
        tallies: of each image, by name; ``places`` where it was taken.
        looks: of windows of the images, for the domain check.
    """

    head: str
    legend: Legend
    tallies: dict[str, Tally]
    places: dict[str, str]
    looks: tuple[Look, ...]

    @property
    def whole(self) -> Tally:
        """All images together."""
        return _sum(list(self.tallies.values()))

    def by_place(self) -> dict[str, Tally]:
        """The images of each place together."""
        found: dict[str, list[Tally]] = {}
        for name, tally in self.tallies.items():
            found.setdefault(self.places[name], []).append(tally)
        return {place: _sum(tallies) for place, tallies in sorted(found.items())}


def samples_for(data: Path, head: str, split: str) -> list[Sample]:
    """The labelled images of a split that answer the question of a head.

    Raises:
        NoDataError, UnreadableError: there are none; :class:`UsageError`: no such split.
    """
    return in_split(archive_patches(data, head) or list(find_pairs(data)), data, split)


def boxed_for(data: Path, split: str) -> list[BoxedImage]:
    """The images with boxes of a split; raises as :func:`samples_for`."""
    return in_split(find_boxed(data), data, split)


def in_split(samples: Sequence[Each], data: Path, split: str) -> list[Each]:
    """Those of a split."""
    chosen = split_of(data.resolve().name, [sample.place for sample in samples], split)
    return [sample for sample in samples if sample.place in chosen]


def head_of(name: str, heads: Sequence[str], asked: str | None) -> str:
    """The head of a model or method that is judged: the one asked for, or the main one.

    Raises:
        UsageError: there is no such head.
    """
    if asked is not None and asked not in heads:
        raise UsageError(f"head: asked for {asked!r}, {name} has {', '.join(heads)}")
    return asked or heads[0]


def judge(answerer: Answerer, head: str, samples: Samples) -> Judged:
    """A head against masks or boxes.

    Raises:
        DataError: an image, mask or class value cannot be used; it names the file.
    """
    boxed = [sample for sample in samples if isinstance(sample, BoxedImage)]
    return judge_boxes(answerer, head, boxed) if boxed else judge_pixels(answerer, head, samples)  # type: ignore[arg-type]  # all are alike


def judge_pixels(answerer: Answerer, head: str, samples: Sequence[Sample]) -> Judged:
    """A head against masks.

    Raises:
        DataError: an image, mask or class value cannot be used; it names the file.
    """
    legend = answerer.heads[head]
    tallies, looks = {}, []
    for sample in samples:
        labelled = sample.read(answerer.bands)
        looks += looks_of(labelled.raster)
        try:
            tallies[sample.name] = tally_of(answerer, head, labelled)
        except DataError as error:
            raise DataError(f"{sample.place}, {sample.name}: {error}") from error
    return Judged(head, legend, tallies, {s.name: s.place for s in samples}, tuple(looks))


def tally_of(answerer: Answerer, head: str, labelled: Labelled) -> Tally:
    """One image's counts."""
    legend = answerer.heads[head]
    answer = answerer.answer(labelled.raster).heads[head]
    counts = confusion(labelled.truth, answer.labels, legend)
    levels = confidence_levels(labelled.truth, answer.labels, answer.confidence)
    undecided = int(((labelled.truth != UNLABELLED) & (answer.labels == UNKNOWN)).sum())
    count = thing_counter(legend)
    if count is None:
        return Tally(counts, levels, undecided)
    compared = (labelled.truth != UNLABELLED) & (answer.labels != NOT_OBSERVED)
    code = legend.classes[1].code
    things = count((labelled.truth == code) & compared, (answer.labels == code) & compared)
    return Tally(counts, levels, undecided, things)


def thing_counter(legend: Legend) -> Any:
    """How the things of a head of two classes are counted: roads, footprints, or not at all (None)."""
    if len(legend.classes) != 2:
        return None
    return {"road": relaxed_hits, "built-up": footprint_hits}.get(legend.classes[1].role)


def judge_boxes(answerer: Answerer, head: str, images: Sequence[BoxedImage]) -> Judged:
    """A detector against boxes; raises as :func:`judge_pixels`."""
    legend = answerer.heads[head]
    codes = [entry.code for entry in legend.classes[1:]]
    nothing = Tally(empty_confusion(legend), np.zeros((255, 2), np.int64))
    tallies, looks = {}, []
    for image in images:
        raster = image.read_raster(answerer.bands)
        looks += looks_of(raster)
        truth = image.read_boxes(legend, *raster.grid.shape)
        found = answerer.answer(raster).objects
        if found is None:
            raise UsageError(f"{answerer.name} decides pixels and detects no objects; judge it on masks")
        tallies[image.name] = replace(nothing, boxes=box_tally(truth, found, codes))
    return Judged(head, legend, tallies, {i.name: i.place for i in images}, tuple(looks))


def looks_of(raster: Raster) -> list[Look]:
    """The windows of an image as the domain check sees them."""
    looks = (look_at(raster.cut(window, raster.bands), raster.bands) for window in windows(raster.grid))
    return [look for look in looks if look is not None]


def _sum(tallies: Sequence[Tally]) -> Tally:
    total = tallies[0]
    for tally in tallies[1:]:
        total = total + tally
    return total
