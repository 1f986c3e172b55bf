"""From a finished training to a model's folder: weights, card, curves; never over better ones."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aisf_geo.errors import OutputError
from aisf_geo.segment.card import CARD_FILE, ModelCard, ModelFile, TrainingData, load_card, write_card
from aisf_geo.segment.network import WEIGHTS_FILE, save_weights
from aisf_geo.train.curves import draw_curves
from aisf_geo.train.loop import Trained
from aisf_geo.train.recipe import TrainRecipe

#: What a training leaves beside the card: digests of weights and recipe, steps, figures on the validation places.
RECORD_FILE = "training.json"
CURVES_FILE = "curves.png"


def card_of(recipe: TrainRecipe, weights: ModelFile | None = None) -> ModelCard:
    """The card of a recipe's model; without weights only good for building the network."""
    return ModelCard(
        name=recipe.name,
        description=recipe.description,
        created=datetime.now(UTC).replace(microsecond=0),
        licence=recipe.licence,
        not_for=recipe.not_for,
        network=recipe.network,
        bands=recipe.bands,
        scale=recipe.scale,
        gsd_m=recipe.gsd_m,
        patch_px=recipe.patch_px,
        margin_px=recipe.margin_px,
        heads=recipe.heads,
        detection=recipe.detection,
        weights=weights or ModelFile(path=WEIGHTS_FILE, sha256="sha256:" + 64 * "0"),
        training_data=tuple(
            TrainingData(name=s.path, licence=s.licence, attribution=s.attribution) for s in recipe.sources
        ),
    )


def recorded_score(folder: Path) -> float | None:
    """The validation score of the weights in a model's folder; None where no record of these weights is there."""
    try:
        record = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        return float(record["figures"]["score"]) if record["weights"] == load_card(folder).weights.sha256 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_replaceable(folder: Path, score: float = math.inf) -> None:
    """Check that weights of a validation score may be written to a model's folder.

    Raises:
        OutputError: it holds better weights, or weights of which no score is known.
    """
    if not (folder / CARD_FILE).exists():
        return
    shipped = recorded_score(folder)
    if shipped is None or shipped >= score:
        raise OutputError(
            f"model {folder}: holds weights with the validation score "
            f"{'unknown' if shipped is None else f'{shipped:.4f}'}, the new ones have "
            f"{score:.4f}; use --force to replace them, or another --out"
        )


def publish(recipe: TrainRecipe, trained: Trained, folder: Path, *, force: bool = False) -> ModelCard:
    """Writes weights, card, training record and curves; the figures of other weights leave the card.

    Raises:
        OutputError: the folder holds better weights, or of unknown score, and ``force`` was not asked.
        DataError: a weight is not finite in fp16.
    """
    if not force:
        check_replaceable(folder, trained.figures["score"])
    card = write_card(card_of(recipe, save_weights(trained.network, folder)), folder)
    record: dict[str, Any] = {
        "weights": card.weights.sha256,
        "recipe": recipe.fingerprint,
        "seed": recipe.schedule.seed,
        "steps": trained.log[-1]["step"],
        "minutes": round(trained.seconds / 60, 1),
        "figures": {name: round(value, 4) for name, value in trained.figures.items()},
    }
    (folder / RECORD_FILE).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    draw_curves(trained.log, folder / CURVES_FILE)
    return card
