"""Two dates, or a series of them, to change maps with their control.

::

    python -m flows.detect_change series --recipe romania_felling --out out/felling
    python -m flows.detect_change pair BEFORE AFTER --out out/change

The run page shows what was found by process and date, and beside it the share of false alarms.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact

from aisf_geo.errors import UsageError
from aisf_geo.pipeline.change_pair import Compared, compare
from aisf_geo.pipeline.series import run_series
from aisf_geo.recipe_series import read_series_recipe
from aisf_geo.shipped import recipe_path
from flows.policy import AGAIN, worth_another_try


@task(task_run_name="series-{recipe}", retry_condition_fn=worth_another_try, **AGAIN)
def follow_series(recipe: str, source: str | None, out: str) -> dict[str, Any]:
    """Dates of loss and recovery, and transitions, of one series; returns the summary."""
    asked = read_series_recipe(recipe_path(recipe, "series"))
    return run_series(asked, Path(source) if source else None, Path(out), overwrite=True)


@task(task_run_name="compare", retry_condition_fn=worth_another_try, **AGAIN)
def compare_dates(before: str, after: str, out: str, method: str | None) -> dict[str, Any]:
    """What changed between two dates; returns the summary."""
    return compare(Compared(Path(before), Path(after), method), Path(out), overwrite=True)


@flow(name="detect-change")
def detect_change(
    out: str,
    recipe: str | None = None,
    source: str | None = None,
    before: str | None = None,
    after: str | None = None,
    method: str | None = None,
) -> dict[str, Any]:
    """Follow a series by a recipe, or compare two dates.

    Args:
        out: folder for ``change/``; what was found there before is replaced.
        recipe: a series recipe, shipped or a file; either this or two dates.
        source: imagery of the series, where the recipe names none.
        before: a label map, an item folder or an image.
        after: the same of the later date.
        method: of two images.

    Returns:
        The summary that the command prints with ``--json``.
    """
    if (recipe is None) == (before is None or after is None):
        raise UsageError("detect-change: give either a recipe, or before and after")
    if recipe is not None:
        summary = follow_series(recipe, source, out)
    else:
        summary = compare_dates(str(before), str(after), out, method)
    show_on_run_page(summary)
    get_run_logger().info("change: %s", Path(out) / "change")
    return summary


def show_on_run_page(summary: dict[str, Any]) -> None:
    """Areas by process, areas by date, and the false alarms, as tables of the flow run."""
    found = summary.get("transitions") or (summary if "by_process_m2" in summary else None)
    if found is not None:
        rate = found["control"]["false_alarm_rate"]
        rows = [{"process": k, "area_m2": v, "false_alarm_rate": rate} for k, v in found["by_process_m2"].items()]
        create_table_artifact(table=rows or [{"process": "none", "area_m2": 0.0}], key="change-by-process")
    if "breaks" in summary:
        create_table_artifact(table=summary["breaks"]["dates"], key="change-by-date")


@click.group()
def main() -> None:
    """Run the flow from the command line."""


@main.command()
@click.option("--recipe", required=True)
@click.option("--source", type=click.Path())
@click.option("--out", type=click.Path(), required=True)
def series(recipe: str, source: str | None, out: str) -> None:
    """A series by its recipe."""
    detect_change(out, recipe=recipe, source=source)


@main.command()
@click.argument("before", type=click.Path())
@click.argument("after", type=click.Path())
@click.option("--method")
@click.option("--out", type=click.Path(), required=True)
def pair(before: str, after: str, method: str | None, out: str) -> None:
    """Two dates."""
    detect_change(out, before=before, after=after, method=method)


if __name__ == "__main__":
    main()
