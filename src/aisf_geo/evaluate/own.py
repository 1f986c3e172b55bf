"""Models as folders: adding one's own, verifying, measuring and quantising."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from aisf_geo.errors import DataError, OutputError, UnreadableError, UsageError
from aisf_geo.evaluate.card_page import card_page
from aisf_geo.evaluate.change import COMPARES
from aisf_geo.evaluate.measure import calibration_patches, measured, with_precisions
from aisf_geo.segment.card import ModelCard, card_from_fields, find_model, list_models, verified_bytes, write_card
from aisf_geo.segment.int8 import INT8_FOLDER, build_int8
from aisf_geo.segment.network import adopt_weights, load_network
from aisf_geo.segment.runtime import AUTO_LOSS_POINTS
from aisf_geo.segment.spectral import METHODS
from aisf_geo.shipped import model_folders, own_models, shipped

PAGE_FILE = "CARD.md"
#: Patches of each data set that set the scales of an int8 network.
CALIBRATION_PATCHES = 60

Tell = Callable[[str], None]


def add_own(weights: Path, card_file: Path, *, replace: bool) -> ModelCard:
    """The card of a network copied to the user's own models.

    Raises:
        UnreadableError: a file cannot be read.
        DataError: the card is wrong, or the weights do not fit the network it describes.
        UsageError: the name is that of a method or a shipped model.
        OutputError: a model of that name is there and may not be replaced.
    """
    card = read_card_file(card_file)
    if card.name in METHODS or card.name in list_models([shipped("models")]):
        raise UsageError(f"model {card.name!r}: the name is taken by what is shipped; choose another in the card")
    folder = own_models() / card.name
    if folder.exists() and not replace:
        raise OutputError(f"model {card.name!r}: is in {folder} already; use --force to replace it")
    added = adopt_weights(card, weights, folder)
    (folder / PAGE_FILE).write_text(card_page(added), encoding="utf-8")
    return added


def read_card_file(path: Path) -> ModelCard:
    """A card from a STAC item, or from YAML with its fields, of which the weights' digest is filled in later.

    Raises:
        UnreadableError: the file cannot be read.
        DataError: a field is missing or wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnreadableError(f"card {path}: cannot be read ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(content, dict):
        raise DataError(f"card {path}: expected the fields of a card, found {type(content).__name__}")
    return card_from_fields(content, path)


def verify(name: str) -> dict[str, Any]:
    """What was checked of a model.

    Raises:
        UsageError: there is no such model; :class:`DataError`: a file is not the card's, or does not fit.
    """
    card = find_model(name, model_folders())
    network = _network(card)
    files = [card.weights, *(card.int8 or ())]
    for file in files:
        verified_bytes(card, file)
    return {
        "name": name,
        "folder": str(card.folder),
        "files": len(files),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "version": card.version,
    }


def _network(card: ModelCard) -> Any:
    """The network of a model of one date, or of two."""
    if card.network.arch == COMPARES:
        from aisf_geo.change.siamese import SiameseModel

        return SiameseModel(card).network
    return load_network(card)


def measure_card(name: str, data: Path, tell: Tell) -> ModelCard:
    """The card of a model after it was measured, as it is written; raises as :func:`measured`."""
    return _written(measured(find_model(name, model_folders()), data, tell))


def quantise(name: str, data: Path, tell: Tell) -> ModelCard:
    """The card after an int8 network was built, measured and, if it loses too much, removed.

    Raises:
        UsageError: the model was not measured, so that no loss can be stated.
    """
    card = find_model(name, model_folders())
    if not card.figures:
        raise UsageError(f"int8: {name} was not measured; run `aisf-geo models measure {name}` first")
    patches = calibration_patches(card, data, CALIBRATION_PATCHES)
    tell(f"{name}: quantising with {len(patches)} patches")
    card = with_precisions(card.model_copy(update={"int8": build_int8(card, patches, card.folder)}), data, tell)
    if card.iou_loss_points["int8"] > AUTO_LOSS_POINTS["int8"]:
        shutil.rmtree(card.folder / INT8_FOLDER)
        speeds = {key: value for key, value in card.seconds_per_mpx.items() if not key.endswith("int8")}
        card = card.model_copy(update={"int8": None, "seconds_per_mpx": speeds})
    return _written(card)


def _written(card: ModelCard) -> ModelCard:
    written = write_card(card, card.folder)
    (card.folder / PAGE_FILE).write_text(card_page(written), encoding="utf-8")
    return written
