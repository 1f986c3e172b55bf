"""A whole run: the stages in order, safe to repeat, each readable from the run folder alone."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aisf_geo.domain.period import rfc3339
from aisf_geo.errors import DataError, IncompleteError, OutputError
from aisf_geo.indicators import registry
from aisf_geo.pipeline.again import plan_of
from aisf_geo.pipeline.clearing import dates_of
from aisf_geo.pipeline.features import vectorise_item
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.journal import journal, note
from aisf_geo.pipeline.mapped import mapped_items
from aisf_geo.pipeline.mapper import BlockMap, map_here
from aisf_geo.pipeline.measure import measure
from aisf_geo.pipeline.plan import ItemPlan, RunPlan, read_zones
from aisf_geo.pipeline.publish import publish_collection, publish_item
from aisf_geo.pipeline.report import write_report
from aisf_geo.pipeline.segment import ItemOutcome, OnBlock, outcome, refuse_nothing_seen, scene_warnings, segment_item
from aisf_geo.recipe import Recipe
from aisf_geo.store.ledger import BlockRecord, open_ledger
from aisf_geo.store.lock import only_writer
from aisf_geo.store.run import PROGRAM, Existing, RunFolder, open_run_folder, remember_figures


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
    with writing(plan, out, existing) as folder:
        outcomes = outcomes_of(plan, folder) if existing == "extend" else []
        for item in unfinished(plan, folder, existing):
            outcomes = [o for o in outcomes if o.item != item.id]
            outcomes.append(segment_stage(plan, item, folder, mapper, on_block))
            vectorise_item(plan, item, folder)
            publish_item(plan, item, folder)
            note("item published", item=item.id)
        count = finish(plan, folder)
        check(outcomes, plan.missing)
    return RunOutcome(out, tuple(outcomes), count)


def unfinished(plan: RunPlan, folder: RunFolder, existing: Existing) -> list[ItemPlan]:
    """The items to work on: all, or those that are new where a series grows, whose finished maps and features stand."""
    return [i for i in plan.items if existing != "extend" or not folder.item(i.id).stac.exists()]


@contextmanager
def writing(plan: RunPlan, out: Path, existing: Existing) -> Iterator[RunFolder]:
    """The run folder of a plan, held for this process alone, with its log, until the body ends.

    Raises:
        OutputError: as :func:`begin`, or another process writes there.
    """
    with only_writer(out):
        folder = begin(plan, out, existing)
        with closing(folder), journal(folder):
            yield folder


def begin(plan: RunPlan, out: Path, existing: Existing) -> RunFolder:
    """Open the run folder and write run.json with the state ``running``.

    Raises:
        OutputError: the folder may not be used, or a resumed run asks another question or runs on other means.
    """
    folder = open_run_folder(out, existing)
    identity = plan.items[0].choice.identity()
    now = rfc3339(datetime.now(UTC))
    before = folder.read_run() if folder.run_json.exists() else {}
    if before and existing == "extend":
        _extend(plan, folder, before, identity)
    elif before:
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
            "heads": list(plan.heads),
            "legend": [{"code": c.code, "name": c.name, "role": c.role} for c in plan.legend.classes],
            "blocks": {item.id: len(plan.blocks_of(item)) for item in plan.items},
            "overlap_factor": {item.id: plan.overlap_factor(item) for item in plan.items},
            "warnings": list(plan.warnings),
            "missing": dict(plan.missing),
            "asked": plan.asked(out),
            "start": before.get("start", now),
            "resumed": [*before.get("resumed", []), now] if before else [],
            "end": None,
        }
    )
    return folder


def _extend(plan: RunPlan, folder: RunFolder, before: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Check that a run may grow by the scenes that are new, and let them be seen beside all others.

    Raises:
        OutputError: the recipe or the runtime differ, or a scene of before is gone.
    """
    gone = sorted(set(before.get("blocks", {})) - {item.id for item in plan.items})
    for same, what in (
        (before.get("recipe") == plan.recipe.model_dump(mode="json"), "the recipe differs"),
        (before.get("runtime") == identity, "the runtime or CPU class differs"),
        (not gone, f"the source no longer has {', '.join(gone)}"),
    ):
        if not same:
            raise OutputError(f"output {folder.path}: cannot be extended, {what}; use another --out")
    if before["plan_digest"] != plan.digest:
        # What the series usually looks like is measured anew for the new scenes; finished maps stand.
        shutil.rmtree(folder.series, ignore_errors=True)


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
        remember_figures(folder)


