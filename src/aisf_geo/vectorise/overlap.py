"""Common areas of outlines: with each other, and with the staircases they were made from."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from aisf_geo.vectorise.scan import Int64Array, compiled

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def overlaps(polygons: NDArray[np.object_], area_m2: Float64Array, changed: BoolArray) -> tuple[int, float]:
    """Pairs that overlap of which at least one has changed, and their common area in m2."""
    a, b = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    once = (a < b) & (changed[a] | changed[b])
    a, b = a[once], b[once]
    common = shapely.area(shapely.intersection(polygons[a], polygons[b]))
    common_m2 = common * (area_m2[a] / shapely.area(polygons[a]))
    return int((common_m2 > 0.01).sum()), float(common_m2[common_m2 > 0.01].sum())


@compiled
def common_areas(
    xy: Float64Array, rings: Int64Array, other_xy: Float64Array, other_rings: Int64Array, parts: Int64Array
) -> Float64Array:
    """Area that each polygon has in common with its counterpart, which has as many rings; both oriented.

    A polygon is the signed sum of the areas under its edges; two such areas share what lies under the lower edge. Where
    the outline of one is a staircase around the other, this takes a fraction of the time of an overlay.
    """
    common = np.zeros(parts.size - 1)
    for p in range(common.size):
        first, last = rings[parts[p]], rings[parts[p + 1]]
        base = min(xy[first:last, 1].min(), other_xy[other_rings[parts[p]] : other_rings[parts[p + 1]], 1].min())
        for r in range(parts[p], parts[p + 1]):
            for i in range(rings[r], rings[r + 1] - 1):
                for q in range(parts[p], parts[p + 1]):
                    for j in range(other_rings[q], other_rings[q + 1] - 1):
                        common[p] += _under_both(xy[i], xy[i + 1], other_xy[j], other_xy[j + 1], base)
    return common


@compiled
def _under_both(a: Float64Array, b: Float64Array, c: Float64Array, d: Float64Array, base: float) -> float:
    """Area above ``base`` that lies under both edges ``a b`` and ``c d``, negative if just one of them runs right."""
    left, right = max(min(a[0], b[0]), min(c[0], d[0])), min(max(a[0], b[0]), max(c[0], d[0]))
    if left >= right:
        return 0.0
    slope, other_slope = (b[1] - a[1]) / (b[0] - a[0]), (d[1] - c[1]) / (d[0] - c[0])
    start, other_start = a[1] + slope * (left - a[0]), c[1] + other_slope * (left - c[0])
    end, other_end = a[1] + slope * (right - a[0]), c[1] + other_slope * (right - c[0])
    width = right - left
    area = width * ((min(start, other_start) + min(end, other_end)) / 2 - base)
    gap, other_gap = start - other_start, end - other_end
    if gap * other_gap < 0:
        # They cross: the lower of two lines is concave, so it lies above the chord just integrated.
        area += width * abs(gap * other_gap) / (2 * (abs(gap) + abs(other_gap)))
    return float(area if (a[0] > b[0]) == (c[0] > d[0]) else -area)
