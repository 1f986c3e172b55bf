"""Pixel borders as linked nodes: the compiled scan of one block, and of the seams between blocks.

Every region is outlined by directed borders with the region on their left (map coordinates, y up). Borders meet at grid
vertices; a vertex where they bend or where three or more of them meet becomes one *node* for every region around it,
and ``successor`` links a node to the next one of the same outline. A border that leaves the block ends in a *stub*, a
node without a vertex; the scan of a seam links the stubs of both sides in exactly the way the scan of a block links
nodes, which is why the result cannot depend on where the seams lie.

Around a vertex four pixels and four borders take turns: border ``k`` of (left, up, right, down) lies between pixels
``k - 1`` and ``k`` of (upper left, upper right, lower right, lower left), runs into the vertex with pixel ``k`` on its
left and out of it with pixel ``k - 1`` on its left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import NOT_OBSERVED

P = ParamSpec("P")
R = TypeVar("R")

Int32Array = NDArray[np.int32]
Int64Array = NDArray[np.int64]
UInt8Array = NDArray[np.uint8]

#: ``y`` of a node that stands for the crossing of a seam and owns no vertex.
STUB = -1
#: Columns of a table of nodes.
X, Y, REGION, SUCCESSOR = 0, 1, 2, 3
#: Borders around a vertex: columns of its scratch, int32 ``(6, 4)``.
LEFT, UP, RIGHT, DOWN = 0, 1, 2, 3
#: Rows of that scratch. ``INTO``: the node that the vertex follows along a border; ``OUT``: the node that follows the
#: vertex along it; -1 where there is none or it is not known yet. ``ARRIVE``, ``LEAVE``: what linking found for those
#: that come later: the node they lead to, the node they follow. ``CODE``, ``OWNER``: code and region of the pixels.
INTO, OUT, ARRIVE, LEAVE, CODE, OWNER = 0, 1, 2, 3, 4, 5
#: Rows of a stub table: the outline that ends at a place of the seam, and the one that starts there.
ENDS, STARTS = 0, 1
#: Fractions of a square metre in which areas are summed: integers add up the same in any order.
AREA_FRACTION_BITS = 40


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function compiled by numba on first use, kept on disk, and run without the interpreter lock.

    What is kept is renewed when the function's own file changes, not when that of a function or constant it uses does.
    That is why functions that call each other share a file; after changing a constant here, delete ``__pycache__``.
    """
    return cast("Callable[P, R]", numba.njit(nogil=True, cache=True)(function))


class Runs(NamedTuple):
    """Stretches of equal code along the rows of a block, in row-major order; ``n`` of them.

    ``row``, ``start`` and ``end`` (columns, half open) int32 ``(n,)``; ``row_first`` int32 ``(height + 1,)``, the first
    run of every row;
    ``code`` uint8 ``(n,)``; ``region`` int32 ``(n,)``, dense in the order of first pixels, -1 where not observed.
    """

    row: Int32Array
    start: Int32Array
    end: Int32Array
    row_first: Int32Array
    code: UInt8Array
    region: Int32Array


class Sides(NamedTuple):
    """Stub tables of a block, int32 ``(2, length + 1)``: for every vertex of a side the nodes that end and start."""

    top: Int32Array
    bottom: Int32Array
    left: Int32Array
    right: Int32Array


class Borders(NamedTuple):
    """Pixel edges of every region's outline, int64 ``(regions,)``: all, and those on nodata or the image edge."""

    total: Int64Array
    open: Int64Array


def empty_nodes(capacity: int) -> Int32Array:
    """A table for up to ``capacity`` nodes, which takes memory as they are added.

    int32 ``(capacity + 1, 4)`` with columns ``X`` (``~x`` at a saddle), ``Y`` (``STUB`` where the node owns no vertex),
    ``REGION`` and ``SUCCESSOR`` (-1 where not known). The very last entry counts the nodes: compiled code is twice as
    slow when it has to carry a second array.
    """
    nodes = np.empty((capacity + 1, 4), dtype=np.int32)
    nodes[-1, -1] = 0
    return nodes


