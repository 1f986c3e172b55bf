"""Touching roofs parted.

::

    parted = split_roofs(features, read, grid, code)               # equal for any block size: see there
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED
from aisf_geo.errors import GridError, LegendError, UsageError
from aisf_geo.vectorise.blocks import trace_block
from aisf_geo.vectorise.polygons import EdgeLengths, Features, concatenated, to_features
from aisf_geo.vectorise.scan import Int32Array, Int64Array, UInt8Array, compiled
from aisf_geo.vectorise.trace import ReadLabels

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Regions larger than this, in pixels of their box, are not split: by estimate one takes some 100 bytes a pixel.
MAX_SPLIT_PX = 8_000_000


@dataclass(frozen=True)
class RoofRules:
    """When a region is more than one roof.

    The height of a pixel is its distance to the region's border times its confidence; two summits are two roofs if the
    pass between them is low and both are large enough.

    Attributes:
        neck_share: highest pass that still parts, as a share of the lower summit, 0..1.
        min_roof_m2: smallest area above the pass.
    """

    neck_share: float = 0.7
    min_roof_m2: float = 6.0

    def __post_init__(self) -> None:
        if not (0 < self.neck_share < 1 and math.isfinite(self.min_roof_m2) and self.min_roof_m2 >= 0):
            raise UsageError(f"roofs: neck share must lie in 0..1 and the smallest roof be at least 0 m2, found {self}")


@dataclass(frozen=True)
class Split:
    """Features after touching roofs were parted.

    Attributes:
        features: with the attributes of their own pixels; all others as they were.
        split: regions that were more than one roof, and ``roofs`` what they became.
        too_large: regions of more than ``MAX_SPLIT_PX`` that were not looked at.
    """

    features: Features
    split: int
    roofs: int
    too_large: int


def split_roofs(features: Features, read: ReadLabels, grid: Grid, code: int, rules: RoofRules | None = None) -> Split:
    """Part the regions of ``code`` at their necks and at lines of low confidence.

    What is parted are whole regions, read again from the map, and not blocks: the result depends on a region's pixels
    alone, so it is the same for any block size, and equals tracing a map in which the roofs had codes of their own.
    Regions of other classes keep their outlines: they have no vertex where two roofs part, so that roofs and the rest
    of the map are no coverage in the strict sense any more.

    Args:
        features: traced features, neither simplified nor absorbed.
        read: reads the labels and confidences of a window, as for :func:`aisf_geo.vectorise.trace.trace`.
        grid: grid of the map.
        code: legend code of buildings.
        rules: when to part; the defaults of :class:`RoofRules` if None.

    Raises:
        GridError: the features are not those of the map that ``read`` reads.
    """
    rules = rules or RoofRules()
    lengths, windows = EdgeLengths.of(grid), _pixel_windows(features, grid)
    made: list[Features] = []
    gone = np.zeros(len(features), dtype=np.bool_)
    too_large = 0
    for i in np.flatnonzero(features.code == code):
        if windows[i].height * windows[i].width > MAX_SPLIT_PX:
            too_large += 1
            continue
        roofs = _roofs_of(features, int(i), read, windows[i], grid, lengths, rules)
        if roofs is not None:
            made.append(roofs)
            gone[i] = True
    if not made:
        return Split(features, 0, 0, too_large)
    result = concatenated([features.take(np.flatnonzero(~gone)), *made])
    ordered = result.take(np.lexsort((result.first_pixel, result.last_row)))
    return Split(ordered, len(made), sum(map(len, made)), too_large)


def _pixel_windows(features: Features, grid: Grid) -> list[Window]:
    """The pixels around each feature, one more on every side, on the grid or off it."""
    if not len(features):
        return []
    xy, index = shapely.get_coordinates(features.geometry, return_index=True)
    t = ~grid.transform
    place = np.stack([t.d * xy[:, 0] + t.e * xy[:, 1] + t.f, t.a * xy[:, 0] + t.b * xy[:, 1] + t.c], axis=1)
    first = np.searchsorted(index, np.arange(len(features)))
    low = np.rint(np.minimum.reduceat(place, first)).astype(int) - 1
    size = np.rint(np.maximum.reduceat(place, first)).astype(int) + 1 - low
    return [Window(*a, *b) for a, b in zip(low.tolist(), size.tolist(), strict=True)]


def _roofs_of(
    features: Features, i: int, read: ReadLabels, window: Window, grid: Grid, lengths: EdgeLengths, rules: RoofRules
) -> Features | None:
    """The roofs of region ``i``, None if it is one."""
    code = features.code[i]
    labels, confidence = _read_padded(read, window, grid)
    row, col = divmod(int(features.first_pixel[i]), grid.shape.width)
    numbers, _ = ndimage.label(labels == code)
    number = numbers[row - window.row, col - window.col]
    region = numbers == number
    if not number or np.count_nonzero(region) != features.pixels[i]:
        raise GridError(
            f"roofs: the map at {window} does not hold the region traced there; pass the map's own features"
        )
    height = _heights(region, confidence, window, lengths)
    min_px = rules.min_roof_m2 / (features.area_m2[i] / features.pixels[i])
    order = np.argsort(-height[region], kind="stable")
    roof, roofs = _climb(height, np.flatnonzero(region)[order], rules.neck_share, min_px)
    if roofs == 1:
        return None
    free = np.setdiff1d(np.arange(NOT_OBSERVED, dtype=np.uint8), labels)
    colour = _colours(roof, roofs)
    if colour.max() >= free.size:
        raise LegendError("roofs: the map leaves too few of the 255 codes free to tell touching roofs apart")
    painted = np.where(region, free[colour[roof]], labels)
    block = trace_block(painted, confidence, grid, window)
    traced = to_features(block.regions.outlines, block.regions.done, grid, lengths)
    parts = traced.take(np.flatnonzero(np.isin(traced.code, free)))
    return replace(parts, code=np.full(len(parts), code))


def _read_padded(read: ReadLabels, window: Window, grid: Grid) -> tuple[UInt8Array, UInt8Array | None]:
    """Labels and confidences of a window that may reach beyond the grid, where nothing is observed."""
    inside = window.intersection(grid.full_window)
    if inside is None:
        raise GridError(f"roofs: {window} lies outside of the grid {tuple(grid.shape)}; pass the map's own features")
    here = inside.relative_to(window).slices
    labels = np.full((window.height, window.width), NOT_OBSERVED, dtype=np.uint8)
    read_labels, read_confidence = read(inside)
    labels[here] = read_labels
    if read_confidence is None:
        return labels, None
    confidence = np.full_like(labels, NO_CONFIDENCE)
    confidence[here] = read_confidence
    return labels, confidence


def _heights(region: BoolArray, confidence: UInt8Array | None, window: Window, lengths: EdgeLengths) -> Float64Array:
    """Distance in m of each pixel to the nearest one outside the region, times its confidence where it has one."""
    row = min(max(window.row + window.height // 2, 0), lengths.east_m.size - 2)
    sampling = (lengths.south_m[row + 1] - lengths.south_m[row], lengths.east_m[row])
    height = np.asarray(ndimage.distance_transform_edt(region, sampling=sampling), np.float64)
    if confidence is None:
        return height
    return height * np.where(confidence == NO_CONFIDENCE, 1.0, confidence / CONFIDENCE_STEPS)


def _colours(roof: Int32Array, roofs: int) -> Int64Array:
    """A small number for every roof that no neighbour has."""
    sides = ((roof[:, 1:], roof[:, :-1]), (roof[1:], roof[:-1]))
    pairs = np.concatenate([np.stack([a[c], b[c]], axis=1) for a, b in sides for c in [(a != b) & (a >= 0) & (b >= 0)]])
    neighbours: list[set[int]] = [set() for _ in range(roofs)]
    for a, b in np.unique(pairs, axis=0).tolist():
        neighbours[a].add(b)
        neighbours[b].add(a)
    colour = np.full(roofs, -1, dtype=np.int64)
    for i, around in enumerate(neighbours):
        taken = {int(colour[j]) for j in around}
        colour[i] = next(c for c in range(roofs) if c not in taken)
    return colour


@compiled
def _climb(height: Float64Array, order: Int64Array, neck_share: float, min_px: float) -> tuple[Int32Array, int]:
    """The summit each pixel of a region leads up to, numbered from 0, -1 outside; and how many there are.

    A watershed flooded from the top (Vincent and Soille 1991, upside down): pixels come by height, each joins its
    highest neighbour, and where two summits meet they become one unless the pass is low and both are large.

    Args:
        height: float64 ``(y, x)``; no pixel of the region lies on the rim of the array.
        order: row-major indices of the region's pixels, highest first.
        neck_share: highest pass that parts, as a share of the lower summit.
        min_px: smallest number of pixels above the pass.
    """
    flat, width = height.ravel(), height.shape[1]
    summit = np.full(flat.size, -1, np.int32)
    parent, peak, size = np.empty(order.size, np.int32), np.empty(order.size), np.zeros(order.size, np.int64)
    n = 0
    for p in order:
        best = -1
        for q in (p - width, p - 1, p + 1, p + width):
            if summit[q] >= 0 and (best < 0 or flat[q] > flat[best]):
                best = q
        if best < 0:
            parent[n], peak[n], summit[p] = n, flat[p], n
            n += 1
        else:
            summit[p] = summit[best]
        a = _root(parent, summit[p])
        size[a] += 1
        for q in (p - width, p - 1, p + 1, p + width):
            b = _root(parent, summit[q]) if summit[q] >= 0 else a
            if a != b and (flat[p] > neck_share * min(peak[a], peak[b]) or min(size[a], size[b]) < min_px):
                a, b = min(a, b), max(a, b)
                parent[b] = a
                peak[a] = max(peak[a], peak[b])
                size[a] += size[b]
    number, roofs = np.full(n, -1, np.int32), 0
    for i in range(n):
        if parent[i] == i:
            number[i] = roofs
            roofs += 1
    for p in order:
        summit[p] = number[_root(parent, summit[p])]
    return summit.reshape(height.shape), roofs


@compiled
def _root(parent: Int32Array, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
