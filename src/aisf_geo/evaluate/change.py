"""A model of change against labelled pairs of dates: ``A/``, ``B/`` and ``label/``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import DataError, UnreadableError
from aisf_geo.evaluate.labelled import ChangePair, find_change_pairs
from aisf_geo.evaluate.metrics import Confusion, bootstrap, confusion, place_rows, total
from aisf_geo.evaluate.report import ONE_PLACE, rounded
from aisf_geo.segment.card import ModelCard

if TYPE_CHECKING:
    from aisf_geo.change.siamese import SiameseModel

#: ``network.arch`` of a card whose model compares two dates.
COMPARES = "siamese"
CHANGE = Legend(
    "change", (LegendClass(0, "unchanged", (232, 230, 222)), LegendClass(1, "changed", (196, 78, 66), "built-up"))
)


def evaluate_change(card: ModelCard, data: Path) -> dict[str, Any]:
    """The document of ``evaluate --json`` for a model of change.

    A mask holds 0 where nothing changed, 1 or, where no 1 occurs in any mask, 255 where something did; else 255 is
    unlabelled.

    Raises:
        NoDataError: no pairs.
        DataError: pictures of one pair differ in size, or cannot be decoded.
    """
    from aisf_geo.change.siamese import SiameseModel

    pairs, model = find_change_pairs(data), SiameseModel(card)
    ones = any((_read(pair.mask, "L") == 1).any() for pair in pairs)
    places: dict[str, list[Confusion]] = defaultdict(list)
    for pair in pairs:
        truth = _read(pair.mask, "L")
        if not ones:
            truth = (truth > 127).astype(np.uint8)
        places[pair.place].append(confusion(truth, _answer(model, pair, truth.shape), CHANGE))
    by_place = {place: total(parts) for place, parts in places.items()}
    whole = total(list(by_place.values()))
    figures = {"accuracy": lambda part: part.accuracy, "mean_iou": lambda part: part.mean_iou}
    document: dict[str, Any] = {
        "model": card.name,
        "head": card.heads[0].name,
        "data": data.resolve().name,
        "split": "all",
        "images": len(pairs),
        "pixels": whole.pixels,
        "accuracy": whole.accuracy,
        "mean_iou": whole.mean_iou,
        "classes": whole.classes(),
        "places": place_rows(by_place),
        "interval": bootstrap(list(by_place.values()), figures),
        "threshold": model.threshold,
        "bands": list(card.band_names),
        "weights": card.weights.sha256,
        "warnings": [],
    }
    if len(by_place) < 2:
        document["interval_withheld_reason"] = ONE_PLACE
    return dict(rounded(document))


def _answer(model: SiameseModel, pair: ChangePair, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    pictures = [_read(path, "RGB").astype(np.float32).transpose(2, 0, 1) for path in (pair.before, pair.after)]
    if any(picture.shape[1:] != shape for picture in pictures):
        raise DataError(f"pair {pair.name}: A, B and label differ in size; bring them to one grid")
    found = model.probabilities(*pictures)
    return np.logical_or(*found.decided(model.threshold)).astype(np.uint8)


def _read(path: Path, mode: str) -> NDArray[np.uint8]:
    """The pixels of a picture.

    Raises:
        UnreadableError: it cannot be decoded.
    """
    try:
        return np.asarray(Image.open(path).convert(mode))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableError(f"{path}: the picture cannot be decoded ({error}); fetch it again") from error
