"""A network as an interpreter: patches on a lattice fixed to the grid, so that no answer depends on the block.

Along each axis the lattice cuts the grid at multiples of the stride. The piece between two cuts is *owned* by one
patch, which sees a margin more on either side and whose answer is kept for what it owns alone (decision 0004).
Patches that would reach over the edge of the grid are moved inside; only a grid smaller than a patch is padded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import GridError
from aisf_geo.segment.card import GRAIN_PX, Head, ModelCard
from aisf_geo.segment.interpreter import Decision
from aisf_geo.segment.runtime import Runtime

#: How far from a cut a difference counts as the seam's.
NEAR_SEAM_PX = 8


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
    """A model and a runtime as an :class:`~aisf_geo.segment.interpreter.Interpreter`; the main head answers."""

    def __init__(self, card: ModelCard, runtime: Runtime) -> None:
        self.card = card
        self.runtime = runtime
        self.lattice = Lattice(card.patch_px, card.margin_px)
        self._gain = np.array([1 / band.std for band in card.bands], np.float32)
        self._mean = np.array([band.mean for band in card.bands], np.float32)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def version(self) -> str:
        """The card's digest of the weights and everything else that decides a label."""
        return self.card.version

    @property
    def legend(self) -> Legend:
        """The main head's classes."""
        return self.card.heads[0].legend

    @property
    def bands(self) -> tuple[str, ...]:
        """STAC common names in the network's order."""
        return self.card.band_names

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
        """The main head's labels and confidence of ``core``.

        Raises:
            BandError: ``raster`` lacks a band of the model.
            GridError: ``read`` does not hold the patches of ``core``.
        """
        main = self.card.heads[0]
        return self._decide((main,), raster, read, core)[main.name]

    def decide_heads(self, raster: Raster, read: Window, core: Window) -> dict[str, Decision]:
        """Every head's labels and confidence, from one pass of the network; raises as :meth:`decide`."""
        return self._decide(self.card.heads, raster, read, core)

    def probabilities(self, raster: Raster, read: Window, core: Window) -> dict[str, NDArray[np.uint8]]:
        """Every head's probabilities ``(class, y, x)``, 0..254 = 0..1, 255 not observed; raises as :meth:`decide`."""
        scores = self.scores(raster, read, core)
        unobserved = ~raster.valid[core.relative_to(read).slices]
        found = {}
        for head, channels in self._head_channels():
            quantised = np.rint(softmax(scores[channels], head.temperature) * CONFIDENCE_STEPS).astype(np.uint8)
            quantised[:, unobserved] = NO_CONFIDENCE
            found[head.name] = quantised
        return found

    def scores(self, raster: Raster, read: Window, core: Window) -> NDArray[np.float32]:
        """The network's own output ``(channel, y, x)``, all heads; 0 where patches have no valid pixel to answer.

        Raises as :meth:`decide`.
        """
        scores = np.zeros((self.card.output_channels, core.height, core.width), np.float32)
        for answer in self._answers(raster, read, core):
            rows, cols = answer.place.relative_to(core).slices
            scores[:, rows, cols] = answer.logits[:, *answer.inside.slices]
        return scores

    def _decide(self, heads: tuple[Head, ...], raster: Raster, read: Window, core: Window) -> dict[str, Decision]:
        shape = (core.height, core.width)
        found = {
            head.name: Decision(np.full(shape, NOT_OBSERVED, np.uint8), np.full(shape, NO_CONFIDENCE, np.uint8))
            for head in heads
        }
        for answer in self._answers(raster, read, core):
            valid = np.ascontiguousarray(raster.valid[answer.place.relative_to(read).slices])
            place = answer.place.relative_to(core).slices
            for head, channels in self._head_channels():
                if decision := found.get(head.name):
                    labels, confidence = _decided(head, answer.logits[channels], answer.inside, valid)
                    decision.labels[place], decision.confidence[place] = labels, confidence
        return found

    def _answers(self, raster: Raster, read: Window, core: Window) -> Iterator[_Answer]:
        """The network's answer to piece after piece of ``core``; none for a piece without a valid pixel."""
        values = raster.values if raster.bands == self.bands else np.stack([raster.band(name) for name in self.bands])
        patches = [
            patch for patch in self._patches(read, core) if raster.valid[patch.place.relative_to(read).slices].any()
        ]
        for i in range(0, len(patches), self.runtime.batch):
            chunk = patches[i : i + self.runtime.batch]
            batch = np.stack([self._network_input(values, raster.valid, patch, read) for patch in chunk])
            for patch, logits in zip(chunk, self.runtime.predict(batch), strict=True):
                seen = Window(patch.rows.start, patch.cols.start, self.card.patch_px, self.card.patch_px)
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

    def _network_input(
        self, values: NDArray[np.float32], valid: NDArray[np.bool_], patch: _Patch, read: Window
    ) -> NDArray[np.float32]:
        """Normalised pixels ``(band, y, x)`` of a patch; 0 (the mean) where not valid, mirrored beyond the grid."""
        side = self.card.patch_px
        top, left = patch.rows.start - read.row, patch.cols.start - read.col
        seen = (slice(top, top + side), slice(left, left + side))
        pixels = np.empty((len(self._mean), *valid[seen].shape), np.float32)
        _normalise(values[:, *seen], valid[seen], self._mean, self._gain, pixels)
        missing = [(0, side - length) for length in pixels.shape[1:]]
        return np.pad(pixels, [(0, 0), *missing], mode="reflect") if any(map(any, missing)) else pixels

    def _head_channels(self) -> Iterator[tuple[Head, slice]]:
        first = 0
        for head in self.card.heads:
            yield head, slice(first, first := first + len(head.legend.classes))


