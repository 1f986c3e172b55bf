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
from itertools import groupby
from typing import TypeVar

import numpy as np

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.tiling import DEFAULT_BLOCK_PX, blocks
from aisf_geo.errors import GridError
from aisf_geo.vectorise.blocks import TracedBlock, trace_block
from aisf_geo.vectorise.polygons import EdgeLengths, Features, concatenated, to_features
from aisf_geo.vectorise.scan import UInt8Array
from aisf_geo.vectorise.seams import Front, advance, check_row

__all__ = ["Features", "TracedBlock", "concatenated", "join", "trace", "trace_array", "trace_block"]

T = TypeVar("T")
R = TypeVar("R")

#: Blocks a worker may be ahead of the joining, which takes a row of blocks at a time.
AHEAD_PER_WORKER = 4

#: Reads the labels and, if there are any, the confidences of a window: uint8 ``(y, x)`` each.
ReadLabels = Callable[[Window], tuple[UInt8Array, UInt8Array | None]]


def trace(read: ReadLabels, grid: Grid, block_px: int = DEFAULT_BLOCK_PX, workers: int = 1) -> Iterator[Features]:
    """Trace a label map block by block on ``workers`` threads; see :func:`join` for what is yielded."""

    def traced(window: Window) -> TracedBlock:
        labels, confidence = read(window)
        return trace_block(labels, confidence, grid, window)

    return join(in_order(traced, (block.core for block in blocks(grid, block_px)), workers), grid)


def trace_array(
    labels: UInt8Array, grid: Grid, confidence: UInt8Array | None = None, block_px: int = DEFAULT_BLOCK_PX
) -> Features:
    """The features of a whole label map in memory, ``labels`` and ``confidence`` uint8 ``(y, x)``."""

    def read(window: Window) -> tuple[UInt8Array, UInt8Array | None]:
        return labels[window.slices], None if confidence is None else confidence[window.slices]

    return concatenated(list(trace(read, grid, block_px)))


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
    front = Front.before(grid)
    for _, in_row in groupby(traced, key=lambda block: block.window.row):
        line = list(in_row)
        check_row(line, front.row, grid)
        joined, front = advance(front, line, grid)
        parts = [*(block.regions for block in line), joined]
        batch = concatenated([to_features(part.outlines, part.done, grid, lengths) for part in parts])
        yield batch.take(np.lexsort((batch.first_pixel, batch.last_row)))
    if front.row != grid.shape.height:
        raise GridError(f"join: blocks end at row {front.row} of {grid.shape.height}; pass all of them")


def in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """``map`` on threads; what is finished early waits, ``AHEAD_PER_WORKER`` items at most."""
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[R]] = deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > AHEAD_PER_WORKER * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
