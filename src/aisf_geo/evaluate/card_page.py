"""A model's card for people, from the card for programs: all that is said here is measured or stated there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.segment.card import ModelCard


def card_page(card: ModelCard) -> str:
    """``CARD.md``."""
    return "\n".join(
        [
            f"# {card.name}",
            "",
            card.description,
            "",
            f"What it makes is marked as: {MADE_BY}",
            "",
            "## Do not use it for",
            "",
            *[f"- {sentence}" for sentence in card.not_for or ("Nothing is stated; ask before you rely on it.",)],
            "",
            "## What it needs and gives",
            "",
            *_inputs(card),
            "",
            "## How good it is",
            "",
            *_figures(card),
            "## Speed and precision",
            "",
            *_speeds(card),
            "",
            "## Training data and terms",
            "",
            *_terms(card),
            "",
        ]
    )


def models_page(cards: Sequence[ModelCard]) -> str:
    """What is shipped, side by side, and every card."""
    rows = [
        [card.name, document["head"], document["data"], *_main_figures(document), _places(document)]
        for card in cards
        for document in card.figures
    ]
    table = _table(["model", "head", "data set", "accuracy", "mean IoU", "more", "places"], rows)
    said = (
        "Figures are those of places no training saw; "
        "`aisf-geo evaluate --model NAME --data DIR --head HEAD --split test` prints them."
    )
    cards_below = [card_page(card).replace("\n## ", "\n### ").replace("# ", "## ", 1) for card in cards]
    return "\n".join(["# Models", "", said, "", *table, "", *cards_below]).rstrip() + "\n"


def _inputs(card: ModelCard) -> list[str]:
    optional = [band.name for band in card.bands if band.optional]
    lines = [
        f"- Bands {', '.join(card.band_names)} as {card.scale} values"
        + (f"; may lack {', '.join(optional)}" if optional else "")
        + f"; pixels of {card.gsd_m[0]:g} to {card.gsd_m[1]:g} m.",
        f"- {card.network.arch} on {card.network.encoder}, patches of {card.patch_px} px of which a border of "
        f"{card.margin_px} px is discarded.",
    ]
    for head in card.heads:
        doubt = f"; below a confidence of {head.unknown_below:g} a pixel is unknown" if head.unknown_below else ""
        lines.append(f"- Head `{head.name}`: {', '.join(entry.name for entry in head.legend.classes)}{doubt}.")
    if card.detection:
        lines.append(
            f"- Objects of up to {card.detection.largest_px} px from a score of {card.detection.score_above:g} on."
        )
    return lines


def _figures(card: ModelCard) -> list[str]:
    if not card.figures:
        return ["Not measured.", ""]
    lines: list[str] = []
    for document in card.figures:
        command = f"aisf-geo evaluate --model {card.name} --data DIR/{document['data']} --head {document['head']}"
        split = "" if document["split"] == "all" else f" --split {document['split']}"
        lines += [
            f"**{document['head']}** on `{document['data']}`, {document['images']} images of places no training saw "
            f"(`{command}{split}`): {_summary(document)}",
            "",
            *_rows_table("class", "name", document["classes"]),
            "",
            *_rows_table("place, worst first", "place", document["places"]),
            "",
            *[f"Note: {warning}\n" for warning in document["warnings"]],
        ]
    return lines


def _summary(document: dict[str, Any]) -> str:
    parts = []
    if document["accuracy"] is not None:
        parts += [f"accuracy {_number(document['accuracy'])}", f"mean IoU {_number(document['mean_iou'])}"]
    parts.append(_task_figures(document))
    interval = document["interval"]
    if interval is None:
        parts.append("no interval, there is one place")
    else:
        key = "mean_iou" if document["mean_iou"] is not None else "object_f1"
        low, high = interval[key]
        name = key.replace("_", " ").replace("iou", "IoU")
        parts.append(
            f"{100 * interval['level']:.0f} % interval of {name} {low:.3f} to {high:.3f} ({interval['method']})"
        )
    return "; ".join(filter(None, parts)) + "."


def _task_figures(document: dict[str, Any]) -> str:
    names = {
        "relaxed_f1": "road F1 within 3 px",
        "object_f1": "object F1",
        "ap50": "AP50",
        "ece": "calibration error",
    }
    return ", ".join(f"{said} {_number(document[key])}" for key, said in names.items() if document.get(key) is not None)


def _places(document: dict[str, Any]) -> str:
    return f"{len(document['places'])}, worst {document['places'][0]['place']}" if document["places"] else ""


def _speeds(card: ModelCard) -> list[str]:
    rows = []
    for name, seconds in card.seconds_per_mpx.items():
        precision = name.rsplit("-", 1)[1]
        loss = {"bf16": card.iou_loss_points.get("bf16"), "int8": card.iou_loss_points.get("int8")}.get(precision)
        rows.append([name, f"{seconds:.3f}", "reference" if precision == "fp32" else _number(loss)])
    if not rows:
        return ["Not measured."]
    return [
        "Seconds per million network-input pixels on two cores (fastest of several passes of one patch, shared "
        "machine), and points of IoU lost on the places above.",
        "",
        *_table(["runtime", "s/Mpx", "points lost"], rows),
        *(_without_int8(card)),
    ]


def _without_int8(card: ModelCard) -> list[str]:
    if card.int8 is not None:
        return []
    loss = card.iou_loss_points.get("int8")
    why = f": built, it loses {loss:g} points" if loss is not None else ""
    return ["", f"No int8 network is shipped{why}."]


def _terms(card: ModelCard) -> list[str]:
    lines = [f"The weights are offered under {card.licence}, with this attribution:", ""]
    lines += [f"- {data.name}: {data.attribution} [{data.licence}]" for data in card.training_data]
    return (
        lines if card.training_data else [f"The weights are offered under {card.licence}; no training data is stated."]
    )


def _main_figures(document: dict[str, Any]) -> list[str]:
    return [_number(document["accuracy"]), _number(document["mean_iou"]), _task_figures(document)]


#: Columns of a table of classes or places, as far as any row has a figure there.
_COLUMNS = {
    **{"accuracy": "accuracy", "mean_iou": "mean IoU", "iou": "IoU", "f1": "F1"},
    **{"precision": "precision", "recall": "recall", "ap50": "AP50"},
}


def _rows_table(title: str, first: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    shown = [key for key in _COLUMNS if any(row.get(key) is not None for row in rows)]
    lines = [[str(row[first]), *(_number(row.get(key)) for key in shown)] for row in rows]
    return _table([title, *(_COLUMNS[key] for key in shown)], lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(columns: list[str], rows: list[list[str]]) -> list[str]:
    ruled = [columns, ["---"] * len(columns), *rows]
    return [f"| {' | '.join(row)} |" for row in ruled]
