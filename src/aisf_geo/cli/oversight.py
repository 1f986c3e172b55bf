"""Commands that look after runs: status, verify, audit, clean."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@options.as_json
def status(folder: Path, json_: bool) -> None:
    """How RUN stands: progress, failures and their reasons, speed, and what to do next."""
    from aisf_geo.pipeline.status import status as status_of

    told = status_of(folder)
    if json_:
        print_json(told)
        return
    click.echo(f"{told['state']}: {told['blocks_ended']} of {told['blocks']} blocks, {told['blocks_failed']} failed")
    for item in told["items"]:
        click.echo(f"  {item['id']:40} {item['ended']:6} of {item['blocks']:6}  {'; '.join(item['reasons'])}")
    if told["last_session"]:
        last = told["last_session"]
        click.echo(f"last session: {last['blocks_per_second']} blocks/s, {last['rss_peak_bytes'] / 2**20:.0f} MB")
    if told["next"]:
        click.echo(f"next: {told['next']}", err=True)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--sample", type=click.IntRange(0), default=8, show_default=True, help="Blocks to interpret again.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which blocks are drawn.")
@options.as_json
def verify(folder: Path, sample: int, seed: int, json_: bool) -> None:
    """Check the digests of RUN's files and interpret a random sample of its blocks again."""
    from aisf_geo.pipeline.verify import verify as check

    told = check(folder, sample, seed)
    if json_:
        print_json(told)
    else:
        for each in told["problems"]:
            click.echo(f"{each['what']}: {each['problem']}")
        for item, why in told["not_replayed"].items():
            click.echo(f"note: {item} was not interpreted again: {why}", err=True)
        click.echo(
            f"{told['checked']} checks, {told['replayed_blocks']} of them blocks interpreted again: "
            f"{len(told['problems'])} problems"
        )
    sys.exit(1 if told["problems"] else 0)


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@options.as_json
def audit(folder: Path, json_: bool) -> None:
    """What stands behind RUN: sources, licences, models, versions, and what each output says of itself."""
    from aisf_geo.pipeline.audit import audit as account_of

    account = account_of(folder)
    if json_:
        print_json(account)
        return
    for key in ("title", "made_by", "state", "purpose", "started", "ended", "question"):
        click.echo(f"{key:12} {account[key]}")
    for source in account["sources"]:
        uses = ", ".join(source["allowed_use"] or ["not known"])
        click.echo(f"source       {source['from']}\n             {source['attribution']}")
        click.echo(f"             licence {source['licence']}; allows {uses}; asks for {source['asks']}")
    for model in account["models"]:
        click.echo("interpreter  " + "; ".join(f"{k} {v}" for k, v in model.items() if v))
    click.echo("versions     " + ", ".join(f"{k} {v}" for k, v in account["versions"].items()))
    click.echo("blocks       " + ", ".join(f"{n} {state}" for state, n in account["blocks"].items()))
    silent = [s["file"] for s in account["statements"] if not (s["made_by_ai"] and s["attribution"])]
    told = len(account["statements"]) - len(silent)
    click.echo(f"statements   {told} outputs say that they were made by AI and from whose imagery")
    for name in silent:
        click.echo(f"             not said in {name}")
    for warning in account["warnings"]:
        click.echo(f"note         {warning}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--keep-days", type=click.FloatRange(0), required=True, help="Keep complete runs this long.")
@click.option("--delete", is_flag=True, help="Delete them; without it they are only listed.")
@options.as_json
def clean(folder: Path, keep_days: float, delete: bool, json_: bool) -> None:
    """List, or with --delete remove, complete runs in FOLDER that are older than needed."""
    from aisf_geo.pipeline.status import clean as retire

    old = retire(folder, keep_days, really=delete)
    if json_:
        print_json([{"run": str(r.path), "ended": r.ended, "bytes": r.bytes, "deleted": delete} for r in old])
        return
    for each in old:
        click.echo(
            f"{'deleted' if delete else 'would delete'} {each.path} (ended {each.ended[:10]}, {each.bytes:,} bytes)"
        )
    click.echo(f"{len(old)} runs")
