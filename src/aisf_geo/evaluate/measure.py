"""What the card of a model says of itself, measured: calibration, domain, figures, losses and speed.

Temperature and the level of doubt come from validation places, the look of the imagery from training places, figures
from places no training saw. Only the figures are claims; they are what ``aisf-geo evaluate`` prints.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import CONFIDENCE_STEPS
from aisf_geo.errors import DataError, UsageError
from aisf_geo.evaluate.answerers import model_answerer
from aisf_geo.evaluate.boxes import BoxedImage
from aisf_geo.evaluate.calibration import Levels, doubt_below, fit_temperature
from aisf_geo.evaluate.judge import Samples, boxed_for, judge, looks_of, samples_for
from aisf_geo.evaluate.labelled import Sample
from aisf_geo.evaluate.matching import NO_HITS, box_tally
from aisf_geo.evaluate.metrics import UNLABELLED
from aisf_geo.evaluate.report import report
from aisf_geo.segment.card import Detection, Head, ModelCard
from aisf_geo.segment.decide import softmax
from aisf_geo.segment.domain import domain_of
from aisf_geo.segment.runtime import RuntimeIdentity, choose_runtime

#: Data sets that answer for a head, below the folder of all data sets; the first calibrates it.
JUDGED_ON: dict[str, tuple[str, ...]] = {
    "landcover": ("urban_landcover",),
    "building": ("buildings",),
    "road": ("roads",),
    "water": ("landcover_30m",),
    "landuse": ("landcover_30m",),
    "cloud": ("landcover_30m", "clouds"),
    "vehicle": ("vehicles",),
}
#: Images that calibration and domain look at, spread over the split, and pixels taken from each.
IMAGES, PIXELS = 60, 20_000
#: Scores tried as the least of an object.
SCORES = tuple(round(0.1 + 0.05 * k, 2) for k in range(13))
#: Passes of one patch of which the fastest counts: on a shared machine the others measure the neighbours.
TIMED = 7

#: Data sets by head.
Sets = dict[str, tuple[Path, ...]]
Tell = Callable[[str], None]
#: Combinations whose speed and loss a card states.
COMBINATIONS: tuple[tuple[str, Literal["fp32", "bf16", "int8"]], ...] = (
    ("torch", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("openvino", "int8"),
)


def measured(card: ModelCard, data: Path, tell: Tell) -> ModelCard:
    """The card with calibration, domain, figures, losses and speed as they are found on the data sets in ``data``.

    Raises:
        UsageError: a head that no known data set judges, or a data set is not there.
    """
    sets = {head.name: _sets(head, data) for head in card.heads}
    tell(f"{card.name}: what its training imagery looks like")
    card = card.model_copy(update={"domain": domain_of(_training_looks(card, sets))})
    if card.detection is not None:
        chosen = _best_score(card, sets[card.heads[0].name][0])
        tell(f"{card.heads[0].name}: objects from a score of {chosen.score_above} on")
        card = card.model_copy(update={"detection": chosen})
    else:
        heads = []
        for head in card.heads:
            heads.append(_calibrated(card, head, sets[head.name][0]))
            tell(f"{head.name}: temperature {heads[-1].temperature}, unknown below {heads[-1].unknown_below}")
        card = card.model_copy(update={"heads": tuple(heads)})
    card = card.model_copy(update={"figures": tuple(figures(card, sets, "fp32", tell))})
    return with_precisions(card, data, tell)


def with_precisions(card: ModelCard, data: Path, tell: Tell) -> ModelCard:
    """The card with the loss of each reduced precision on the test places, and the seconds of each combination."""
    sets = {head.name: _sets(head, data) for head in card.heads}
    losses: dict[Literal["bf16", "int8"], float] = {}
    seconds = {}
    for runtime, precision in COMBINATIONS:
        try:
            seconds[f"{runtime}-{precision}"] = seconds_per_mpx(card, runtime, precision)
        except UsageError as error:
            tell(f"{runtime} {precision}: not measured ({error})")
            continue
        if precision != "fp32":
            losses[precision] = _loss(card.figures, figures(card, sets, precision, tell))
            tell(f"{runtime} {precision}: loses {losses[precision]} points")
    return card.model_copy(update={"iou_loss_points": losses, "seconds_per_mpx": seconds})


def figures(card: ModelCard, sets: Sets, precision: str, tell: Tell) -> list[dict[str, Any]]:
    """What ``evaluate`` prints for each head and data set on the places no training saw."""
    session = choose_runtime(card, "auto", precision)
    found = []
    for head, folders in sets.items():
        for data in folders:
            samples: Samples = boxed_for(data, "test") if card.detection else samples_for(data, head, "test")
            answerer = model_answerer(card, session, samples[0].bands)
            document = report(answerer, judge(answerer, head, samples), data, "test")
            tell(f"{head} on {data.name}, {precision}: {_figure(document)} {document[_figure(document)]}")
            found.append(document)
    return found


def seconds_per_mpx(card: ModelCard, runtime: str, precision: str) -> float:
    """The fastest of a few passes of one patch, per 1e6 network-input pixels.

    Raises:
        UsageError: this machine or card has no such combination.
    """
    session = choose_runtime(card, runtime, precision)
    shape = (session.batch, len(card.bands), card.patch_px, card.patch_px)
    patch = np.random.default_rng(0).standard_normal(shape, np.float32)
    session.predict(patch)
    passes = []
    for _ in range(TIMED):
        started = time.perf_counter()
        session.predict(patch)
        passes.append(time.perf_counter() - started)
    return round(min(passes) / session.batch / card.patch_px**2 * 1e6, 4)


def _sets(head: Head, data: Path) -> tuple[Path, ...]:
    if head.name not in JUDGED_ON:
        raise UsageError(
            f"measure: no data set is known for the head {head.name!r}, only for {', '.join(JUDGED_ON)}; judge it with "
            "`aisf-geo evaluate --data` on labels of your own"
        )
    folders = tuple(data / name for name in JUDGED_ON[head.name])
    if missing := [folder.name for folder in folders if not folder.is_dir()]:
        raise UsageError(f"measure: {data} lacks {', '.join(missing)}; give the folder that holds the data sets")
    return folders


def _training_looks(card: ModelCard, sets: Sets) -> list[Any]:
    """Windows of the training imagery, as many of each data set."""
    looks = []
    for folder, head in {folders[0]: head for head, folders in sets.items()}.items():
        found = []
        if card.detection:
            for image in _spread(boxed_for(folder, "train"), IMAGES):
                found += looks_of(image.read_raster(card.band_names))
        else:
            for sample in _spread(samples_for(folder, head, "train"), IMAGES):
                found += looks_of(sample.read(card.band_names).raster)
        looks += _spread(found, 8 * IMAGES)
    return looks


def _calibrated(card: ModelCard, head: Head, data: Path) -> Head:
    """The head with its temperature and level of doubt, from the validation places of a data set."""
    samples = _spread(samples_for(data, head.name, "validation"), IMAGES)
    scores, classes = _scores(card, head, samples)
    temperature = fit_temperature(scores, classes)
    # Of two classes the likelier is never the wrong one more often than not.
    several = len(head.legend.classes) > 2
    levels = _levels(np.concatenate(scores, axis=1), np.concatenate(classes), temperature)
    return head.model_copy(
        update={"temperature": temperature, "unknown_below": doubt_below(levels) if several else 0.0}
    )


def _best_score(card: ModelCard, data: Path) -> Detection:
    """The card's thresholds with the score at which F1 on the validation places is highest.

    A box is dropped by stronger ones alone, so that the objects of a higher score are among those of the lowest.
    """
    assert card.detection is not None  # noqa: S101 - the caller asked
    lowest = card.model_copy(update={"detection": card.detection.model_copy(update={"score_above": SCORES[0]})})
    legend, images = card.heads[0].legend, boxed_for(data, "validation")
    answerer = model_answerer(lowest, choose_runtime(card, "auto", "fp32"), images[0].bands)
    hits = dict.fromkeys(SCORES, NO_HITS)
    for image in images:
        raster = image.read_raster(answerer.bands)
        truth, found = image.read_boxes(legend, *raster.grid.shape), answerer.answer(raster).objects
        assert found is not None  # noqa: S101 - of a detector
        for score in SCORES:
            hits[score] += box_tally(truth, found[found["confidence"] >= score], ()).hits
    return card.detection.model_copy(update={"score_above": max(SCORES, key=lambda score: hits[score].f1 or 0.0)})


def _scores(
    card: ModelCard, head: Head, samples: Sequence[Sample]
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
    """Logits ``(class, pixel)`` and true class of some labelled pixels of each image."""
    answerer = model_answerer(card, choose_runtime(card, "auto", "fp32"), samples[0].bands)
    first = sum(len(h.legend.classes) for h in card.heads[: card.heads.index(head)])
    channels = slice(first, first + len(head.legend.classes))
    place = np.full(256, -1, np.int64)
    place[[entry.code for entry in head.legend.classes]] = np.arange(len(head.legend.classes))
    rng = np.random.default_rng(0)
    scores, classes = [], []
    for sample in samples:
        labelled = sample.read(answerer.bands)
        everything = labelled.raster.grid.full_window
        logits = answerer.interpreter.scores(labelled.raster, everything, everything)[channels]
        known = np.flatnonzero((labelled.raster.valid & (labelled.truth != UNLABELLED)).ravel())
        chosen = rng.choice(known, min(PIXELS, len(known)), replace=False)
        scores.append(logits.reshape(len(logits), -1)[:, chosen])
        classes.append(place[labelled.truth.ravel()[chosen]])
    if not any(len(each) for each in classes) or min(each.min(initial=0) for each in classes) < 0:
        raise DataError(f"head {head.name!r}: its validation places hold no labelled pixel, or unknown classes")
    return scores, classes


def _levels(logits: NDArray[np.float32], classes: NDArray[np.int64], temperature: float) -> Levels:
    """How often each confidence was right."""
    given = np.rint(softmax(logits, temperature).max(axis=0) * CONFIDENCE_STEPS).astype(np.int64)
    right = given[logits.argmax(axis=0) == classes]
    return np.stack([np.bincount(each, minlength=CONFIDENCE_STEPS + 1) for each in (given, right)], axis=1)


def _loss(reference: Sequence[dict[str, Any]], reduced: Sequence[dict[str, Any]]) -> float:
    """The largest fall of a main figure, in points; 0 where none fell."""
    falls = [100 * (one[_figure(one)] - other[_figure(one)]) for one, other in zip(reference, reduced, strict=True)]
    return float(round(max(0.0, *falls), 2))


def _figure(document: dict[str, Any]) -> str:
    """The key of a document's main figure."""
    return "mean_iou" if document["mean_iou"] is not None else "object_f1"


