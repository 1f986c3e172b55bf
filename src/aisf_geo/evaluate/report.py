"""What was judged as one JSON document: the keys of the contract, then those of the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aisf_geo.evaluate.answerers import Answerer, ModelAnswerer
from aisf_geo.evaluate.calibration import expected_error
from aisf_geo.evaluate.judge import Judged, Tally, thing_counter
from aisf_geo.evaluate.matching import BOX_F1_IOU, BoxTally, Hits, relaxed_hits
from aisf_geo.evaluate.metrics import bootstrap, place_rows
from aisf_geo.segment.domain import doubts

#: Figures are printed and kept with so many digits, more than any of them deserves.
DIGITS = 4
ONE_PLACE = "one place says nothing about the next; no interval is given"


def report(answerer: Answerer, judged: Judged, data: Path, split: str) -> dict[str, Any]:
    """The document; equal figures wherever it is made, so it names the data set and no path."""
    kind = "model" if isinstance(answerer, ModelAnswerer) else "method"
    whole = judged.whole
    places = judged.by_place()
    document = {
        kind: answerer.name,
        "head": judged.head,
        "data": data.resolve().name,
        "split": split,
        "images": len(judged.tallies),
        **(_box_figures(judged, whole.boxes) if whole.boxes else _pixel_figures(judged, whole)),
        "bands": list(answerer.bands),
        **answerer.identity(),
        "warnings": _warnings(answerer, judged),
    }
    if len(places) < 2:
        document["interval_withheld_reason"] = ONE_PLACE
    return dict(rounded(document))


def _pixel_figures(judged: Judged, whole: Tally) -> dict[str, Any]:
    places = {place: tally.pixels for place, tally in judged.by_place().items()}
    figures = {
        "pixels": whole.pixels.pixels,
        "accuracy": whole.pixels.accuracy,
        "mean_iou": whole.pixels.mean_iou,
        "classes": whole.pixels.classes(),
        "places": place_rows(places),
        "interval": bootstrap(
            list(places.values()), {"accuracy": lambda part: part.accuracy, "mean_iou": lambda part: part.mean_iou}
        ),
        "undecided_pixels": whole.undecided,
        "ece": expected_error(whole.levels),
    }
    counter = thing_counter(judged.legend)
    if counter is not None:
        key = "relaxed_f1" if counter is relaxed_hits else "object_f1"
        things = {"precision": whole.things.precision, "recall": whole.things.recall}
        figures |= {key: whole.things.f1, key.replace("f1", "figures"): things}
    return figures


def _box_figures(judged: Judged, boxes: BoxTally) -> dict[str, Any]:
    rows = []
    for entry in judged.legend.classes[1:]:
        hits = boxes.by_class[entry.code]
        row = {"name": entry.name, "iou": None, **_hits(hits), "pixels": None, "objects": hits.true}
        rows.append(row | {"ap50": boxes.average_precision(entry.code)})
    by_place = {place: tally.boxes.hits for place, tally in judged.by_place().items() if tally.boxes}
    places = [
        {"place": place, "accuracy": None, "mean_iou": None, **_hits(hits), "objects": hits.true}
        for place, hits in by_place.items()
    ]
    return {
        "pixels": None,
        "accuracy": None,
        "mean_iou": None,
        "classes": rows,
        "places": sorted(places, key=lambda row: (row["f1"] is None, row["f1"] or 0.0)),
        "interval": bootstrap(list(by_place.values()), {"object_f1": lambda hits: hits.f1}),
        "objects": boxes.hits.true,
        "object_f1": boxes.hits.f1,
        "object_figures": {
            "precision": boxes.hits.precision,
            "recall": boxes.hits.recall,
            "iou": BOX_F1_IOU,
            "class": "any",
        },
        "ap50": boxes.ap50(),
    }


def _hits(hits: Hits) -> dict[str, Any]:
    return {"f1": hits.f1, "precision": hits.precision, "recall": hits.recall}


def _warnings(answerer: Answerer, judged: Judged) -> list[str]:
    if not isinstance(answerer, ModelAnswerer):
        return []
    return doubts(answerer.card, judged.looks, answerer.bands, None)


def rounded(value: Any) -> Any:
    """``value`` with every number in it cut to :data:`DIGITS`."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value
