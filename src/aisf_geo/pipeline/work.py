"""What a worker does with one block: read, screen, interpret, write. Small picklable tasks in, small records out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import Block
from aisf_geo.errors import AisfGeoError
from aisf_geo.ingest.area_of_interest import AreaOfInterest
from aisf_geo.ingest.cube import CubeSource
from aisf_geo.ingest.quality import SHADOW_BANDS, CloudScreen, without_shadow
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene
from aisf_geo.segment.interpreter import Decision, Interpreter
from aisf_geo.segment.spectral import Index, count_index
from aisf_geo.store.files import appearing
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
    wanted = task.view.wanted(task.block.core)
    try:
        raster, decision = _decide(task)
        digest = write_block(task.target, decision, wanted)
        state, reason = _outcome(raster, wanted)
    except AisfGeoError as error:
        raster, digest, state, reason = None, None, "failed", str(error)
    return BlockRecord(
        item=task.view.scene.id,
        block=task.block.id,
        state=state,
        reason=reason,
        digest=digest,
        seconds=round(time.perf_counter() - started, 4),
        pixels=int(wanted.sum()),
        valid_px=int((raster.valid & wanted).sum()) if raster else 0,
        obscured_px=int((raster.obscured & wanted).sum()) if raster and raster.obscured is not None else 0,
    )


def _decide(task: BlockTask) -> tuple[Raster, Decision]:
    core = task.block.core
    read = task.interpreter.read_window(core, task.view.grid)
    raster = task.view.load(task.interpreter.bands, read)
    return raster.cut(core.relative_to(read), raster.bands), task.interpreter.decide(raster, read, core)


def _outcome(raster: Raster, wanted: NDArray[np.bool_]) -> tuple[State, str | None]:
    if (raster.valid & wanted).any():
        return "done", None
    if raster.obscured is not None and (raster.obscured & wanted).any():
        return "cloudy", "cloud or shadow hides every pixel that has data"
    return "nodata", "no pixel has data"


def write_block(path: Path, decision: Decision, wanted: NDArray[np.bool_]) -> str:
    """Store labels and confidence of a block, 255 where no answer is wanted; returns their digest."""
    labels = np.where(wanted, decision.labels, np.uint8(255))
    confidence = np.where(wanted, decision.confidence, np.uint8(255))
    with appearing(path) as partial:
        np.savez(partial, labels=labels, confidence=confidence)
    return sha256_bytes(labels.tobytes() + confidence.tobytes())


def read_block(path: Path) -> Decision:
    """Labels and confidence of a stored block."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return Decision(arrays["labels"], arrays["confidence"])


def block_digest(path: Path) -> str | None:
    """Digest of a stored block, or None where it is missing or broken."""
    try:
        decision = read_block(path)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    return sha256_bytes(decision.labels.tobytes() + decision.confidence.tobytes())


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
