"""Minimum mapping unit: regions too small to show become part of the neighbour they share most border with.

The result equals tracing the label map in which the absorbed pixels carry their new codes: regions of equal code that
meet through an absorbed one become one, and vertices that are no junctions any more disappear.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
import shapely
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.polygons import EdgeLengths, Features, to_features
from aisf_geo.vectorise.regions import RegionTable
from aisf_geo.vectorise.rings import Arcs, Outlines, chain, close, offsets_of
from aisf_geo.vectorise.scan import AREA_FRACTION_BITS, Int32Array, Int64Array, UInt8Array, compiled

#: How far from a pixel corner, in pixels, a vertex may lie that is taken for one.
CORNER_TOLERANCE_PX = 1e-3


@dataclass(frozen=True)
class Absorbed:
    """Features after small ones were absorbed.

    Attributes:
        features: in the order of :func:`aisf_geo.vectorise.trace.join`. The confidences of a feature are those of the
            pixels that had its class from the start: they say nothing about a class a pixel was given afterwards.
        moved_m2: area by the code it had and the code it has now.
        absorbed: number of features that became part of one of another code.
        isolated: number of features below the minimum that stay because all they border on is unobserved.
    """

    features: Features
    moved_m2: dict[tuple[int, int], float]
    absorbed: int
    isolated: int


def absorb_small(features: Features, min_area_m2: float | Mapping[int, float], grid: Grid) -> Absorbed:
    """Features of at least ``min_area_m2`` each, apart from isolated ones.

    The smallest goes first, into the neighbour with the longest common border (in mm; then the larger one, then the
    one whose first pixel comes first), and areas add up as it goes. What is not observed absorbs nothing.

    Args:
        features: all traced features of a label map, not simplified.
        min_area_m2: smallest area to keep, of every class or by code; infinite for a class of which nothing is to stay.
        grid: grid of that map.

    Raises:
        UsageError: the outlines do not run along the pixels of the grid.
    """
    lengths = EdgeLengths.of(grid)
    outlines = _outlines(features, grid)
    sides = _sides(outlines, lengths, grid)
    least_m2 = _least_by_code(min_area_m2)
    number, code = _Absorption(features, sides).run(least_m2)
    merged, table = _merge(features, sides, number, code)
    result = to_features(merged, table, grid, lengths)
    moved = code[number] != features.code
    moved_m2: defaultdict[tuple[int, int], float] = defaultdict(float)
    for i in np.flatnonzero(moved):
        moved_m2[int(features.code[i]), int(code[number[i]])] += float(features.area_m2[i])
    return Absorbed(
        features=result.take(np.lexsort((table.first_pixel, table.last_row))),
        moved_m2=dict(sorted(moved_m2.items())),
        absorbed=int(moved.sum()),
        isolated=int((table.area_m2 < np.array(least_m2)[table.code]).sum()),
    )


def _least_by_code(min_area_m2: float | Mapping[int, float]) -> list[float]:
    """The smallest area of each of the 256 codes."""
    if isinstance(min_area_m2, Mapping):
        return [min_area_m2.get(code, 0.0) for code in range(256)]
    return [min_area_m2] * 256


@dataclass(frozen=True)
class _Sides:
    """The straight sides of all outlines, as one goes around them with the region on the left.

    Attributes:
        start, end: int32 ``(sides, 2)``, column and row.
        start_vertex, end_vertex: int32 ``(sides,)``, the same as numbers without gaps.
        region: int32 ``(sides,)``, index of the feature.
        twin: int32 ``(sides,)``, the same side seen from the neighbour; -1 where nothing is observed there.
        length_mm: int64 ``(sides,)``; integers, so that equal lengths compare equal.
    """

    start: Int32Array
    end: Int32Array
    start_vertex: Int32Array
    end_vertex: Int32Array
    region: Int32Array
    twin: Int32Array
    length_mm: Int64Array


def _outlines(features: Features, grid: Grid) -> Outlines:
    """The features' rings as grid vertices."""
    t = grid.transform
    polygons = features.geometry if t.determinant < 0 else shapely.reverse(features.geometry)
    if not len(features):
        return Outlines(np.empty((0, 2), np.int32), np.zeros(1, np.int64), np.zeros(1, np.int64))
    kind, xy, offsets = shapely.to_ragged_array(polygons)
    inverse = ~t
    place = np.stack(
        [
            inverse.a * xy[:, 0] + inverse.b * xy[:, 1] + inverse.c,
            inverse.d * xy[:, 0] + inverse.e * xy[:, 1] + inverse.f,
        ],
        axis=1,
    )
    corners = np.rint(place)
    along = (np.diff(corners, axis=0) == 0).any(axis=1)
    along[offsets[0][1:-1] - 1] = True  # from one ring to the next
    if kind != shapely.GeometryType.POLYGON or np.abs(place - corners).max() > CORNER_TOLERANCE_PX or not along.all():
        raise UsageError("absorb: the features do not run along the grid's pixels; absorb before simplifying")
    return Outlines(corners.astype(np.int32), offsets[0].astype(np.int64), offsets[1].astype(np.int64))


