"""How well one road network matches another: APLS and buffered completeness and correctness.

Both take graphs of :func:`aisf_geo.vectorise.roads.as_networkx`, or any with ``geometry`` and ``length_m`` on their
edges, in one CRS with metres on its axes: reproject geographic ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx
import numpy as np
import shapely
from numpy.typing import NDArray

#: Distance within which a point of one graph is found on the other; the paper's 4 m.
SNAP_M = 4.0
#: Distance between control points along edges; the paper's 50 m.
SPACING_M = 50.0
#: Control points from which routes start. All pairs of a city would take hours.
MAX_CONTROLS = 500


@dataclass(frozen=True)
class BufferScore:
    """Length-weighted agreement of extracted roads with reference roads.

    Heipke, C., Mayer, H., Wiedemann, C. and Jamet, O. 1997: Evaluation of automatic road extraction. International
    Archives of Photogrammetry and Remote Sensing 32 (3-4W2), 151-160. Matching is by distance alone: roads that cross
    at an angle match within the buffer.

    Attributes:
        completeness: share of the reference's length within the buffer around the extraction (recall).
        correctness: share of the extraction's length within the buffer around the reference (precision).
        quality: matched extraction / (extraction + unmatched reference), all by length.
    """

    completeness: float
    correctness: float
    quality: float


def buffer_score(reference: networkx.MultiGraph, extraction: networkx.MultiGraph, buffer_m: float) -> BufferScore:
    """Completeness, correctness and quality; a share of nothing is NaN."""
    true, found = _lines(reference), _lines(extraction)
    true_m, found_m = float(shapely.length(true).sum()), float(shapely.length(found).sum())
    matched_true_m, matched_found_m = _within_m(true, found, buffer_m), _within_m(found, true, buffer_m)
    return BufferScore(
        completeness=_share(matched_true_m, true_m),
        correctness=_share(matched_found_m, found_m),
        quality=_share(matched_found_m, found_m + true_m - matched_true_m),
    )


def _lines(graph: networkx.MultiGraph) -> NDArray[np.object_]:
    lines = np.empty(graph.number_of_edges(), dtype=object)
    lines[:] = [line for _, _, line in graph.edges(data="geometry")]
    return lines


def _within_m(lines: NDArray[np.object_], others: NDArray[np.object_], buffer_m: float) -> float:
    """Length of ``lines`` within ``buffer_m`` of ``others``."""
    if not (lines.size and others.size):
        return 0.0
    near = shapely.union_all(shapely.buffer(others, buffer_m))
    shapely.prepare(near)
    return float(shapely.length(shapely.intersection(lines, near)).sum())


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


def apls(
    truth: networkx.MultiGraph,
    proposal: networkx.MultiGraph,
    snap_m: float = SNAP_M,
    spacing_m: float = SPACING_M,
    max_controls: int = MAX_CONTROLS,
) -> float:
    """Average path length similarity, 0 (no route found) to 1 (all routes are as long).

    Van Etten, A., Lindenbaum, D. and Bacastow, T. M. 2018: SpaceNet: a remote sensing dataset and challenge series.
    arXiv:1807.01232: the mean over routes of min(1, |L - L'| / L), 1 where a route is missing, taken off
    1, in both directions, and the harmonic mean of the two. Of more than ``max_controls`` control points, evenly spaced
    ones are the ends of routes. 1 where neither graph has a route, 0 where one has none.
    """
    there = _similarity(truth, proposal, snap_m, spacing_m, max_controls)
    back = _similarity(proposal, truth, snap_m, spacing_m, max_controls)
    if there is None and back is None:
        return 1.0
    if not there or not back:
        return 0.0
    return 2 / (1 / there + 1 / back)


#: A place on a graph: edge (position in the order of edges) and share of its length from the start of its line.
Place = tuple[int, float]


def _similarity(
    reference: networkx.MultiGraph, other: networkx.MultiGraph, snap_m: float, spacing_m: float, max_controls: int
) -> float | None:
    """One direction of APLS; None where the reference has no route."""
    if not reference.number_of_edges():
        return None
    controls = _controls(reference, spacing_m)
    if len(controls) > max_controls:
        controls = [controls[i] for i in np.linspace(0, len(controls) - 1, max_controls).round().astype(int)]
    snapped = _snapped(reference, other, controls, snap_m)
    routes = _routes(reference, list(controls))
    found = _routes(other, [place for place in snapped if place is not None])
    column = np.cumsum([place is not None for place in snapped]) - 1
    total, count = 0.0, 0
    for i, row in enumerate(routes):
        for j in np.flatnonzero(np.isfinite(row) & (row > 0)):
            if j <= i:
                continue
            both = snapped[i] is not None and snapped[j] is not None
            gap = abs(row[j] - found[column[i], column[j]]) / row[j] if both else 1.0
            total += min(1.0, gap)
            count += 1
    return 1 - total / count if count else None


def _controls(graph: networkx.MultiGraph, spacing_m: float) -> list[Place]:
    """Every node once, and points along the edges at most ``spacing_m`` apart."""
    controls: list[Place] = []
    seen: set[Any] = set()
    for number, (u, v, edge) in enumerate(graph.edges(data=True)):
        first, last = _line_ends(u, v, edge)
        pieces = max(1, int(np.ceil(edge["length_m"] / spacing_m)))
        controls += [(number, k / pieces) for k in range(1, pieces)]
        for node, share in ((first, 0.0), (last, 1.0)):
            if node not in seen:
                seen.add(node)
                controls.append((number, share))
    return controls


def _line_ends(u: Any, v: Any, edge: dict[str, Any]) -> tuple[Any, Any]:
    """The nodes at the start and at the end of an edge's line."""
    return edge.get("from", u), edge.get("to", v)


def _snapped(
    reference: networkx.MultiGraph, other: networkx.MultiGraph, controls: list[Place], snap_m: float
) -> list[Place | None]:
    """For every control point the nearest place of the other graph, None where it is farther than ``snap_m``."""
    lines, targets = _lines(reference), _lines(other)
    points = [shapely.line_interpolate_point(lines[edge], share, normalized=True) for edge, share in controls]
    out: list[Place | None] = [None] * len(points)
    if not targets.size:
        return out
    pairs = shapely.STRtree(targets).query_nearest(points, max_distance=snap_m, all_matches=True)
    # Where several edges are as near, in a junction, the first one stands for all.
    for point, edge in sorted(zip(*pairs.tolist(), strict=True), reverse=True):
        out[point] = edge, float(shapely.line_locate_point(targets[edge], points[point], normalized=True))
    return out


def _routes(graph: networkx.MultiGraph, places: list[Place]) -> NDArray[np.float64]:
    """Shortest paths between places in m, ``(n, n)``, infinite where there is none."""
    cut = networkx.Graph()
    on_edge: dict[int, list[float]] = {}
    for edge, share in places:
        on_edge.setdefault(edge, []).append(share)
    ends = {}
    for number, (u, v, edge) in enumerate(graph.edges(data=True)):
        ends[number] = _line_ends(u, v, edge)
        # The middle keeps parallel edges and rings apart in a simple graph.
        shares = sorted({0.0, 0.5, 1.0, *on_edge.get(number, ())})
        for a, b in pairwise(shares):
            cut.add_edge(_vertex(number, a, ends), _vertex(number, b, ends), weight=(b - a) * edge["length_m"])
    vertices = [_vertex(edge, share, ends) for edge, share in places]
    out = np.full((len(places), len(places)), np.inf)
    for i, vertex in enumerate(vertices):
        reached = networkx.single_source_dijkstra_path_length(cut, vertex)
        out[i] = [reached.get(other, np.inf) for other in vertices]
    return out


def _vertex(edge: int, share: float, ends: dict[int, tuple[Any, Any]]) -> Any:
    """The vertex of a place: a node of the graph at the ends of an edge."""
    if share == 0.0:
        return "node", ends[edge][0]
    if share == 1.0:
        return "node", ends[edge][1]
    return "place", edge, share
