"""Commands that tell what is there and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@options.as_json
def version(json_: bool) -> None:
    """Versions of the program and of the libraries that can change a result."""
    from aisf_geo.pipeline.identity import versions

    known = versions()
    if json_:
        print_json(known)
        return
    for name, number in known.items():
        click.echo(f"{name:12} {number}")


@click.command()
@click.argument("tile", type=click.Path(path_type=Path))
@click.option("--bands", metavar="A,B,..", callback=options.comma_separated, help="Band names in file order.")
@click.option("--sensor", metavar="NAME", help="Sensor profile, for files that do not name theirs.")
@options.as_json
def info(tile: Path, bands: tuple[str, ...] | None, sensor: str | None, json_: bool) -> None:
    """What is known of TILE before it is interpreted, and which methods can use it."""
    from aisf_geo.ingest.catalog import Hints, open_catalog
    from aisf_geo.pipeline.describe import describe_scene

    described = [describe_scene(scene) for scene in open_catalog(tile, Hints(bands, sensor)).scenes()]
    if json_:
        print_json(described)
        return
    for scene in described:
        for key, value in scene.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            click.echo(f"{key:14} {'not stated' if text in (None, '') else text}")
        click.echo()


@click.command("schema")
def schema() -> None:
    """JSON Schema of recipes, for editors."""
    from aisf_geo.recipe import recipe_schema

    print_json(recipe_schema())
