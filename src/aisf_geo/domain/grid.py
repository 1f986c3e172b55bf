"""A raster grid on the Earth: CRS, affine transform and shape, windows in it, and the area of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Proj
from pyproj.exceptions import CRSError

from aisf_geo.errors import GridError

#: Spacing of the nodes at which the areal scale of a projection is evaluated exactly.
SCALE_NODE_PX = 64


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels: rows ``row .. row + height - 1``, columns ``col .. col + width - 1``."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices into a ``(y, x)`` array of the whole grid."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)

    def intersection(self, other: Window) -> Window | None:
        """The pixels in both windows, or None where there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row + self.height, other.row + other.height) - row
        width = min(self.col + self.width, other.col + other.width) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None

    def padded(self, halo_px: int, shape: Shape) -> Window:
        """The window grown by ``halo_px`` on every side, cut at the edge of a grid of ``shape``."""
        row, col = max(self.row - halo_px, 0), max(self.col - halo_px, 0)
        bottom = min(self.row + self.height + halo_px, shape.height)
        right = min(self.col + self.width + halo_px, shape.width)
        return Window(row, col, bottom - row, right - col)

    def relative_to(self, outer: Window) -> Window:
        """The same pixels, counted from the upper left corner of ``outer``."""
        return Window(self.row - outer.row, self.col - outer.col, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Shape:
    """Height and width in pixels; iterates as ``(height, width)`` like a numpy shape."""

    height: int
    width: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.height, self.width))


