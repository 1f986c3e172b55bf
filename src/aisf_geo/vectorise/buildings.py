"""Building outlines: touching roofs split, outlines squared, and nothing lost on the way without a count.

::

    parted = split_roofs(features, read, grid, code)               # equal for any block size: see there
    squared = square(parted.features.geometry, grid.pyproj_crs, SquaringRules.for_grid(grid), area_m2)

Every footprint that comes in goes out. One that squaring would change too much keeps its traced outline and says so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
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
#: A coarser outline wins over a finer one that agrees better, if what it misses is at most this much more.
COARSER_LOSS = 1.1
#: Multiples of the tolerance at which outlines are squared; from fine to coarse.
LADDER = (1.0, 2.0, 3.0)
#: Walls that differ less in direction are one, or joined by a step and not by where they would meet.
MERGE_RAD = math.radians(10)


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


@dataclass(frozen=True)
class SquaringRules:
    """How far squaring may go.

    Attributes:
        tolerance_m: detail of the outline that is noise; about the size of a pixel.
        min_iou: an outline whose squared form has a smaller IoU with it keeps its traced form, 0..1.
        snap_deg: walls this close to one of the two main directions are turned onto it; others stay oblique.

    Raises:
        UsageError: a value is out of range.
    """

    tolerance_m: float
    min_iou: float = 0.85
    snap_deg: float = 20.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.tolerance_m) and self.tolerance_m > 0):
            raise UsageError(f"squaring: tolerance must be above 0 m, found {self.tolerance_m}")
        if not 0 <= self.min_iou <= 1:
            raise UsageError(f"squaring: smallest IoU must lie in 0..1, found {self.min_iou}")
        if not 0 <= self.snap_deg <= 45:
            raise UsageError(f"squaring: walls snap within 0..45 degrees, found {self.snap_deg}")

    @classmethod
    def for_grid(cls, grid: Grid) -> SquaringRules:
        """The rules for outlines traced on ``grid``: what is smaller than a pixel is noise."""
        return cls(grid.gsd_m)


@dataclass(frozen=True)
class SquaringSummary:
    """What squaring did to a table; every footprint is in exactly one of the first four counts.

    Attributes:
        squared: footprints with a new outline.
        kept_by_guard: those whose squared outline agreed too little with the traced one.
        kept_invalid: those no valid squared outline was found for.
        not_polygons: missing, empty or of several parts; left as they are.
        repaired: of all these, footprints that ``make_valid`` changed first.
        overlaps: pairs of new outlines that lie on each other by more than 0.01 m2, and ``overlap_m2`` by how much:
            each footprint is squared on its own.
        area_change_m2: new area less traced area, of all footprints together.
    """

    squared: int
    kept_by_guard: int
    kept_invalid: int
    not_polygons: int
    repaired: int
    overlaps: int
    overlap_m2: float
    area_change_m2: float

    def as_json(self) -> dict[str, Any]:
        """The counts for outputs and ``--json``."""
        return asdict(self)


@dataclass(frozen=True)
class Squared:
    """Footprints in their order, with columns of one length.

    Attributes:
        geometry: the new outline, or the traced one where ``squared`` is False.
        area_m2: float64, area of ``geometry``.
        area_change_m2: float64, ``area_m2`` less the area of the traced outline.
        orientation_deg: float64, azimuth of the longer main direction, clockwise from true north, 0 <= a < 180; NaN for
            what is no polygon.
        compactness: float64, 4 pi area / perimeter^2 (Polsby and Popper 1991): 1 for a circle, 0.785 for a square.
        iou: float64, IoU of ``geometry`` with the traced outline.
        squared: bool.
        summary: counts of all that was done and not done.
    """

    geometry: NDArray[np.object_]
    area_m2: Float64Array
    area_change_m2: Float64Array
    orientation_deg: Float64Array
    compactness: Float64Array
    iou: Float64Array
    squared: BoolArray
    summary: SquaringSummary

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name: what a GeoDataFrame takes."""
        names = ("geometry", "area_m2", "area_change_m2", "orientation_deg", "compactness", "iou", "squared")
        return {name: getattr(self, name) for name in names}


