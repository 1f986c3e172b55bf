"""Centre pixels to a graph: junctions and ends joined by chains of pixels.

The input is the centre pixels of all blocks in ascending order, one or two in a hundred pixels of a town, and the same
for any block size; so is all that follows. Two pixels are *linked* where they share a side, or a corner without a
third pixel beside both (Rosenfeld's m-adjacency), so that bends make no triangles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Shape
from aisf_geo.vectorise.rings import offsets_of
from aisf_geo.vectorise.scan import Int32Array, Int64Array, UInt8Array, compiled, roots, unite
from aisf_geo.vectorise.skeleton import CentrePixels, FloatArray

#: ``owner`` of a centre pixel that lies on an edge, not in a node.
ON_EDGE = -1


@dataclass(frozen=True)
class Nodes:
    """Junctions, ends, isolated pixels, and one pixel of every ring without any of these; ascending ``id``.

    Attributes:
        id: int64, row-major index in the grid of the first pixel.
        row, col: float64, mean centre of its pixels, counted from the upper left corner of the grid.
        depth_m: float64, greatest depth of its pixels.
        wide: bool, True where that is the depth of an area too wide to be thinned.
        at_edge: bool, True where the edge of the grid is no farther than the sides of the road.
    """

    id: Int64Array
    row: FloatArray
    col: FloatArray
    depth_m: FloatArray
    wide: NDArray[np.bool_]
    at_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.id.size


@dataclass(frozen=True)
class Network:
    """A road network on pixels.

    Attributes:
        pixels: all centre pixels, ascending.
        width_px: width of the grid.
        nodes: its nodes.
        start, end: int32 ``(edges,)``, the nodes that an edge joins.
        inner: for every edge the centre pixels between them, int64 positions in ``pixels``, from start to end.
    """

    pixels: CentrePixels
    width_px: int
    nodes: Nodes
    start: Int32Array
    end: Int32Array
    inner: list[Int64Array]


def joined(parts: Sequence[CentrePixels]) -> CentrePixels:
    """The centre pixels of all blocks in ascending order."""
    index = np.concatenate([np.zeros(0, np.int64), *(part.index for part in parts)])
    order = np.argsort(index)
    return CentrePixels(
        index[order],
        np.concatenate([np.zeros(0), *(part.depth_m for part in parts)])[order],
        np.concatenate([np.zeros(0), *(part.confidence for part in parts)])[order],
        sum(part.road_px for part in parts),
        sum(part.too_wide_px for part in parts),
    )


def network(pixels: CentrePixels, shape: Shape, limit_m: float, pixel_m: float) -> Network:
    """The graph of centre pixels in ascending order.

    Args:
        pixels: what :func:`joined` returns.
        shape: of the grid.
        limit_m: the depth from which on they are too wide.
        pixel_m: side of a pixel.
    """
    rows, cols = np.divmod(pixels.index, shape.width)
    row_first = np.searchsorted(rows, np.arange(shape.height + 1)).astype(np.int64)
    links = link_pixels(row_first, cols)
    owner_pixel = _node_pixels(links)
    in_node = np.flatnonzero(owner_pixel >= 0)
    first, number = np.unique(owner_pixel[in_node], return_inverse=True)
    owner = np.full(rows.size, ON_EDGE, np.int32)
    owner[in_node] = number
    chains = trace_chains(links, owner)
    size = np.bincount(number, minlength=first.size)
    row = np.bincount(number, rows[in_node], first.size) / size + 0.5
    col = np.bincount(number, cols[in_node], first.size) / size + 0.5
    depth_m = np.zeros(first.size)
    np.maximum.at(depth_m, number, pixels.depth_m[in_node])
    to_edge_px = np.minimum(np.minimum(row, shape.height - row), np.minimum(col, shape.width - col))
    at_edge = to_edge_px * pixel_m <= depth_m + pixel_m
    nodes = Nodes(pixels.index[first], row, col, depth_m, depth_m >= limit_m, at_edge)
    inner = np.split(chains.inner, chains.offsets[1:-1]) if chains.start.size else []
    return Network(pixels, shape.width, nodes, chains.start, chains.end, inner)


@compiled
def _place(row_first: Int64Array, cols: Int64Array, row: int, col: int) -> int:
    """The position of the pixel at ``(row, col)``, or -1 where there is none."""
    if row < 0 or row + 1 >= row_first.size:
        return -1
    low, high = row_first[row], row_first[row + 1]
    place = low + np.searchsorted(cols[low:high], col)
    return int(place) if place < high and cols[place] == col else -1


@compiled
def link_pixels(row_first: Int64Array, cols: Int64Array) -> Int32Array:
    """Positions of the linked pixels towards N, NE, E, SE, S, SW, W, NW; int32 ``(n, 8)``, -1 where there is none."""
    links = np.full((cols.size, 8), -1, np.int32)
    for row in range(row_first.size - 1):
        for p in range(row_first[row], row_first[row + 1]):
            col = cols[p]
            links[p, 0] = _place(row_first, cols, row - 1, col)
            links[p, 4] = _place(row_first, cols, row + 1, col)
            if p + 1 < row_first[row + 1] and cols[p + 1] == col + 1:
                links[p, 2] = p + 1
            if p > row_first[row] and cols[p - 1] == col - 1:
                links[p, 6] = p - 1
            for k in (1, 3, 5, 7):
                if links[p, k - 1] < 0 and links[p, (k + 1) % 8] < 0:
                    down, right = (-1 if k in (1, 7) else 1), (1 if k < 4 else -1)
                    links[p, k] = _place(row_first, cols, row + down, col + right)
    return links


def _node_pixels(links: Int32Array) -> Int32Array:
    """For every centre pixel the first pixel of its node, -1 on edges; int32 ``(n,)``.

    Junction pixels that are linked are one node.
    """
    degree = (links >= 0).sum(axis=1)
    junction = (degree >= 3) | _in_square(links)
    first = roots(_clusters(links, junction))
    first[(degree == 2) & ~junction] = -1
    for p in _ring_starts(links, first):
        first[p] = p
    return first


@compiled
def _in_square(links: Int32Array) -> NDArray[np.bool_]:
    """True for the pixels of 2 x 2 squares: where thinning ended before the road was thin, or cannot go on."""
    square = np.zeros(links.shape[0], np.bool_)
    for p in range(links.shape[0]):
        east, south = links[p, 2], links[p, 4]
        if east >= 0 and south >= 0 and links[east, 4] >= 0:
            square[p] = square[east] = square[south] = square[links[east, 4]] = True
    return square


@compiled
def _clusters(links: Int32Array, junction: NDArray[np.bool_]) -> Int32Array:
    """Linked junction pixels as a forest whose roots are their first pixels."""
    parent = np.arange(links.shape[0]).astype(np.int32)
    for p in range(links.shape[0]):
        for k in range(8):
            q = links[p, k]
            if q >= 0 and junction[p] and junction[q]:
                unite(parent, p, q)
    return parent


@compiled
def _ring_starts(links: Int32Array, first: Int32Array) -> Int64Array:
    """The first pixels of rings that pass no node."""
    seen = first >= 0
    pending = np.empty(links.shape[0], np.int64)
    starts = np.empty(links.shape[0], np.int64)
    count = 0
    for start in range(links.shape[0]):
        if seen[start]:
            continue
        closed, size = True, 1
        pending[0], seen[start] = start, True
        while size:
            size -= 1
            for q in links[pending[size]]:
                if q >= 0 and first[q] >= 0:
                    closed = False
                elif q >= 0 and not seen[q]:
                    pending[size], seen[q] = q, True
                    size += 1
        if closed:
            starts[count] = start
            count += 1
    return starts[:count]


class Chains(NamedTuple):
    """Edges as chains: ``start`` and ``end`` nodes int32 ``(n,)``, pixels ``inner[offsets[i]:offsets[i + 1]]``."""

    start: Int32Array
    end: Int32Array
    offsets: Int64Array
    inner: Int64Array


def trace_chains(links: Int32Array, owner: Int32Array) -> Chains:
    """The edges between nodes, each once and from the lower of its two first steps, in the order of these."""
    start, end, length, inner = _walk(links, owner)
    return Chains(start, end, offsets_of(length), inner)


@compiled
def _walk(links: Int32Array, owner: Int32Array) -> tuple[Int32Array, Int32Array, Int64Array, Int64Array]:
    """Start and end nodes, numbers of inner pixels, and these pixels."""
    room = 8 * np.count_nonzero(owner >= 0)
    start, end, length = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.int64)
    inner = np.empty(links.shape[0], np.int64)
    done = np.zeros(links.shape[0], np.uint8)
    edges = filled = 0
    for p in range(links.shape[0]):
        for k in range(8):
            q = links[p, k]
            if owner[p] == ON_EDGE or q < 0 or owner[q] == owner[p] or done[q]:
                continue
            # A chain without inner pixels is met from both of its ends.
            if owner[q] != ON_EDGE and q < p:
                continue
            before = filled
            last, filled = _follow(links, owner, p, q, inner, filled, done)
            start[edges], end[edges], length[edges] = owner[p], owner[last], filled - before
            edges += 1
    return start[:edges].copy(), end[:edges].copy(), length[:edges].copy(), inner[:filled].copy()


@compiled
def _follow(
    links: Int32Array, owner: Int32Array, p: int, q: int, inner: Int64Array, filled: int, done: UInt8Array
) -> tuple[int, int]:
    """Follow a chain from node pixel ``p`` over ``q``: the node pixel it reaches, and how many ``inner`` hold then."""
    while owner[q] == ON_EDGE:
        inner[filled], done[q] = q, 1
        filled += 1
        following = -1
        for k in range(8):
            if links[q, k] >= 0 and links[q, k] != p:
                following = links[q, k]
        p, q = q, following
    return q, filled
