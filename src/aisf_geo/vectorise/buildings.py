"""Building outlines squared, and nothing lost on the way without a count.

::

    squared = square(parted.features.geometry, grid.pyproj_crs, SquaringRules.for_grid(grid), area_m2)

Every footprint that comes in goes out. One that squaring would change too much keeps its traced outline and says so.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from aisf_geo.domain.grid import Grid
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.frames import Frames
from aisf_geo.vectorise.overlap import common_areas, overlaps
from aisf_geo.vectorise.scan import Int64Array
from aisf_geo.vectorise.walls import square_all

Float64Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: A coarser outline wins over a finer one that agrees better, if what it misses is at most this much more.
COARSER_LOSS = 1.1
#: Multiples of the tolerance at which outlines are squared; from fine to coarse.
LADDER = (1.0, 2.0, 3.0)


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
    frames = Frames.around(traced[usable], crs)
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
    overlapping, overlap_m2 = overlaps(geometry[usable], new_m2, accepted)
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
            overlaps=overlapping,
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
    made, offsets, direction = square_all(xy, rings, parts, tolerance_m, math.radians(snap_deg))
    outline = shapely.from_ragged_array(shapely.GeometryType.POLYGON, made, (offsets, parts))
    valid = shapely.is_valid(outline) & (shapely.area(outline) > 0)
    common_m2 = common_areas(made, offsets, xy, rings, parts)
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