def segment_stage(plan: RunPlan, item: ItemPlan, folder: RunFolder, mapper: BlockMap, on_block: OnBlock) -> ItemOutcome:
    """Interpret one scene with the run's ledger."""
    recorded: list[BlockRecord] = []

    def on_each(record: BlockRecord) -> None:
        recorded.append(record)
        if record.state == "failed":
            note("block failed", item=record.item, block=record.block, reason=record.reason)
        on_block(record)

    started = time.perf_counter()
    with open_ledger(folder.ledger) as ledger:
        result = segment_item(plan, item, folder, ledger, mapper, on_each)
    note(
        "item ended",
        item=item.id,
        blocks=result.blocks,
        computed=len(recorded),
        failed=result.failed,
        pixels=sum(r.pixels for r in recorded),
        block_seconds=round(sum(r.seconds for r in recorded), 3),
        seconds=round(time.perf_counter() - started, 3),
        coverage=round(result.coverage, 4),
    )
    return result


def finish(plan: RunPlan, folder: RunFolder) -> int:
    """Indicators, STAC collection and report, from what lies in the run folder; returns how many values there are."""
    folder.write_run(folder.read_run() | {"warnings": [*plan.warnings, *scene_warnings(plan, folder)]})
    recipe = _answerable(plan, folder)
    sample = recipe.reference_sample
    values = measure(folder, recipe, plan.zones, recipe.resolve(sample) if sample else None)
    publish_collection(plan, folder)
    write_report(plan, folder, outcomes_of(plan, folder))
    return len(values)


def report_again(path: Path) -> list[str]:
    """Write report.html of a finished run once more, because its figures were computed again.

    Returns:
        Notes: why it still shows the figures from before, where the imagery cannot be looked up any more.
    """
    folder = RunFolder(path)
    try:
        plan = plan_of(folder)
    except DataError as error:
        return [f"report.html still shows the figures from before: {error}"]
    zones = read_zones(folder.zones, "zone", "zone_name", plan.items[0].grid, [])
    write_report(replace(plan, zones=zones), folder, outcomes_of(plan, folder))
    return []


def _answerable(plan: RunPlan, folder: RunFolder) -> Recipe:
    """The recipe; of a growing series without the figures that need dates it does not have yet.

    A reference sample was drawn from the map of a finished series; that of a growing one is another.
    """
    clearing = plan.recipe.clearing
    if not plan.growing:
        return plan.recipe
    recipe = plan.recipe.model_copy(update={"reference_sample": None})
    dates = dates_of(mapped_items(folder), clearing) if clearing else None
    if dates is None or (dates.baseline and dates.later):
        return recipe
    now = tuple(code for code in recipe.indicators if not registry.definition(code).needs_clearing)
    return recipe.model_copy(update={"clearing": None, "indicators": now})


def outcomes_of(plan: RunPlan, folder: RunFolder) -> list[ItemOutcome]:
    """How the items of a run stand, by its ledger."""
    with open_ledger(folder.ledger) as ledger:
        return [outcome(item.id, ledger, computed=0) for item in plan.items]


def check(outcomes: list[ItemOutcome], missing: Mapping[str, str]) -> None:
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
    if missing:
        named = "; ".join(f"{scene} ({why})" for scene, why in missing.items())
        raise IncompleteError(
            f"{len(missing)} scene(s) the catalogue lists could not be had: {named}. "
            "The others are done; run again with --overwrite when the catalogue has recovered"
        )


def as_json(result: RunOutcome, out: str | None = None) -> dict[str, Any]:
    """The outcome for ``--json``; ``out`` names the place where it differs from the folder that was worked in."""
    place = out or str(result.folder)
    return {
        "run": place,
        "report": f"{place.rstrip('/')}/report.html",
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
