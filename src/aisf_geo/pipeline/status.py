"""How a run stands, from its folder alone; and which runs may go."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aisf_geo.errors import DataError
from aisf_geo.pipeline.journal import sessions
from aisf_geo.store.files import remove_leftovers
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.lock import is_held
from aisf_geo.store.run import RunFolder, is_run


def status(path: Path) -> dict[str, Any]:
    """State, progress by scene, failures with their reasons, and the speed of the last session.

    Raises:
        DataError: the folder is not a run.
    """
    folder = RunFolder(path)
    said = folder.read_run()
    held = is_held(path)
    state = said["state"]
    if state == "running" and not held:
        state = "killed"
    items = [_item(folder, item_id, total) for item_id, total in said.get("blocks", {}).items()]
    last = sessions(folder)
    return {
        "run": str(path),
        "state": state,
        "next": _NEXT.get(state),
        "started": said.get("start"),
        "ended": said.get("end"),
        "blocks": sum(i["blocks"] for i in items),
        "blocks_ended": sum(i["ended"] for i in items),
        "blocks_failed": sum(i["failed"] for i in items),
        "items": items,
        "missing_scenes": said.get("missing", {}),
        "last_session": last[-1] if last else None,
    }


_NEXT = {
    "killed": "run again with --resume",
    "interrupted": "run again with --resume",
    "incomplete": "see the reasons, mend the files and run again with --resume",
}


def _item(folder: RunFolder, item_id: str, total: int) -> dict[str, Any]:
    records = []
    if folder.ledger.exists():
        with open_ledger(folder.ledger) as ledger:
            records = ledger.blocks(item_id)
    failed = [r for r in records if r.state == "failed"]
    return {
        "id": item_id,
        "blocks": total,
        "ended": len(records),
        "failed": len(failed),
        "reasons": sorted({r.reason for r in failed if r.reason})[:5],
        "published": folder.item(item_id).stac.exists(),
    }


@dataclass(frozen=True)
class Retired:
    """A run folder that is older than it need be kept."""

    path: Path
    ended: str
    bytes: int


def clean(path: Path, keep_days: float, *, really: bool, now: datetime | None = None) -> list[Retired]:
    """The complete runs directly below ``path`` that ended more than ``keep_days`` ago; deleted where ``really``.

    Runs that are unfinished or being written are never touched, nor is anything that is not a run. What killed
    writers left behind is swept from the runs that stay.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    old = []
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and not p.is_symlink() and is_run(p)):
        try:
            said = RunFolder(folder).read_run()
        except DataError:
            continue
        if is_held(folder):
            continue
        if said["state"] == "complete" and said.get("end") and datetime.fromisoformat(said["end"]) < before:
            size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            old.append(Retired(folder, said["end"], size))
            if really:
                shutil.rmtree(folder)
        elif really:
            remove_leftovers(folder)
    return old
