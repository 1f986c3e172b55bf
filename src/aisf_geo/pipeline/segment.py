"""Scene to label map: threshold settled once per scene, blocks interpreted, maps assembled. Safe to repeat."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    View,
    block_digest,
    interpret_block,
    lost_block,
    median_path,
    read_objects,
)
from aisf_geo.segment.interpreter import Interpreter
from aisf_geo.store.arrays import SUFFIX, read_part
from aisf_geo.store.files import appearing, sha256_file
from aisf_geo.store.ledger import BlockRecord, Ledger, open_ledger
from aisf_geo.store.raster import Layer, confidence_layer, label_layer, probabilities_layer, write_cog, write_quicklook
from aisf_geo.store.run import ItemFolder, RunFolder

#: Fact of the ledger: what was settled for a scene before its blocks, such as the threshold.
SETTLED = "settled"
#: Fact of the ledger: what its reader must know of a scene.
DOUBTS = "doubts"
#: Fact of the ledger: what the blocks of a scene rest on.
BASIS = "basis"
#: Fact of the ledger: the digests of the finished maps.
MAPS = "maps"
#: Maps of a scene that are put together from its blocks at a time; a square of one takes some 40 MB.
MAPS_AT_A_TIME = 2
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
    if _maps_stand(out, item.id, plan, ledger):
        return outcome(item.id, ledger, computed=0)
    interpreter, settled = item.choice.settle(
        Unsettled(item.view, tuple(lattice), ledger.fact(item.id, SETTLED), mapper)
    )
    _start_anew_if(interpreter, item, out, ledger)
    ledger.set_fact(item.id, SETTLED, settled)
    out.blocks.mkdir(parents=True, exist_ok=True)
    done = {r.block for r in ledger.blocks(item.id) if r.digest and r.digest == block_digest(_stored(out, r.block))}
    todo = [BlockTask(item.view, b, interpreter, _stored(out, b.id)) for b in lattice if b.id not in done]
    for record in mapper(interpret_block, todo, lost_block):
        ledger.record(record)
        on_block(record)
    ledger.set_fact(item.id, DOUBTS, json.dumps(item.choice.doubts(item.view, mapper)))
    _assemble(plan, item, interpreter, out, lattice)
    result = outcome(item.id, ledger, computed=len(todo))
    if result.failed:
        # What the series usually looks like was computed without these; the next run must look again.
        shutil.rmtree(folder.series, ignore_errors=True)
    else:
        ledger.set_fact(item.id, MAPS, json.dumps(_map_digests(out, plan)))
        shutil.rmtree(out.blocks)
    return result


def _start_anew_if(interpreter: Interpreter, item: ItemPlan, out: ItemFolder, ledger: Ledger) -> None:
    """Forget the blocks of a scene that rest on something else than what is settled now."""
    basis = basis_of(interpreter, item.view)
    if ledger.fact(item.id, BASIS) not in (None, basis):
        ledger.forget(item.id)
        shutil.rmtree(out.blocks, ignore_errors=True)
    ledger.set_fact(item.id, BASIS, basis)


def basis_of(interpreter: Interpreter, view: View) -> str:
    """What the blocks of a scene rest on: the interpreter's version, and the look of the series where it counts."""
    medians = [sha256_file(median_path(view.usual, band)) for band in SHADOW_BANDS] if view.usual else []
    return " ".join([interpreter.version, *medians])


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


def scene_warnings(plan: RunPlan, folder: RunFolder) -> list[str]:
    """What was found when the scenes were interpreted that the reader of the outputs must know."""
    with open_ledger(folder.ledger) as ledger:
        said = {item.id: json.loads(ledger.fact(item.id, DOUBTS) or "[]") for item in plan.items}
    return [f"scene {item}: {text}" for item, texts in said.items() for text in texts]


def _stored(out: ItemFolder, block_id: str) -> Path:
    return out.blocks / f"{block_id}{SUFFIX}"


def _maps_stand(out: ItemFolder, item_id: str, plan: RunPlan, ledger: Ledger) -> bool:
    """True where the maps of every head were finished and are still the same files, the table of objects included."""
    digests = _map_digests(out, plan)
    return None not in digests.values() and ledger.fact(item_id, MAPS) == json.dumps(digests)


def _map_digests(out: ItemFolder, plan: RunPlan) -> dict[str, str | None]:
    """Digest of each file that is assembled from blocks; None where one is missing."""
    heads = out.all_heads(plan.heads).values()
    paths = [path for files in heads for path in (files.labels, files.confidence)]
    paths += [files.probabilities for files in heads] if plan.recipe.segment.probabilities else []
    paths += [out.objects] if out.objects.exists() else []
    return {path.name: sha256_file(path) if path.exists() else None for path in paths}


#: Windows of pixels that make a map.
Pieces = Iterator[tuple[Window, NDArray[np.generic]]]


def _assemble(plan: RunPlan, item: ItemPlan, interpreter: Interpreter, out: ItemFolder, lattice: list[Block]) -> None:
    stored = [(block, _stored(out, block.id)) for block in lattice if _stored(out, block.id).exists()]

    def pieces(what: str, which: tuple[int | slice, ...]) -> Pieces:
        for block, path in stored:
            yield block.core.relative_to(item.extent), read_part(path, what, which)

    tags = {
        "SCENE": item.id,
        "METHOD": interpreter.name,
        "METHOD_VERSION": interpreter.version,
        "MADE_BY": MADE_BY,
        "ATTRIBUTION": item.attribution,
        "LICENCE": item.licence,
    }
    with ThreadPoolExecutor(MAPS_AT_A_TIME, thread_name_prefix="map") as pool:
        maps = _maps(plan, out, tags, pieces)
        main, *others = [pool.submit(write_cog, path, item.grid, layer, pixels) for path, layer, pixels in maps]
        _gather_objects(out, item.extent, [path for _, path in stored])
        main.result()
        write_quicklook(out.quicklook, out.labels, plan.legend)
        for future in others:
            future.result()


def _maps(
    plan: RunPlan, out: ItemFolder, tags: dict[str, str], pieces: Callable[[str, tuple[int | slice, ...]], Pieces]
) -> Iterator[tuple[Path, Layer, Pieces]]:
    """Where each map of a scene goes, what it says of itself, and its pixels; the labels of the main head first."""
    first = 0
    for number, (name, files) in enumerate(out.all_heads(plan.heads).items()):
        legend = plan.heads[name]
        said = tags | {"HEAD": name, LEGEND_TAG: legend_json(legend)}
        yield files.labels, label_layer(legend, said), pieces("maps", (number, 0))
        yield files.confidence, confidence_layer(said), pieces("maps", (number, 1))
        end = first + len(legend.classes)
        if plan.recipe.segment.probabilities:
            yield files.probabilities, probabilities_layer(legend, said), pieces("probabilities", (slice(first, end),))
        first = end


def _gather_objects(out: ItemFolder, extent: Window, stored: list[Path]) -> None:
    """One table of the objects of all blocks, in pixels of the item's grid; none where nothing detects objects."""
    tables = [table for table in map(read_objects, stored) if table is not None]
    if not tables:
        out.objects.unlink(missing_ok=True)
        return
    objects = np.concatenate(tables)
    objects["row"] -= extent.row
    objects["col"] -= extent.col
    with appearing(out.objects) as partial:
        np.save(partial, np.sort(objects, order=["row", "col", "code"]), allow_pickle=False)


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
