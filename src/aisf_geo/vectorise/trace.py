"""Label map to polygons: blocks traced independently, then joined so that the seams leave no mark.

::

    traced = (trace_block(labels, confidence, grid, window) for ...)   # in any worker, in any process
    for features in join(traced, grid):                                # blocks in row-major order
        ...                                                            # complete regions, ready to write

Regions are 4-connected pixels of equal code; every code but ``NOT_OBSERVED`` becomes a feature. What comes out equals
tracing the raster in one piece, for any block size: polygons, their vertices, their order and every attribute. The
polygons are a valid coverage: neighbours have all vertices of their common border in common.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TypeVar

import numpy as np

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NOT_OBSERVED
from aisf_geo.domain.tiling import DEFAULT_BLOCK_PX, blocks
from aisf_geo.errors import GridError
from aisf_geo.vectorise.polygons import EdgeLengths, Features, concatenated, to_features
from aisf_geo.vectorise.regions import RegionTable, measure, stacked
from aisf_geo.vectorise.rings import Arcs, Chains, Outlines, chain, close, gather, offsets_of, place
from aisf_geo.vectorise.scan import (
    REGION,
    SUCCESSOR,
    Borders,
    Int32Array,
    Runs,
    Seam,
    Sides,
    UInt8Array,
    Y,
    empty_nodes,
    find_runs,
    join_regions,
    link_across,
    link_block,
    link_down,
    roots,
)

T = TypeVar("T")
R = TypeVar("R")

#: Reads the labels and, if there are any, the confidences of a window: uint8 ``(y, x)`` each.
ReadLabels = Callable[[Window], tuple[UInt8Array, UInt8Array | None]]


@dataclass(frozen=True)
class TracedBlock:
    """What one block knows of its regions; small against its pixels, and picklable.

    Attributes:
        window: the block's pixels.
        inner, inner_outlines: regions that touch no side of the block: complete.
        outer, arcs: regions that may go on beyond it, and the pieces of their outlines.
        top, bottom, left, right: pixels on the sides, with regions numbered in ``outer`` and stubs in ``arcs``.
    """

    window: Window
    inner: RegionTable
    inner_outlines: Outlines
    outer: RegionTable
    arcs: Arcs
    top: Seam
    bottom: Seam
    left: Seam
    right: Seam


def trace(read: ReadLabels, grid: Grid, block_px: int = DEFAULT_BLOCK_PX, workers: int = 1) -> Iterator[Features]:
    """Trace a label map block by block on ``workers`` threads; see :func:`join` for what is yielded."""

    def traced(window: Window) -> TracedBlock:
        labels, confidence = read(window)
        return trace_block(labels, confidence, grid, window)

    return join(_in_order(traced, (block.core for block in blocks(grid, block_px)), workers), grid)


def trace_array(
    labels: UInt8Array, grid: Grid, confidence: UInt8Array | None = None, block_px: int = DEFAULT_BLOCK_PX
) -> Features:
    """The features of a whole label map in memory, ``labels`` and ``confidence`` uint8 ``(y, x)``."""

    def read(window: Window) -> tuple[UInt8Array, UInt8Array | None]:
        return labels[window.slices], None if confidence is None else confidence[window.slices]

    return concatenated(list(trace(read, grid, block_px)))


def trace_block(labels: UInt8Array, confidence: UInt8Array | None, grid: Grid, window: Window) -> TracedBlock:
    """Trace one block on its own.

    Args:
        labels: uint8 ``(y, x)``, the codes of the window's pixels.
        confidence: uint8 ``(y, x)``, 0..254 = 0..1, 255 = none; None if the map has no confidences.
        grid: grid of the whole raster.
        window: where the block lies in it.

    Raises:
        GridError: labels or confidence do not have the shape of the window, or are not uint8.
    """
    for name, array in (("labels", labels), ("confidence", confidence)):
        if array is not None and (array.shape != (window.height, window.width) or array.dtype != np.uint8):
            raise GridError(f"trace: {name} must be uint8 and fill {window}, found {array.dtype} {array.shape}")
    labels = np.ascontiguousarray(labels)
    runs = find_runs(labels, window.height + int(np.count_nonzero(labels[:, 1:] != labels[:, :-1])))
    regions = int(runs.region.max(initial=-1)) + 1
    borders = Borders(np.zeros(regions, dtype=np.int64), np.zeros(regions, dtype=np.int64))
    # A run starts and ends at vertices on two lines, of three nodes each; every border at a side has two stubs.
    nodes = empty_nodes(6 * runs.start.size + 4 * (window.height + window.width))
    sides = _no_stubs(window)
    link_block(runs, window.width, nodes, sides, borders)
    table = measure(runs, borders, None if confidence is None else np.ascontiguousarray(confidence), grid, window)
    arcs, chains = _arcs(nodes, window)
    return _split(runs, table, arcs, sides, chains, window)


def join(traced: Iterable[TracedBlock], grid: Grid) -> Iterator[Features]:
    """Join traced blocks into features, one batch for every row of blocks.

    A region is yielded with the row of blocks in which it is known to be complete; nothing is kept but the regions that
    touch the lowest line so far. Over all batches the features are ordered by their last row, then by their first
    pixel, which is the same for any block size.

    Args:
        traced: the blocks of a lattice that covers ``grid``, row-major.
        grid: grid of the whole raster.

    Raises:
        GridError: the blocks do not cover the grid in row-major order.
    """
    lengths = EdgeLengths.of(grid)
    front = _Front.before(grid)
    for _, in_row in groupby(traced, key=lambda block: block.window.row):
        line = list(in_row)
        _check_row(line, front.row, grid)
        inner = [to_features(block.inner_outlines, block.inner, grid, lengths) for block in line]
        joined, outlines, front = _advance(front, line, grid)
        batch = concatenated([*inner, to_features(outlines, joined, grid, lengths)])
        yield batch.take(np.lexsort((batch.first_pixel, batch.last_row)))
    if front.row != grid.shape.height:
        raise GridError(f"join: blocks end at row {front.row} of {grid.shape.height}; pass all of them")


def _in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` on threads that runs at most two items ahead of each worker, so that results do not pile up."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[R]] = deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _no_stubs(window: Window) -> Sides:
    """Stub tables of a block without stubs."""
    across, down = (2, window.width + 1), (2, window.height + 1)
    return Sides(*(np.full(shape, -1, dtype=np.int32) for shape in (across, across, down, down)))


def _arcs(nodes: Int32Array, window: Window) -> tuple[Arcs, Chains]:
    """The outlines of a block in pieces as long as they get, in grid vertices."""
    nodes = nodes[: nodes[-1, -1]]
    chains = chain(nodes[:, SUCCESSOR])
    xy, offsets = place(nodes, chains.order, chains.first, window.row, window.col)
    region = nodes[chains.order[chains.first[:-1]], REGION]
    return Arcs(xy, offsets, region, chains.closed_successor()), chains


def _split(runs: Runs, table: RegionTable, arcs: Arcs, sides: Sides, chains: Chains, window: Window) -> TracedBlock:
    """A traced block: what is complete in it, and what the seams decide."""
    first, last = runs.row_first[:-1], runs.row_first[1:] - 1
    along = {
        "top": np.repeat(*_row_runs(runs, 0, window.width)),
        "bottom": np.repeat(*_row_runs(runs, window.height - 1, window.width)),
        "left": first,
        "right": last,
    }
    outer = np.zeros(len(table) + 1, dtype=np.bool_)  # the last entry takes the -1 of what is not observed
    for side in along.values():
        outer[runs.region[side]] = True
    outer = outer[:-1]
    number = np.append(np.where(outer, np.cumsum(outer), np.cumsum(~outer)) - 1, -1).astype(np.int32)
    is_outer = outer[arcs.region]
    arc_number = np.append(np.cumsum(is_outer) - 1, -1).astype(np.int32)
    seams = {
        name: Seam(runs.code[side], number[runs.region[side]], arc_number[_chain_of(chains, getattr(sides, name))])
        for name, side in along.items()
    }
    arcs = replace(arcs, region=number[arcs.region])
    inner = table.take(np.flatnonzero(~outer))
    return TracedBlock(
        window=window,
        inner=inner,
        inner_outlines=close(arcs.take(np.flatnonzero(~is_outer)), len(inner)),
        outer=table.take(np.flatnonzero(outer)),
        arcs=arcs.take(np.flatnonzero(is_outer)),
        **seams,
    )


def _row_runs(runs: Runs, row: int, width: int) -> tuple[Int32Array, Int32Array]:
    """The runs of a row and their lengths."""
    index = np.arange(runs.row_first[row], runs.row_first[row + 1], dtype=np.int32)
    return index, np.diff(runs.start[index], append=width).astype(np.int32)


def _chain_of(chains: Chains, pieces: Int32Array) -> Int32Array:
    """The chain of every piece, -1 for -1."""
    return np.where(pieces >= 0, chains.chain_of[pieces] if chains.chain_of.size else -1, -1).astype(np.int32)


@dataclass(frozen=True)
class _Front:
    """The lowest line of what is joined so far, and the regions that touch it.

    Attributes:
        row: first row below the line.
        table, arcs: the regions, and their outlines as far as known.
        south: the pixels above the line, over the whole width.
    """

    row: int
    table: RegionTable
    arcs: Arcs
    south: Seam

    @classmethod
    def before(cls, grid: Grid) -> _Front:
        """The line above the first row."""
        arcs = Arcs(np.empty((0, 2), np.int32), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.int32))
        return cls(0, RegionTable.empty(), arcs, _unobserved(grid.shape.width))


def _unobserved(length: int) -> Seam:
    """Pixels off the image."""
    return Seam(
        np.full(length, NOT_OBSERVED, dtype=np.uint8),
        np.full(length, -1, dtype=np.int32),
        np.full((2, length + 1), -1, dtype=np.int32),
    )


def _check_row(line: list[TracedBlock], row: int, grid: Grid) -> None:
    """Refuse blocks that do not fill the width of the grid below ``row`` from left to right."""
    col = 0
    for window in (block.window for block in line):
        if (window.row, window.col, window.height) != (row, col, line[0].window.height):
            raise GridError(f"join: expected a block at row {row}, column {col}, found {window}; pass them row-major")
        col += window.width
    if col != grid.shape.width or row + line[0].window.height > grid.shape.height:
        raise GridError(f"join: blocks at row {row} end at column {col}, the grid has {tuple(grid.shape)}")


def _advance(front: _Front, line: list[TracedBlock], grid: Grid) -> tuple[RegionTable, Outlines, _Front]:
    """Join a row of blocks to the front: the regions completed by it, their outlines, and the new front."""
    tables = stacked([front.table, *(block.outer for block in line)])
    region_start = np.cumsum([len(front.table), *(len(block.outer) for block in line)]).tolist()
    arcs, arc_start = _stacked_arcs([front.arcs, *(block.arcs for block in line)], [0, *region_start])
    line = [_renumbered(block, r, a) for block, r, a in zip(line, region_start[:-1], arc_start[1:], strict=True)]
    nodes = _with_room(arcs, 4 * (len(line) + 1) * (line[0].window.height + 2) + 8 * (grid.shape.width + 1))
    borders = Borders(np.zeros(len(tables), dtype=np.int64), np.zeros(len(tables), dtype=np.int64))
    parent = np.arange(len(tables), dtype=np.int32)
    south = _link_row(front, line, grid, nodes, borders, parent)

    kept, number = np.unique(roots(parent), return_inverse=True)
    number = number.astype(np.int32)
    table = replace(tables, border_px=tables.border_px + borders.total, open_px=tables.open_px + borders.open)
    table = table.merged(number)
    arcs, chains = _rechained(arcs, nodes, number)
    row = front.row + line[0].window.height
    alive = np.zeros(kept.size, dtype=np.bool_)
    if row < grid.shape.height:
        alive[number[south.region[south.region >= 0]]] = True
    region = (np.where(alive, np.cumsum(alive), np.cumsum(~alive)) - 1).astype(np.int32)
    is_alive = alive[arcs.region]
    arc_number = np.append(np.cumsum(is_alive) - 1, -1).astype(np.int32)
    arcs = replace(arcs, region=region[arcs.region])
    done = table.take(np.flatnonzero(~alive))
    outlines = close(arcs.take(np.flatnonzero(~is_alive)), len(done))
    south = Seam(
        south.code,
        np.append(region[number], -1).astype(np.int32)[south.region],
        arc_number[_chain_of(chains, south.stubs)],
    )
    return done, outlines, _Front(row, table.take(np.flatnonzero(alive)), arcs.take(np.flatnonzero(is_alive)), south)


def _stacked_arcs(parts: list[Arcs], region_start: list[int]) -> tuple[Arcs, list[int]]:
    """Arcs of several tables in one, with regions and successors renumbered, and where each table starts."""
    start = np.cumsum([0, *(part.region.size for part in parts)]).tolist()
    arcs = Arcs(
        np.concatenate([part.xy for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate([part.region + r for part, r in zip(parts, region_start, strict=False)]).astype(np.int32),
        np.concatenate([_shifted(part.successor, a) for part, a in zip(parts, start, strict=False)]),
    )
    return arcs, start[:-1]


def _shifted(index: Int32Array, start: int) -> Int32Array:
    """Indices moved by ``start``, with -1 left as it is."""
    return np.where(index >= 0, index + start, -1).astype(np.int32)


def _renumbered(block: TracedBlock, region_start: int, arc_start: int) -> TracedBlock:
    """A block whose sides speak of the regions and arcs of the row."""

    def moved(side: Seam) -> Seam:
        return Seam(side.code, _shifted(side.region, region_start), _shifted(side.stubs, arc_start))

    return replace(
        block, top=moved(block.top), bottom=moved(block.bottom), left=moved(block.left), right=moved(block.right)
    )


def _with_room(arcs: Arcs, room: int) -> Int32Array:
    """The arcs as nodes that a seam can link, followed by ``room`` for its own."""
    count = arcs.region.size
    nodes = empty_nodes(count + room)
    nodes[:count, SUCCESSOR] = arcs.successor
    nodes[-1, -1] = count
    return nodes


def _link_row(
    front: _Front, line: list[TracedBlock], grid: Grid, nodes: Int32Array, borders: Borders, parent: Int32Array
) -> Seam:
    """Link all seams of a row of blocks, from the front down; the pixels along its lowest line."""
    north = _side_by_side([block.top for block in line])
    south = _side_by_side([block.bottom for block in line])
    row, height = front.row, line[0].window.height
    off = _unobserved(height)
    for west, east, col in zip(
        [off, *(block.right for block in line)],
        [*(block.left for block in line), off],
        [*(block.window.col for block in line), grid.shape.width],
        strict=True,
    ):
        join_regions(parent, borders, west, east)
        link_down(nodes, west, east, col, row, north.stubs, south.stubs)
    join_regions(parent, borders, front.south, north)
    link_across(nodes, front.south, north, row)
    if row + height == grid.shape.height:
        off = _unobserved(grid.shape.width)
        join_regions(parent, borders, south, off)
        link_across(nodes, south, off, row + height)
    return south


def _side_by_side(sides: list[Seam]) -> Seam:
    """The upper or lower sides of a row of blocks as one; no stubs yet where two blocks meet."""
    stubs = np.full((2, sum(side.code.size for side in sides) + 1), -1, dtype=np.int32)
    col = 0
    for side in sides:
        stubs[:, col + 1 : col + side.code.size] = side.stubs[:, 1:-1]
        col += side.code.size
    return Seam(np.concatenate([side.code for side in sides]), np.concatenate([side.region for side in sides]), stubs)


def _rechained(arcs: Arcs, nodes: Int32Array, number: Int32Array) -> tuple[Arcs, Chains]:
    """Arcs and the nodes of the seams in pieces as long as they get, with regions under their new number."""
    table = nodes[: nodes[-1, -1]]
    new = table[arcs.region.size :]
    real = new[:, Y] >= 0
    xy = np.concatenate([arcs.xy, new[real, :REGION]])
    offsets = offsets_of(np.concatenate([np.diff(arcs.offsets), real]))
    region = number[np.concatenate([arcs.region, new[:, REGION]])]
    chains = chain(table[:, SUCCESSOR])
    lengths = offsets_of(np.diff(offsets)[chains.order])[chains.first]
    xy = gather(xy, offsets, chains.order)
    return Arcs(xy, lengths, region[chains.order[chains.first[:-1]]], chains.closed_successor()), chains