def _sides(outlines: Outlines, lengths: EdgeLengths, grid: Grid) -> _Sides:
    """The sides of the outlines, in their order."""
    sides_of_ring = np.diff(outlines.ring_offsets) - 1
    is_start = np.ones(outlines.xy.shape[0], dtype=np.bool_)
    is_start[outlines.ring_offsets[1:] - 1] = False
    at = np.flatnonzero(is_start)
    start, end = outlines.xy[at], outlines.xy[at + 1]
    rings_of_region = np.diff(outlines.region_offsets)
    region_of_ring = np.repeat(np.arange(rings_of_region.size, dtype=np.int32), rings_of_region)
    east_mm = np.rint(lengths.east_m * 1000).astype(np.int64)
    south_mm = np.rint(lengths.south_m * 1000).astype(np.int64)
    across_mm = np.abs(end[:, 0] - start[:, 0]) * east_mm[start[:, 1]]
    down_mm = np.abs(south_mm[end[:, 1]] - south_mm[start[:, 1]])
    vertex = _numbered(start[:, 1].astype(np.int64) * (grid.shape.width + 1) + start[:, 0])
    following = np.arange(1, at.size + 1)
    first_of_ring = offsets_of(sides_of_ring)
    following[first_of_ring[1:] - 1] = first_of_ring[:-1]
    return _Sides(
        start=start,
        end=end,
        start_vertex=vertex,
        end_vertex=vertex[following],
        region=np.repeat(region_of_ring, sides_of_ring),
        twin=_twins(vertex, vertex[following]),
        length_mm=across_mm + down_mm,
    )


def _numbered(key: Int64Array) -> Int32Array:
    """Equal numbers for equal keys, ascending with them from 0 without gaps."""
    order = np.argsort(key)
    number = np.empty(key.size, dtype=np.int32)
    ascending = key[order]
    number[order] = np.cumsum(np.concatenate([[False], ascending[1:] != ascending[:-1]])[: key.size])
    return number


def _by_vertex(vertex: Int32Array, vertices: int) -> tuple[Int32Array, Int64Array]:
    """The sides by the vertex they start at, and where in that order the sides of each vertex begin."""
    return np.argsort(vertex, kind="stable").astype(np.int32), offsets_of(np.bincount(vertex, minlength=vertices))


def _twins(start_vertex: Int32Array, end_vertex: Int32Array) -> Int32Array:
    """The side that runs the other way, -1 where there is none; neighbours share all vertices of their border."""
    return _reverse_sides(start_vertex, end_vertex, *_by_vertex(start_vertex, int(start_vertex.max(initial=-1)) + 1))