@dataclass(frozen=True, slots=True)
class SeamMetric:
    """Mean |dP| of the main head between a run and one whose lattice is shifted by half a stride.

    Attributes:
        near_seam: up to :data:`NEAR_SEAM_PX` from a cut of the first run, where the second looks at both sides.
        interior: midway between the cuts of either run: what the shift changes by itself.
        overlap_factor: network-input pixels per output pixel of the first run.
    """

    near_seam: float
    interior: float
    overlap_factor: float


def seam_metric(interpreter: NetworkInterpreter, raster: Raster) -> SeamMetric:
    """How much the cuts show, measured on ``raster`` (a whole grid, a scene or a part of one).

    Raises:
        GridError: the raster is too small to hold patches that do not touch its edge, or holds nothing there.
    """
    lattice = interpreter.lattice
    shift = max(lattice.stride_px // 2 // GRAIN_PX, 1) * GRAIN_PX
    edge, smallest = lattice.patch_px, 2 * lattice.patch_px + lattice.stride_px
    height, width = raster.grid.shape
    if min(height, width) < smallest or lattice.stride_px < 2 * GRAIN_PX:
        raise GridError(f"seam metric: {width} x {height} px hold no inner seam, give at least {smallest} px a side")
    straight = _probabilities(interpreter, raster)
    shifted_window = Window(shift, shift, height - shift, width - shift)
    rows, cols = shifted_window.slices
    shifted = _probabilities(
        interpreter,
        Raster(raster.values[:, rows, cols], raster.valid[rows, cols], raster.grid.crop(shifted_window), raster.bands),
    )
    difference = np.abs(straight[:, rows, cols] - shifted).mean(axis=0)[:-edge, :-edge]
    difference, observed = difference[edge - shift :, edge - shift :], raster.valid[edge:-edge, edge:-edge]
    row, col = (_distances(np.arange(edge, length - edge), lattice.stride_px, shift) for length in (height, width))
    # The other run's cuts are half a stride away: near one's cut and far from the other's along both axes.
    clear = (row[1] > lattice.stride_px // 8)[:, None] & (col[1] > lattice.stride_px // 8)
    near = ((row[0] < NEAR_SEAM_PX)[:, None] | (col[0] < NEAR_SEAM_PX)) & clear & observed
    amid = [np.minimum(*distance) > lattice.stride_px // 8 for distance in (row, col)]
    interior = amid[0][:, None] & amid[1] & observed
    if not (near.any() and interior.any()):
        raise GridError("seam metric: nothing was observed near an inner seam or away from it; give another raster")
    network_px = interpreter.network_px(raster.grid.full_window, raster.grid)
    return SeamMetric(float(difference[near].mean()), float(difference[interior].mean()), network_px / (height * width))


def _probabilities(interpreter: NetworkInterpreter, raster: Raster) -> NDArray[np.float32]:
    main = interpreter.card.heads[0]
    everything = raster.grid.full_window
    scores = interpreter.scores(raster, everything, everything)[: len(main.legend.classes)]
    return softmax(scores, main.temperature)


def _distances(pixels: NDArray[np.int64], stride_px: int, shift_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance of pixels from the nearest cut of the straight and of the shifted lattice."""
    straight, shifted = pixels % stride_px, (pixels - shift_px) % stride_px
    return np.minimum(straight, stride_px - 1 - straight), np.minimum(shifted, stride_px - 1 - shifted)


def softmax(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities over the first axis of ``scores / temperature``."""
    powers = np.exp((scores - scores.max(axis=0)) / np.float32(temperature))
    return np.asarray(powers / powers.sum(axis=0), dtype=np.float32)


@njit(nogil=True, cache=True)
def _normalise(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_],
    mean: NDArray[np.float32],
    gain: NDArray[np.float32],
    pixels: NDArray[np.float32],
) -> None:
    """Writes ``(values - mean) * gain`` into ``pixels``, all ``(band, y, x)``; 0 where not valid."""
    for b in range(values.shape[0]):
        for y in range(values.shape[1]):
            for x in range(values.shape[2]):
                pixels[b, y, x] = (values[b, y, x] - mean[b]) * gain[b] if valid[y, x] else np.float32(0)


def _decided(
    head: Head, logits: NDArray[np.float32], inside: Window, valid: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and confidence ``(y, x)`` of the pixels ``inside`` a patch; of equal classes the first wins.

    Compiled loops with numpy's vector exponential between them: a third of the time of either alone.
    """
    shape = (inside.height, inside.width)
    best, powers = np.empty(shape, np.uint8), np.empty((len(logits), *shape), np.float32)
    labels, confidence = np.empty(shape, np.uint8), np.empty(shape, np.uint8)
    _compare(np.ascontiguousarray(logits), inside.row, inside.col, np.float32(1 / head.temperature), best, powers)
    np.exp(powers, out=powers)
    codes = np.array([entry.code for entry in head.legend.classes], np.uint8)
    _quantise(powers, best, valid, codes, np.float32(head.unknown_below), labels, confidence)
    return labels, confidence


@njit(nogil=True, cache=True)
def _compare(
    logits: NDArray[np.float32],
    row: int,
    col: int,
    inverse_temperature: np.float32,
    best: NDArray[np.uint8],
    powers: NDArray[np.float32],
) -> None:
    """From ``row`` and ``col`` of ``logits`` on: index of the best class, and the exponents of the softmax."""
    classes, height, width = powers.shape
    top = np.empty(width, np.float32)
    index = np.empty(width, np.int32)
    for y in range(height):
        for x in range(width):
            top[x] = logits[0, row + y, col + x]
            index[x] = 0
        for k in range(1, classes):
            candidate = np.int32(k)
            for x in range(width):
                # Without a branch, and with operands of equal width, so that the compiler makes vectors of it.
                score = logits[k, row + y, col + x]
                better = score > top[x]
                index[x] = candidate if better else index[x]
                top[x] = score if better else top[x]
        for x in range(width):
            best[y, x] = index[x]
        for k in range(classes):
            for x in range(width):
                powers[k, y, x] = (logits[k, row + y, col + x] - top[x]) * inverse_temperature


@njit(nogil=True, cache=True)
def _quantise(
    powers: NDArray[np.float32],
    best: NDArray[np.uint8],
    valid: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    unknown_below: np.float32,
    labels: NDArray[np.uint8],
    confidence: NDArray[np.uint8],
) -> None:
    """Labels and confidence from the softmax's terms, of which that of the best class is 1."""
    classes, height, width = powers.shape
    total = np.empty(width, np.float32)
    for y in range(height):
        for x in range(width):
            total[x] = powers[0, y, x]
        for k in range(1, classes):
            for x in range(width):
                total[x] += powers[k, y, x]
        for x in range(width):
            probability = np.float32(1) / total[x]
            if not valid[y, x]:
                labels[y, x] = NOT_OBSERVED
                confidence[y, x] = NO_CONFIDENCE
            else:
                labels[y, x] = codes[best[y, x]] if probability >= unknown_below else UNKNOWN
                confidence[y, x] = np.uint8(probability * np.float32(CONFIDENCE_STEPS) + np.float32(0.5))
