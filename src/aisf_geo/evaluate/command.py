"""What ``aisf-geo evaluate`` does, from names to a document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisf_geo.errors import UsageError
from aisf_geo.evaluate.answerers import Answerer, method_answerer, model_answerer
from aisf_geo.evaluate.change import COMPARES, evaluate_change
from aisf_geo.evaluate.judge import Judged, Samples, boxed_for, head_of, judge, samples_for
from aisf_geo.evaluate.report import report
from aisf_geo.segment.card import ModelCard, find_model
from aisf_geo.segment.spectral import method as known_method
from aisf_geo.shipped import model_folders


@dataclass(frozen=True)
class Asked:
    """The options of the command."""

    data: Path
    model: str | None = None
    method: str | None = None
    threshold: float | None = None
    head: str | None = None
    split: str = "all"
    bands: tuple[str, ...] | None = None
    runtime: str = "auto"
    precision: str = "fp32"


def evaluate_command(asked: Asked, out: Path | None) -> dict[str, Any]:
    """The figures; with ``out`` also ``evaluation.json``, ``worst.png`` and ``reliability.png`` there.

    Raises:
        UsageError: not exactly one of model and method, or names that do not exist.
        DataError: data that cannot be used; the message names the file.
    """
    if (asked.model is None) == (asked.method is None):
        raise UsageError("evaluate: give either --model or --method")
    if asked.model is not None and (card := find_model(asked.model, model_folders())).network.arch == COMPARES:
        return _of_change(card, asked, out)
    judged, answerer, samples = _judged_model(asked) if asked.model is not None else _judged_method(asked)
    document = report(answerer, judged, asked.data, asked.split)
    if out is not None:
        from aisf_geo.evaluate.pictures import write_reliability, write_worst

        write_worst(out / "worst.png", answerer, judged, samples)
        if judged.whole.boxes is None:
            write_reliability(out / "reliability.png", judged.whole.levels, f"{answerer.name}: {judged.head}")
        (out / "evaluation.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def _of_change(card: ModelCard, asked: Asked, out: Path | None) -> dict[str, Any]:
    """Figures of a model that compares two dates; pairs have no fixed places and no other heads."""
    if asked.split != "all":
        raise UsageError(f"evaluate: {card.name} compares dates, and pairs have no split {asked.split!r}; leave it out")
    head_of(card.name, [each.name for each in card.heads], asked.head)
    if asked.threshold is not None or asked.bands is not None or (asked.runtime, asked.precision) != ("auto", "fp32"):
        raise UsageError(
            f"evaluate: {card.name} compares dates as its card says, in fp32; "
            "leave --threshold, --bands, --runtime and --precision out"
        )
    document = evaluate_change(card, asked.data)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "evaluation.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def _judged_model(asked: Asked) -> tuple[Judged, Answerer, Samples]:
    from aisf_geo.segment.runtime import choose_runtime

    if asked.threshold is not None:
        raise UsageError("evaluate: --threshold belongs to a method; a model's card settles its doubts")
    card = find_model(asked.model or "", model_folders())
    head = head_of(card.name, [each.name for each in card.heads], asked.head)
    samples: Samples = (
        boxed_for(asked.data, asked.split) if card.detection else samples_for(asked.data, head, asked.split)
    )
    session = choose_runtime(card, asked.runtime, asked.precision)
    answerer = model_answerer(card, session, asked.bands or samples[0].bands)
    return judge(answerer, head, samples), answerer, samples


def _judged_method(asked: Asked) -> tuple[Judged, Answerer, Samples]:
    name = known_method(asked.method or "").name
    if (asked.runtime, asked.precision) != ("auto", "fp32"):
        raise UsageError(
            f"evaluate: --runtime and --precision are of a model, method {name!r} runs none; leave them out"
        )
    samples = samples_for(asked.data, head_of(name, [name], asked.head), asked.split)
    answerer = method_answerer(name, asked.bands or samples[0].bands, asked.threshold)
    return judge(answerer, name, samples), answerer, samples
