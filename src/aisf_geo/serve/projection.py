"""Between a table's coordinate system and longitude and latitude, the same for every database."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

#: Longest piece of a query's edge in degrees: a straight line there is curved in a projected system.
EDGE_DEG = 0.5
#: Pieces of each edge at least, for small boxes.
EDGE_PIECES = 8
#: Decimals of degrees in answers: a centimetre.
DECIMALS = 7


@dataclass(frozen=True)
class _Projection:
    """Both ways between a coordinate system and WGS 84, None where that is the system; and where it may be used."""

    to_degrees: pyproj.Transformer | None
    to_native: pyproj.Transformer | None
    around: shapely.Geometry | None


@lru_cache(maxsize=64)
def _projection_of(definition: str) -> _Projection:
    crs, wgs84 = pyproj.CRS.from_user_input(definition), pyproj.CRS.from_epsg(4326)
    if crs.equals(wgs84, ignore_axis_order=True):
        return _Projection(None, None, None)
    used = crs.area_of_use
    return _Projection(
        pyproj.Transformer.from_crs(crs, wgs84, always_xy=True),
        pyproj.Transformer.from_crs(wgs84, crs, always_xy=True),
        _around(used.west, used.south, used.east, used.north) if used else None,
    )


def _projection(crs: pyproj.CRS) -> _Projection:
    # By its definition as text: the hash of a CRS object writes its WKT anew each time.
    return _projection_of(crs.srs)


def in_degrees(geometry: Any, crs: pyproj.CRS) -> Any:
    """A geometry or an array of them in longitude and latitude, rounded to a centimetre."""
    transformer = _projection(crs).to_degrees

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        if transformer is not None:
            xy = np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
        return np.round(xy, DECIMALS)

    return shapely.transform(geometry, move)


def in_native(geometry: shapely.Geometry, crs: pyproj.CRS) -> shapely.Geometry | None:
    """A WGS 84 geometry in ``crs``, its edges following the projection; None where that has no such place."""
    known = _projection(crs)
    transformer = known.to_native
    if transformer is None:
        return geometry
    if known.around is not None and not shapely.covers(known.around, geometry):
        # Far outside its area of use a projection folds; what lies there cannot touch a feature.
        geometry = shapely.intersection(geometry, known.around)
        if shapely.is_empty(geometry):
            return None
    west, south, east, north = shapely.bounds(geometry).tolist()
    piece = max(min(EDGE_DEG, max(east - west, north - south) / EDGE_PIECES), 1e-9)
    moved = shapely.transform(
        shapely.segmentize(geometry, piece), lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1]))
    )
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        return None
    return cast("shapely.Geometry", moved if shapely.is_valid(moved) else shapely.make_valid(moved))


def _around(west: float, south: float, east: float, north: float) -> shapely.Geometry | None:
    """An area and ten degrees around it; None for one over the antimeridian, to which nothing is cut."""
    if west > east:
        return None
    return shapely.box(max(west - 10, -180), max(south - 10, -90), min(east + 10, 180), min(north + 10, 90))
