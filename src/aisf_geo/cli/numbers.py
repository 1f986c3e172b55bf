"""Commands about figures that are there: explain, compare, conformance."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--indicator", "code", metavar="CODE", required=True, help="Such as 15.1.1 or 11.3.1@2025-04-23.")
@click.option("--zone", metavar="ID", help="Id or name of the zone.  [default: the only one]")
@options.as_json
def explain(folder: Path, code: str, zone: str | None, json_: bool) -> None:
    """How a figure of RUN came about, from scenes and formula to the number, in plain words."""
    from aisf_geo.pipeline.explain import explain as tell

    told = tell(folder, code, zone)
    if json_:
        print_json(told)
        return
    for line in told["lines"]:
        click.echo(line)


@click.command()
@click.argument("first", metavar="RUN_A", type=click.Path(path_type=Path))
@click.argument("second", metavar="RUN_B", type=click.Path(path_type=Path))
@options.as_json
def compare(first: Path, second: Path, json_: bool) -> None:
    """Whether the figures moved from RUN_A to RUN_B by more than their uncertainty."""
    from aisf_geo.pipeline.explain import compare as compare_runs

    movements = compare_runs(first, second)
    if json_:
        print_json(movements)
        return
    for m in movements:
        values = " -> ".join(
            "withheld" if m[k]["value"] is None else f"{m[k]['value']:,.4g}" for k in ("before", "after")
        )
        between = "" if m["uncertainty"] is None else f" [{m['uncertainty'][0]:+,.4g} to {m['uncertainty'][1]:+,.4g}]"
        change = "" if m["difference"] is None else f"  {m['difference']:+,.4g}{between}"
        click.echo(f"{m['name']} ({m['indicator']}), {m['zone']}: {values} {m['unit']}{change}")
        click.echo(f"    {m['verdict']}")


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@options.as_json
def conformance(file: Path | None, json_: bool) -> None:
    """Published worked values against this program; or those of FILE: a list of {code, inputs, expected}."""
    from aisf_geo.pipeline.conformance import disagreements, read_cases, run_cases

    results = run_cases(read_cases(file))
    known = disagreements()
    if json_:
        print_json({"cases": [r.as_json() for r in results], "known_disagreements": known})
    else:
        for r in results:
            click.echo(f"{'ok  ' if r.agrees else 'FAIL'} {r.code}  {r.case}")
            click.echo(f"     expected {_short(r.expected)}")
            click.echo(f"     got      {_short(r.got)}")
            click.echo(f"     source   {r.source}")
        click.echo("\nWhere published programs disagree under one name")
        for row in known:
            click.echo(f"- {row['what']}\n    {row['differ']}\n    here: {row['here']}")
        click.echo(f"\n{sum(r.agrees for r in results)} of {len(results)} worked values agree")
    if not all(r.agrees for r in results):
        sys.exit(1)


def _short(outputs: Any) -> str:
    return json.dumps(outputs, ensure_ascii=False)
