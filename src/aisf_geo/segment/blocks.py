"""A network as an interpreter: patches on a lattice fixed to the grid, so that no answer depends on the block.

Along each axis the lattice cuts the grid at multiples of the stride. The piece between two cuts is *owned* by one
patch, which sees a margin more on either side and whose answer is kept for what it owns alone (decision 0004).
Patches that would reach over the edge of the grid are moved inside; only a grid smaller than a patch is padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED, Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import GridError
from aisf_geo.segment.card import GRAIN_PX, Head, ModelCard
from aisf_geo.segment.decide import decided, normalise, softmax
from aisf_geo.segment.interpreter import ClassMap, Decision
from aisf_geo.segment.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Span:
    """A patch along one axis: it sees pixels from ``start`` on, and owns ``first .. end - 1``."""

    start: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Lattice:
    """The patches along one axis of a grid, for a network that sees ``patch_px`` and discards ``margin_px``.

    Methods take the length of the axis. The end of any window that holds all the patches in question serves as well:
    patches are moved and pieces merged only where the grid ends, and there such a window ends too.
    """

    patch_px: int
    margin_px: int

    @property
    def stride_px(self) -> int:
        """Distance between cuts."""
        return self.patch_px - 2 * self.margin_px

    def count(self, length_px: int) -> int:
        """Number of patches. A rest no wider than a margin belongs to the patch before it, which sees it anyway."""
        return 1 if length_px <= self.patch_px else -(-(length_px - self.margin_px) // self.stride_px)

    def spans(self, first: int, end: int, length_px: int) -> list[Span]:
        """The patches that own a pixel of ``first .. end - 1``."""
        last = self.count(length_px) - 1
        owners = range(min(first // self.stride_px, last), min((end - 1) // self.stride_px, last) + 1)
        # Moved by whole grains, so that the network halves the resolution in the same phase in every patch.
        inside = -(-max(length_px - self.patch_px, 0) // GRAIN_PX) * GRAIN_PX
        return [
            Span(
                start=min(max(i * self.stride_px - self.margin_px, 0), inside),
                first=i * self.stride_px,
                end=length_px if i == last else (i + 1) * self.stride_px,
            )
            for i in owners
        ]


@dataclass(frozen=True, slots=True)
class _Patch:
    """One patch of a block: where it lies, and ``place``, the pixels of the block that it answers, in the grid."""

    rows: Span
    cols: Span
    place: Window


@dataclass(frozen=True)
class _Answer:
    """Logits ``(channel, y, x)`` of a whole patch, of which those ``inside`` hold for ``place`` in the grid."""

    logits: NDArray[np.float32]
    inside: Window
    place: Window


class NetworkInterpreter:
    """A model and a runtime as an :class:`~aisf_geo.segment.interpreter.Interpreter`.

    Args:
        card: the model.
        runtime: a session of its network.
        bands: those the scene has, in the network's order; the mean takes the place of the others. None: all.
        probabilities: whether decisions hold those of every class.
    """

    def __init__(
        self, card: ModelCard, runtime: Runtime, bands: tuple[str, ...] | None = None, *, probabilities: bool = False
    ) -> None:
        self.card = card
        self.with_probabilities = probabilities
        self.runtime = runtime
        self.lattice = Lattice(card.patch_px, card.margin_px)
        self._bands = card.band_names if bands is None else bands
        present = [band for band in card.bands if band.name in self._bands]
        self._gain = np.array([1 / band.std for band in present], np.float32)
        self._mean = np.array([band.mean for band in present], np.float32)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def version(self) -> str:
        """The card's digest of the weights and everything else that decides a label."""
        return self.card.version

    @property
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head, the main one first."""
        return {head.name: head.legend for head in self.card.heads}

    @property
    def bands(self) -> tuple[str, ...]:
        """STAC common names in the network's order, optional ones left out where the scene lacks them."""
        return self._bands

    def preferred_block_px(self, requested_px: int) -> int:
        """The multiple of the stride nearest to ``requested_px``: such blocks share no patch, others repeat some."""
        stride = self.lattice.stride_px
        return max(1, round(requested_px / stride)) * stride

    def network_px(self, core: Window, grid: Grid) -> int:
        """Network-input pixels it takes to decide ``core``; their sum over the output pixels is the overlap factor."""
        rows, cols = self._spans(core, grid.full_window)
        return len(rows) * len(cols) * self.card.patch_px**2

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels seen by the patches that own a pixel of ``core``."""
        rows, cols = self._spans(core, grid.full_window)
        bottom = min(rows[-1].start + self.card.patch_px, grid.shape.height)
        right = min(cols[-1].start + self.card.patch_px, grid.shape.width)
        return Window(rows[0].start, cols[0].start, bottom - rows[0].start, right - cols[0].start)

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """Every head's labels and confidence of ``core``, from one pass of the network.

        Raises:
            BandError: ``raster`` lacks a band of the model.
            GridError: ``read`` does not hold the patches of ``core``.
        """
        shape = (core.height, core.width)
        maps = {
            name: ClassMap(np.full(shape, NOT_OBSERVED, np.uint8), np.full(shape, NO_CONFIDENCE, np.uint8))
            for name in self.heads
        }
        shares = {
            name: np.full((len(legend.classes), *shape), NO_CONFIDENCE, np.uint8)
            for name, legend in (self.heads.items() if self.with_probabilities else ())
        }
        for answer in self._answers(raster, read, core):
            valid = np.ascontiguousarray(raster.valid[answer.place.relative_to(read).slices])
            place = answer.place.relative_to(core).slices
            for head, channels in self._head_channels():
                logits = answer.logits[channels]
                labels, confidence = decided(head, logits, answer.inside, valid)
                maps[head.name].labels[place], maps[head.name].confidence[place] = labels, confidence
                if shares:
                    probability = softmax(logits[:, *answer.inside.slices], head.temperature)
                    quantised = np.rint(probability * CONFIDENCE_STEPS).astype(np.uint8)
                    shares[head.name][:, *place] = np.where(valid, quantised, NO_CONFIDENCE)
        return Decision(maps, probabilities=shares or None)

    def scores(self, raster: Raster, read: Window, core: Window) -> NDArray[np.float32]:
        """The network's own output ``(channel, y, x)``, all heads; 0 where patches have no valid pixel to answer.

        Raises as :meth:`decide`.
        """
        scores = np.zeros((self.card.output_channels, core.height, core.width), np.float32)
        for answer in self._answers(raster, read, core):
            rows, cols = answer.place.relative_to(core).slices
            scores[:, rows, cols] = answer.logits[:, *answer.inside.slices]
        return scores

    def _answers(self, raster: Raster, read: Window, core: Window) -> Iterator[_Answer]:
        """The network's answer to piece after piece of ``core``; none for a piece without a valid pixel."""
        values = raster.values if raster.bands == self.bands else np.stack([raster.band(name) for name in self.bands])
        values, valid = np.ascontiguousarray(values), np.ascontiguousarray(raster.valid)
        patches = [
            patch for patch in self._patches(read, core) if raster.valid[patch.place.relative_to(read).slices].any()
        ]
        # One array for all of them: what is new to a process costs the kernel as much as filling it.
        side, count = self.card.patch_px, min(self.runtime.batch, len(patches))
        batch = np.empty((count, len(self.card.bands), side, side), np.float32)
        for i in range(0, len(patches), self.runtime.batch):
            chunk = patches[i : i + self.runtime.batch]
            for patch, pixels in zip(chunk, batch, strict=False):
                self._fill(pixels, values, valid, patch, read)
            for patch, logits in zip(chunk, self.runtime.predict(batch[: len(chunk)]), strict=True):
                seen = Window(patch.rows.start, patch.cols.start, side, side)
                yield _Answer(logits, patch.place.relative_to(seen), patch.place)

    def _patches(self, read: Window, core: Window) -> Iterator[_Patch]:
        rows, cols = self._spans(core, read)
        if read.intersection(core) != core or rows[0].start < read.row or cols[0].start < read.col:
            raise GridError(f"network: {core} needs more than {read}; read what `read_window` answers")
        for row in rows:
            for col in cols:
                owned = Window(row.first, col.first, row.end - row.first, col.end - col.first)
                if place := owned.intersection(core):
                    yield _Patch(row, col, place)

    def _spans(self, core: Window, within: Window) -> tuple[list[Span], list[Span]]:
        """The patches of ``core`` along rows and columns, seen from a window that holds them, or from the grid."""
        bottom, right = within.row + within.height, within.col + within.width
        return (
            self.lattice.spans(core.row, core.row + core.height, bottom),
            self.lattice.spans(core.col, core.col + core.width, right),
        )

    def _fill(
        self,
        pixels: NDArray[np.float32],
        values: NDArray[np.float32],
        valid: NDArray[np.bool_],
        patch: _Patch,
        read: Window,
    ) -> None:
        """Normalised ``pixels`` ``(band, y, x)`` of a patch; 0 (the mean) where not valid, mirrored beyond the grid."""
        top, left = patch.rows.start - read.row, patch.cols.start - read.col
        side, places = self.card.patch_px, [self.card.band_names.index(name) for name in self._bands]
        height, width = (min(side, length - first) for length, first in zip(valid.shape, (top, left), strict=True))
        if (len(places), height, width) == pixels.shape:
            normalise(values, valid, top, left, self._mean, self._gain, pixels)
            return
        given = np.empty((len(places), height, width), np.float32)
        normalise(values, valid, top, left, self._mean, self._gain, given)
        pixels[...] = 0
        pixels[places] = np.pad(given, [(0, 0), (0, side - height), (0, side - width)], mode="reflect")

    def _head_channels(self) -> Iterator[tuple[Head, slice]]:
        first = 0
        for head in self.card.heads:
            yield head, slice(first, first := first + len(head.legend.classes))
