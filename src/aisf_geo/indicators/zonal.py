"""Coverage-weighted class areas in zones, summed window by window so that memory does not grow with the map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import geopandas
import numpy as np
import shapely
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray

from aisf_geo.domain.grid import Bounds, Grid, Window
from aisf_geo.domain.legend import NOT_OBSERVED
from aisf_geo.errors import GridError


@dataclass(frozen=True)
class Zone:
    """A polygon numbers are reported for, in the CRS of the map."""

    id: str
    name: str
    geometry: shapely.Geometry


@dataclass
class ZoneAreas:
    """Areas on the ellipsoid inside one zone of one map, in m2.

    Attributes:
        by_code: area of each legend code, partly covered pixels counted by the share that lies inside.
        not_observed_m2: area of the zone inside the image that carries no label.
        zone_m2: area of the whole zone, whether the image covers it or not.
    """

    zone_m2: float
    by_code: dict[int, float] = field(default_factory=dict)
    not_observed_m2: float = 0.0

    @property
    def observed_m2(self) -> float:
        """Area that carries a label."""
        return sum(self.by_code.values())

    @property
    def coverage(self) -> float:
        """Share of the zone that was observed, 0..1."""
        return min(1.0, self.observed_m2 / self.zone_m2) if self.zone_m2 > 0 else 0.0


def zone_area_m2(zone: Zone, grid: Grid) -> float:
    """Geodesic area of a zone given in the CRS of ``grid``, in m2.

    Sides are broken up to at most a pixel row's worth of curvature before they are carried to the ellipsoid.
    """
    west, south, east, north = shapely.bounds(zone.geometry)
    fine = shapely.segmentize(zone.geometry, max(east - west, north - south) / 256)
    geographic = grid.pyproj_crs.geodetic_crs
    if geographic is None:
        raise GridError(f"zones: {grid.pyproj_crs.name!r} has no geographic system behind it")
    placed = geopandas.GeoSeries([fine], crs=grid.pyproj_crs).to_crs(geographic).iloc[0]
    # Some systems count in grads, the geodesic library in degrees.
    unit_degrees = math.degrees(geographic.axis_info[0].unit_conversion_factor)
    lonlat = shapely.transform(placed, lambda xy: xy * unit_degrees)
    geod = grid.pyproj_crs.get_geod()
    if geod is None:
        raise GridError(f"zones: {grid.pyproj_crs.name!r} names no ellipsoid, areas cannot be computed")
    return abs(float(geod.geometry_area_perimeter(shapely.orient_polygons(lonlat))[0]))


def on_grid(zones: Sequence[Zone], known: Grid, grid: Grid) -> Sequence[Zone]:
    """The zones, given in the CRS of ``known``, in the CRS of another grid."""
    if known.pyproj_crs == grid.pyproj_crs:
        return zones
    moved = geopandas.GeoSeries([z.geometry for z in zones], crs=known.pyproj_crs).to_crs(grid.pyproj_crs)
    return [Zone(z.id, z.name, g) for z, g in zip(zones, moved, strict=True)]


def start_zones(zones: Sequence[Zone], grid: Grid) -> list[ZoneAreas]:
    """Empty accounts, one for each zone."""
    return [ZoneAreas(zone_area_m2(zone, grid)) for zone in zones]


def add_window(
    areas: Sequence[ZoneAreas], zones: Sequence[Zone], grid: Grid, window: Window, labels: NDArray[np.generic]
) -> None:
    """Add the labels ``(y, x)`` of one window of ``grid`` to the accounts of the zones that touch it."""
    bounds = grid.window_bounds(window)
    box = shapely.box(*bounds)
    touched = [i for i, zone in enumerate(zones) if shapely.intersects(zone.geometry, box)]
    if not touched:
        return
    labels, pixel_m2 = north_up(grid, labels), north_up(grid, grid.pixel_area_m2(window))
    frame = geopandas.GeoDataFrame(geometry=[zones[i].geometry for i in touched], crs=grid.pyproj_crs)
    cells = exact_extract(
        _source(labels.astype(np.int32), bounds), frame, ["cell_id", "coverage"], output="pandas", include_geom=False
    )
    flat_labels, flat_m2 = labels.ravel(), pixel_m2.ravel()
    for i, ids, shares in zip(touched, cells["cell_id"], cells["coverage"], strict=True):
        inside = np.asarray(ids, np.int64)
        codes = flat_labels[inside]
        m2 = np.bincount(codes, weights=flat_m2[inside] * np.asarray(shares), minlength=256)
        areas[i].not_observed_m2 += float(m2[NOT_OBSERVED])
        for code in np.unique(codes[codes != NOT_OBSERVED]):
            areas[i].by_code[int(code)] = areas[i].by_code.get(int(code), 0.0) + float(m2[code])


def add_counts(
    sums: list[float],
    known_m2: list[float],
    zones: Sequence[Zone],
    grid: Grid,
    window: Window,
    counts: NDArray[np.float64],
) -> None:
    """Add counts per pixel ``(y, x)`` of a window, NaN where not known, to the sums of the zones.

    A pixel that a zone cuts counts by the share inside. ``known_m2`` gathers the area of the pixels that have a number.
    """
    bounds = grid.window_bounds(window)
    box = shapely.box(*bounds)
    touched = [i for i, zone in enumerate(zones) if shapely.intersects(zone.geometry, box)]
    if not touched:
        return
    number = np.asarray(north_up(grid, counts), np.float64).ravel()
    m2 = np.asarray(north_up(grid, grid.pixel_area_m2(window)), np.float64).ravel()
    frame = geopandas.GeoDataFrame(geometry=[zones[i].geometry for i in touched], crs=grid.pyproj_crs)
    blank = np.zeros(counts.shape, np.int32)
    cells = exact_extract(_source(blank, bounds), frame, ["cell_id", "coverage"], output="pandas", include_geom=False)
    for i, ids, shares in zip(touched, cells["cell_id"], cells["coverage"], strict=True):
        inside, share = np.asarray(ids, np.int64), np.asarray(shares, np.float64)
        known = np.isfinite(number[inside])
        sums[i] += float((number[inside] * share)[known].sum())
        known_m2[i] += float((m2[inside] * share)[known].sum())


def north_up(grid: Grid, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """``pixels`` with north above and west on the left, whichever way the rows and columns of the grid run.

    Raises:
        GridError: the grid is rotated.
    """
    if grid.transform.b or grid.transform.d:
        raise GridError("zones: a rotated grid is not supported; warp it north-up")
    return pixels[:: -1 if grid.transform.e > 0 else 1, :: -1 if grid.transform.a < 0 else 1]


def _source(labels: NDArray[np.int32], bounds: Bounds) -> NumPyRasterSource:
    return NumPyRasterSource(labels, *bounds)
