"""Road mask to centre pixels, block by block, equal to thinning the raster in one piece.

Thinning by a fixed number of parallel sub-iterations, each of which looks one pixel around, cannot carry anything
farther than that number of pixels. A block read with a halo of as many pixels therefore ends with the very pixels that
thinning the whole raster ends with, whatever lies outside. The number is set by the widest road that is to be thinned
(:class:`Reach`); what is wider is counted and left as a blob, which the graph takes as one junction.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.errors import UsageError
from aisf_geo.vectorise.polygons import EdgeLengths
from aisf_geo.vectorise.scan import Int64Array, UInt8Array, compiled

FloatArray = NDArray[np.float64]

#: Iterations that peel a strip of half-width 1 px along a diagonal, where an iteration removes least.
ITERATIONS_PER_PX = math.sqrt(2)
#: Iterations beyond that, for ragged borders and the ends of roads.
SPARE_ITERATIONS = 4
#: A road wider than this many pixels asks for halos larger than blocks.
MAX_HALF_WIDTH_PX = 256


@dataclass(frozen=True)
class PixelSize:
    """Ground size of the pixels of every row in m: ``east_m`` along it, ``south_m`` across it, ``(height,)`` each.

    In projected grids the nominal size is divided by the linear scale of the projection in the central column; that
    is exact for conformal projections and the mean of all directions for others.
    """

    east_m: FloatArray
    south_m: FloatArray

    @classmethod
    def of(cls, grid: Grid) -> PixelSize:
        """The sizes of the pixels of ``grid``."""
        lines = EdgeLengths.of(grid)
        east_m, south_m = (lines.east_m[1:] + lines.east_m[:-1]) / 2, np.diff(lines.south_m)
        if grid.pyproj_crs.is_geographic:
            return cls(east_m, south_m)
        column = grid.pixel_area_m2(Window(0, grid.shape.width // 2, grid.shape.height, 1))[:, 0]
        unit_m = float(grid.pyproj_crs.axis_info[0].unit_conversion_factor)
        scale = np.sqrt(column / (abs(grid.transform.determinant) * unit_m**2))
        return cls(east_m * scale, south_m * scale)

    @property
    def smallest_m(self) -> float:
        """The shortest side of any pixel."""
        return float(min(self.east_m.min(), self.south_m.min()))

    @property
    def largest_m(self) -> float:
        """The longest side of any pixel."""
        return float(max(self.east_m.max(), self.south_m.max()))


@dataclass(frozen=True)
class Reach:
    """How far the thinning of a grid looks.

    Attributes:
        limit_m: distance from a pixel's centre to the nearest pixel off the road from which on it is too wide.
        limit_px: that distance in the smallest pixels, rounded up.
        iterations: of two sub-iterations each.
    """

    limit_m: float
    limit_px: int
    iterations: int

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its centre pixels can depend on."""
        return max(2 * self.iterations, self.limit_px)

    @classmethod
    def of(cls, size: PixelSize, max_half_width_m: float) -> Reach:
        """The reach that thins every road of at most ``2 * max_half_width_m``, junctions included.

        Raises:
            UsageError: that is not positive, or more than ``MAX_HALF_WIDTH_PX`` pixels.
        """
        half_px = max_half_width_m / size.smallest_m
        if not 0 < half_px <= MAX_HALF_WIDTH_PX:
            raise UsageError(
                f"roads: half-width {max_half_width_m:g} m is {half_px:.0f} px of {size.smallest_m:g} m; "
                f"choose more than 0 and at most {MAX_HALF_WIDTH_PX * size.smallest_m:g} m"
            )
        limit_m = max_half_width_m + size.largest_m / 2
        iterations = math.ceil(half_px * ITERATIONS_PER_PX) + SPARE_ITERATIONS
        return cls(limit_m, math.ceil(limit_m / size.smallest_m), iterations)


