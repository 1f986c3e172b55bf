"""Scene to label map: threshold settled once per scene, blocks interpreted, maps assembled. Safe to repeat."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Window
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.domain.tiling import Block, blocks
from aisf_geo.errors import NoDataError
from aisf_geo.ingest.cube import median_over_time
from aisf_geo.ingest.quality import SHADOW_BANDS
from aisf_geo.pipeline.choice import Unsettled
from aisf_geo.pipeline.mapped import LEGEND_TAG, legend_json
from aisf_geo.pipeline.mapper import BlockMap
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.work import (
    BlockTask,
    block_digest,
    interpret_block,
    median_path,
    read_block,
)
from aisf_geo.segment.interpreter import Interpreter
from aisf_geo.store.files import sha256_file
from aisf_geo.store.ledger import BlockRecord, Ledger
from aisf_geo.store.raster import Layer, confidence_layer, label_layer, write_cog, write_quicklook
from aisf_geo.store.run import ItemFolder, RunFolder

#: Fact of the ledger: what was settled for a scene before its blocks, such as the threshold.
SETTLED = "settled"
#: Called after each block that was computed, with its record.
OnBlock = Callable[[BlockRecord], None]


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """How the blocks of one item ended.

    Attributes:
        computed: blocks computed now; the others were done before.
        failed: blocks that could not be read, with the reason in the ledger.
        coverage: share of the wanted pixels that carry a decision or "unknown", 0..1.
        obscured_share: share hidden by cloud or shadow.
    """

    item: str
    blocks: int
    computed: int
    failed: int
    coverage: float
    obscured_share: float


def segment_item(
    plan: RunPlan, item: ItemPlan, folder: RunFolder, ledger: Ledger, mapper: BlockMap, on_block: OnBlock
) -> ItemOutcome:
    """Interpret one scene, computing only blocks that are not done, and write its maps.

    Blocks that fail are recorded, left unobserved in the maps and tried again by the next run.
    """
    item = replace(item, view=replace(item.view, usual=usual_look(plan, folder)))
    out, lattice = folder.item(item.id), plan.blocks_of(item)
    if _maps_stand(out, item.id, ledger):
        return outcome(item.id, ledger, computed=0)
    interpreter, settled = item.choice.settle(
        Unsettled(item.view, tuple(lattice), ledger.fact(item.id, SETTLED), mapper)
    )
    _start_anew_if(interpreter, item, out, ledger)
    ledger.set_fact(item.id, SETTLED, settled)
    out.blocks.mkdir(parents=True, exist_ok=True)
    done = {r.block for r in ledger.blocks(item.id) if r.digest and r.digest == block_digest(_stored(out, r.block))}
    todo = [BlockTask(item.view, b, interpreter, _stored(out, b.id)) for b in lattice if b.id not in done]
    for record in mapper(interpret_block, todo):
        ledger.record(record)
        on_block(record)
    _assemble(plan, item, interpreter, out, lattice)
    result = outcome(item.id, ledger, computed=len(todo))
    if result.failed:
        # What the series usually looks like was computed without these; the next run must look again.
        shutil.rmtree(folder.series, ignore_errors=True)
    else:
        ledger.set_fact(item.id, "maps", json.dumps([sha256_file(out.labels), sha256_file(out.confidence)]))
        shutil.rmtree(out.blocks)
    return result


def _start_anew_if(interpreter: Interpreter, item: ItemPlan, out: ItemFolder, ledger: Ledger) -> None:
    """Forget the blocks of a scene that rest on something else than what is settled now."""
    usual = item.view.usual
    medians = [sha256_file(median_path(usual, band)) for band in SHADOW_BANDS] if usual else []
    basis = " ".join([interpreter.version, *medians])
    if ledger.fact(item.id, "basis") not in (None, basis):
        ledger.forget(item.id)
        shutil.rmtree(out.blocks, ignore_errors=True)
    ledger.set_fact(item.id, "basis", basis)


def usual_look(plan: RunPlan, folder: RunFolder) -> Path | None:
    """The folder with the medians of the series, computed once a run; None where shadows are not looked for."""
    cube = plan.shadow_cube
    if cube is None:
        return None
    for band in SHADOW_BANDS:
        path = median_path(folder.series, band)
        if not path.exists():
            cores = (block.core for block in blocks(cube.grid, plan.recipe.segment.block_px))
            layer = Layer(f"median {band}", "float32", math.nan, "AVERAGE", tags={"SERIES": plan.recipe.name})
            write_cog(path, cube.grid, layer, ((core, median_over_time(cube, band, core)) for core in cores))
    return folder.series


def outcome(item_id: str, ledger: Ledger, computed: int) -> ItemOutcome:
    """The account of an item's blocks as the ledger has it."""
    records = ledger.blocks(item_id)
    pixels = max(1, sum(r.pixels for r in records))
    return ItemOutcome(
        item=item_id,
        blocks=len(records),
        computed=computed,
        failed=sum(r.state == "failed" for r in records),
        coverage=sum(r.valid_px for r in records) / pixels,
        obscured_share=sum(r.obscured_px for r in records) / pixels,
    )


def _stored(out: ItemFolder, block_id: str) -> Path:
    return out.blocks / f"{block_id}.npz"


def _maps_stand(out: ItemFolder, item_id: str, ledger: Ledger) -> bool:
    """True where the maps of an item were finished and are still the same files."""
    said = ledger.fact(item_id, "maps")
    if said is None or not (out.labels.exists() and out.confidence.exists()):
        return False
    return bool(json.loads(said) == [sha256_file(out.labels), sha256_file(out.confidence)])


def _assemble(plan: RunPlan, item: ItemPlan, interpreter: Interpreter, out: ItemFolder, lattice: list[Block]) -> None:
    def layer(name: str) -> Iterator[tuple[Window, NDArray[np.generic]]]:
        for block in lattice:
            stored = _stored(out, block.id)
            if stored.exists():
                yield block.core.relative_to(item.extent), getattr(read_block(stored), name)

    tags = {
        "SCENE": item.id,
        "METHOD": interpreter.name,
        "METHOD_VERSION": interpreter.version,
        "MADE_BY": MADE_BY,
        "ATTRIBUTION": item.attribution,
        "LICENCE": item.licence,
        LEGEND_TAG: legend_json(plan.legend),
    }
    write_cog(out.labels, item.grid, label_layer(plan.legend, tags), layer("labels"))
    write_cog(out.confidence, item.grid, confidence_layer(tags), layer("confidence"))
    write_quicklook(out.quicklook, out.labels, plan.legend)


def refuse_nothing_seen(outcomes: list[ItemOutcome]) -> None:
    """Raise where no pixel of any scene was observed: the maps are kept, but they say nothing.

    Raises:
        NoDataError: with how much was cloud.
    """
    if outcomes and all(o.coverage == 0 and not o.failed for o in outcomes):
        cloud = max(o.obscured_share for o in outcomes)
        raise NoDataError(
            f"nothing was observed in {len(outcomes)} scene(s): every wanted pixel is nodata"
            + (f" or cloud (up to {100 * cloud:.0f} %)" if cloud else "")
            + "; check the nodata value and the area asked for. The empty maps are kept"
        )