@dataclass(frozen=True, slots=True)
class Bounds:
    """A box in the units of a CRS."""

    west: float
    south: float
    east: float
    north: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.west, self.south, self.east, self.north))


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a raster lie.

    Attributes:
        crs: coordinate system as WKT2 or an authority code; hashable, so that a grid travels to workers.
        transform: affine map from (column, row) of a pixel's upper left corner to CRS coordinates.
        shape: height and width in pixels.
    """

    crs: str
    transform: Affine
    shape: Shape

    def __post_init__(self) -> None:
        try:
            crs = parsed_crs(self.crs)
        except CRSError as error:
            raise GridError(f"grid: {self.crs[:80]!r} is not a coordinate system pyproj knows ({error})") from error
        if not (crs.is_geographic or crs.is_projected):
            raise GridError(
                f"grid: areas need a geographic or projected CRS, found {crs.name!r} ({crs.type_name}); "
                "georeference the raster first"
            )
        if self.transform.determinant == 0 or min(self.shape) < 1:
            raise GridError(f"grid: transform {tuple(self.transform)[:6]} with shape {tuple(self.shape)} has no area")

    @cached_property
    def pyproj_crs(self) -> CRS:
        """The CRS as a pyproj object."""
        return parsed_crs(self.crs)

    @property
    def full_window(self) -> Window:
        """The window of all pixels."""
        return Window(0, 0, self.shape.height, self.shape.width)

    @property
    def bounds(self) -> Bounds:
        """The box around all four corners, in CRS units."""
        return self.window_bounds(self.full_window)

    def window_transform(self, window: Window) -> Affine:
        """The transform of the sub-grid that ``window`` cuts out."""
        return self.transform @ Affine.translation(window.col, window.row)

    def window_bounds(self, window: Window) -> Bounds:
        """The box around the window, in CRS units."""
        rows, cols = (window.row, window.row + window.height), (window.col, window.col + window.width)
        corners = [self.transform @ (col, row) for row in rows for col in cols]
        xs, ys = [x for x, _ in corners], [y for _, y in corners]
        return Bounds(min(xs), min(ys), max(xs), max(ys))

    def crop(self, window: Window) -> Grid:
        """The grid of the window's pixels alone."""
        return Grid(self.crs, self.window_transform(window), Shape(window.height, window.width))

    def window_of(self, bounds: Bounds) -> Window | None:
        """The smallest window that covers every pixel the box touches, or None if it touches none."""
        inverse = ~self.transform
        corners = [inverse @ (x, y) for x in (bounds.west, bounds.east) for y in (bounds.south, bounds.north)]
        cols, rows = [c for c, _ in corners], [r for _, r in corners]
        # A box that ends on a pixel border must not claim the next pixel because of rounding.
        col, row = math.floor(min(cols) + 1e-6), math.floor(min(rows) + 1e-6)
        right, bottom = math.ceil(max(cols) - 1e-6), math.ceil(max(rows) - 1e-6)
        return Window(row, col, bottom - row, right - col).intersection(self.full_window)

    def same_pixels(self, other: Grid) -> bool:
        """True when both grids have the same CRS, shape and, to a thousandth of a pixel, the same corners."""
        if self.shape != other.shape or self.pyproj_crs != other.pyproj_crs:
            return False
        drift = (~self.transform) @ other.transform
        far = drift @ (self.shape.width, self.shape.height)
        near = drift @ (0.0, 0.0)
        drifts = (*near, far[0] - self.shape.width, far[1] - self.shape.height)
        return bool(max(abs(d) for d in drifts) < 1e-3)

    @cached_property
    def gsd_m(self) -> float:
        """Ground sample distance in metres: the square root of the area of the central pixel."""
        centre = Window(self.shape.height // 2, self.shape.width // 2, 1, 1)
        return math.sqrt(float(self.pixel_area_m2(centre)[0, 0]))

    def pixel_area_m2(self, window: Window) -> NDArray[np.float64]:
        """Area on the ellipsoid of every pixel of ``window``, shape ``(height, width)``, in m2.

        Geographic grids use the closed form of the area between two parallels on the ellipsoid (Snyder 1987,
        Map Projections: A Working Manual, eq. 3-12); projected grids divide the nominal pixel area by the
        projection's areal scale factor. The areas do not depend on how a raster is cut into windows.
        """
        if self.pyproj_crs.is_geographic:
            return self._geographic_area_m2(window)
        return self._projected_area_m2(window)

    def _geographic_area_m2(self, window: Window) -> NDArray[np.float64]:
        transform = self.transform
        if transform.b or transform.d:
            raise GridError("pixel areas: a rotated grid in geographic coordinates is not supported; warp it north-up")
        to_rad = _unit_factor(self.pyproj_crs)
        rows = np.arange(window.row, window.row + window.height + 1)
        latitudes_rad = np.clip((transform.f + rows * transform.e) * to_rad, -np.pi / 2, np.pi / 2)
        zone_m2 = np.abs(np.diff(_zone_area_per_rad(self.pyproj_crs, latitudes_rad)))
        area_m2 = zone_m2 * abs(transform.a) * to_rad
        return np.repeat(area_m2[:, None], window.width, axis=1)

    def _projected_area_m2(self, window: Window) -> NDArray[np.float64]:
        unit_m = _unit_factor(self.pyproj_crs)
        nominal_m2 = abs(self.transform.determinant) * unit_m**2
        # Nodes are fixed to the grid, so that a pixel has one area however the raster is cut.
        first_row, first_col = window.row // SCALE_NODE_PX, window.col // SCALE_NODE_PX
        last_row = (window.row + window.height - 1) // SCALE_NODE_PX + 1
        last_col = (window.col + window.width - 1) // SCALE_NODE_PX + 1
        rows = np.arange(first_row, last_row + 1) * SCALE_NODE_PX
        cols = np.arange(first_col, last_col + 1) * SCALE_NODE_PX
        scale = self._areal_scale(rows, cols)
        by_row = _between_nodes(scale, np.arange(window.row, window.row + window.height) + 0.5, first_row)
        by_both = _between_nodes(by_row.T, np.arange(window.col, window.col + window.width) + 0.5, first_col).T
        return np.ascontiguousarray(nominal_m2 / by_both)

    def _areal_scale(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
        """Areal scale factor of the projection at pixel corners, shape ``(rows, cols)``."""
        col_grid, row_grid = np.meshgrid(cols.astype(float), rows.astype(float))
        t = self.transform
        x = t.a * col_grid + t.b * row_grid + t.c
        y = t.d * col_grid + t.e * row_grid + t.f
        projection = Proj(self.pyproj_crs)
        longitude, latitude = projection(x, y, inverse=True)
        if not np.isfinite(longitude).all():
            raise GridError(f"pixel areas: part of the grid lies where {self.pyproj_crs.name!r} is not defined")
        scale = projection.get_factors(longitude, latitude).areal_scale
        return np.asarray(scale, dtype=np.float64)


@lru_cache(maxsize=64)
def parsed_crs(text: str) -> CRS:
    """A CRS from WKT, PROJ JSON or an authority code; parsing is slow enough to be worth remembering."""
    return CRS.from_user_input(text)


def _unit_factor(crs: CRS) -> float:
    """Metres (projected) or radians (geographic) in one unit of the CRS's first axis."""
    return float(crs.axis_info[0].unit_conversion_factor)


def _zone_area_per_rad(crs: CRS, latitude_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area on the ellipsoid between the equator and a latitude, per radian of longitude, in m2 (Snyder eq. 3-12)."""
    ellipsoid = crs.ellipsoid
    if ellipsoid is None:
        raise GridError(f"pixel areas: {crs.name!r} names no ellipsoid")
    major, minor = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    e = math.sqrt(max(1 - (minor / major) ** 2, 0.0))
    sine = np.sin(latitude_rad)
    if e < 1e-9:
        return np.asarray(major**2 * sine)
    q = sine / (1 - e**2 * sine**2) + np.arctanh(e * sine) / e
    return np.asarray(minor**2 / 2 * q)


def _between_nodes(
    nodes: NDArray[np.float64], position_px: NDArray[np.floating[Any]], first: int
) -> NDArray[np.float64]:
    """Linear interpolation along axis 0 between rows of ``nodes`` that lie ``SCALE_NODE_PX`` apart."""
    place = position_px / SCALE_NODE_PX - first
    below = np.floor(place).astype(np.int64)
    share = (place - below)[:, None]
    return np.asarray(nodes[below] * (1 - share) + nodes[below + 1] * share)
