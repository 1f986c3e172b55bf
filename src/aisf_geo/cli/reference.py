"""Commands about how sure a map is: sample, assess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import indicator_table, print_json


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--per-class", type=click.IntRange(2), required=True, help="Pixels to draw in each class of the map.")
@click.option("--seed", type=click.IntRange(0), required=True, help="Seed of the draw, kept in the design.")
@click.option("--map", "map_id", metavar="ID", help="Scene id or `clearing`.  [default: clearing, else the last map]")
@click.option("--out", type=click.Path(path_type=Path), help="Folder.  [default: RUN/sample/MAP]")
@options.as_json
def sample(folder: Path, per_class: int, seed: int, map_id: str | None, out: Path | None, json_: bool) -> None:
    """Draw a reference sample of a map of RUN, with pictures and a page to label it on."""
    from aisf_geo.pipeline.reference import draw_sample

    drawn: Any = draw_sample(folder, map_id, per_class, seed, out)
    for note in drawn["notes"]:
        click.echo(f"note: {note}", err=True)
    if json_:
        print_json(drawn)
        return
    for name, size in drawn["strata"].items():
        click.echo(f"{name:40} {size['pixels']:>12,} pixels {size['area_m2'] / 1e4:>14,.2f} ha")
    click.echo(f"{drawn['units']} units of {drawn['map']}; label them in a browser: {drawn['page']}")
    click.echo(f"then: aisf-geo assess {folder} SAVED-FILE")


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("labelled", metavar="SAMPLE", type=click.Path(path_type=Path))
@options.as_json
def assess(folder: Path, labelled: Path, json_: bool) -> None:
    """Turn the labels of SAMPLE into accuracies, and into intervals of every indicator of RUN."""
    from aisf_geo.pipeline.measure import assess_run
    from aisf_geo.pipeline.run import report_again

    summary, rows = assess_run(folder, labelled)
    for note in report_again(folder) if rows else ():
        click.echo(f"note: {note}", err=True)
    for warning in summary["warnings"]:
        click.echo(f"warning: {warning}", err=True)
    if json_:
        print_json({"assessment": summary, "indicators": rows})
        return
    show_assessment(summary)
    indicator_table(rows)


def show_assessment(summary: dict[str, Any]) -> None:
    """Accuracies and areas as a small table."""
    said = summary["labelled"]
    click.echo(
        f"{summary['units']} units of {summary['map']}, {said.get('how', '')} ({said.get('by') or 'nobody named'})"
    )
    if summary["left_out"]:
        click.echo(
            f"{summary['left_out']} units left out, without an answer; if they are the hard ones, this is too kind"
        )
    overall = summary["accuracy"]["overall"]
    click.echo(f"overall accuracy {_share(overall)}   [{summary['estimator']}]")
    for name, area in summary["areas_m2"].items():
        users, producers = (summary["accuracy"][kind].get(name) for kind in ("users", "producers"))
        click.echo(
            f"{name:36} user's {_share(users):>22}  producer's {_share(producers):>22}  area "
            f"{area['value'] / 1e4:,.2f} ha ({area['low'] / 1e4:,.2f} to {area['high'] / 1e4:,.2f})"
        )


def _share(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None or accuracy["value"] is None:
        return "not defined"
    limits = accuracy["interval"]
    return f"{100 * accuracy['value']:.1f} %" + (
        f" ({100 * limits['low']:.1f} to {100 * limits['high']:.1f})" if limits else ""
    )
