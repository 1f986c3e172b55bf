"""One block of a label map, traced on its own: what is complete in it, and what its seams decide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.errors import GridError
from aisf_geo.vectorise.regions import RegionTable, measure
from aisf_geo.vectorise.rings import Arcs, Chains, Outlines, chain, close, place
from aisf_geo.vectorise.scan import (
    REGION,
    SUCCESSOR,
    Borders,
    Int32Array,
    Runs,
    Seam,
    Sides,
    UInt8Array,
    empty_nodes,
    find_runs,
    link_block,
)


@dataclass(frozen=True)
class Parted:
    """Regions in two parts: those that are complete, and those that go on beyond a seam.

    Attributes:
        done, outlines: the complete ones.
        open, arcs: the others, and the pieces of their outlines.
    """

    done: RegionTable
    outlines: Outlines
    open: RegionTable
    arcs: Arcs


@dataclass(frozen=True)
class TracedBlock:
    """What one block knows of its regions; small against its pixels, and picklable.

    Attributes:
        window: the block's pixels.
        regions: those that touch a side of the block are open.
        top, bottom, left, right: pixels on the sides, with the numbers of open regions, and of arcs as stubs.
    """

    window: Window
    regions: Parted
    top: Seam
    bottom: Seam
    left: Seam
    right: Seam


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
    seams = _seams(runs, sides, window)
    goes_on = np.zeros(regions + 1, dtype=np.bool_)  # the last entry takes the -1 of what is not observed
    for seam in seams:
        goes_on[seam.region] = True
    parted, (top, bottom, left, right) = part(table, arcs, chains, seams, goes_on[:-1])
    return TracedBlock(window, parted, top, bottom, left, right)


def part(
    table: RegionTable, arcs: Arcs, chains: Chains, seams: list[Seam], goes_on: NDArray[np.bool_]
) -> tuple[Parted, list[Seam]]:
    """Close the outlines of the regions that do not go on, and number both parts anew.

    Args:
        table: all regions.
        arcs: their outlines, numbered as ``chains``.
        chains: which piece went into which arc.
        seams: pixels with the numbers of regions in ``table`` and of pieces as stubs.
        goes_on: bool ``(regions,)``.

    Returns:
        The parts, and the seams with the numbers of open regions and of their arcs.
    """
    number = np.append(np.where(goes_on, np.cumsum(goes_on), np.cumsum(~goes_on)) - 1, -1).astype(np.int32)
    is_open = goes_on[arcs.region]
    arc_number = np.append(np.where(is_open, np.cumsum(is_open) - 1, -1), -1).astype(np.int32)
    chain_of = np.append(chains.chain_of, -1)
    seams = [Seam(s.code, number[s.region], arc_number[chain_of[s.stubs]]) for s in seams]
    arcs = replace(arcs, region=number[arcs.region])
    done = table.take(np.flatnonzero(~goes_on))
    outlines = close(arcs.take(np.flatnonzero(~is_open)), len(done))
    return Parted(done, outlines, table.take(np.flatnonzero(goes_on)), arcs.take(np.flatnonzero(is_open))), seams


def _no_stubs(window: Window) -> Sides:
    """Stub tables of a block without stubs."""
    across, down = (2, window.width + 1), (2, window.height + 1)
    return Sides(*(np.full(shape, -1, dtype=np.int32) for shape in (across, across, down, down)))


def _arcs(nodes: Int32Array, window: Window) -> tuple[Arcs, Chains]:
    """The outlines of a block in pieces as long as they get, in grid vertices."""
    nodes = nodes[: nodes[-1, -1]]
    chains = chain(np.ascontiguousarray(nodes[:, SUCCESSOR]))
    xy, offsets = place(nodes, chains.order, chains.first, window.row, window.col)
    region = nodes[chains.order[chains.first[:-1]], REGION]
    return Arcs(xy, offsets, region, chains.closed_successor()), chains


def _seams(runs: Runs, sides: Sides, window: Window) -> list[Seam]:
    """The pixels and stubs along the top, bottom, left and right side."""
    along = (
        np.repeat(*_row_runs(runs, 0, window.width)),
        np.repeat(*_row_runs(runs, window.height - 1, window.width)),
        runs.row_first[:-1],
        runs.row_first[1:] - 1,
    )
    return [Seam(runs.code[run], runs.region[run], stubs) for run, stubs in zip(along, sides, strict=True)]


def _row_runs(runs: Runs, row: int, width: int) -> tuple[Int32Array, Int32Array]:
    """The runs of a row and their lengths."""
    index = np.arange(runs.row_first[row], runs.row_first[row + 1], dtype=np.int32)
    return index, np.diff(runs.start[index], append=width).astype(np.int32)
