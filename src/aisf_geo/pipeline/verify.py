"""Is a run still what it was when it was made, and do its maps come out again from its imagery?"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aisf_geo.errors import AisfGeoError
from aisf_geo.pipeline.again import plan_of
from aisf_geo.pipeline.choice import Unsettled
from aisf_geo.pipeline.mapper import map_here
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.segment import BASIS, SETTLED, basis_of, usual_look
from aisf_geo.pipeline.work import BlockTask, interpret_block
from aisf_geo.store.arrays import SUFFIX, read_part
from aisf_geo.store.files import sha256_file
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import RunFolder


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; ``problem`` is None where it is as it was, ``untold`` why nobody can say."""

    what: str
    problem: str | None = None
    untold: str | None = None


def verify(path: Path, sample: int, seed: int) -> dict[str, Any]:
    """Digests of every published file, and a random sample of blocks interpreted again.

    Raises:
        DataError: the folder is not a run.
    """
    folder = RunFolder(path)
    said = folder.read_run()
    checks = [*_files(folder, said), *_counted(folder, said)]
    if folder.ledger.exists():
        checks += _replayed(folder, sample, seed)
    problems = [{"what": c.what, "problem": c.problem} for c in checks if c.problem]
    return {
        "run": str(path),
        "state": said["state"],
        "checked": sum(c.untold is None for c in checks),
        "replayed_blocks": sum(c.what.startswith("block ") for c in checks),
        "not_replayed": {c.what: c.untold for c in checks if c.untold},
        "seed": seed,
        "problems": problems,
    }


def _files(folder: RunFolder, said: dict[str, Any]) -> Iterator[Check]:
    """Files against the digests that the STAC items and run.json state."""
    for name, digest in said.get("digests", {}).items():
        yield _same(folder.path / name, digest, name)
    for item_id in said.get("blocks", {}):
        place = folder.item(item_id)
        try:
            assets = json.loads(place.stac.read_text(encoding="utf-8"))["assets"]
        except (OSError, ValueError, KeyError) as error:
            yield Check(f"items/{item_id}/item.json", f"cannot be read ({type(error).__name__})")
            continue
        for asset in assets.values():
            name = asset["href"].removeprefix("./")
            digest = "sha256:" + asset.get("file:checksum", "").removeprefix("1220")
            yield _same(place.path / name, digest, f"items/{item_id}/{name}")


def _counted(folder: RunFolder, said: dict[str, Any]) -> Iterator[Check]:
    """The ledger against the number of blocks that run.json states; a map whose blocks nobody vouches for is none."""
    if not folder.ledger.exists():
        yield Check(folder.ledger.name, "is missing")
        return
    with open_ledger(folder.ledger) as ledger:
        for item_id, total in said.get("blocks", {}).items():
            there = len(ledger.blocks(item_id))
            problem = None if there == total else f"has {there} of {total} blocks"
            yield Check(f"{folder.ledger.name}, {item_id}", problem)


def _same(path: Path, digest: str, name: str) -> Check:
    if not path.exists():
        return Check(name, "is missing")
    return Check(name, None if sha256_file(path) == digest else "is not the file that was written")


def _replayed(folder: RunFolder, sample: int, seed: int) -> Iterator[Check]:
    """Blocks drawn at random, read and interpreted again, against the published label map."""
    if sample == 0:
        return
    try:
        plan = plan_of(folder)
    except AisfGeoError as error:
        yield Check("replay", str(error))
        return
    every = [(item, block.id) for item in plan.items for block in plan.blocks_of(item)]
    # Which blocks are drawn must be repeatable, not secret.
    drawn = random.Random(seed).sample(every, min(sample, len(every)))  # noqa: S311
    for item in plan.items:
        mine = [block_id for other, block_id in drawn if other is item]
        if mine:
            yield from _replay(plan, item, folder, mine)


def _replay(plan: RunPlan, item: ItemPlan, folder: RunFolder, block_ids: list[str]) -> Iterator[Check]:
    view = replace(item.view, usual=usual_look(plan, folder))
    lattice = plan.blocks_of(item)
    with open_ledger(folder.ledger) as ledger:
        settled = Unsettled(view, tuple(lattice), ledger.fact(item.id, SETTLED), map_here)
        basis = ledger.fact(item.id, BASIS)
        before = {r.block: r for r in ledger.blocks(item.id)}
    interpreter, _ = item.choice.settle(settled)
    if basis != basis_of(interpreter, view):
        yield Check(item.id, untold="the series looked different when this scene came; it cannot be asked as it was")
        return
    published = folder.item(item.id).labels
    with tempfile.TemporaryDirectory() as scratch:
        for block in (b for b in lattice if b.id in block_ids):
            what = f"block {block.id} of {item.id}"
            known = before.get(block.id)
            if known is None or known.state == "failed":
                yield Check(what, f"was not read when the run was made ({known.reason if known else 'never tried'})")
                continue
            stored = Path(scratch) / f"{block.id}{SUFFIX}"
            record = interpret_block(BlockTask(view, block, interpreter, stored))
            if record.state == "failed":
                yield Check(what, f"cannot be computed again ({record.reason})")
                continue
            if record.digest != known.digest or not published.exists():
                yield Check(what, None if record.digest == known.digest else "comes out differently")
                continue
            again = read_part(stored, "maps", (0, 0))
            there = read_pixels(published, block.core.relative_to(item.extent))
            differ = int((np.asarray(there) != again).sum())
            yield Check(what, f"{differ} of {again.size} labels come out differently" if differ else None)