@compiled
def find(parent: Int32Array, item: int) -> int:
    """The root of ``item``; halves the path on the way."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = int(parent[item])
    return item


@compiled
def unite(parent: Int32Array, a: int, b: int) -> None:
    """Join two sets; the smaller root wins, so that a root is the first of its set."""
    root_a, root_b = find(parent, a), find(parent, b)
    if root_a < root_b:
        parent[root_b] = root_a
    else:
        parent[root_a] = root_b


@compiled
def find_runs(labels: UInt8Array, count: int) -> Runs:
    """The ``count`` runs of a label block, each with its 4-connected region."""
    height, width = labels.shape
    row, start, end = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count, np.int32)
    code, parent = np.empty(count, np.uint8), np.empty(count, np.int32)
    row_first = np.empty(height + 1, np.int32)
    n = 0
    for y in range(height):
        row_first[y] = n
        for x in range(width):
            if x == 0 or labels[y, x] != labels[y, x - 1]:
                row[n], start[n], code[n], parent[n] = y, x, labels[y, x], n
                n += 1
            end[n - 1] = x + 1
    row_first[height] = n
    for y in range(1, height):
        above, below = row_first[y - 1], row_first[y]
        while above < row_first[y] and below < row_first[y + 1]:
            if code[above] == code[below]:
                unite(parent, above, below)
            above_end, below_end = end[above], end[below]
            above += above_end <= below_end
            below += below_end <= above_end
    return Runs(row, start, end, row_first, code, _dense(parent, code))


@compiled
def _dense(parent: Int32Array, code: UInt8Array) -> Int32Array:
    """Region numbers without gaps, in the order of first runs; -1 where not observed."""
    region = np.empty(parent.size, np.int32)
    regions = 0
    for i in range(parent.size):
        root = find(parent, i)
        if code[i] == NOT_OBSERVED:
            region[i] = -1
        elif root == i:
            region[i] = regions
            regions += 1
        else:
            region[i] = region[root]
    return region


@compiled
def roots(parent: Int32Array) -> Int32Array:
    """The root of every item."""
    out = np.empty(parent.size, np.int32)
    for i in range(parent.size):
        out[i] = find(parent, i)
    return out


@compiled
def add_node(nodes: Int32Array, x: int, y: int, region: int) -> int:
    """A new node without successor; -1 instead of a node for what is not observed."""
    if region < 0:
        return -1
    n = int(nodes[-1, -1])
    nodes[n, X], nodes[n, Y] = x, y
    nodes[n, REGION], nodes[n, SUCCESSOR] = region, -1
    nodes[-1, -1] = n + 1
    return n


@compiled
def follow(nodes: Int32Array, node: int, successor: int) -> None:
    """Link two nodes if both are known."""
    if node >= 0 and successor >= 0:
        nodes[node, SUCCESSOR] = successor


@compiled
def link(nodes: Int32Array, v: Int32Array, x: int, y: int) -> None:
    """Lead every outline around its own pixels at a vertex, with a node unless a single border runs straight on.

    At a saddle (equal codes on a diagonal) an outline turns back to its own pixel; ``rings.untangle`` later decides
    whether the two pixels are one region.
    """
    degree = 0
    for k in range(4):
        v[ARRIVE, k] = v[LEAVE, k] = -1
        degree += v[CODE, k] != v[CODE, (k + 3) & 3]
    straight = degree == 2 and (v[CODE, 0] != v[CODE, 3]) == (v[CODE, 2] != v[CODE, 1])
    for k in range(4):
        if v[CODE, k] == v[CODE, (k + 3) & 3] or v[OWNER, k] < 0:
            continue
        m = (k + 1) & 3
        while v[CODE, m] == v[CODE, (m + 3) & 3]:
            m = (m + 1) & 3
        if straight:
            v[ARRIVE, k], v[LEAVE, m] = v[OUT, m], v[INTO, k]
            follow(nodes, v[INTO, k], v[OUT, m])
            continue
        saddle = degree == 4 and v[CODE, k] == v[CODE, (k + 2) & 3]
        node = add_node(nodes, ~x if saddle else x, y, v[OWNER, k])
        v[ARRIVE, k] = v[LEAVE, m] = node
        follow(nodes, v[INTO, k], node)
        follow(nodes, node, v[OUT, m])


@compiled
def count_border(borders: Borders, a: int, b: int, length_px: int) -> None:
    """Add a border between two regions, of which -1 is what is not observed or off the image."""
    if a >= 0:
        borders.total[a] += length_px
        borders.open[a] += length_px * (b < 0)
    if b >= 0:
        borders.total[b] += length_px
        borders.open[b] += length_px * (a < 0)


@compiled
def link_block(runs: Runs, width: int, nodes: Int32Array, sides: Sides, borders: Borders) -> None:
    """Link all borders between two pixels of a block; the block's own sides belong to the seams."""
    height = runs.row_first.size - 1
    # For every column the outlines along the vertical border above the line: east side down, west side up.
    up = np.full((2, width + 1), -1, np.int32)
    for i in range(runs.row_first[0] + 1, runs.row_first[1]):
        x = runs.start[i]
        up[STARTS, x] = sides.top[ENDS, x] = add_node(nodes, x, STUB, runs.region[i - 1])
        up[ENDS, x] = sides.top[STARTS, x] = add_node(nodes, x, STUB, runs.region[i])
    v = np.full((6, 4), -1, np.int32)
    for y in range(1, height):
        _link_line(runs, width, y, nodes, sides, borders, up, v)
    for i in range(runs.row_first[height - 1] + 1, runs.row_first[height]):
        x = runs.start[i]
        sides.bottom[STARTS, x] = add_node(nodes, x, STUB, runs.region[i - 1])
        sides.bottom[ENDS, x] = add_node(nodes, x, STUB, runs.region[i])
        follow(nodes, sides.bottom[STARTS, x], up[STARTS, x])
        follow(nodes, up[ENDS, x], sides.bottom[ENDS, x])
    for i in range(1, runs.start.size):
        if runs.row[i] == runs.row[i - 1]:
            count_border(borders, runs.region[i - 1], runs.region[i], 1)


