"""Traced blocks joined row by row: the front of regions that may still grow, and what each row completes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import NOT_OBSERVED
from aisf_geo.errors import GridError
from aisf_geo.vectorise.blocks import Parted, TracedBlock, part
from aisf_geo.vectorise.regions import RegionTable, stacked
from aisf_geo.vectorise.rings import Arcs, Chains, chain, gather, offsets_of
from aisf_geo.vectorise.scan import (
    REGION,
    SUCCESSOR,
    Borders,
    Int32Array,
    Seam,
    Y,
    empty_nodes,
    join_regions,
    link_across,
    link_down,
    roots,
)


@dataclass(frozen=True)
class Front:
    """The lowest line of what is joined so far, and the regions that touch it.

    Attributes:
        row: first row below the line.
        open, arcs: the regions, and their outlines as far as known.
        south: the pixels above the line, over the whole width.
    """

    row: int
    open: RegionTable
    arcs: Arcs
    south: Seam

    @classmethod
    def before(cls, grid: Grid) -> Front:
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


def check_row(line: list[TracedBlock], row: int, grid: Grid) -> None:
    """Refuse blocks that do not fill the width of the grid below ``row`` from left to right."""
    col = 0
    for window in (block.window for block in line):
        if (window.row, window.col, window.height) != (row, col, line[0].window.height):
            raise GridError(f"join: expected a block at row {row}, column {col}, found {window}; pass them row-major")
        col += window.width
    if col != grid.shape.width or row + line[0].window.height > grid.shape.height:
        raise GridError(f"join: blocks at row {row} end at column {col}, the grid has {tuple(grid.shape)}")


def advance(front: Front, line: list[TracedBlock], grid: Grid) -> tuple[Parted, Front]:
    """Join a row of blocks to the front: the regions it completes, and the new front."""
    tables = [front.open, *(block.regions.open for block in line)]
    table = stacked(tables)
    region_start = np.cumsum([0, *map(len, tables)]).tolist()
    arcs, arc_start = _stacked_arcs([front.arcs, *(block.regions.arcs for block in line)], region_start)
    line = [_renumbered(block, r, a) for block, r, a in zip(line, region_start[1:-1], arc_start[1:-1], strict=True)]
    height = line[0].window.height
    nodes = _with_room(arcs, 4 * (len(line) + 1) * (height + 2) + 8 * (grid.shape.width + 1))
    borders = Borders(np.zeros(len(table), dtype=np.int64), np.zeros(len(table), dtype=np.int64))
    parent = np.arange(len(table), dtype=np.int32)
    south = _link_row(front, line, grid, nodes, borders, parent)

    kept, index = np.unique(roots(parent), return_inverse=True)
    number = np.append(index, -1).astype(np.int32)
    table = replace(table, border_px=table.border_px + borders.total, open_px=table.open_px + borders.open)
    arcs, chains = _rechained(arcs, nodes, number)
    south = south._replace(region=number[south.region])
    row = front.row + height
    goes_on = np.zeros(kept.size + 1, dtype=np.bool_)
    if row < grid.shape.height:
        goes_on[south.region] = True
    parted, (south,) = part(table.merged(number[:-1]), arcs, chains, [south], goes_on[:-1])
    return parted, Front(row, parted.open, parted.arcs, south)


def _stacked_arcs(parts: list[Arcs], region_start: list[int]) -> tuple[Arcs, list[int]]:
    """Arcs of several tables in one, with regions and successors renumbered, and where each table starts."""
    start = np.cumsum([0, *(part.region.size for part in parts)]).tolist()
    arcs = Arcs(
        np.concatenate([part.xy for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate([part.region + r for part, r in zip(parts, region_start, strict=False)]).astype(np.int32),
        np.concatenate([_shifted(part.successor, a) for part, a in zip(parts, start, strict=False)]),
    )
    return arcs, start


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
    front: Front, line: list[TracedBlock], grid: Grid, nodes: Int32Array, borders: Borders, parent: Int32Array
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
    chains = chain(np.ascontiguousarray(table[:, SUCCESSOR]))
    lengths = offsets_of(np.diff(offsets)[chains.order])[chains.first]
    xy = gather(xy, offsets, chains.order)
    return Arcs(xy, lengths, region[chains.order[chains.first[:-1]]], chains.closed_successor()), chains
