"""All flows with their schedules, in one process: ``python -m flows.serve``.

The same deployments as in ``prefect.yaml``, for a machine without a work pool. Needs a Prefect server
(``prefect server start`` and ``PREFECT_API_URL``). ``--list`` prints the deployments and ends.
"""

from __future__ import annotations

from typing import cast

import click
import yaml
from prefect import Flow, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.flows import load_flow_from_entrypoint
from prefect.schedules import Cron

from aisf_geo.shipped import shipped

#: One list of deployments for both ways to run them.
DEPLOYMENTS = shipped("configs").parent / "prefect.yaml"


def deployments() -> list[RunnerDeployment]:
    """The deployments of ``prefect.yaml``, each at most one run at a time: a late run must not meet the next one."""
    content = yaml.safe_load(DEPLOYMENTS.read_text(encoding="utf-8"))
    made = []
    for one in content["deployments"]:
        flow: Flow[..., object] = load_flow_from_entrypoint(one["entrypoint"])
        schedules = [Cron(s["cron"], timezone=s["timezone"], active=s["active"]) for s in one.get("schedules", [])]
        deployment = flow.to_deployment(
            name=one["name"],
            description=one["description"],
            parameters=one["parameters"],
            schedules=schedules,
            concurrency_limit=one["concurrency_limit"],
        )
        # Only an asynchronous caller would get a coroutine.
        made.append(cast("RunnerDeployment", deployment))
    return made


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Print the deployments and end.")
def main(only_list: bool) -> None:
    """Serve all deployments until Ctrl-C."""
    made = deployments()
    for one in made:
        crons = ", ".join(getattr(s.schedule, "cron", "") for s in one.schedules or [])
        click.echo(f"{one.flow_name}/{one.name}: {crons or 'by hand'}")
    if not only_list:
        serve(*made)


if __name__ == "__main__":
    main()
