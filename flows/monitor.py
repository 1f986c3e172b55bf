"""Watch a folder or catalogue: interpret what is new, extend the series, tell what changed beyond its uncertainty.

::

    python -m flows.monitor recipe.yaml --out out/watched

One pass looks once and ends; a schedule (``python -m flows.serve``) makes it a watch.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact

from aisf_geo.errors import AisfGeoError, NoDataError
from aisf_geo.pipeline.alerts import tell_new_alerts
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.recipe import read_recipe
from aisf_geo.shipped import recipe_path
from aisf_geo.store.run import RunFolder
from flows.interpret_tiles import interpret_tiles
from flows.policy import AGAIN, worth_another_try


@task(retry_condition_fn=worth_another_try, **AGAIN)
def look(recipe: str, out: str) -> list[str]:
    """The ids of scenes that are there and not yet finished, by time."""
    try:
        plan = plan_run(read_recipe(recipe_path(recipe)), growing=True)
    except NoDataError:
        return []
    folder = RunFolder(Path(out))
    return [item.id for item in plan.items if not folder.item(item.id).stac.exists()]


@task(**AGAIN)
def new_alerts(recipe: str, out: str) -> list[dict[str, Any]]:
    """Alerts that were not told before."""
    return tell_new_alerts(RunFolder(Path(out)), read_recipe(recipe_path(recipe)))


@flow(name="monitor")
def monitor(recipe: str, out: str, workers: int = 1, scheduler: str | None = None) -> dict[str, Any]:
    """Interpret the scenes that are new, extend the series and tell new alerts; with nothing new, nothing is done.

    Args:
        recipe: path of a YAML file, or name of a shipped recipe; its sources are what is watched.
        out: run folder that grows.
        workers: Dask worker processes for the blocks of a scene.
        scheduler: address of a Dask scheduler to use instead.

    Returns:
        ``new``: ids of the scenes interpreted now; ``alerts``: what was told now.
    """
    new = look(recipe, out)
    folder = RunFolder(Path(out))
    unfinished = folder.run_json.exists() and folder.read_run()["state"] != "complete"
    if not new and not unfinished:
        get_run_logger().info("nothing new")
        return {"new": [], "alerts": []}
    interpret_tiles(recipe, out, "extend", workers, scheduler)
    told = new_alerts(recipe, out)
    for alert in told:
        get_run_logger().warning("alert: %s", alert["sentence"])
    if told:
        create_markdown_artifact(key="alerts", markdown="\n".join(f"- {alert['sentence']}" for alert in told))
    return {"new": new, "alerts": told}


@click.command()
@click.argument("recipe")
@click.option("--out", type=click.Path(), required=True, help="Run folder that grows.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
def main(recipe: str, out: str, workers: int) -> None:
    """Look once at the sources of RECIPE and interpret what is new."""
    try:
        told = monitor(recipe, out, workers)
    except AisfGeoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(f"{len(told['new'])} new scenes, {len(told['alerts'])} new alerts")
    for alert in told["alerts"]:
        click.echo(f"alert: {alert['sentence']}")


if __name__ == "__main__":
    main()
