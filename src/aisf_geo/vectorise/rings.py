"""Linked pieces to closed rings: walking, untangling at saddles, canonical start and order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aisf_geo.vectorise.scan import STUB, Int32Array, Int64Array, X, Y, compiled


class Chains(NamedTuple):
    """Pieces put one after the other by their successors.

    ``order`` int32: the pieces, chain after chain; ``first`` int64 ``(chains + 1,)``: where each chain starts in
    ``order``; ``chain_of`` int32: the chain of every piece; ``open_count``: the first so many chains do not close.
    """

    order: Int32Array
    first: Int64Array
    chain_of: Int32Array
    open_count: int

    def closed_successor(self) -> Int32Array:
        """Successor of every chain: itself if it is closed, else -1."""
        number = np.arange(self.first.size - 1, dtype=np.int32)
        number[: self.open_count] = -1
        return number


@compiled
def chain(successor: Int32Array) -> Chains:
    """Walk all pieces: first the chains that have an end, by their first piece, then the closed ones."""
    n = successor.size
    has_predecessor = np.zeros(n, np.bool_)
    for i in range(n):
        if successor[i] >= 0:
            has_predecessor[successor[i]] = True
    order, first = np.empty(n, np.int32), np.empty(n + 1, np.int64)
    chain_of = np.full(n, -1, np.int32)
    chains = walked = open_count = 0
    for closed in (False, True):
        for i in range(n):
            if chain_of[i] >= 0 or (has_predecessor[i] and not closed):
                continue
            first[chains] = walked
            piece = i
            while piece >= 0 and chain_of[piece] < 0:
                chain_of[piece] = chains
                order[walked] = piece
                walked += 1
                piece = successor[piece]
            chains += 1
        if not closed:
            open_count = chains
    first[chains] = walked
    return Chains(order, first[: chains + 1].copy(), chain_of, open_count)


@compiled
def gather(xy: Int32Array, offsets: Int64Array, order: Int32Array) -> Int32Array:
    """The vertices of the pieces ``order``, one after the other."""
    total = 0
    for i in order:
        total += offsets[i + 1] - offsets[i]
    out = np.empty((total, 2), np.int32)
    n = 0
    for i in order:
        for j in range(offsets[i], offsets[i + 1]):
            out[n, 0], out[n, 1] = xy[j, 0], xy[j, 1]
            n += 1
    return out


@compiled
def place(nodes: Int32Array, order: Int32Array, first: Int64Array, row: int, col: int) -> tuple[Int32Array, Int64Array]:
    """Vertices of chains of nodes, moved by ``row`` and ``col``, and where each chain starts in them."""
    xy, offsets = np.empty((order.size, 2), np.int32), np.zeros(first.size, np.int64)
    n = 0
    for c in range(first.size - 1):
        for i in range(first[c], first[c + 1]):
            x, y = nodes[order[i], X], nodes[order[i], Y]
            if y == STUB:
                continue
            # A mark ~x is -x - 1, so that moving it right means subtracting.
            xy[n, 0], xy[n, 1] = x - col if x < 0 else x + col, y + row
            n += 1
        offsets[c + 1] = n
    return xy[:n].copy(), offsets


@dataclass(frozen=True)
class Arcs:
    """Pieces of outlines.

    Attributes:
        xy: int32 ``(vertices, 2)``, column and row of grid vertices; ``~column`` marks a saddle. A piece owns the
            vertices from its start up to, and without, the start of its successor.
        offsets: int64 ``(pieces + 1,)``, where each piece starts in ``xy``.
        region: int32 ``(pieces,)``, the region on the left.
        successor: int32 ``(pieces,)``, the piece that follows; itself for a closed ring, -1 where not known yet.
    """

    xy: Int32Array
    offsets: Int64Array
    region: Int32Array
    successor: Int32Array

    def take(self, pieces: NDArray[np.integer]) -> Arcs:
        """Some of the pieces, none of which follows a piece other than itself."""
        lengths = np.diff(self.offsets)[pieces]
        closed = self.successor[pieces] >= 0
        successor = np.where(closed, np.arange(pieces.size), -1).astype(np.int32)
        return Arcs(
            gather(self.xy, self.offsets, pieces.astype(np.int32)), offsets_of(lengths), self.region[pieces], successor
        )


@dataclass(frozen=True)
class Outlines:
    """Closed rings of complete regions, by region, the exterior first.

    Attributes:
        xy: int32 ``(vertices, 2)``, column and row; the first vertex of a ring is repeated at its end.
        ring_offsets: int64 ``(rings + 1,)`` into ``xy``.
        region_offsets: int64 ``(regions + 1,)`` into the rings.
    """

    xy: Int32Array
    ring_offsets: Int64Array
    region_offsets: Int64Array


def offsets_of(lengths: NDArray[np.integer]) -> Int64Array:
    """Where ragged pieces start in their concatenation, and where the last one ends."""
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def close(arcs: Arcs, regions: int) -> Outlines:
    """The outlines of ``regions`` complete regions from their closed pieces.

    Every ring starts at its uppermost, there leftmost, vertex; a region's rings follow each other by that vertex, which
    puts the exterior first. Both are properties of the ring alone, not of the blocks it came from.
    """
    xy, successor = untangle(arcs)
    start, length, region = _ring_starts(xy, arcs.offsets, arcs.region, successor)
    order = np.lexsort((xy[start, 0], xy[start, 1], region))
    ring_offsets = offsets_of(length[order] + 1)
    xy = _copy_rings(xy, successor, start[order], ring_offsets)
    region_offsets = np.searchsorted(region[order], np.arange(regions + 1)).astype(np.int64)
    return Outlines(xy, ring_offsets, region_offsets)


def untangle(arcs: Arcs) -> tuple[Int32Array, Int32Array]:
    """Vertices without saddle marks, and the successor of each such that no ring meets itself.

    Where a ring passes a saddle twice with the same region on both diagonal pixels, exchanging the two successors
    separates the parts: each then bounds one 4-connected piece of what surrounds the region, and the rings of a valid
    polygon may touch each other in points but never themselves.
    """
    successor = np.arange(1, arcs.xy.shape[0] + 1, dtype=np.int32)
    successor[arcs.offsets[1:] - 1] = arcs.offsets[:-1]
    vertex = np.flatnonzero(arcs.xy[:, 0] < 0)
    xy = arcs.xy.copy()
    xy[vertex, 0] = ~xy[vertex, 0]
    owner = arcs.region[np.searchsorted(arcs.offsets, vertex, side="right") - 1].astype(np.int64)
    key = xy[vertex, 1].astype(np.int64) << 32 | xy[vertex, 0]
    order = np.lexsort((owner, key))
    twice = np.flatnonzero((key[order][1:] == key[order][:-1]) & (owner[order][1:] == owner[order][:-1]))
    # Of one region there are at most two at a saddle, so that no vertex is in two pairs.
    a, b = vertex[order[twice]], vertex[order[twice + 1]]
    successor[a], successor[b] = successor[b], successor[a]
    return xy, successor


@compiled
def _ring_starts(
    xy: Int32Array, offsets: Int64Array, region: Int32Array, successor: Int32Array
) -> tuple[Int32Array, Int64Array, Int32Array]:
    """Uppermost-leftmost vertex, vertex count and region of every ring."""
    seen = np.zeros(xy.shape[0], np.bool_)
    starts, lengths, owners = [np.int32(0)], [np.int64(0)], [np.int32(0)]
    for r in range(region.size):
        for i in range(offsets[r], offsets[r + 1]):
            if seen[i]:
                continue
            best, count, vertex = i, 0, i
            while not seen[vertex]:
                seen[vertex] = True
                count += 1
                if xy[vertex, 1] < xy[best, 1] or (xy[vertex, 1] == xy[best, 1] and xy[vertex, 0] < xy[best, 0]):
                    best = vertex
                vertex = successor[vertex]
            starts.append(np.int32(best))
            lengths.append(np.int64(count))
            owners.append(region[r])
    return np.array(starts)[1:], np.array(lengths)[1:], np.array(owners)[1:]


@compiled
def _copy_rings(xy: Int32Array, successor: Int32Array, start: Int32Array, ring_offsets: Int64Array) -> Int32Array:
    """The rings from their starts, each closed by its first vertex."""
    out = np.empty((ring_offsets[-1], 2), np.int32)
    for r in range(start.size):
        vertex = start[r]
        for n in range(ring_offsets[r], ring_offsets[r + 1]):
            out[n, 0], out[n, 1] = xy[vertex, 0], xy[vertex, 1]
            vertex = successor[vertex]
    return out


@compiled
def ring_lengths(
    xy: Int32Array, ring_offsets: Int64Array, east_m: NDArray[np.float64], south_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Length of every ring in m: ``east_m[y]`` for a pixel's edge on line ``y``, ``south_m`` summed down to a line."""
    out = np.zeros(ring_offsets.size - 1)
    for r in range(out.size):
        for i in range(ring_offsets[r], ring_offsets[r + 1] - 1):
            x, y = xy[i, 0], xy[i, 1]
            out[r] += abs(xy[i + 1, 0] - x) * east_m[y] + abs(south_m[xy[i + 1, 1]] - south_m[y])
    return out
