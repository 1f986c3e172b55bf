"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from aisf_geo.errors import UsageError

Command = Callable[..., Any]


def as_json(command: Command) -> Command:
    """``--json``: one document on stdout, everything else on stderr."""
    return click.option("--json", "json_", is_flag=True, help="Print one JSON document on stdout.")(command)


def out_folder(command: Command) -> Command:
    """``--out``: the run folder."""
    return click.option("--out", type=click.Path(path_type=Path), required=True, help="Output folder.")(command)


def out_place(command: Command) -> Command:
    """``--out``: the run folder, here or on a store."""
    return click.option("--out", required=True, help="Output folder, or a URL such as s3://bucket/run.")(command)


def running(command: Command) -> Command:
    """How a run is carried out: what to do with an existing folder, and on which workers."""
    for option in reversed(
        (
            click.option("--resume", is_flag=True, help="Go on with the run in --out; finished blocks are kept."),
            click.option("--overwrite", is_flag=True, help="Delete the run in --out and start anew."),
            click.option("--dry-run", is_flag=True, help="Say what would be done: blocks, bytes, time. Read no pixel."),
            click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Worker processes."),
            click.option("--scheduler", metavar="ADDR", help="Address of a Dask scheduler to use instead."),
            click.option("--runtime", default="auto", show_default=True, help="Of a model: auto, torch or openvino."),
            click.option("--precision", help="Of a model: fp32, bf16 or int8.  [default: the fastest that is as good]"),
            click.option("--probabilities", is_flag=True, help="Of a model: also write the probability of each class."),
            as_json,
        )
    ):
        command = option(command)
    return command


def existing(resume: bool, overwrite: bool) -> Any:
    """The rule for an output folder that is there already."""
    if resume and overwrite:
        raise UsageError("--resume and --overwrite contradict each other; choose one")
    return "resume" if resume else "overwrite" if overwrite else "refuse"


def comma_separated(_context: click.Context, _option: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """``a,b,c`` as a tuple."""
    return tuple(part.strip() for part in value.split(",")) if value else None


def four_numbers(
    _context: click.Context, _option: click.Parameter, value: str | None
) -> tuple[float, float, float, float] | None:
    """``W,S,E,N`` as numbers."""
    if value is None:
        return None
    try:
        west, south, east, north = (float(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"expected four numbers W,S,E,N in degrees, found {value!r}") from error
    return west, south, east, north
