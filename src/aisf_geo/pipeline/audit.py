"""What stands behind a run: sources and their terms, models, versions, and what its outputs say of themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aisf_geo.domain.licence import known_licence
from aisf_geo.domain.provenance import MADE_BY, without_secrets
from aisf_geo.errors import AisfGeoError
from aisf_geo.ingest.read import read_header
from aisf_geo.segment.card import find_model
from aisf_geo.shipped import shipped
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.run import RunFolder


def audit(path: Path) -> dict[str, Any]:
    """The account of a run, with passwords and signatures taken out.

    Raises:
        DataError: the folder is not a run.
    """
    folder = RunFolder(path)
    said = folder.read_run()
    recipe = said["recipe"]
    account = {
        "run": path.name,
        "made_by": MADE_BY,
        "title": recipe["title"],
        "state": said["state"],
        "purpose": recipe.get("purpose"),
        "started": said["start"],
        "ended": said["end"],
        "question": said["plan_digest"],
        "sources": [_source(source) for source in recipe["sources"]],
        "models": _models(recipe),
        "runtime": {k: v for k, v in said["runtime"].items() if k != "cpu_features"},
        "versions": said["versions"],
        "scenes": list(said.get("blocks", {})),
        "missing_scenes": said.get("missing", {}),
        "blocks": _blocks(folder),
        "warnings": said["warnings"],
        "statements": _statements(folder),
    }
    cleaned: dict[str, Any] = json.loads(without_secrets(json.dumps(account, ensure_ascii=False)))
    return cleaned


def _source(source: dict[str, Any]) -> dict[str, Any]:
    licence = known_licence(source["licence"])
    stated = source.get("allowed_use")
    api = source.get("stac_api") or {}
    return {
        "from": source.get("path") or ", ".join(api.get("endpoints", ())),
        "licence": source["licence"],
        "attribution": source["attribution"],
        "allowed_use": stated or (list(licence.allows) if licence else None),
        "limited_by": licence.clause if licence else None,
        "asks": licence.asks if licence else "not known to this program: read the licence",
    }


def _models(recipe: dict[str, Any]) -> list[dict[str, Any]]:
    name = recipe["segment"].get("model")
    if name is None:
        return [{"method": recipe["segment"]["method"], "weights": None}]
    try:
        card = find_model(name, [shipped("models")])
    except AisfGeoError as error:
        return [{"model": name, "card": f"not here any more ({error})"}]
    trained_on = [f"{d.name}, {d.licence}: {d.attribution}" for d in card.training_data]
    return [
        {
            "model": card.name,
            "licence": card.licence,
            "description": card.description,
            "weights": card.weights.sha256,
            "trained_on": trained_on,
            "not_for": list(card.not_for),
        }
    ]


def _blocks(folder: RunFolder) -> dict[str, int]:
    """Blocks by how they ended."""
    counts: dict[str, int] = {}
    if folder.ledger.exists():
        with open_ledger(folder.ledger) as ledger:
            for record in ledger.blocks():
                counts[record.state] = counts.get(record.state, 0) + 1
    return counts


def _statements(folder: RunFolder) -> list[dict[str, Any]]:
    """For each output a person may be handed alone: does it say that it was made by AI, and from whose imagery?"""
    found = []
    for path in sorted(p for p in folder.path.rglob("*") if p.is_file()):
        text = _text_of(path)
        if text is not None:
            name = path.relative_to(folder.path).as_posix()
            found.append(
                {"file": name, "made_by_ai": "aisf-geo" in text and "AI" in text, "attribution": _credits(folder, text)}
            )
    return found


def _credits(folder: RunFolder, text: str) -> bool:
    return any(source["attribution"] in text for source in folder.read_run()["recipe"]["sources"])


def _text_of(path: Path) -> str | None:
    """What a file says of itself; None for files that are not handed on alone."""
    if path.suffix == ".tif" and "items" in path.parts:
        return json.dumps(read_header(str(path)).tags, ensure_ascii=False)
    if path.name in ("item.json", "collection.json", "report.html", "indicators.json"):
        text = path.read_text(encoding="utf-8")
        return None if text.strip() == "[]" else text
    if path.suffix == ".geojson" and "items" in path.parts:
        with path.open(encoding="utf-8") as stream:
            return stream.read(20_000)
    return None
