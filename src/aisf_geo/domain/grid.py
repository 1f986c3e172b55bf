"""A raster grid on the Earth: CRS, affine transform and shape, windows in it, and the area of its pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Proj
from pyproj.exceptions import CRSError

from aisf_geo.errors import GridError

#: Between these, areas of pixels in a projection are interpolated: at most so many pixels and so many metres.
MAX_NODE_STEP_PX = 64
MAX_NODE_STEP_M = 20_000


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
        Map Projections: A Working Manual, eq. 3-12); projected grids carry pixels back to the ellipsoid at nodes and
        interpolate between them. The areas do not depend on how a raster is cut into windows.
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
        # Nodes are fixed to the grid, so that a pixel has one area however the raster is cut.
        step = self._node_step_px
        rows, row_share, row_below = _nodes(window.row, window.height, self.shape.height, step)
        cols, col_share, col_below = _nodes(window.col, window.width, self.shape.width, step)
        area_m2 = self._area_at_m2(rows, cols)
        by_row = area_m2[row_below] * (1 - row_share)[:, None] + area_m2[row_below + 1] * row_share[:, None]
        return np.asarray(by_row[:, col_below] * (1 - col_share) + by_row[:, col_below + 1] * col_share)

    @property
    def _nominal_gsd_m(self) -> float:
        """Side of a pixel in the units of the projection, in m, distortion left out."""
        return math.sqrt(abs(self.transform.determinant)) * _unit_factor(self.pyproj_crs)

    @property
    def _node_step_px(self) -> int:
        """Pixels between the nodes at which areas are computed: as many as a projection stays near linear over."""
        return max(1, min(MAX_NODE_STEP_PX, int(MAX_NODE_STEP_M / self._nominal_gsd_m)))

    def _area_at_m2(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float64]:
        """Area of the pixels at ``rows`` x ``cols``: the parallelogram between points on the ellipsoid, in m2.

        Straight in space, so that neither a pole nor the antimeridian is special; short of the curved area by less
        than ``(side / radius)**2 / 12``.
        """
        half = max(0.5, 5.0 / self._nominal_gsd_m)
        col, row = np.meshgrid(cols + 0.5, rows + 0.5)
        along_cols = self._in_space_m(col + half, row) - self._in_space_m(col - half, row)
        along_rows = self._in_space_m(col, row + half) - self._in_space_m(col, row - half)
        return np.asarray(np.linalg.norm(np.cross(along_cols, along_rows), axis=-1) / (2 * half) ** 2)

    def _in_space_m(self, col: NDArray[np.float64], row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Earth-centred coordinates of points on the ellipsoid, shape ``(*col.shape, 3)``, in m."""
        t, projection = self.transform, Proj(self.pyproj_crs)
        x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
        longitude, latitude = (np.asarray(v) for v in projection(x, y, inverse=True, radians=True))
        if not np.isfinite(longitude).all():
            raise GridError(f"pixel areas: part of the grid lies where {self.pyproj_crs.name!r} is not defined")
        major, e2 = _ellipsoid(self.pyproj_crs)
        normal = major / np.sqrt(1 - e2 * np.sin(latitude) ** 2)
        return np.stack(
            [
                normal * np.cos(latitude) * np.cos(longitude),
                normal * np.cos(latitude) * np.sin(longitude),
                normal * (1 - e2) * np.sin(latitude),
            ],
            axis=-1,
        )


@lru_cache(maxsize=64)
def parsed_crs(text: str) -> CRS:
    """A CRS from WKT, PROJ JSON or an authority code; parsing is slow enough to be worth remembering."""
    return CRS.from_user_input(text)


def _unit_factor(crs: CRS) -> float:
    """Metres (projected) or radians (geographic) in one unit of the CRS's first axis."""
    return float(crs.axis_info[0].unit_conversion_factor)


def _ellipsoid(crs: CRS) -> tuple[float, float]:
    """Semi-major axis in m and squared eccentricity."""
    ellipsoid = crs.ellipsoid
    if ellipsoid is None:
        raise GridError(f"pixel areas: {crs.name!r} names no ellipsoid")
    major, minor = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    return major, max(1 - (minor / major) ** 2, 0.0)


def _zone_area_per_rad(crs: CRS, latitude_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area on the ellipsoid between the equator and a latitude, per radian of longitude, in m2 (Snyder eq. 3-12)."""
    major, e2 = _ellipsoid(crs)
    e, sine = math.sqrt(e2), np.sin(latitude_rad)
    if e < 1e-9:
        return np.asarray(major**2 * sine)
    q = sine / (1 - e2 * sine**2) + np.arctanh(e * sine) / e
    return np.asarray(major**2 * (1 - e2) / 2 * q)


def _nodes(
    first: int, count: int, length: int, step: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Nodes around the pixels ``first .. first + count - 1`` of an axis, and where each pixel lies between them.

    Nodes are the centres of every ``step``-th pixel and of the last one.

    Returns:
        Pixel numbers of the nodes; for each pixel its share of the way to the next node, and the number of the node
        before it.
    """
    pixel = np.arange(first, first + count)
    below = pixel // step
    nodes = np.minimum(np.arange(below[0], below[-1] + 2) * step, length - 1)
    below -= below[0]
    gap = np.maximum(nodes[below + 1] - nodes[below], 1)
    return nodes, (pixel - nodes[below]) / gap, below
