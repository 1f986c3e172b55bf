"""Road mask to a connected graph of centrelines with widths, the same for any block size.

::

    block + halo -> centre pixels (skeleton)      in any thread
    centre pixels of all blocks -> network        (road_graph)
    spurs, gaps, fragments -> edges               (road_cleaning)
    edges -> RoadGraph                            columns ready to write; as_networkx for routing

Blocks bring pixels, not pieces of a graph: one or two in a hundred are kept, and there is no seam to join.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import networkx
import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.tiling import DEFAULT_BLOCK_PX, blocks
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.rings import offsets_of
from aisf_geo.vectorise.road_cleaning import Edges, measured, with_bridges, without_fragments, without_spurs
from aisf_geo.vectorise.road_graph import Network, joined, network
from aisf_geo.vectorise.road_lines import Ground
from aisf_geo.vectorise.scan import Int64Array
from aisf_geo.vectorise.skeleton import CentrePixels, FloatArray, PixelSize, Reach, centre_pixels
from aisf_geo.vectorise.trace import in_order

#: Reads a window: bool ``(y, x)``, True = road, and float confidences 0..1 of the same shape if there are any.
ReadRoads = Callable[[Window], tuple[NDArray[np.bool_], NDArray[np.floating[Any]] | None]]

#: A road is as wide as twice the distance from its centre pixel to the nearest pixel off it, less this many pixels: the
#: mean of a strip that runs along the grid at any place of it. Random directions come out 0.1 to 0.6 px too narrow.
WIDTH_EXCESS_PX = 0.5


@dataclass(frozen=True)
class RoadOptions:
    """What counts as a road.

    Attributes:
        max_half_width_m: half of the widest road, junctions included; wider areas become one node each.
        spur_m: dead ends at junctions, and isolated pieces, shorter than this are removed; a dead end stays where it
            leaves the image and is longer than the road at its junction is wide.
        gap_m: widest gap between two ends that is bridged; 0 for none.
        gap_angle_deg: how far both roads may point past each other there.
        simplify_m: greatest distance of a line from the centre pixels; None for one pixel, 0 for all centre pixels,
            which makes slanted lines up to 8 % too long.
    """

    max_half_width_m: float = 20.0
    spur_m: float = 20.0
    gap_m: float = 30.0
    gap_angle_deg: float = 30.0
    simplify_m: float | None = None

    def __post_init__(self) -> None:
        for name in ("spur_m", "gap_m", "simplify_m"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"roads: {name} must not be negative, found {getattr(self, name):g}")
        if not 0 <= self.gap_angle_deg <= 90:
            raise UsageError(f"roads: gap_angle_deg must lie in 0..90, found {self.gap_angle_deg:g}")


@dataclass(frozen=True)
class Tally:
    """What was found, added and taken away, so that nothing is lost silently.

    Attributes:
        road_px: pixels of the mask.
        too_wide_px: those too far inside an area to be thinned.
        spurs, bridges, fragments: edges pruned, gaps bridged, isolated pieces removed (lone pixels among them).
    """

    road_px: int
    too_wide_px: int
    spurs: int
    bridges: int
    fragments: int


@dataclass(frozen=True)
class RoadGraph:
    """Roads as nodes and edges, in the CRS of the mask.

    Attributes:
        node_id: int64 ``(n,)`` ascending, row-major index in the grid of the node's first pixel.
        node_xy: float64 ``(n, 2)``.
        degree: int64 ``(n,)``, edge ends at the node.
        wide: bool ``(n,)``, True where the node stands for an area too wide to be thinned.
        start, end: int64 ``(e,)``, node ids.
        length_m: float64 ``(e,)``, geodesic length of the line.
        width_m: float64 ``(e,)``, median over the centre pixels; NaN for bridges.
        confidence: float64 ``(e,)``, mean over the centre pixels, 0..1; NaN where there is none.
        bridge: bool ``(e,)``, True where nothing was mapped and a gap is bridged.
        lines: shapely LineStrings ``(e,)``, from start to end.
        tally: what was counted on the way.
    """

    node_id: Int64Array
    node_xy: FloatArray
    degree: Int64Array
    wide: NDArray[np.bool_]
    start: Int64Array
    end: Int64Array
    length_m: FloatArray
    width_m: FloatArray
    confidence: FloatArray
    bridge: NDArray[np.bool_]
    lines: NDArray[np.object_]
    tally: Tally

    def edge_ids(self) -> list[str]:
        """``<from>-<to>``, with a number behind the second and later edges between the same nodes."""
        seen: dict[str, int] = {}
        ids = []
        for a, b in zip(self.start.tolist(), self.end.tolist(), strict=True):
            name = f"{a}-{b}"
            seen[name] = seen.get(name, 0) + 1
            ids.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
        return ids


def road_graph(
    read: ReadRoads, grid: Grid, options: RoadOptions, block_px: int = DEFAULT_BLOCK_PX, workers: int = 1
) -> RoadGraph:
    """The road graph of a mask that is read block by block on ``workers`` threads.

    Raises:
        UsageError: ``options.max_half_width_m`` does not fit the pixels.
    """
    size = PixelSize.of(grid)
    reach = Reach.of(size, options.max_half_width_m)

    def centred(core: Window) -> CentrePixels:
        outer = core.padded(reach.halo_px, grid.shape)
        road, confidence = read(outer)
        found = centre_pixels(road, outer, core, grid, size, reach)
        if confidence is None:
            return found
        rows, cols = np.divmod(found.index, grid.shape.width)
        return replace(found, confidence=confidence[rows - outer.row, cols - outer.col].astype(np.float64))

    pixels = joined(list(in_order(centred, (block.core for block in blocks(grid, block_px)), workers)))
    net = network(pixels, grid.shape, reach.limit_m, size.largest_m)
    simplify_px = 1.0 if options.simplify_m is None else options.simplify_m / size.largest_m
    return _cleaned(Ground(grid, net, simplify_px), size, options)


def _cleaned(ground: Ground, size: PixelSize, options: RoadOptions) -> RoadGraph:
    """The network with spurs pruned, gaps bridged and fragments removed."""
    net = ground.net
    traced = measured(ground, net.start, net.end, net.inner, False)
    lone = int(np.count_nonzero(traced.degree(len(net.nodes)) == 0))
    edges, spurs = without_spurs(traced, ground, options.spur_m)
    edges = with_bridges(edges, ground, options.gap_m, options.gap_angle_deg)
    edges, fragments = without_fragments(edges, ground, options.spur_m)
    edges = edges.ordered(net.pixels.index)
    bridges = int(np.count_nonzero(edges.bridge))
    tally = Tally(net.pixels.road_px, net.pixels.too_wide_px, spurs, bridges, fragments + lone)
    return _as_graph(ground, edges, size, tally)


def _as_graph(ground: Ground, edges: Edges, size: PixelSize, tally: Tally) -> RoadGraph:
    """Columns of the edges and of the nodes they join."""
    nodes = ground.net.nodes
    degree = edges.degree(len(nodes))
    used = np.flatnonzero(degree)
    width_m, confidence = _along(edges, ground.net, size)
    return RoadGraph(
        node_id=nodes.id[used],
        node_xy=ground.node_xy(used),
        degree=degree[used],
        wide=nodes.wide[used],
        start=nodes.id[edges.start],
        end=nodes.id[edges.end],
        length_m=edges.length_m,
        width_m=width_m,
        confidence=confidence,
        bridge=edges.bridge,
        lines=ground.lines(edges.start, edges.end, edges.inner),
        tally=tally,
    )


def _along(edges: Edges, net: Network, size: PixelSize) -> tuple[FloatArray, FloatArray]:
    """Median width in m and mean confidence of every edge, over inner pixels or, without any, the ends' first pixels.

    The pixels of junctions are left out: there the mask is as wide as both roads together.
    """
    if not len(edges):
        return np.zeros(0), np.zeros(0)
    ends = np.searchsorted(net.pixels.index, net.nodes.id)
    places = [
        pixels if pixels.size else ends[[start, end]]
        for pixels, start, end in zip(edges.inner, edges.start, edges.end, strict=True)
    ]
    offsets = offsets_of(np.array([p.size for p in places]))
    edge = np.repeat(np.arange(len(edges)), np.diff(offsets))
    place = np.concatenate(places)
    row = net.pixels.index[place] // net.width_px
    pixel_m = (size.east_m[row] + size.south_m[row]) / 2
    width = np.maximum(2 * net.pixels.depth_m[place] - WIDTH_EXCESS_PX * pixel_m, pixel_m)
    by_width = width[np.lexsort((width, edge))]
    middle = (by_width[(offsets[:-1] + offsets[1:] - 1) // 2] + by_width[(offsets[:-1] + offsets[1:]) // 2]) / 2
    known = np.isfinite(net.pixels.confidence[place])
    counted = np.bincount(edge[known], minlength=len(edges))
    total = np.bincount(edge[known], net.pixels.confidence[place[known]], len(edges))
    mean = np.divide(total, counted, out=np.full(len(edges), np.nan), where=counted > 0)
    return np.where(edges.bridge, np.nan, middle), np.where(edges.bridge, np.nan, mean)


def as_networkx(graph: RoadGraph) -> networkx.MultiGraph:
    """The graph for routing: nodes with ``x``, ``y``, ``wide``; edges keyed by id with all attributes and ``geometry``.

    An undirected edge does not remember its direction, so edges carry ``from`` and ``to``, the ends of ``geometry``.
    """
    out = networkx.MultiGraph()
    for node, (x, y), wide in zip(graph.node_id.tolist(), graph.node_xy.tolist(), graph.wide.tolist(), strict=True):
        out.add_node(node, x=x, y=y, wide=wide)
    columns = (graph.start, graph.end, graph.length_m, graph.width_m, graph.confidence, graph.bridge)
    rows = zip(graph.edge_ids(), graph.lines, *(column.tolist() for column in columns), strict=True)
    for key, line, start, end, length_m, width_m, confidence, bridge in rows:
        out.add_edge(
            start,
            end,
            key=key,
            length_m=length_m,
            width_m=width_m,
            confidence=confidence,
            bridge=bridge,
            geometry=line,
            **{"from": start, "to": end},
        )
    return out
