"""The compiled kernel of squaring: walls as lines that preserve area, along a building's two main directions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aisf_geo.vectorise.scan import Int64Array, compiled

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Walls that differ less in direction are one, or joined by a step and not by where they would meet.
MERGE_RAD = math.radians(10)

# Columns of the running sums along a ring: length, its first and second moments, and the integrals of x dx, x dy, y dx
# and y dy, from which the area between an outline and a line follows.
L, LX, LY, LXX, LXY, LYY, X_DX, X_DY, Y_DX, Y_DY = range(10)


@compiled
def _running_sums(xy: Float64Array) -> Float64Array:
    """Sums over the edges before each vertex of a closed ring ``(n + 1, 2)``; float64 ``(n + 1, 10)``."""
    sums = np.zeros((xy.shape[0], 10))
    for i in range(xy.shape[0] - 1):
        dx, dy = xy[i + 1, 0] - xy[i, 0], xy[i + 1, 1] - xy[i, 1]
        x, y = xy[i, 0] + dx / 2, xy[i, 1] + dy / 2
        length = math.hypot(dx, dy)
        row = sums[i + 1]
        row[L], row[LX], row[LY] = length, length * x, length * y
        row[LXX] = length * (x * x + dx * dx / 12)
        row[LXY] = length * (x * y + dx * dy / 12)
        row[LYY] = length * (y * y + dy * dy / 12)
        row[X_DX], row[X_DY], row[Y_DX], row[Y_DY] = x * dx, x * dy, y * dx, y * dy
        row += sums[i]
    return sums


@compiled
def _span(sums: Float64Array, a: int, b: int) -> Float64Array:
    """The sums from vertex ``a`` on to vertex ``b``, around the end of the ring where ``b <= a``."""
    span: Float64Array = sums[b] - sums[a]
    if b <= a:
        span += sums[-1]
    return span


@compiled
def _corners(xy: Float64Array, tolerance: float) -> Int64Array:
    """Vertices of a closed ring that Douglas and Peucker (1973) keep, ascending.

    It starts from the vertex farthest from the first, and the one farthest from that: both are corners of any outline.
    """
    n = xy.shape[0] - 1
    kept = np.zeros(n + 1, np.bool_)
    a = np.argmax((xy[:, 0] - xy[0, 0]) ** 2 + (xy[:, 1] - xy[0, 1]) ** 2)
    b = np.argmax((xy[:, 0] - xy[a, 0]) ** 2 + (xy[:, 1] - xy[a, 1]) ** 2)
    a, b = min(a, b), max(a, b)
    kept[a] = kept[b] = True
    stack: list[tuple[int, int]] = [(int(a), int(b)), (int(b), int(a) + n)]
    while stack:
        first, last = stack.pop()
        x, y = xy[first % n, 0], xy[first % n, 1]
        dx, dy = xy[last % n, 0] - x, xy[last % n, 1] - y
        length2 = dx * dx + dy * dy
        farthest, at = tolerance * tolerance, -1
        for i in range(first + 1, last):
            px, py = xy[i % n, 0] - x, xy[i % n, 1] - y
            # To the chord and not the line through it: a spike may lie beyond its ends.
            t = min(max((px * dx + py * dy) / length2, 0.0), 1.0) if length2 > 0 else 0.0
            away = (px - t * dx) ** 2 + (py - t * dy) ** 2
            if away > farthest:
                farthest, at = away, i
        if at >= 0:
            kept[at % n] = True
            stack.append((first, at))
            stack.append((at, last))
    return np.flatnonzero(kept[:n])


@compiled
def _main_direction(sums: Float64Array, corners: Int64Array) -> float:
    """Direction in rad of the two perpendicular axes that fit the walls best, modulo a quarter turn.

    The least squares of all wall points from lines along either axis: the larger eigenvector of the walls' scatter
    matrices, those of the second axis turned by a quarter. Which wall belongs to which axis follows from the direction
    with the longest walls within 15 degrees, and is settled anew from each fit.
    """
    m = corners.size
    scatter = np.empty((m, 3))
    angle, length = np.empty(m), np.empty(m)
    for i in range(m):
        s = _span(sums, corners[i], corners[(i + 1) % m])
        scatter[i, 0] = s[LXX] - s[LX] * s[LX] / s[L]
        scatter[i, 1] = s[LXY] - s[LX] * s[LY] / s[L]
        scatter[i, 2] = s[LYY] - s[LY] * s[LY] / s[L]
        angle[i] = 0.5 * math.atan2(2 * scatter[i, 1], scatter[i, 0] - scatter[i, 2])
        length[i] = s[L]
    direction, best = 0.0, -1.0
    for i in range(m):
        score = 0.0
        for j in range(m):
            off = abs(_quarter(angle[j] - angle[i]))
            score += length[j] * max(0.0, 1 - (off / math.radians(15)) ** 2)
        if score > best:
            direction, best = angle[i], score
    for _ in range(3):
        a = b = c = 0.0
        for i in range(m):
            if abs(_quarter(angle[i] - direction)) > math.radians(20):
                continue
            across = abs(math.sin(angle[i] - direction)) > math.sqrt(0.5)
            a += scatter[i, 2] if across else scatter[i, 0]
            b += -scatter[i, 1] if across else scatter[i, 1]
            c += scatter[i, 0] if across else scatter[i, 2]
        direction = 0.5 * math.atan2(2 * b, a - c)
    return direction


@compiled
def _quarter(angle: float) -> float:
    """An angle in rad modulo a quarter turn, in -pi/4 .. pi/4."""
    return (angle + math.pi / 4) % (math.pi / 2) - math.pi / 4


@compiled
def _wall(
    xy: Float64Array, sums: Float64Array, a: int, b: int, direction: float, snap: float, short: float
) -> tuple[float, float]:
    """The line of the wall from vertex ``a`` to ``b``: its direction in rad, and its offset along the left normal.

    The offset leaves as much area on one side of the line as on the other.
    """
    s = _span(sums, a, b)
    dx, dy = xy[b, 0] - xy[a, 0], xy[b, 1] - xy[a, 1]
    cxx, cyy = s[LXX] - s[LX] * s[LX] / s[L], s[LYY] - s[LY] * s[LY] / s[L]
    cxy = s[LXY] - s[LX] * s[LY] / s[L]
    angle = 0.5 * math.atan2(2 * cxy, cxx - cyy)
    if math.cos(angle) * dx + math.sin(angle) * dy < 0:
        angle += math.pi
    off = _quarter(angle - direction)
    if abs(off) <= snap or math.hypot(dx, dy) < short:
        angle -= off
    ux, uy = math.cos(angle), math.sin(angle)
    along = ux * dx + uy * dy
    if abs(along) < 0.3 * s[L]:
        return angle, (ux * s[LY] - uy * s[LX]) / s[L]
    turned = -uy * (ux * s[X_DX] + uy * s[X_DY]) + ux * (ux * s[Y_DX] + uy * s[Y_DY])
    return angle, turned / along


@compiled
def _squared_ring(
    xy: Float64Array, direction: float, sums: Float64Array, corners: Int64Array, tolerance: float, snap: float
) -> Float64Array:
    """The ring of wall lines met in their corners, not closed; float64 ``(m, 2)``."""
    short = 3 * tolerance
    breaks = corners
    while True:
        m = breaks.size
        angle, offset = np.empty(m), np.empty(m)
        for i in range(m):
            angle[i], offset[i] = _wall(xy, sums, breaks[i], breaks[(i + 1) % m], direction, snap, short)
        needless = _needless(angle, offset, tolerance)
        if m - np.sum(needless) < 3 or not needless.any():
            break
        breaks = breaks[~needless]
    return _met(xy, breaks, angle, offset, 4 * tolerance)


@compiled
def _met(xy: Float64Array, breaks: Int64Array, angle: Float64Array, offset: Float64Array, reach: float) -> Float64Array:
    """Where each wall meets the one before it; a step between the two where they are parallel or meet far away."""
    m = breaks.size
    out = np.empty((2 * m, 2))
    n = 0
    for i in range(m):
        h = i - 1 if i else m - 1
        px, py = xy[breaks[i], 0], xy[breaks[i], 1]
        sine = math.sin(angle[i] - angle[h])
        if abs(sine) > math.sin(MERGE_RAD):
            x = (math.cos(angle[i]) * offset[h] - math.cos(angle[h]) * offset[i]) / sine
            y = (math.sin(angle[i]) * offset[h] - math.sin(angle[h]) * offset[i]) / sine
            if math.hypot(x - px, y - py) <= reach or abs(sine) > 0.9:
                out[n, 0], out[n, 1] = x, y
                n += 1
                continue
        for j in (h, i):
            ux, uy = math.cos(angle[j]), math.sin(angle[j])
            t = ux * px + uy * py
            out[n, 0], out[n, 1] = ux * t - uy * offset[j], uy * t + ux * offset[j]
            n += 1
    return out[:n]


@compiled
def _needless(angle: Float64Array, offset: Float64Array, tolerance: float) -> BoolArray:
    """Corners between two walls that are one: parallel, and less than ``tolerance`` apart.

    Of two such corners in a row only the one with the smaller step, because the wall between them changes with it.
    """
    m = angle.size
    step = np.full(m, np.inf)
    for i in range(m):
        if math.cos(angle[i] - angle[i - 1]) > math.cos(MERGE_RAD):
            step[i] = abs(offset[i] - offset[i - 1])
    needless = step < tolerance
    for i in range(m):
        for j in (i - 1 if i else m - 1, (i + 1) % m):
            if step[j] < step[i] or (step[j] == step[i] and j < i):
                needless[i] = False
    return needless


@compiled
def square_all(
    xy: Float64Array, rings: Int64Array, parts: Int64Array, tolerance: float, snap: float
) -> tuple[Float64Array, Int64Array, Float64Array]:
    """Every ring of every polygon squared along the main direction of the polygon's exterior.

    Returns:
        Vertices, the offsets of the rings in them, and the direction of each polygon in rad.
    """
    out = np.empty((2 * xy.shape[0], 2))
    offsets = np.zeros(rings.size, np.int64)
    directions = np.zeros(parts.size - 1)
    n = 0
    for p in range(parts.size - 1):
        for r in range(parts[p], parts[p + 1]):
            ring = xy[rings[r] : rings[r + 1]]
            sums = _running_sums(ring)
            corners = _corners(ring, tolerance)
            if r == parts[p]:
                directions[p] = _main_direction(sums, corners)
            made = _squared_ring(ring, directions[p], sums, corners, tolerance, snap)
            out[n : n + len(made)] = made
            out[n + len(made)] = made[0]
            n += len(made) + 1
            offsets[r + 1] = n
    return out[:n], offsets, directions
