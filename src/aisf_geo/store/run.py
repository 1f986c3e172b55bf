"""The run folder: its paths, its run.json, and the rules for a folder that already exists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aisf_geo.errors import DataError, OutputError
from aisf_geo.store.files import remove_leftovers, sha256_file, write_text

#: What to do with an output folder that is there already.
Existing = Literal["refuse", "resume", "overwrite", "extend"]

#: ``program`` in run.json: only a folder so marked is ever emptied.
PROGRAM = "aisf-geo"


@dataclass(frozen=True, slots=True)
class HeadFiles:
    """The outputs of one head of an interpreter in the folder of a scene.

    Attributes:
        head: None for the main one, whose files carry no name.
    """

    path: Path
    head: str | None = None

    @property
    def labels(self) -> Path:
        """uint8 COG of legend codes."""
        return self._file("labels", ".tif")

    @property
    def confidence(self) -> Path:
        """uint8 COG, 0..254 = 0..1."""
        return self._file("confidence", ".tif")

    @property
    def probabilities(self) -> Path:
        """uint8 COG with a band for each class, 0..254 = 0..1; only where it was asked for."""
        return self._file("probabilities", ".tif")

    def features(self, suffix: str) -> Path:
        """The feature table in one format."""
        return self._file("features", suffix)

    def _file(self, what: str, suffix: str) -> Path:
        return self.path / (what + (f"_{self.head}" if self.head else "") + suffix)


@dataclass(frozen=True, slots=True)
class ItemFolder:
    """The outputs of one scene."""

    path: Path

    @property
    def labels(self) -> Path:
        """The main head's labels."""
        return self.head().labels

    @property
    def confidence(self) -> Path:
        """The main head's confidence."""
        return self.head().confidence

    def head(self, name: str | None = None) -> HeadFiles:
        """The files of one head; None means the main one."""
        return HeadFiles(self.path, name)

    def all_heads(self, names: Iterable[str]) -> dict[str, HeadFiles]:
        """The files of every head, given their names, the main one first."""
        return {name: HeadFiles(self.path, name if i else None) for i, name in enumerate(names)}

    @property
    def objects(self) -> Path:
        """The table of objects of an interpreter that detects them."""
        return self.path / "objects.npy"

    @property
    def quicklook(self) -> Path:
        """The labels as a picture."""
        return self.path / "quicklook.png"

    @property
    def imagery(self) -> Path:
        """The scene in natural colours, thinned: what people look at beside the labels."""
        return self.path / "imagery.tif"

    @property
    def stac(self) -> Path:
        """The STAC item."""
        return self.path / "item.json"

    @property
    def blocks(self) -> Path:
        """Finished blocks that are not yet assembled."""
        return self.path / ".blocks"

    def features(self, suffix: str) -> Path:
        """The main head's feature table in one format."""
        return self.head().features(suffix)

    def table(self, name: str, suffix: str) -> Path:
        """A vector table in one format: ``buildings``, ``roads``, ``roads_nodes``, ``cells``."""
        return self.path / f"{name}{suffix}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A run on disk, named as the contract says."""

    path: Path

    @property
    def run_json(self) -> Path:
        """Recipe, digests, versions, runtime and state."""
        return self.path / "run.json"

    @property
    def log(self) -> Path:
        """What happened, one JSON object a line."""
        return self.path / "log.jsonl"

    @property
    def alerts(self) -> Path:
        """Changes larger than their uncertainty that a watch has told."""
        return self.path / "alerts.json"

    @property
    def metrics(self) -> Path:
        """Blocks per second, failures and memory of each session."""
        return self.path / "metrics.json"

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
    def zones(self) -> Path:
        """The zones that the values are of, in WGS 84."""
        return self.path / "zones.geojson"

    @property
    def series(self) -> Path:
        """What the scenes of a series usually look like."""
        return self.path / "series"

    @property
    def reference(self) -> Path:
        """Labelled reference samples, one ``MAP.geojson`` each, and what they say of the maps."""
        return self.path / "reference"

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
            content = json.loads(self.run_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise DataError(
                f"{self.path}: not a run folder, its run.json cannot be read ({why}); name the folder that --out named"
            ) from error
        if not isinstance(content, dict) or "state" not in content:
            raise DataError(f"{self.path}: its run.json is not of a run of aisf-geo; name the folder that --out named")
        return content

    def write_run(self, content: dict[str, Any]) -> None:
        """Replace run.json."""
        write_json(self.run_json, content)


def remember_figures(folder: RunFolder) -> None:
    """Write digests of the figures into run.json; those of maps and tables stand in the STAC items."""
    files = (folder.indicators, folder.indicators.with_suffix(".csv"), folder.collection)
    folder.write_run(folder.read_run() | {"digests": {p.name: sha256_file(p) for p in files if p.exists()}})


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
    if filled and not is_run(path):
        raise OutputError(f"output {path}: holds files that are not a run of aisf-geo; choose another --out")
    if filled and existing == "overwrite":
        _empty(path.resolve())
    try:
        path.resolve().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"output {path}: cannot be made ({error.strerror}); choose another --out") from error
    return RunFolder(path)


def _empty(folder: Path) -> None:
    """Delete what lies in a folder and keep the folder itself, which a writer holds."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def is_run(path: Path) -> bool:
    """True where a folder holds a run of this program."""
    try:
        content = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("program") == PROGRAM


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and programs: indented, UTF-8, never NaN."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
