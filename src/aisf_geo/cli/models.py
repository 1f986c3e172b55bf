"""``aisf-geo models``: what can interpret a tile, and what is known of it."""

from __future__ import annotations

from pathlib import Path

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json

_data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder that holds the labelled data sets, each under its name.",
)


@click.group()
def models() -> None:
    """Models and methods that can interpret a tile."""


@models.command("list")
@options.as_json
def list_models(json_: bool) -> None:
    """Methods that need no weights, shipped models and your own."""
    from aisf_geo.pipeline.describe import describe_methods

    known = describe_methods()
    if json_:
        print_json(known)
        return
    for each in known:
        click.echo(f"{each['name']:16} {each['kind']:8} {each['classes']}")


@models.command("show")
@click.argument("name")
@options.as_json
def show_model(name: str, json_: bool) -> None:
    """What NAME needs, how it decides, how good it is, and where that is written down."""
    from aisf_geo.evaluate.card_page import card_page
    from aisf_geo.pipeline.describe import describe_method
    from aisf_geo.segment.card import find_model, list_models
    from aisf_geo.shipped import model_folders

    known = describe_method(name)
    if json_:
        print_json(known)
        return
    if name in list_models(model_folders()):
        click.echo(card_page(find_model(name, model_folders())))
        return
    for key, value in known.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            click.echo(f"{key if i == 0 else '':12} {line}")


@models.command("add")
@click.argument("weights", type=click.Path(path_type=Path))
@click.option(
    "--card",
    "card_file",
    type=click.Path(path_type=Path),
    required=True,
    help="YAML of a card's fields, or item.json.",
)
@click.option("--force", is_flag=True, help="Replace a model of your own that has this name.")
@options.as_json
def add_model(weights: Path, card_file: Path, force: bool, json_: bool) -> None:
    """Make the network in WEIGHTS (.safetensors of segmentation-models-pytorch) usable by its name.

    It is copied to your own models: the folder AISF_GEO_MODELS, or aisf-geo/models in your data folder.
    """
    from aisf_geo.evaluate.own import add_own

    card = add_own(weights, card_file, replace=force)
    if json_:
        print_json({"name": card.name, "folder": str(card.folder), "weights": card.weights.sha256})
    else:
        click.echo(f"{card.name}: {card.folder}")


@models.command("verify")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@options.as_json
def verify_models(names: tuple[str, ...], json_: bool) -> None:
    """Check the files of models against their cards: digests, tensors only, tensors that fit. All if none is named."""
    from aisf_geo.evaluate.own import verify

    checked = [verify(name) for name in names or _names()]
    if json_:
        print_json(checked)
    else:
        for each in checked:
            click.echo(f"{each['name']:16} {each['files']} files match the card, {each['parameters']:,} parameters fit")


def _names() -> list[str]:
    from aisf_geo.segment.card import list_models
    from aisf_geo.shipped import model_folders

    return list(list_models(model_folders()))


@models.command("measure")
@click.argument("name")
@_data
@options.as_json
def measure_model(name: str, data: Path, json_: bool) -> None:
    """Measure a shipped model and write what is found into its card: item.json and CARD.md.

    Calibration comes from validation places, the look of the imagery from training places, and the figures, which
    `evaluate --split test` prints as well, from places no training saw. Takes minutes.
    """
    from aisf_geo.evaluate.own import measure_card

    card = measure_card(name, data, _tell)
    print_json(list(card.figures)) if json_ else click.echo(f"{card.name}: {card.folder / 'CARD.md'}")


@models.command("build-int8")
@click.argument("name")
@_data
@options.as_json
def build_int8(name: str, data: Path, json_: bool) -> None:
    """Quantise a model to int8 and measure what it loses on the test places; kept only if it loses little enough."""
    from aisf_geo.evaluate.own import quantise

    card = quantise(name, data, _tell)
    known = {"int8": card.int8 is not None, "iou_loss_points": card.iou_loss_points} | {
        "seconds_per_mpx": card.seconds_per_mpx
    }
    if json_:
        print_json(known)
    else:
        kept = "kept" if card.int8 else "not kept, it loses too much"
        click.echo(f"{card.name}: int8 {kept}; points lost {card.iou_loss_points}; s/Mpx {card.seconds_per_mpx}")


def _tell(line: str) -> None:
    click.echo(line, err=True)
