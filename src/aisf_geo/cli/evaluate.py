"""``aisf-geo evaluate``: a model or a method against labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import evaluation_table, print_json


@click.command()
@click.option("--model", metavar="NAME", help="A model, see `aisf-geo models list`; either this or a method.")
@click.option("--method", metavar="NAME", help="An index method; its threshold is found in each image.")
@click.option("--threshold", type=click.FloatRange(-1, 1), help="Fixed threshold of the method's index.")
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of images with masks, or with boxes."
)
@click.option("--head", metavar="NAME", help="The question that the masks answer.  [default: the main head]")
@click.option(
    "--split", default="all", show_default=True, help="Places of a known data set: all, test, validation or train."
)
@click.option("--bands", metavar="A,B,..", callback=options.comma_separated, help="Use only these of the bands.")
@click.option("--runtime", default="auto", show_default=True, help="Of a model: auto, torch or openvino.")
@click.option("--precision", default="fp32", show_default=True, help="Of a model: fp32, bf16 or int8.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the figures, the worst images and the reliability."
)
@options.as_json
def evaluate(json_: bool, out: Path | None, **asked: Any) -> None:
    """How well a model or a method does on labelled images: by class, by place, with an interval.

    DATA holds NAME.jpg, .tif or .png with NAME.png beside it, or images/ and masks/; for detectors NAME.txt (YOLO);
    for a model of change A/, B/ and label/.
    """
    from aisf_geo.evaluate.command import Asked, evaluate_command

    document = evaluate_command(Asked(**asked), out)
    if json_:
        print_json(document)
        return
    evaluation_table(document)
    for warning in document["warnings"]:
        click.echo(f"note: {warning}", err=True)
