"""Commands that compare dates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--method", metavar="NAME", help="Of two images: cva, irmad, dnbr or siamese (buildings).")
@click.option("--bands", metavar="A,B,..", callback=options.comma_separated, help="Band names in file order.")
@click.option("--use-bands", metavar="A,B,..", callback=options.comma_separated, help="Compare only these bands.")
@click.option("--sensor", metavar="NAME", help="Sensor profile, for files that do not name theirs.")
@click.option(
    "--control",
    nargs=2,
    metavar="BEFORE AFTER",
    type=click.Path(path_type=Path),
    help="Two dates between which nothing changed: measures false alarms with the same settings.",
)
@click.option(
    "--control-area", metavar="FILE", type=click.Path(path_type=Path), help="Or: polygons in which nothing changed."
)
@click.option("--min-area-m2", type=click.FloatRange(0), help="Smallest feature.  [default: 3 x 3 px]")
@click.option("--overwrite", is_flag=True, help="Replace what was found for this pair before.")
@options.out_folder
@options.as_json
def change(before: Path, after: Path, out: Path, json_: bool, overwrite: bool, **how: Any) -> None:
    """What changed from BEFORE to AFTER.

    Two labels.tif or item folders of runs are compared by their classes; two images by --method.
    """
    from aisf_geo.pipeline.change_pair import Compared, compare

    summary = compare(Compared(before=before, after=after, **how), out, overwrite=overwrite)
    if json_:
        print_json(summary)
        return
    for warning in summary["warnings"]:
        click.echo(f"note: {warning}", err=True)
    click.echo(f"changed {summary['changed_m2']:,.1f} m2 of {summary['compared_m2']:,.1f} m2 compared")
    for process, area_m2 in summary["by_process_m2"].items():
        click.echo(f"  {process:24} {area_m2:16,.1f} m2")
    control = summary["control"]
    if control["false_alarm_rate"] is None:
        click.echo(f"note: {control['reason']}", err=True)
    else:
        click.echo(
            f"false alarms: {100 * control['false_alarm_rate']:.2f} % of the area compared ({control['control']})"
        )
    small = summary["too_small"]
    if small["features"]:
        click.echo(
            f"note: {small['features']} changes below {summary['min_area_m2']:,.0f} m2 are in change.tif only "
            f"({small['area_m2']:,.0f} m2)",
            err=True,
        )
    click.echo(f"{summary['features']} features: {summary['change']}")


@click.command("change-series")
@click.argument("source", metavar="[SRC]", required=False, type=click.Path(path_type=Path))
@click.option("--recipe", metavar="NAME|FILE", help="Shipped series recipe, or one of your own.")
@click.option("--index", type=click.Choice(["ndmi", "ndvi", "nbr", "mndwi"]), help="Follow this index, without recipe.")
@click.option("--overwrite", is_flag=True, help="Replace the series in --out.")
@options.out_folder
@options.as_json
def change_series(
    source: Path | None, out: Path, recipe: str | None, index: str | None, overwrite: bool, json_: bool
) -> None:
    """When what changed over the dates in SRC: dates of loss and recovery, and transitions.

    SRC is a folder of tiles or a STAC collection; a recipe may name its own.
    """
    from aisf_geo.errors import UsageError
    from aisf_geo.pipeline.series import run_series
    from aisf_geo.recipe_series import Breaks, SeriesRecipe, read_series_recipe
    from aisf_geo.shipped import recipe_path

    if recipe is not None and index is not None:
        raise UsageError("change-series: --recipe and --index were both given; choose one")
    if recipe is not None:
        asked = read_series_recipe(recipe_path(recipe, "series"))
    else:
        asked = SeriesRecipe(title="Breaks over a series", breaks=Breaks.model_validate({"index": index or "ndmi"}))
    summary = run_series(asked, source, out, overwrite=overwrite)
    if json_:
        print_json(summary)
        return
    for warning in summary["warnings"]:
        click.echo(f"note: {warning}", err=True)
    _print_breaks(summary.get("breaks"))
    _print_transitions(summary.get("transitions"))


def _print_breaks(found: dict[str, Any] | None) -> None:
    if found is None:
        return
    for row in found["dates"]:
        click.echo(f"{row['date']:12} lost {row['lost_m2']:14,.0f} m2, came back {row['recovered_m2']:14,.0f} m2")
    _print_control(found["control"])
    click.echo(f"{found['features']} features: {found['change']}")


def _print_transitions(found: dict[str, Any] | None) -> None:
    if found is None:
        return
    for process, area_m2 in found["by_process_m2"].items():
        click.echo(f"{process:24} {area_m2:16,.1f} m2")
    _print_control(found["control"])
    click.echo(f"{found['features']} features: {found['change']}")


def _print_control(control: dict[str, Any]) -> None:
    if control["false_alarm_rate"] is None:
        click.echo(f"note: {control['reason']}", err=True)
    else:
        click.echo(f"false alarms: {100 * control['false_alarm_rate']:.2f} % of the control ({control['control']})")