@compiled
def _link_line(
    runs: Runs, width: int, y: int, nodes: Int32Array, sides: Sides, borders: Borders, up: Int32Array, v: Int32Array
) -> None:
    """Link the vertices on the line between rows ``y - 1`` and ``y``, from left to right."""
    a, c = runs.row_first[y - 1], runs.row_first[y]
    # The outline above the line runs east, the one below runs west.
    east = west = -1
    if runs.code[a] != runs.code[c]:
        east = sides.left[STARTS, y] = add_node(nodes, 0, STUB, runs.region[a])
        west = sides.left[ENDS, y] = add_node(nodes, 0, STUB, runs.region[c])
    x = 0
    while True:
        end_a, end_c = runs.end[a], runs.end[c]
        place = min(end_a, end_c)
        if runs.code[a] != runs.code[c]:
            count_border(borders, runs.region[a], runs.region[c], place - x)
        x = place
        if x == width:
            break
        v[CODE, 0], v[OWNER, 0] = runs.code[a], runs.region[a]
        v[CODE, 3], v[OWNER, 3] = runs.code[c], runs.region[c]
        a += end_a == x
        c += end_c == x
        v[CODE, 1], v[OWNER, 1] = runs.code[a], runs.region[a]
        v[CODE, 2], v[OWNER, 2] = runs.code[c], runs.region[c]
        v[INTO, LEFT], v[OUT, LEFT] = east, west
        v[INTO, UP], v[OUT, UP] = up[ENDS, x], up[STARTS, x]
        link(nodes, v, x, y)
        east, west = v[LEAVE, RIGHT], v[ARRIVE, RIGHT]
        up[ENDS, x], up[STARTS, x] = v[LEAVE, DOWN], v[ARRIVE, DOWN]
    if runs.code[a] != runs.code[c]:
        sides.right[ENDS, y] = add_node(nodes, width, STUB, runs.region[a])
        sides.right[STARTS, y] = add_node(nodes, width, STUB, runs.region[c])
        follow(nodes, east, sides.right[ENDS, y])
        follow(nodes, sides.right[STARTS, y], west)


