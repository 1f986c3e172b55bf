"""Fewer vertices, with neighbours still sharing their borders."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from aisf_geo.domain.grid import Grid
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.polygons import Features


@dataclass(frozen=True)
class Simplified:
    """Simplified features and what it did to their areas.

    Attributes:
        features: the same features in the same order. ``area_m2`` and ``perimeter_m`` are of the new geometry; all
            other columns still describe the pixels.
        area_change_m2: float64 ``(n,)``, new area less the area of the pixels.
        class_change_m2: the sum of these by code.
    """

    features: Features
    area_change_m2: NDArray[np.float64]
    class_change_m2: dict[int, float]


def simplify(features: Features, tolerance_m: float, grid: Grid) -> Simplified:
    """Smooth the borders between features; those on unobserved pixels or the image edge stay as they are.

    Borders lose the vertices that span less than about ``tolerance_m`` squared with their neighbours (Visvalingam and
    Whyatt 1993, as GEOS applies it to coverages), once for both sides, so that the result is a valid coverage. An area
    is the area of the pixels times the change of the planar area, which keeps the scale of the ellipsoid.

    Args:
        features: all features of a label map.
        tolerance_m: size of what disappears; 0 changes nothing but collinear vertices.
        grid: grid of that map.

    Raises:
        UsageError: ``tolerance_m`` is negative or not finite.
    """
    if not (math.isfinite(tolerance_m) and tolerance_m >= 0):
        raise UsageError(f"simplify: tolerance must be at least 0 m, found {tolerance_m}")
    unit_m = grid.gsd_m / math.sqrt(abs(grid.transform.determinant))
    geometry = shapely.coverage_simplify(features.geometry, tolerance_m / unit_m, simplify_boundary=False)
    area_m2 = features.area_m2 * (shapely.area(geometry) / shapely.area(features.geometry))
    change_m2 = area_m2 - features.area_m2
    return Simplified(
        features=replace(
            features, geometry=geometry, area_m2=area_m2, perimeter_m=outline_lengths_m(geometry, grid.pyproj_crs)
        ),
        area_change_m2=change_m2,
        class_change_m2={int(c): float(change_m2[features.code == c].sum()) for c in np.unique(features.code)},
    )


def outline_lengths_m(polygons: NDArray[np.object_], crs: CRS) -> NDArray[np.float64]:
    """Length of all rings of each polygon in m: planar in a projected CRS, along geodesics in a geographic one."""
    unit = float(crs.axis_info[0].unit_conversion_factor)
    geod = crs.get_geod() if crs.is_geographic else None
    if geod is None or not polygons.size:
        return np.asarray(shapely.length(polygons) * unit)
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    degrees = np.rad2deg(xy * unit)
    side_m = geod.inv(degrees[:-1, 0], degrees[:-1, 1], degrees[1:, 0], degrees[1:, 1])[2]
    within = ring[1:] == ring[:-1]
    total_m = np.bincount(polygon[ring[1:][within]], side_m[within], polygons.size)
    return total_m.astype(np.float64)
