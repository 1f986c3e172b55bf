"""What a worker does with one block: read, screen, interpret, write. Small picklable tasks in, small records out."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.objects import OBJECT, Objects
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import Block
from aisf_geo.errors import AisfGeoError, UnreadableError
from aisf_geo.ingest.area_of_interest import AreaOfInterest
from aisf_geo.ingest.cube import CubeSource
from aisf_geo.ingest.quality import SHADOW_BANDS, CloudScreen, without_shadow
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene
from aisf_geo.segment.domain import Look, look_at
from aisf_geo.segment.interpreter import Decision, Interpreter
from aisf_geo.segment.spectral import Index, count_index
from aisf_geo.store.arrays import array_names, read_arrays, read_part, write_arrays
from aisf_geo.store.ledger import BlockRecord, State
from aisf_geo.store.raster import read_pixels


def median_path(folder: Path, band: str) -> Path:
    """Where the median of a series in one band lies."""
    return folder / f"median_{band}.tif"


@dataclass(frozen=True)
class View:
    """How the pixels of a scene are looked at.

    Attributes:
        grid: the grid outputs lie on.
        area: where an answer is wanted; None means everywhere.
        cube: the series the scene is read from; None means its own files, window by window.
        screen: the cloud test on top of the quality band; None means none.
        usual: folder with the medians of the series, for the shadow test; None means no such test.
    """

    scene: Scene
    grid: Grid
    area: AreaOfInterest | None = None
    cube: CubeSource | None = None
    screen: CloudScreen | None = None
    usual: Path | None = None

    def load(self, bands: tuple[str, ...], window: Window) -> Raster:
        """The bands in ``window`` after the tests for cloud and shadow; validity does not depend on the window."""
        halo_px = self.screen.halo_px(self.grid) if self.screen else 0
        tested = (self.screen.bands if self.screen else ()) + (SHADOW_BANDS if self.usual else ())
        padded = window.padded(halo_px, self.grid.shape)
        raster = self._read(tuple(dict.fromkeys(bands + tested)), padded)
        if self.screen is not None:
            raster = self.screen.apply(raster)
        if self.usual is not None:
            usual = {b: np.asarray(read_pixels(median_path(self.usual, b), padded), np.float32) for b in SHADOW_BANDS}
            raster = without_shadow(raster, usual)
        return raster.cut(window.relative_to(padded), bands)

    def _read(self, bands: tuple[str, ...], window: Window) -> Raster:
        if self.cube is not None:
            return self.cube.window(self.scene, bands, window)
        return read_window(self.scene, bands, window, self.grid)

    def wanted(self, window: Window) -> NDArray[np.bool_]:
        """True where an answer is wanted, shape ``(y, x)``."""
        if self.area is None:
            return np.ones((window.height, window.width), np.bool_)
        return self.area.covers(self.grid, window)


@dataclass(frozen=True)
class BlockTask:
    """One block of one scene, and where its labels go."""

    view: View
    block: Block
    interpreter: Interpreter
    target: Path


def interpret_block(task: BlockTask) -> BlockRecord:
    """Read, interpret and store one block. A source that cannot be read makes a failed record, not an exception."""
    started = time.perf_counter()
    core = task.block.core
    wanted = task.view.wanted(core)
    valid = obscured = np.zeros_like(wanted)
    try:
        read = task.interpreter.read_window(core, task.view.grid)
        raster = task.view.load(task.interpreter.bands, read)
        digest = write_block(task.target, task.interpreter.decide(raster, read, core), core, wanted)
        inside = core.relative_to(read).slices
        valid = raster.valid[inside] & wanted
        obscured = raster.obscured[inside] & wanted if raster.obscured is not None else obscured
        state, reason = _outcome(valid, obscured)
    except AisfGeoError as error:
        digest, state, reason = None, "failed", str(error)
    return BlockRecord(
        item=task.view.scene.id,
        block=task.block.id,
        state=state,
        reason=reason,
        digest=digest,
        seconds=round(time.perf_counter() - started, 4),
        pixels=int(wanted.sum()),
        valid_px=int(valid.sum()),
        obscured_px=int(obscured.sum()),
    )


def lost_block(task: BlockTask, reason: str) -> BlockRecord:
    """The record of a block that no worker survives."""
    wanted = int(task.view.wanted(task.block.core).sum())
    return BlockRecord(task.view.scene.id, task.block.id, "failed", reason, None, 0.0, wanted, 0, 0)


def _outcome(valid: NDArray[np.bool_], obscured: NDArray[np.bool_]) -> tuple[State, str | None]:
    if valid.any():
        return "done", None
    if obscured.any():
        return "cloudy", "cloud or shadow hides every pixel that has data"
    return "nodata", "no pixel has data"


def write_block(path: Path, decision: Decision, core: Window, wanted: NDArray[np.bool_]) -> str:
    """Store what was decided of a block, 255 where no answer is wanted.

    ``maps`` is ``(head, labels or confidence, y, x)``; where there are any, ``probabilities`` is
    ``(class of any head, y, x)`` and ``objects`` the bytes of a row each.

    Returns:
        The digest of the arrays.
    """
    maps = np.array([(part.labels, part.confidence) for part in decision.heads.values()])
    if not wanted.all():
        maps[:, :, ~wanted] = 255
    stored = {"maps": maps}
    if decision.probabilities is not None:
        stored["probabilities"] = np.concatenate(list(decision.probabilities.values()))
        stored["probabilities"][:, ~wanted] = 255
    if decision.objects is not None:
        stored["objects"] = _wanted_objects(decision.objects, core, wanted).view(np.uint8).reshape(-1, OBJECT.itemsize)
    write_arrays(path, stored)
    return _digest(stored)


def _wanted_objects(objects: Objects, core: Window, wanted: NDArray[np.bool_]) -> Objects:
    """Those whose centre lies where an answer is wanted."""
    rows, cols = objects["row"].astype(np.intp) - core.row, objects["col"].astype(np.intp) - core.col
    return objects[wanted[rows, cols]]


def read_objects(path: Path) -> Objects | None:
    """The objects of a stored block; None where nothing detects objects."""
    if "objects" not in array_names(path):
        return None
    return read_part(path, "objects").view(OBJECT)[:, 0]


def block_digest(path: Path) -> str | None:
    """Digest of a stored block, or None where it is missing or broken."""
    try:
        return _digest(read_arrays(path))
    except (OSError, UnreadableError):
        return None


def _digest(stored: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(stored):
        digest.update(np.ascontiguousarray(stored[name]).data)
    return f"sha256:{digest.hexdigest()}"


@dataclass(frozen=True)
class CountTask:
    """One block of one scene whose index values are to be counted."""

    view: View
    block: Block
    index: Index


def count_block(task: CountTask) -> NDArray[np.int64] | None:
    """Histogram of the index in one block; None where the block cannot be read."""
    try:
        raster = task.view.load((task.index.a, task.index.b), task.block.core)
    except AisfGeoError:
        return None
    valid = raster.valid & task.view.wanted(task.block.core)
    return count_index(task.index, Raster(raster.values, valid, raster.grid, raster.bands))


@dataclass(frozen=True)
class LookTask:
    """A window of one scene that is to be held against the imagery a model was trained on."""

    view: View
    window: Window
    bands: tuple[str, ...]


def look_at_window(task: LookTask) -> Look | None:
    """What the window looks like; None where too little of it was observed, or it cannot be read."""
    try:
        return look_at(task.view.load(task.bands, task.window), task.bands)
    except AisfGeoError:
        return None


def no_say(_task: CountTask | LookTask, _reason: str) -> None:
    """What no worker survives has no say, like what cannot be read; as a block it will be failed, with the reason."""