@dataclass(frozen=True)
class CentrePixels:
    """The pixels that thinning leaves of a road mask.

    Attributes:
        index: int64 ``(n,)``, row-major in the whole grid.
        depth_m: float64 ``(n,)``, distance to the centre of the nearest pixel off the road, at most ``Reach.limit_m``.
        confidence: float64 ``(n,)``, 0..1, NaN where there is none.
        road_px: pixels of the mask.
        too_wide_px: those of them that lie ``Reach.limit_m`` or more from the side of the road.
    """

    index: Int64Array
    depth_m: FloatArray
    confidence: FloatArray
    road_px: int
    too_wide_px: int


def centre_pixels(
    road: NDArray[np.bool_], outer: Window, core: Window, grid: Grid, size: PixelSize, reach: Reach
) -> CentrePixels:
    """The centre pixels in ``core``, of a mask that covers ``outer``.

    Args:
        road: bool ``(y, x)`` of ``outer``, which is ``core`` padded by at least ``reach.halo_px``.
        outer: window of the mask, cut at the edge of the grid; beyond it nothing is road.
        core: the pixels this block decides.
        grid: grid of the whole raster.
        size: its pixel sizes.
        reach: how far to look.
    """
    mask = road.astype(np.uint8)
    inside = core.relative_to(outer)
    thinned = thin(mask, reach.iterations)[inside.slices]
    rows, cols = np.nonzero(thinned)
    gap = gap_in_column(mask, reach.limit_px)
    east_m, south_m = (side[outer.row : outer.row + outer.height] for side in (size.east_m, size.south_m))
    depth_m = depths(gap, rows + inside.row, cols + inside.col, east_m, south_m, reach.limit_px, reach.limit_m)
    deep = gap[inside.slices] * south_m[inside.slices[0], None] >= reach.limit_m
    deep_rows, deep_cols = np.nonzero(deep)
    deep_m = depths(gap, deep_rows + inside.row, deep_cols + inside.col, east_m, south_m, reach.limit_px, reach.limit_m)
    return CentrePixels(
        index=(rows + core.row) * np.int64(grid.shape.width) + cols + core.col,
        depth_m=depth_m,
        confidence=np.full(rows.size, np.nan),
        road_px=int(np.count_nonzero(mask[inside.slices])),
        too_wide_px=int(np.count_nonzero(deep_m >= reach.limit_m)),
    )


def thin(mask: UInt8Array, iterations: int) -> UInt8Array:
    """The mask thinned by at most ``iterations`` of Guo and Hall's parallel algorithm A1; 0 and 1, ``(y, x)``.

    Guo, Z. and Hall, R. W. 1989: Parallel thinning with two-subiteration algorithms. Communications of the ACM 32 (3),
    359-373. Pixels outside the array count as 0.
    """
    bordered = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    bordered[1:-1, 1:-1] = mask
    _thin(bordered.reshape(-1), bordered.shape[1], _DELETABLE, 2 * iterations)
    return bordered[1:-1, 1:-1]


def _deletable() -> UInt8Array:
    """For every neighbourhood, uint8 ``(256,)``: bit 0 where the first sub-iteration deletes, bit 1 the second.

    Bit ``k`` of a neighbourhood is the neighbour ``k`` of (N, NE, E, SE, S, SW, W, NW).
    """
    table = np.zeros(256, np.uint8)
    for code in range(256):
        n, ne, e, se, s, sw, w, nw = (bool(code >> k & 1) for k in range(8))
        crossings = sum((not n and (ne or e), not e and (se or s), not s and (sw or w), not w and (nw or n)))
        pairs = min(sum((nw or n, ne or e, se or s, sw or w)), sum((n or ne, e or se, s or sw, w or nw)))
        if crossings == 1 and 2 <= pairs <= 3:
            table[code] = (not ((n or ne or not se) and e)) | (not ((s or sw or not nw) and w)) << 1
    return table


_DELETABLE = _deletable()