def square(
    polygons: NDArray[np.object_], crs: CRS, rules: SquaringRules, area_m2: Float64Array | None = None
) -> Squared:
    """Outlines whose walls follow their building's two main directions where they nearly do.

    An outline is cut into walls at the corners of its Douglas-Peucker line, and each wall is replaced by the line that
    leaves as much area on one side as on the other. The main directions fit the walls of the exterior by least squares.
    This is done at three tolerances; the coarsest wins that agrees about as well with the traced outline as the best.
    All is computed on the ground: angles and lengths are those in metres east and north of each footprint.

    Args:
        polygons: shapely polygons ``(n,)``; ``None``, empty and multipart geometries are passed through and counted.
        crs: their coordinate system.
        rules: how far to go.
        area_m2: known areas of the traced outlines, float64 ``(n,)``, as from a pixel count; new areas are these times
            the change of the planar area. Planar areas around each footprint if None.
    """
    traced = shapely.force_2d(np.asarray(polygons, dtype=object))
    invalid = ~(shapely.is_missing(traced) | shapely.is_valid(traced))
    traced[invalid] = shapely.make_valid(traced[invalid])
    usable = np.flatnonzero((shapely.get_type_id(traced) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(traced))
    frames = _Frames.around(traced[usable], crs)
    flat = shapely.orient_polygons(frames.to_m(traced[usable]))
    best = _ladder(flat, rules)
    accepted = best.iou >= max(rules.min_iou, np.finfo(float).tiny)
    final = np.where(accepted, best.outline, flat)

    geometry = traced.copy()
    geometry[usable[accepted]] = frames.take(accepted).to_crs(final[accepted])
    planar_m2, new_m2 = shapely.area(flat), shapely.area(final)
    if area_m2 is None:
        area_m2 = np.zeros(traced.size)
        area_m2[usable] = planar_m2
        area_m2[_others(usable, traced.size)] = np.nan
    known_m2 = np.asarray(area_m2, dtype=np.float64)
    squared_m2 = known_m2.copy()
    squared_m2[usable] *= new_m2 / planar_m2
    change_m2 = squared_m2 - known_m2
    overlaps, overlap_m2 = _overlaps(geometry[usable], new_m2, accepted)
    return Squared(
        geometry=geometry,
        area_m2=squared_m2,
        area_change_m2=change_m2,
        orientation_deg=_filled(traced.size, usable, _azimuths_deg(final, best.direction_rad)),
        compactness=_filled(traced.size, usable, 4 * np.pi * new_m2 / shapely.length(final) ** 2),
        iou=_filled(traced.size, usable, np.where(accepted, best.iou, 1.0)),
        squared=np.isin(np.arange(traced.size), usable[accepted]),
        summary=SquaringSummary(
            squared=int(accepted.sum()),
            kept_by_guard=int((~accepted & (best.iou > 0)).sum()),
            kept_invalid=int((~accepted & (best.iou <= 0)).sum()),
            not_polygons=traced.size - usable.size,
            repaired=int(invalid.sum()),
            overlaps=overlaps,
            overlap_m2=overlap_m2,
            area_change_m2=float(np.nansum(change_m2)),
        ),
    )


def _others(index: Int64Array, size: int) -> Int64Array:
    return np.setdiff1d(np.arange(size), index)


def _filled(size: int, index: Int64Array, values: Float64Array) -> Float64Array:
    """``values`` at ``index`` of a column that is NaN elsewhere."""
    column = np.full(size, np.nan)
    column[index] = values
    return column


@dataclass(frozen=True)
class _Frames:
    """A plane in metres east and north around each footprint.

    Attributes:
        origin: float64 ``(n, 2)``, in the CRS.
        to_ground: float64 ``(n, 2, 2)``, metres east and north of a step of one CRS unit along x and y.
    """

    origin: Float64Array
    to_ground: Float64Array

    @classmethod
    def around(cls, polygons: NDArray[np.object_], crs: CRS) -> _Frames:
        """The derivatives of the projection at the middle of each box, by central differences."""
        box = shapely.bounds(polygons).reshape(-1, 4)
        origin = (box[:, :2] + box[:, 2:]) / 2
        geod, geographic = crs.get_geod(), crs.geodetic_crs
        if geod is None or geographic is None:
            raise GridError(f"squaring: {crs.name!r} is not tied to the Earth; set the CRS of the footprints")
        to_degrees = Transformer.from_crs(crs, geographic, always_xy=True)
        step = 1e-4 if crs.is_geographic else 10.0
        columns: list[Float64Array] = []
        for dx, dy in ((step, 0.0), (0.0, step)):
            ahead = np.stack(to_degrees.transform(origin[:, 0] + dx, origin[:, 1] + dy), axis=1)
            behind = np.stack(to_degrees.transform(origin[:, 0] - dx, origin[:, 1] - dy), axis=1)
            columns.append(np.deg2rad(ahead - behind) / (2 * step))
        latitude = np.deg2rad(np.stack(to_degrees.transform(origin[:, 0], origin[:, 1]), axis=1)[:, 1])
        # Radii of curvature: Snyder 1987, Map Projections: A Working Manual, eq. 4-18 and 4-20.
        w2 = 1 - geod.es * np.sin(latitude) ** 2
        radii_m = np.stack([geod.a * np.cos(latitude) / np.sqrt(w2), geod.a * (1 - geod.es) / w2**1.5], axis=1)
        return cls(origin, np.stack(columns, axis=2) * radii_m[:, :, None])

    def take(self, index: NDArray[Any]) -> _Frames:
        """The frames ``index``."""
        return _Frames(self.origin[index], self.to_ground[index])

    def to_m(self, polygons: NDArray[np.object_]) -> NDArray[np.object_]:
        """Geometries in metres around their origins."""
        xy, index = shapely.get_coordinates(polygons, return_index=True)
        moved = np.einsum("nij,nj->ni", self.to_ground[index], xy - self.origin[index])
        return np.asarray(shapely.set_coordinates(polygons.copy(), moved), dtype=object)

    def to_crs(self, polygons: NDArray[np.object_]) -> NDArray[np.object_]:
        """The inverse of :meth:`to_m`."""
        xy, index = shapely.get_coordinates(polygons, return_index=True)
        back = np.einsum("nij,nj->ni", np.linalg.inv(self.to_ground)[index], xy)
        return np.asarray(shapely.set_coordinates(polygons.copy(), back + self.origin[index]), dtype=object)


@dataclass(frozen=True)
class _Squarings:
    """Squared outlines in metres, the main direction (rad), and the IoU with the traced outline, 0 if invalid."""

    outline: NDArray[np.object_]
    direction_rad: Float64Array
    iou: Float64Array


def _ladder(polygons: NDArray[np.object_], rules: SquaringRules) -> _Squarings:
    """The coarsest squared outlines that agree about as well as the best do."""
    steps = [_squared_at(polygons, factor * rules.tolerance_m, rules.snap_deg) for factor in LADDER]
    loss = 1 - np.max([step.iou for step in steps], axis=0)
    outline, direction, iou = steps[0].outline.copy(), steps[0].direction_rad.copy(), steps[0].iou.copy()
    for step in steps[1:]:
        wins = (step.iou > 0) & (1 - step.iou <= COARSER_LOSS * loss)
        outline[wins], direction[wins], iou[wins] = step.outline[wins], step.direction_rad[wins], step.iou[wins]
    return _Squarings(outline, direction, iou)


def _squared_at(polygons: NDArray[np.object_], tolerance_m: float, snap_deg: float) -> _Squarings:
    """All outlines squared at one tolerance."""
    if not polygons.size:
        return _Squarings(polygons, np.zeros(0), np.zeros(0))
    _, xy, offsets_of_both = shapely.to_ragged_array(polygons)
    rings, parts = (np.asarray(part, dtype=np.int64) for part in offsets_of_both)
    made, offsets, direction = _square_all(xy, rings, parts, tolerance_m, math.radians(snap_deg))
    outline = shapely.from_ragged_array(shapely.GeometryType.POLYGON, made, (offsets, parts))
    valid = shapely.is_valid(outline) & (shapely.area(outline) > 0)
    common_m2 = _common_areas(made, offsets, xy, rings, parts)
    union_m2 = shapely.area(outline) + shapely.area(polygons) - common_m2
    return _Squarings(outline, direction, np.where(valid, common_m2 / union_m2, 0.0))


def _azimuths_deg(polygons: NDArray[np.object_], direction_rad: Float64Array) -> Float64Array:
    """Azimuths of the longer of the two main directions."""
    if not polygons.size:
        return np.zeros(0)
    xy, index = shapely.get_coordinates(polygons, return_index=True)
    first = np.searchsorted(index, np.arange(polygons.size))
    extents: list[NDArray[Any]] = []
    for turn in (0.0, math.pi / 2):
        angle = (direction_rad + turn)[index]
        along = xy[:, 0] * np.cos(angle) + xy[:, 1] * np.sin(angle)
        extents.append(np.maximum.reduceat(along, first) - np.minimum.reduceat(along, first))
    longer = direction_rad + np.where(extents[1] > extents[0], math.pi / 2, 0.0)
    # A second modulo: the first gives 180 for a negative number next to nothing.
    return np.asarray(((90 - np.rad2deg(longer)) % 180) % 180)


def _overlaps(polygons: NDArray[np.object_], area_m2: Float64Array, changed: BoolArray) -> tuple[int, float]:
    """Pairs that overlap of which at least one has changed, and their common area in m2."""
    a, b = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    once = (a < b) & (changed[a] | changed[b])
    a, b = a[once], b[once]
    common = shapely.area(shapely.intersection(polygons[a], polygons[b]))
    common_m2 = common * (area_m2[a] / shapely.area(polygons[a]))
    return int((common_m2 > 0.01).sum()), float(common_m2[common_m2 > 0.01].sum())


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
def _common_areas(
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


@compiled
def _square_all(
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