def calibration_patches(card: ModelCard, data: Path, count: int) -> list[NDArray[np.float32]]:
    """Network inputs ``(1, band, y, x)`` of training places, as a run would make them, as many of each data set."""
    kept: list[NDArray[np.float32]] = []
    sets = {head.name: _sets(head, data) for head in card.heads}
    for folder, head in {folders[0]: head for head, folders in sets.items()}.items():
        samples: Samples = boxed_for(folder, "train") if card.detection else samples_for(folder, head, "train")
        answerer = model_answerer(card, seen := PatchRecorder(card), samples[0].bands)
        for sample in _spread(samples, count):
            raster = (
                sample.read_raster(answerer.bands)
                if isinstance(sample, BoxedImage)
                else sample.read(answerer.bands).raster
            )
            answerer.answer(raster)
        kept += _spread(seen.patches, count)
    return kept


class PatchRecorder:
    """A runtime that answers nothing and keeps what it was asked."""

    batch = 1
    identity = RuntimeIdentity("recorder", "fp32", "none", "", (), 1, "")

    def __init__(self, card: ModelCard) -> None:
        self._channels = card.output_channels
        self.patches: list[NDArray[np.float32]] = []

    def predict(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Zeros of the network's shape."""
        self.patches += [patch[None] for patch in batch]
        return np.zeros((len(batch), self._channels, *batch.shape[2:]), np.float32)


def _spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most ``count`` items, evenly spread."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int))]