@compiled
def _reverse_sides(
    start_vertex: Int32Array, end_vertex: Int32Array, order: Int32Array, first: Int64Array
) -> Int32Array:
    twin = np.full(start_vertex.size, -1, np.int32)
    for i in range(start_vertex.size):
        for p in range(first[end_vertex[i]], first[end_vertex[i] + 1]):
            if end_vertex[order[p]] == start_vertex[i]:
                twin[i] = order[p]
    return twin


class _Absorption:
    """The growing groups of features: codes, areas and common borders of the groups so far."""

    def __init__(self, features: Features, sides: _Sides) -> None:
        self.code: list[int] = features.code.tolist()
        self.area_m2: list[float] = features.area_m2.tolist()
        self.first_pixel: list[int] = features.first_pixel.tolist()
        self.parent = list(range(len(features)))
        self.border_mm: list[dict[int, int]] = [{} for _ in self.parent]
        shared = np.flatnonzero(sides.twin >= 0)
        pair = sides.region[shared].astype(np.int64) * len(features) + sides.region[sides.twin[shared]]
        order = np.argsort(pair, kind="stable")
        first = np.flatnonzero(np.diff(pair[order], prepend=-1))
        pairs = pair[order][first]
        total = np.add.reduceat(sides.length_mm[shared][order], first) if first.size else pairs
        for key, length_mm in zip(pairs.tolist(), total.tolist(), strict=True):
            self.border_mm[key // len(features)][key % len(features)] = length_mm

    def run(self, least_m2: list[float]) -> tuple[Int32Array, UInt8Array]:
        """Absorb until no group with a neighbour is too small: the group of every feature, the code of every group."""
        heap = [(area, self.first_pixel[i], i) for i, area in enumerate(self.area_m2) if self._is_small(i, least_m2)]
        heapq.heapify(heap)
        while heap:
            area_m2, _, small = heapq.heappop(heap)
            outdated = self.parent[small] != small or self.area_m2[small] != area_m2
            if outdated or not self.border_mm[small]:
                continue
            neighbours = list(self.border_mm[small])
            grown = max(neighbours, key=lambda other: self._rank(small, other))
            code = self.code[grown]
            grown = self._merge(small, grown, code)
            # Only a former neighbour of the small one can now border on its own code.
            for other in neighbours:
                if self.parent[other] == other != grown and self.code[other] == code:
                    grown = self._merge(other, grown, code)
            if self._is_small(grown, least_m2):
                heapq.heappush(heap, (self.area_m2[grown], self.first_pixel[grown], grown))
        group = np.array([self._group(i) for i in range(len(self.parent))], dtype=np.int64)
        is_root = group == np.arange(group.size)
        number = (np.cumsum(is_root) - 1)[group].astype(np.int32)
        return number, np.array(self.code, dtype=np.uint8)[is_root]

    def _is_small(self, i: int, least_m2: list[float]) -> bool:
        return self.area_m2[i] < least_m2[self.code[i]]

    def _rank(self, small: int, other: int) -> tuple[int, float, int]:
        return self.border_mm[small][other], self.area_m2[other], -self.first_pixel[other]

    def _merge(self, a: int, b: int, code: int) -> int:
        """Make two groups one with ``code``, named by the one with more neighbours, which costs the least."""
        gone, stays = (a, b) if len(self.border_mm[a]) < len(self.border_mm[b]) else (b, a)
        self.parent[gone], self.code[stays] = stays, code
        self.area_m2[stays] += self.area_m2[gone]
        self.first_pixel[stays] = min(self.first_pixel[stays], self.first_pixel[gone])
        for other, length_mm in self.border_mm[gone].items():
            del self.border_mm[other][gone]
            if other != stays:
                total_mm = self.border_mm[stays].get(other, 0) + length_mm
                self.border_mm[stays][other] = self.border_mm[other][stays] = total_mm
        self.border_mm[gone] = {}
        return stays

    def _group(self, i: int) -> int:
        while self.parent[i] != i:
            self.parent[i] = self.parent[self.parent[i]]
            i = self.parent[i]
        return i


def _merge(features: Features, sides: _Sides, number: Int32Array, code: UInt8Array) -> tuple[Outlines, RegionTable]:
    """Outlines and sums of the groups: feature ``i`` is part of group ``number[i]``, whose code is given."""
    group = number[sides.region]
    outer = (sides.twin < 0) | (group[sides.twin] != group)
    remaining = _Sides(**{f.name: getattr(sides, f.name)[outer] for f in fields(sides)})
    group, is_open = group[outer], remaining.twin < 0
    side_px = np.abs(remaining.end - remaining.start).sum(axis=1)
    whole = np.floor(features.area_m2)
    table = RegionTable(
        code=features.code,
        pixels=features.pixels,
        first_pixel=features.first_pixel,
        last_row=features.last_row,
        area_whole_m2=whole.astype(np.int64),
        area_fraction=np.rint((features.area_m2 - whole) * (1 << AREA_FRACTION_BITS)).astype(np.int64),
        border_px=np.zeros(len(features), np.int64),
        open_px=np.zeros(len(features), np.int64),
        counts=features.counts.restricted(features.code == code[number]),
    )
    table = replace(
        table.merged(number),
        code=code,
        border_px=np.bincount(group, side_px, code.size).astype(np.int64),
        open_px=np.bincount(group[is_open], side_px[is_open], code.size).astype(np.int64),
    )
    return close(_arcs(remaining, group), code.size), table


def _arcs(sides: _Sides, group: Int32Array) -> Arcs:
    """The sides that are left, put one behind the other as the outlines of their groups."""
    vertices = int(max(sides.start_vertex.max(initial=-1), sides.end_vertex.max(initial=-1))) + 1
    order, first = _by_vertex(sides.start_vertex, vertices)
    successor, crossed = _follow(sides.start, sides.end, sides.end_vertex, group, order, first)
    upright = sides.start[:, 0] == sides.end[:, 0]
    # A vertex belongs to every outline there or to none: it is one where any of them turns.
    is_corner = np.zeros(vertices, dtype=np.bool_)
    is_corner[sides.end_vertex[upright != upright[successor]]] = True
    kept = is_corner[sides.start_vertex]
    xy = sides.start.copy()
    xy[crossed, 0] = ~xy[crossed, 0]
    chains = chain(successor)
    kept = kept[chains.order]
    region = group[chains.order[chains.first[:-1]]]
    offsets = offsets_of(kept.astype(np.int64))[chains.first]
    return Arcs(xy[chains.order][kept], offsets, region, chains.closed_successor())


@compiled
def _follow(
    start: Int32Array,
    end: Int32Array,
    end_vertex: Int32Array,
    group: Int32Array,
    order: Int32Array,
    first: Int64Array,
) -> tuple[Int32Array, NDArray[np.bool_]]:
    """The side of the same group that goes on where a side ends, and which sides start where their group meets itself.

    There are two to choose from at a saddle; the turn to the left stays at the same pixel.
    """
    successor = np.empty(start.shape[0], np.int32)
    crossed = np.zeros(start.shape[0], np.bool_)
    for i in range(start.shape[0]):
        found = -1
        for p in range(first[end_vertex[i]], first[end_vertex[i] + 1]):
            j = order[p]
            if group[j] != group[i]:
                continue
            if found >= 0:
                crossed[j] = crossed[found] = True
                dx, dy = end[i, 0] - start[i, 0], end[i, 1] - start[i, 1]
                # Rows run south, so a left turn has a negative cross product.
                if dx * (end[j, 1] - start[j, 1]) - dy * (end[j, 0] - start[j, 0]) > 0:
                    continue
            found = j
        successor[i] = found
    return successor, crossed