class Seam(NamedTuple):
    """The pixels along one side of a seam and the stubs that reach it from there.

    ``code`` uint8 and ``region`` int32 ``(length,)``; ``stubs`` int32 ``(2, length + 1)``.
    """

    code: UInt8Array
    region: Int32Array
    stubs: Int32Array


@compiled
def join_regions(parent: Int32Array, borders: Borders, a: Seam, b: Seam) -> None:
    """Unite the regions that continue across a seam and count the border edges on it."""
    for i in range(a.code.size):
        if a.code[i] != b.code[i]:
            count_border(borders, a.region[i], b.region[i], 1)
        elif a.region[i] >= 0:
            unite(parent, a.region[i], b.region[i])


@compiled
def link_down(nodes: Int32Array, west: Seam, east: Seam, x: int, y: int, top: Int32Array, bottom: Int32Array) -> None:
    """Link a vertical seam from ``(x, y)`` down; its two ends become stubs ``top[:, x]`` and ``bottom[:, x]``."""
    length = west.code.size
    v = np.full((6, 4), -1, np.int32)
    if west.code[0] != east.code[0]:
        v[LEAVE, DOWN] = top[STARTS, x] = add_node(nodes, x, STUB, east.region[0])
        v[ARRIVE, DOWN] = top[ENDS, x] = add_node(nodes, x, STUB, west.region[0])
    else:
        v[LEAVE, DOWN] = v[ARRIVE, DOWN] = -1
    for i in range(1, length):
        v[CODE, 0], v[OWNER, 0] = west.code[i - 1], west.region[i - 1]
        v[CODE, 1], v[OWNER, 1] = east.code[i - 1], east.region[i - 1]
        v[CODE, 2], v[OWNER, 2] = east.code[i], east.region[i]
        v[CODE, 3], v[OWNER, 3] = west.code[i], west.region[i]
        v[INTO, UP], v[OUT, UP] = v[LEAVE, DOWN], v[ARRIVE, DOWN]
        v[INTO, LEFT], v[OUT, LEFT] = west.stubs[ENDS, i], west.stubs[STARTS, i]
        v[INTO, RIGHT], v[OUT, RIGHT] = east.stubs[ENDS, i], east.stubs[STARTS, i]
        link(nodes, v, x, y + i)
    if west.code[length - 1] != east.code[length - 1]:
        bottom[ENDS, x] = add_node(nodes, x, STUB, east.region[length - 1])
        bottom[STARTS, x] = add_node(nodes, x, STUB, west.region[length - 1])
        follow(nodes, v[LEAVE, DOWN], bottom[ENDS, x])
        follow(nodes, bottom[STARTS, x], v[ARRIVE, DOWN])


@compiled
def link_across(nodes: Int32Array, north: Seam, south: Seam, y: int) -> None:
    """Link a horizontal seam over the whole width of the image; beyond its ends nothing is observed."""
    length = north.code.size
    v = np.full((6, 4), -1, np.int32)
    v[CODE, 1], v[OWNER, 1] = NOT_OBSERVED, -1
    v[CODE, 2], v[OWNER, 2] = NOT_OBSERVED, -1
    v[LEAVE, RIGHT] = v[ARRIVE, RIGHT] = -1
    for i in range(length + 1):
        v[CODE, 0], v[OWNER, 0] = v[CODE, 1], v[OWNER, 1]
        v[CODE, 3], v[OWNER, 3] = v[CODE, 2], v[OWNER, 2]
        if i < length:
            v[CODE, 1], v[OWNER, 1] = north.code[i], north.region[i]
            v[CODE, 2], v[OWNER, 2] = south.code[i], south.region[i]
        else:
            v[CODE, 1], v[OWNER, 1] = NOT_OBSERVED, -1
            v[CODE, 2], v[OWNER, 2] = NOT_OBSERVED, -1
        v[INTO, LEFT], v[OUT, LEFT] = v[LEAVE, RIGHT], v[ARRIVE, RIGHT]
        v[INTO, UP], v[OUT, UP] = north.stubs[ENDS, i], north.stubs[STARTS, i]
        v[INTO, DOWN], v[OUT, DOWN] = south.stubs[ENDS, i], south.stubs[STARTS, i]
        link(nodes, v, i, y)
