"""A whole run: the stages in order, safe to repeat, each readable from the run folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aisf_geo.domain.period import rfc3339
from aisf_geo.errors import IncompleteError, OutputError
from aisf_geo.pipeline.features import vectorise_item
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.mapper import BlockMap, map_here
from aisf_geo.pipeline.measure import measure
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.publish import publish_collection, publish_item
from aisf_geo.pipeline.report import write_report
from aisf_geo.pipeline.segment import ItemOutcome, OnBlock, outcome, refuse_nothing_seen, segment_item
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.run import PROGRAM, Existing, RunFolder, open_run_folder


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    Attributes:
        indicators: number of indicator values, withheld ones included.
    """

    folder: Path
    items: tuple[ItemOutcome, ...]
    indicators: int


def run(
    plan: RunPlan, out: Path, existing: Existing, mapper: BlockMap = map_here, on_block: OnBlock = lambda _: None
) -> RunOutcome:
    """All stages of a plan, one after the other, in this process but for the blocks.

    Raises:
        OutputError: the folder is in the way or belongs to another question.
        IncompleteError: blocks failed; everything else is done and kept.
        NoDataError: nothing was observed anywhere.
    """
    folder = begin(plan, out, existing)
    with closing(folder):
        outcomes = []
        for item in plan.items:
            outcomes.append(segment_stage(plan, item, folder, mapper, on_block))
            vectorise_item(plan, item, folder)
            publish_item(plan, item, folder)
        count = finish(plan, folder)
        check(outcomes)
    return RunOutcome(out, tuple(outcomes), count)


def begin(plan: RunPlan, out: Path, existing: Existing) -> RunFolder:
    """Open the run folder and write run.json with the state ``running``.

    Raises:
        OutputError: the folder may not be used, or a resumed run asks another question or runs on other means.
    """
    folder = open_run_folder(out, existing)
    identity = plan.items[0].choice.identity()
    now = rfc3339(datetime.now(UTC))
    before = folder.read_run() if folder.run_json.exists() else {}
    if before:
        for key, asked, what in (
            ("plan_digest", plan.digest, "recipe or scenes"),
            ("runtime", identity, "runtime or CPU class"),
        ):
            if before.get(key) != asked:
                raise OutputError(
                    f"output {out}: cannot resume, the {what} differ from those it was started with; "
                    "use --overwrite or another --out"
                )
    folder.write_run(
        {
            "program": PROGRAM,
            "state": "running",
            "recipe": plan.recipe.model_dump(mode="json"),
            "plan_digest": plan.digest,
            "runtime": identity,
            "versions": versions(),
            "legend": [{"code": c.code, "name": c.name, "role": c.role} for c in plan.legend.classes],
            "warnings": list(plan.warnings),
            "start": before.get("start", now),
            "resumed": [*before.get("resumed", []), now] if before else [],
            "end": None,
        }
    )
    return folder


@contextmanager
def closing(folder: RunFolder) -> Iterator[None]:
    """Write how a run ended into run.json: ``complete``, ``incomplete`` or, where it was stopped, ``interrupted``."""
    state = "interrupted"
    try:
        yield
        state = "complete"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:
        state = "incomplete"
        raise
    finally:
        folder.write_run(folder.read_run() | {"state": state, "end": rfc3339(datetime.now(UTC))})


def segment_stage(plan: RunPlan, item: ItemPlan, folder: RunFolder, mapper: BlockMap, on_block: OnBlock) -> ItemOutcome:
    """Interpret one scene with the run's ledger."""
    with open_ledger(folder.ledger) as ledger:
        return segment_item(plan, item, folder, ledger, mapper, on_block)


def finish(plan: RunPlan, folder: RunFolder) -> int:
    """Indicators, STAC collection and report, from what lies in the run folder; returns how many values there are."""
    values = measure(folder, plan.recipe, plan.zones)
    publish_collection(plan, folder)
    write_report(plan, folder, outcomes_of(plan, folder))
    return len(values)


def outcomes_of(plan: RunPlan, folder: RunFolder) -> list[ItemOutcome]:
    """How the items of a run stand, by its ledger."""
    with open_ledger(folder.ledger) as ledger:
        return [outcome(item.id, ledger, computed=0) for item in plan.items]


def check(outcomes: list[ItemOutcome]) -> None:
    """Raise if blocks failed or nothing was observed; the outputs stay.

    Raises:
        IncompleteError: naming the scenes and how many blocks are missing.
        NoDataError: nothing was observed anywhere.
    """
    failed = [o for o in outcomes if o.failed]
    if failed:
        named = ", ".join(f"{o.item} ({o.failed} of {o.blocks} blocks)" for o in failed)
        raise IncompleteError(
            f"could not read all imagery: {named}. What could be read is done and marked; the reasons are in the "
            "ledger. Mend the files and run again with --resume"
        )
    refuse_nothing_seen(outcomes)


def as_json(result: RunOutcome) -> dict[str, Any]:
    """The outcome for ``--json``."""
    return {
        "run": str(result.folder),
        "report": str(result.folder / "report.html"),
        "items": [
            {
                "id": o.item,
                "blocks": o.blocks,
                "computed": o.computed,
                "failed": o.failed,
                "coverage": round(o.coverage, 6),
            }
            for o in result.items
        ],
        "indicators": result.indicators,
    }
