"""What is done to a road network once it is whole: spurs pruned, gaps bridged, fragments removed.

All of it after stitching, and each choice by length or distance and then by the order of nodes, so that the result is
the same however the raster was cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from aisf_geo.vectorise.road_graph import Nodes
from aisf_geo.vectorise.road_lines import Ground
from aisf_geo.vectorise.scan import Int32Array, Int64Array
from aisf_geo.vectorise.skeleton import FloatArray

#: Centre pixels over which the direction of an end is taken: shorter ones are rounded to 45 degrees.
DIRECTION_PX = 10


@dataclass(frozen=True)
class Edges:
    """Edges between nodes of a network, as columns.

    Attributes:
        start, end: int32 ``(n,)``, positions of nodes, ``start <= end``.
        inner: centre pixels between them, int64 positions, from start to end.
        length_m: float64 ``(n,)``.
        bridge: bool ``(n,)``, True where nothing was mapped and a gap is bridged.
    """

    start: Int32Array
    end: Int32Array
    inner: list[Int64Array]
    length_m: FloatArray
    bridge: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.start.size

    def degree(self, nodes: int) -> Int64Array:
        """Edge ends at every node, int64 ``(nodes,)``; a ring counts twice."""
        return np.bincount(self.start, minlength=nodes) + np.bincount(self.end, minlength=nodes)

    def take(self, index: NDArray[np.integer]) -> Edges:
        """The edges ``index``, in that order."""
        inner = [self.inner[i] for i in index.tolist()]
        return Edges(self.start[index], self.end[index], inner, self.length_m[index], self.bridge[index])

    def kept(self, mask: NDArray[np.bool_]) -> Edges:
        """The edges where ``mask`` is True."""
        return self.take(np.flatnonzero(mask))

    def with_others(self, other: Edges) -> Edges:
        """These edges and then the others."""
        return Edges(
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            self.inner + other.inner,
            np.concatenate([self.length_m, other.length_m]),
            np.concatenate([self.bridge, other.bridge]),
        )

    def ordered(self, pixels: Int64Array) -> Edges:
        """The edges by start, end and first pixel; ``pixels`` are the indices of all centre pixels."""
        first = np.array([pixels[inner[0]] if inner.size else -1 for inner in self.inner], np.int64)
        return self.take(np.lexsort((first, self.end, self.start)))


def measured(ground: Ground, start: Int32Array, end: Int32Array, inner: list[Int64Array], bridge: bool) -> Edges:
    """Edges with their lengths, turned to lead from the lower node to the higher one; rings to the higher pixel."""
    back = start > end
    for i in np.flatnonzero(start == end):
        back[i] = inner[i].size > 0 and inner[i][0] > inner[i][-1]
    start, end = np.where(back, end, start), np.where(back, start, end)
    inner = [pixels[::-1] if turned else pixels for pixels, turned in zip(inner, back.tolist(), strict=True)]
    length_m = ground.lengths_m(ground.lines(start, end, inner))
    return Edges(start, end, inner, length_m, np.full(start.size, bridge))


def without_spurs(edges: Edges, ground: Ground, spur_m: float) -> tuple[Edges, int]:
    """Remove dead ends shorter than ``spur_m`` and dissolve the junctions that are none any more; how many went.

    A junction loses its shortest spurs first and always keeps two edges: where the end of a wide road forks, the longer
    branch stays, so that roads do not get shorter.
    """
    total = 0
    edges = dissolved(edges, ground)
    while (spurs := _spurs(edges, ground.net.nodes, spur_m)).size:
        keep = np.ones(len(edges), np.bool_)
        keep[spurs] = False
        edges = dissolved(edges.kept(keep), ground)
        total += spurs.size
    return edges, total


def _spurs(edges: Edges, nodes: Nodes, spur_m: float) -> Int64Array:
    """Edges to remove from junctions, as far as each junction can spare them.

    What leaves the image may go on, and stays unless it is no longer than the fork in which a cut road ends.
    """
    degree = edges.degree(len(nodes))
    loose_start, loose_end = degree[edges.start] == 1, degree[edges.end] == 1
    spurs = np.flatnonzero((loose_start != loose_end) & (edges.length_m < spur_m))
    junction = np.where(loose_start[spurs], edges.end[spurs], edges.start[spurs])
    tip = np.where(loose_start[spurs], edges.start[spurs], edges.end[spurs])
    goes_on = nodes.at_edge[tip] & (edges.length_m[spurs] > 2 * nodes.depth_m[junction])
    spurs, junction = spurs[~goes_on], junction[~goes_on]
    order = np.lexsort((spurs, edges.length_m[spurs], junction))
    spurs, junction = spurs[order], junction[order]
    rank = np.arange(spurs.size) - np.searchsorted(junction, junction)
    return spurs[rank < degree[junction] - 2]


def dissolved(edges: Edges, ground: Ground) -> Edges:
    """The edges with nodes that only two of them meet in taken out; wide areas and rings keep their node."""
    at = _passed_nodes(edges, ground)
    if not at:
        return edges
    chain = {i: (edges.start[i], edges.end[i], [edges.inner[i]]) for pair in at.values() for i in pair}
    untouched = np.ones(len(edges), np.bool_)
    untouched[list(chain)] = False
    for node in sorted(at):
        i, j = at[node]
        if i == j:
            continue
        (first, head), (last, tail) = _towards(chain[i], node), _towards(chain.pop(j), node)
        chain[i] = first, last, head + _turned(tail)
        if last in at:
            at[last] = [i if k == j else k for k in at[last]]
    merged = [chain[i] for i in sorted(chain)]
    start, end = (np.array([c[side] for c in merged], np.int32) for side in (0, 1))
    new = measured(ground, start, end, [np.concatenate(c[2]) for c in merged], False)
    return edges.kept(untouched).with_others(new).ordered(ground.net.pixels.index)


def _passed_nodes(edges: Edges, ground: Ground) -> dict[int, list[int]]:
    """The two edges at every node that only two edge ends meet in, the same twice for a ring."""
    passed = (edges.degree(len(ground.net.nodes)) == 2) & ~ground.net.nodes.wide
    ends = np.concatenate([edges.start, edges.end])
    edge = np.tile(np.arange(len(edges)), 2)
    at: dict[int, list[int]] = {}
    for place in np.flatnonzero(passed[ends]).tolist():
        at.setdefault(int(ends[place]), []).append(int(edge[place]))
    return {node: pair for node, pair in at.items() if pair[0] != pair[1]}


def _towards(chain: tuple[int, int, list[Int64Array]], node: int) -> tuple[int, list[Int64Array]]:
    """The far node of a chain and its pieces in the direction of ``node``."""
    start, end, pieces = chain
    return (start, pieces) if end == node else (end, _turned(pieces))


def _turned(pieces: list[Int64Array]) -> list[Int64Array]:
    """The pieces in the other direction."""
    return [piece[::-1] for piece in reversed(pieces)]


def with_bridges(edges: Edges, ground: Ground, gap_m: float, angle_deg: float) -> Edges:
    """Bridge gaps between two ends that lie within ``gap_m`` and point at each other.

    Both roads must lead towards the other end within ``angle_deg``. The nearest pair comes first; an end is bridged
    at most once, always to another end, never to the side of a road.
    """
    ends, outward, place = _loose_ends(edges, ground)
    if ends.size < 2 or gap_m <= 0:
        return edges
    pairs = cKDTree(place).query_pairs(gap_m, output_type="ndarray")
    a, b = pairs.min(axis=1), pairs.max(axis=1)
    gap = place[b] - place[a]
    distance_m = np.linalg.norm(gap, axis=1)
    narrowest = np.cos(np.deg2rad(angle_deg)) * distance_m
    fits = ((outward[a] * gap).sum(axis=1) >= narrowest) & ((outward[b] * -gap).sum(axis=1) >= narrowest)
    order = np.lexsort((b, a, distance_m))
    order = order[fits[order]]
    taken: set[int] = set()
    chosen = []
    for one, other in zip(a[order].tolist(), b[order].tolist(), strict=True):
        if one not in taken and other not in taken:
            taken |= {one, other}
            chosen.append((one, other))
    if not chosen:
        return edges
    start, end = (ends[list(side)].astype(np.int32) for side in zip(*chosen, strict=True))
    bridges = measured(ground, start, end, [np.zeros(0, np.int64)] * start.size, True)
    return edges.with_others(bridges)


def _loose_ends(edges: Edges, ground: Ground) -> tuple[Int64Array, FloatArray, FloatArray]:
    """Nodes of degree 1 in ascending order, the unit vectors in which their roads lead on, and their places in m."""
    degree = edges.degree(len(ground.net.nodes))
    ends = np.flatnonzero(degree == 1)
    back = np.empty((len(ground.net.nodes), 2))
    for near, far, forth in ((edges.start, edges.end, True), (edges.end, edges.start, False)):
        for i in np.flatnonzero(degree[near] == 1).tolist():
            inner = edges.inner[i]
            if inner.size > DIRECTION_PX:
                back[near[i]] = ground.centres(inner[[DIRECTION_PX if forth else -1 - DIRECTION_PX]])[0]
            else:
                back[near[i]] = ground.node_centres(far[[i]])[0]
    place = ground.earth_m(ground.node_centres(ends))
    outward = place - ground.earth_m(back[ends])
    return ends, outward / np.linalg.norm(outward, axis=1, keepdims=True), place


def without_fragments(edges: Edges, ground: Ground, shortest_m: float) -> tuple[Edges, int]:
    """Remove connected pieces whose edges together are shorter than ``shortest_m``; how many."""
    nodes = len(ground.net.nodes)
    links = coo_array((np.ones(len(edges)), (edges.start, edges.end)), shape=(nodes, nodes))
    pieces, piece = connected_components(links, directed=False)
    length_m = np.bincount(piece[edges.start], edges.length_m, pieces)
    short = (length_m < shortest_m) & (np.bincount(piece, edges.degree(nodes), pieces) > 0)
    return edges.kept(~short[piece[edges.start]]), int(np.count_nonzero(short))
