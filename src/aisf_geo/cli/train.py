"""``aisf-geo train``: a model from a recipe and labelled data."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder that the recipe's sources lie in.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the model, e.g. models/NAME.")
@click.option(
    "--work", type=click.Path(path_type=Path), help="Folder for checkpoint and log.  [default: out/training/NAME]"
)
@click.option("--resume", is_flag=True, help="Continue from the checkpoint.")
@click.option("--force", is_flag=True, help="Replace the weights in --out even if they are better.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures on the validation places as JSON.")
def train(recipe: Path, data: Path, out: Path, work: Path | None, resume: bool, force: bool, as_json: bool) -> None:
    """Train the model that RECIPE describes and publish it: weights, card, curves.

    Weights that are there already are replaced only by ones with a higher score on the validation places.
    """
    from aisf_geo.train.recipe import read_train_recipe

    wanted = read_train_recipe(recipe)
    # After the recipe, whose mistakes should not wait for the networks' libraries.
    from aisf_geo.train.publish import RECORD_FILE
    from aisf_geo.train.run import train_model

    card = train_model(
        wanted,
        data,
        out,
        work or Path("out") / "training" / wanted.name,
        resume=resume,
        force=force,
        report=lambda line: click.echo(line, err=True),
    )
    if as_json:
        click.echo(json.dumps(json.loads((out / RECORD_FILE).read_text(encoding="utf-8"))))
    else:
        click.echo(f"{card.name}: {out}")
