"""Tiles in; maps, features, change over time and indicators out.

::

    python -m flows.interpret_tiles romania_forest --out out/romania

Every task takes and returns names and numbers, never pixels: what is done stands in the run folder and its ledger, so
that a retry or a later run goes on from there, whatever Prefect remembers.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import click
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_table_artifact

from aisf_geo.errors import AisfGeoError, IncompleteError, UsageError
from aisf_geo.pipeline.features import vectorise_item
from aisf_geo.pipeline.mapper import block_map
from aisf_geo.pipeline.measure import read_indicators
from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.publish import publish_item
from aisf_geo.pipeline.run import RunOutcome, as_json, begin, check, closing, finish, outcomes_of, segment_stage
from aisf_geo.recipe import read_recipe
from aisf_geo.shipped import recipe_path
from aisf_geo.store.run import RunFolder


@lru_cache(maxsize=4)
def _plan(recipe: str) -> RunPlan:
    """The plan of a recipe; headers are read once per process, not once per task."""
    return plan_run(read_recipe(recipe_path(recipe)))


def _worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Storage recovers, a wrong recipe does not."""
    return not isinstance(state.result(raise_on_failure=False), UsageError)


_again: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [2, 10], "retry_jitter_factor": 0.5}


@task(task_run_name="segment-{item}", retry_condition_fn=_worth_another_try, **_again)
def segment_scene(recipe: str, out: str, item: str, workers: int, scheduler: str | None) -> dict[str, Any]:
    """Interpret one scene; blocks that failed are tried again, those that are done are not."""
    plan = _plan(recipe)
    with block_map(workers, scheduler) as mapper:
        result = segment_stage(plan, plan.item(item), RunFolder(Path(out)), mapper, lambda _: None)
    if result.failed:
        raise IncompleteError(f"{item}: {result.failed} of {result.blocks} blocks could not be read")
    return {"item": item, "blocks": result.blocks, "computed": result.computed, "coverage": result.coverage}


@task(task_run_name="vectorise-{item}", **_again)
def vectorise_scene(recipe: str, out: str, item: str) -> int:
    """Features of one scene; returns how many."""
    plan, folder = _plan(recipe), RunFolder(Path(out))
    return len(vectorise_item(plan, plan.item(item), folder).table)


@task(task_run_name="publish-{item}", **_again)
def publish_scene(recipe: str, out: str, item: str) -> str:
    """The STAC item of one scene; returns its path."""
    plan, folder = _plan(recipe), RunFolder(Path(out))
    publish_item(plan, plan.item(item), folder)
    return str(folder.item(item).stac)


@task(**_again)
def indicators_and_report(recipe: str, out: str) -> int:
    """Indicators, STAC collection and report of the run; returns how many values there are."""
    return finish(_plan(recipe), RunFolder(Path(out)))


@flow(name="interpret-tiles", log_prints=False)
def interpret_tiles(
    recipe: str, out: str, existing: str = "resume", workers: int = 1, scheduler: str | None = None
) -> dict[str, Any]:
    """Carry out a recipe.

    Args:
        recipe: path of a YAML file, or name of a shipped recipe.
        out: run folder.
        existing: what to do with a run that is there: ``resume``, ``overwrite`` or ``refuse``.
        workers: Dask worker processes for the blocks of a scene.
        scheduler: address of a Dask scheduler to use instead.

    Returns:
        What ``aisf-geo run --json`` prints.
    """
    if existing not in ("resume", "overwrite", "refuse"):
        raise UsageError(f"existing: expected resume, overwrite or refuse, found {existing!r}")
    # A schedule keeps the process and may change the recipe between runs.
    _plan.cache_clear()
    plan = _plan(recipe)
    folder = begin(plan, Path(out), existing)  # type: ignore[arg-type] # checked above
    with closing(folder):
        computed: dict[str, int] = {}
        for item in plan.items:
            # A scene that fails must not keep the others from being done; the account is settled at the end.
            ended = segment_scene(recipe, out, item.id, workers, scheduler, return_state=True)
            if ended.is_completed():
                computed[item.id] = ended.result()["computed"]
            if folder.item(item.id).labels.exists():
                vectorise_scene(recipe, out, item.id)
                publish_scene(recipe, out, item.id)
        count = indicators_and_report(recipe, out)
        show_on_run_page(folder)
        outcomes = [replace(o, computed=computed.get(o.item, 0)) for o in outcomes_of(plan, folder)]
        check(outcomes)
    get_run_logger().info("report: %s", folder.report)
    return as_json(RunOutcome(folder.path, tuple(outcomes), count))


def show_on_run_page(folder: RunFolder) -> None:
    """The indicator table and the report's place as artifacts of the flow run."""
    keys = ("name", "zone_name", "value", "unit", "coverage", "withheld_reason")
    table = [{"date": row["period"]["start"][:10]} | {k: row[k] for k in keys} for row in read_indicators(folder)]
    if table:
        create_table_artifact(table=table, key="indicators", description="Values by date; withheld ones say why.")
    create_link_artifact(link=folder.report.resolve().as_uri(), link_text="Report", key="report")


@click.command()
@click.argument("recipe")
@click.option("--out", type=click.Path(), required=True, help="Run folder.")
@click.option("--existing", type=click.Choice(["resume", "overwrite", "refuse"]), default="resume", show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True)
def main(recipe: str, out: str, existing: str, workers: int) -> None:
    """Carry out RECIPE as a Prefect flow."""
    try:
        interpret_tiles(recipe, out, existing, workers)
    except AisfGeoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
