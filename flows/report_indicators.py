"""Indicators of a finished run for zones, again: for other zones, or after a formula or a reference sample changed.

::

    python -m flows.report_indicators out/romania --zones configs/zones/romania_forest.geojson --zone-id zone_id
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from prefect import flow, task

from aisf_geo.errors import AisfGeoError
from aisf_geo.pipeline.measure import measure_again
from aisf_geo.pipeline.run import report_again
from aisf_geo.store.lock import only_writer
from aisf_geo.store.run import RunFolder
from flows.interpret_tiles import show_on_run_page
from flows.policy import AGAIN, worth_another_try


@task(task_run_name="measure-{run}", retry_condition_fn=worth_another_try, **AGAIN)
def measure_run(run: str, zones: str, zone_id: str | None, zone_name: str | None) -> dict[str, Any]:
    """Write the indicators of a run for the zones of a file; returns how many values there are, and what to know."""
    with only_writer(Path(run)):
        warnings, rows = measure_again(Path(run), Path(zones), zone_id, zone_name)
        warnings += report_again(Path(run))
    withheld = sum(row["value"] is None for row in rows)
    return {"values": len(rows), "withheld": withheld, "warnings": warnings}


@flow(name="report-indicators")
def report_indicators(run: str, zones: str, zone_id: str | None = None, zone_name: str | None = None) -> dict[str, Any]:
    """Compute the indicators of a finished run for other zones.

    Args:
        run: run folder.
        zones: polygon file.
        zone_id: its column with the unique id; the row number if absent.
        zone_name: its column with the name; the id if absent.
    """
    told: dict[str, Any] = measure_run(run, zones, zone_id, zone_name)
    show_on_run_page(RunFolder(Path(run)))
    return told


@click.command()
@click.argument("run")
@click.option("--zones", required=True, help="Polygon file.")
@click.option("--zone-id", help="Column with the unique id.")
@click.option("--zone-name", help="Column with the name.")
def main(run: str, zones: str, zone_id: str | None, zone_name: str | None) -> None:
    """Compute the indicators of RUN for other zones as a Prefect flow."""
    try:
        told = report_indicators(run, zones, zone_id, zone_name)
    except AisfGeoError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(f"{told['values']} values, {told['withheld']} withheld")


if __name__ == "__main__":
    main()
