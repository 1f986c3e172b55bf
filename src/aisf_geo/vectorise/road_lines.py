"""Chains of centre pixels as lines on the ground, and their lengths on the ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Proj

from aisf_geo.domain.grid import Grid
from aisf_geo.errors import GridError
from aisf_geo.vectorise.rings import offsets_of
from aisf_geo.vectorise.road_graph import Network
from aisf_geo.vectorise.scan import Int32Array, Int64Array
from aisf_geo.vectorise.skeleton import FloatArray


@dataclass(frozen=True)
class Ground:
    """From centre pixels to the ground.

    Attributes:
        grid: grid of the raster.
        net: the network on its pixels.
        tolerance_px: greatest distance of a line from the centre pixels it leaves out (Douglas and Peucker 1973).
    """

    grid: Grid
    net: Network
    tolerance_px: float

    def lines(self, start: Int32Array, end: Int32Array, inner: list[Int64Array]) -> NDArray[np.object_]:
        """Lines from node to node over the inner pixels, simplified, in the CRS of the grid; shape ``(n,)``."""
        if not start.size:
            return np.empty(0, dtype=object)
        offsets = offsets_of(np.array([pixels.size + 2 for pixels in inner]))
        colrow = np.empty((offsets[-1], 2))
        within = np.ones(colrow.shape[0], np.bool_)
        within[offsets[:-1]] = within[offsets[1:] - 1] = False
        colrow[within] = self.centres(np.concatenate(inner))
        colrow[offsets[:-1]], colrow[offsets[1:] - 1] = self.node_centres(start), self.node_centres(end)
        lines = np.asarray(shapely.linestrings(colrow, indices=np.repeat(np.arange(start.size), np.diff(offsets))))
        simple = np.asarray(shapely.simplify(lines, self.tolerance_px, preserve_topology=False))
        # A ring smaller than the tolerance would shrink to its node.
        lines = np.where(shapely.length(simple) > 0, simple, lines)
        return np.asarray(shapely.transform(lines, self._to_crs))

    def centres(self, places: Int64Array) -> FloatArray:
        """Centres of centre pixels as ``(n, 2)`` of column and row."""
        row, col = np.divmod(self.net.pixels.index[places], self.net.width_px)
        return np.column_stack([col + 0.5, row + 0.5])

    def node_centres(self, nodes: NDArray[np.integer]) -> FloatArray:
        """Places of nodes as ``(n, 2)`` of column and row."""
        return np.column_stack([self.net.nodes.col[nodes], self.net.nodes.row[nodes]])

    def node_xy(self, nodes: NDArray[np.integer]) -> FloatArray:
        """Places of nodes in the CRS, ``(n, 2)``."""
        return self._to_crs(self.node_centres(nodes))

    def lengths_m(self, lines: NDArray[np.object_]) -> FloatArray:
        """Geodesic lengths of lines in the CRS of the grid: sums over their straight pieces."""
        geod = self.grid.pyproj_crs.get_geod()
        if geod is None:
            raise GridError(f"road lengths: {self.grid.pyproj_crs.name!r} names no ellipsoid")
        if not lines.size:
            return np.zeros(0)
        xy, line = shapely.get_coordinates(lines, return_index=True)
        longitude, latitude = self._degrees(xy)
        piece_m = geod.inv(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])[2]
        same = line[1:] == line[:-1]
        return np.asarray(np.bincount(line[1:][same], np.asarray(piece_m)[same], lines.size), np.float64)

    def earth_m(self, colrow: FloatArray) -> FloatArray:
        """Places in geocentric coordinates, ``(n, 3)`` in m: near points are as far apart as on the ground."""
        crs = self.grid.pyproj_crs
        geod = crs.get_geod()
        if geod is None:
            raise GridError(f"road gaps: {crs.name!r} names no ellipsoid")
        longitude, latitude = np.deg2rad(self._degrees(self._to_crs(colrow)))
        normal = geod.a / np.sqrt(1 - geod.es * np.sin(latitude) ** 2)
        parallel = normal * np.cos(latitude)
        z = normal * (1 - geod.es) * np.sin(latitude)
        return np.column_stack([parallel * np.cos(longitude), parallel * np.sin(longitude), z])

    def _to_crs(self, colrow: FloatArray) -> FloatArray:
        t = self.grid.transform
        col, row = colrow[:, 0], colrow[:, 1]
        return np.column_stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f])

    def _degrees(self, xy: FloatArray) -> FloatArray:
        """Longitude and latitude in degrees, ``(2, n)``."""
        crs = self.grid.pyproj_crs
        if crs.is_geographic:
            return np.rad2deg(xy.T * float(crs.axis_info[0].unit_conversion_factor))
        degrees = np.array(Proj(crs)(xy[:, 0], xy[:, 1], inverse=True))
        if not np.isfinite(degrees).all():
            raise GridError(f"road lengths: part of the grid lies where {crs.name!r} is not defined")
        return degrees