@compiled
def ring(width: int) -> Int64Array:
    """Offsets of the neighbours N, NE, E, SE, S, SW, W, NW in a flat array with rows of ``width``."""
    return np.array([-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1], np.int64)


@compiled
def _neighbourhood(pixels: UInt8Array, p: int, around: Int64Array) -> int:
    code = 0
    for k in range(8):
        code |= int(pixels[p + around[k]]) << k
    return code


@compiled
def _thin(pixels: UInt8Array, width: int, deletable: UInt8Array, passes: int) -> None:
    """Thin flat ``pixels`` with a border of zeros in place, looking again only where something changed.

    ``due`` counts the sub-iterations in which a pixel has still to be looked at: both kinds after a change around it.
    """
    around = ring(width)
    queue = np.empty(np.count_nonzero(pixels), np.int64)
    doomed = np.empty(queue.size, np.int64)
    due = np.zeros(pixels.size, np.uint8)
    waiting = 0
    for p in range(pixels.size):
        if pixels[p] and _neighbourhood(pixels, p, around) != 255:
            queue[waiting], due[p] = p, 2
            waiting += 1
    for turn in range(passes):
        gone = 0
        for i in range(waiting):
            p = queue[i]
            due[p] -= 1
            if deletable[_neighbourhood(pixels, p, around)] >> (turn & 1) & 1:
                doomed[gone] = p
                gone += 1
        for i in range(gone):
            pixels[doomed[i]] = 0
        waiting = _requeue(pixels, around, queue[:waiting], doomed[:gone], due, queue)
        if waiting == 0:
            break


@compiled
def _requeue(
    pixels: UInt8Array, around: Int64Array, seen: Int64Array, doomed: Int64Array, due: UInt8Array, queue: Int64Array
) -> int:
    """Put what has still to be looked at in the front of ``queue`` (of which ``seen`` is a part); its number."""
    waiting = 0
    for p in seen:
        if pixels[p] and due[p]:
            queue[waiting] = p
            waiting += 1
    for p in doomed:
        for k in range(8):
            q = p + around[k]
            if pixels[q]:
                if due[q] == 0:
                    queue[waiting] = q
                    waiting += 1
                due[q] = 2
    return waiting


@compiled
def gap_in_column(mask: UInt8Array, limit: int) -> NDArray[np.uint16]:
    """Rows from every pixel to the nearest zero in its column, uint16 ``(y, x)``; ``limit + 1`` where it is farther.

    What lies outside the array counts as road: a road that leaves the image does not narrow there.
    """
    height, width = mask.shape
    gap = np.empty((height, width), np.uint16)
    for y in range(height):
        for x in range(width):
            above = gap[y - 1, x] if y else np.uint16(limit + 1)
            gap[y, x] = min(above + 1, limit + 1) if mask[y, x] else 0
    for y in range(height - 2, -1, -1):
        for x in range(width):
            gap[y, x] = min(gap[y, x], gap[y + 1, x] + 1)
    return gap


@compiled
def depths(
    gap: NDArray[np.uint16],
    rows: Int64Array,
    cols: Int64Array,
    east_m: FloatArray,
    south_m: FloatArray,
    limit_px: int,
    limit_m: float,
) -> FloatArray:
    """Euclidean distance in m from pixels to the nearest zero, at most ``limit_m``; ``gap`` is of the same mask."""
    out = np.empty(rows.size, np.float64)
    width = gap.shape[1]
    for i in range(rows.size):
        y, x = rows[i], cols[i]
        best = limit_m**2
        step = 0
        while (step * east_m[y]) ** 2 < best:
            for column in (x - step, x + step):
                if 0 <= column < width and gap[y, column] <= limit_px:
                    best = min(best, (step * east_m[y]) ** 2 + (gap[y, column] * south_m[y]) ** 2)
            step += 1
        out[i] = np.sqrt(best)
    return out
