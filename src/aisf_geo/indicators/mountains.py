"""Mountain classes by elevation, slope and local range (Kapos et al. 2000), for 15.4.2."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

#: Radius of the local elevation range; a block needs a halo of so many metres.
RANGE_RADIUS_M = 7000.0
NOT_MOUNTAIN, NODATA = 0, 255
Floats = NDArray[np.float64]


def halo_px(pixel_m: float) -> int:
    """Pixels around a block that its mountain classes depend on."""
    return math.ceil(RANGE_RADIUS_M / pixel_m)


def slope_deg(elevation_m: Floats, pixel_m: float) -> Floats:
    """Slope by central differences, in degrees."""
    along_rows, along_cols = np.gradient(elevation_m, pixel_m)
    return np.asarray(np.degrees(np.arctan(np.hypot(along_rows, along_cols))))


def local_range_m(elevation_m: Floats, pixel_m: float) -> Floats:
    """Highest minus lowest elevation within 7 km; NaN takes no part."""
    radius = halo_px(pixel_m)
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = np.hypot(rows, cols) * pixel_m <= RANGE_RADIUS_M
    high = ndimage.maximum_filter(np.where(np.isnan(elevation_m), -np.inf, elevation_m), footprint=disc, mode="nearest")
    low = ndimage.minimum_filter(np.where(np.isnan(elevation_m), np.inf, elevation_m), footprint=disc, mode="nearest")
    return np.asarray(high - low)


def mountain_classes(elevation_m: Floats, pixel_m: float) -> NDArray[np.uint8]:
    """Kapos classes 1-6 of ``(y, x)`` elevations, 0 elsewhere, 255 where the elevation is NaN.

    1 above 4500 m; 2 3500-4500 m; 3 2500-3500 m; 4 1500-2500 m and slope >= 2 degrees; 5 1000-1500 m and slope >= 5
    degrees or local range > 300 m; 6 300-1000 m and local range > 300 m. Within :func:`halo_px` of an edge that is not
    the edge of the land, classes 5 and 6 are not to be used.
    """
    e = elevation_m
    slope, local = slope_deg(e, pixel_m), local_range_m(e, pixel_m)
    rules = [
        e > 4500,
        e > 3500,
        e > 2500,
        (e > 1500) & (slope >= 2),
        (e > 1000) & (e <= 1500) & ((slope >= 5) | (local > 300)),
        (e > 300) & (e <= 1000) & (local > 300),
    ]
    code = np.select(rules, [1, 2, 3, 4, 5, 6], NOT_MOUNTAIN).astype(np.uint8)
    code[np.isnan(e)] = NODATA
    return code
