"""The run folder: its paths, its run.json, and the rules for a folder that already exists."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aisf_geo.errors import DataError, OutputError
from aisf_geo.store.files import remove_leftovers, write_text

#: What to do with an output folder that is there already.
Existing = Literal["refuse", "resume", "overwrite"]

#: ``program`` in run.json: only a folder so marked is ever emptied.
PROGRAM = "aisf-geo"


@dataclass(frozen=True, slots=True)
class ItemFolder:
    """The outputs of one scene."""

    path: Path

    @property
    def labels(self) -> Path:
        """uint8 COG of legend codes."""
        return self.path / "labels.tif"

    @property
    def confidence(self) -> Path:
        """uint8 COG, 0..254 = 0..1."""
        return self.path / "confidence.tif"

    @property
    def quicklook(self) -> Path:
        """The labels as a picture."""
        return self.path / "quicklook.png"

    @property
    def stac(self) -> Path:
        """The STAC item."""
        return self.path / "item.json"

    @property
    def blocks(self) -> Path:
        """Finished blocks that are not yet assembled."""
        return self.path / ".blocks"

    def features(self, suffix: str) -> Path:
        """The feature table in one format."""
        return self.path / f"features{suffix}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk, named as the contract says."""

    path: Path

    @property
    def run_json(self) -> Path:
        """Recipe, digests, versions, runtime and state."""
        return self.path / "run.json"

    @property
    def ledger(self) -> Path:
        """One row per block."""
        return self.path / "ledger.sqlite"

    @property
    def collection(self) -> Path:
        """The STAC collection."""
        return self.path / "collection.json"

    @property
    def report(self) -> Path:
        """The page for people."""
        return self.path / "report.html"

    @property
    def indicators(self) -> Path:
        """The values; the same name ends in ``.csv`` for tables."""
        return self.path / "indicators.json"

    @property
    def series(self) -> Path:
        """What the scenes of a series usually look like."""
        return self.path / "series"

    @property
    def change(self) -> Path:
        """One folder per pair of epochs, and the clearing series."""
        return self.path / "change"

    def item(self, item_id: str) -> ItemFolder:
        """The folder of one scene."""
        return ItemFolder(self.path / "items" / item_id)

    def item_ids(self) -> list[str]:
        """The ids of the items that have labels, sorted."""
        return sorted(p.parent.name for p in self.path.glob("items/*/labels.tif"))

    def read_run(self) -> dict[str, Any]:
        """The content of run.json.

        Raises:
            DataError: this is not a run folder.
        """
        try:
            content: dict[str, Any] = json.loads(self.run_json.read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise DataError(f"{self.path}: not a run folder, its run.json cannot be read ({error})") from error
        return content

    def write_run(self, content: dict[str, Any]) -> None:
        """Replace run.json."""
        write_json(self.run_json, content)


def open_run_folder(path: Path, existing: Existing) -> RunFolder:
    """The folder of a run, made or emptied as ``existing`` says.

    Raises:
        OutputError: the path is a file, or holds something and neither resume nor overwrite was asked for,
            or overwrite was asked for a folder that is not a run.
    """
    if path.exists() and not path.is_dir():
        raise OutputError(f"output {path}: is a file, a folder is needed; choose another --out")
    if existing != "refuse" and path.is_dir():
        remove_leftovers(path)
    filled = path.is_dir() and any(path.iterdir())
    if filled and existing == "refuse":
        raise OutputError(f"output {path}: exists and is not empty; add --resume to go on or --overwrite to start anew")
    if filled and not _is_run(path):
        raise OutputError(f"output {path}: holds files that are not a run of aisf-geo; choose another --out")
    if filled and existing == "overwrite":
        shutil.rmtree(path.resolve())
    try:
        path.resolve().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output {path}: cannot be made ({error.strerror}); choose another --out") from error
    return RunFolder(path)


def _is_run(path: Path) -> bool:
    try:
        content = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("program") == PROGRAM


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs: indented, UTF-8, never NaN."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
