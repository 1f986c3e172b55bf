"""A plane in metres around each footprint, whatever the CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from aisf_geo.errors import GridError

Float64Array = NDArray[np.float64]


@dataclass(frozen=True)
class Frames:
    """A plane in metres east and north around each footprint.

    Attributes:
        origin: float64 ``(n, 2)``, in the CRS.
        to_ground: float64 ``(n, 2, 2)``, metres east and north of a step of one CRS unit along x and y.
    """

    origin: Float64Array
    to_ground: Float64Array

    @classmethod
    def around(cls, polygons: NDArray[np.object_], crs: CRS) -> Frames:
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

    def take(self, index: NDArray[Any]) -> Frames:
        """The frames ``index``."""
        return Frames(self.origin[index], self.to_ground[index])

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
