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
from typing import Any, get_args

import click
from prefect import flow, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_table_artifact

from aisf_geo.errors import AisfGeoError, IncompleteError, UsageError
from aisf_geo.pipeline.choice import Means
from aisf_geo.pipeline.features import vectorise_item
from aisf_geo.pipeline.mapper import block_map
from aisf_geo.pipeline.measure import read_indicators
from aisf_geo.pipeline.plan import RunPlan, check_question, plan_run
from aisf_geo.pipeline.publish import publish_item
from aisf_geo.pipeline.run import RunOutcome, as_json, check, finish, outcomes_of, segment_stage, unfinished, writing
from aisf_geo.recipe import read_recipe
from aisf_geo.shipped import recipe_path
from aisf_geo.store.run import Existing, RunFolder
from flows.policy import AGAIN, worth_another_try


@lru_cache(maxsize=4)
def _plan(recipe: str, workers: int = 1) -> RunPlan:
    """The plan of a recipe the flow has checked; headers are read once per process, not once per task."""
    return plan_run(read_recipe(recipe_path(recipe)), means=Means(workers=workers), growing=True)


@task(task_run_name="segment-{item}", retry_condition_fn=worth_another_try, **AGAIN)
def segment_scene(recipe: str, out: str, item: str, workers: int, scheduler: str | None) -> dict[str, Any]:
    """Interpret one scene; blocks that failed are tried again, those that are done are not."""
    plan = _plan(recipe, workers)
    with block_map(workers, scheduler) as mapper:
        result = segment_stage(plan, plan.item(item), RunFolder(Path(out)), mapper, lambda _: None)
    if result.failed:
        raise IncompleteError(f"{item}: {result.failed} of {result.blocks} blocks could not be read")
    return {"item": item, "blocks": result.blocks, "computed": result.computed, "coverage": result.coverage}


@task(task_run_name="vectorise-{item}", **AGAIN)
def vectorise_scene(recipe: str, out: str, item: str) -> int:
    """Features of one scene; returns how many."""
    plan, folder = _plan(recipe), RunFolder(Path(out))
    return int(vectorise_item(plan, plan.item(item), folder)["features"]["features"])


@task(task_run_name="publish-{item}", **AGAIN)
def publish_scene(recipe: str, out: str, item: str) -> str:
    """The STAC item of one scene; returns its path."""
    plan, folder = _plan(recipe), RunFolder(Path(out))
    publish_item(plan, plan.item(item), folder)
    return str(folder.item(item).stac)


@task(**AGAIN)
def indicators_and_report(recipe: str, out: str, growing: bool = False) -> int:
    """Indicators, STAC collection and report of the run; returns how many values there are."""
    return finish(replace(_plan(recipe), growing=growing), RunFolder(Path(out)))


@flow(name="interpret-tiles", log_prints=False)
def interpret_tiles(
    recipe: str, out: str, existing: str = "resume", workers: int = 1, scheduler: str | None = None
) -> dict[str, Any]:
    """Carry out a recipe.

    Args:
        recipe: path of a YAML file, or name of a shipped recipe.
        out: run folder.
        existing: what to do with a run that is there: ``resume``, ``overwrite``, ``refuse``, or ``extend`` by scenes
            that are new.
        workers: Dask worker processes for the blocks of a scene.
        scheduler: address of a Dask scheduler to use instead.

    Returns:
        What ``aisf-geo run --json`` prints.
    """
    if existing not in get_args(Existing):
        raise UsageError(f"existing: expected one of {', '.join(get_args(Existing))}, found {existing!r}")
    # A schedule keeps the process and may change the recipe between runs.
    _plan.cache_clear()
    plan = _plan(recipe)
    if existing != "extend":
        check_question(plan)
    with writing(plan, Path(out), existing) as folder:  # type: ignore[arg-type] # checked above
        computed: dict[str, int] = {}
        for item in unfinished(plan, folder, existing):  # type: ignore[arg-type] # checked above
            # A scene that fails must not keep the others from being done; the account is settled at the end.
            ended = segment_scene(recipe, out, item.id, workers, scheduler, return_state=True)
            if ended.is_completed():
                computed[item.id] = ended.result()["computed"]
            if folder.item(item.id).labels.exists():
                vectorise_scene(recipe, out, item.id)
                publish_scene(recipe, out, item.id)
        count = indicators_and_report(recipe, out, existing == "extend")
        show_on_run_page(folder)
        outcomes = [replace(o, computed=computed.get(o.item, 0)) for o in outcomes_of(plan, folder)]
        check(outcomes, plan.missing)
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
@click.option("--existing", type=click.Choice(get_args(Existing)), default="resume", show_default=True)
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
