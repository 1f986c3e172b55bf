"""From quality bands and pixel brightness to "the ground was seen here"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.sensors import QA_PIXEL_OBSCURED_BITS, SCL_OBSCURED, QualityScheme


def clear(codes: NDArray[np.generic], scheme: QualityScheme) -> NDArray[np.bool_]:
    """True where a quality band does not call the pixel obscured; shape of ``codes``."""
    if scheme == "scl":
        return np.asarray(~np.isin(codes, [int(value) for value in SCL_OBSCURED]))
    return np.asarray((codes.astype(np.int64) & QA_PIXEL_OBSCURED_BITS) == 0)


VISIBLE = ("blue", "green", "red")
#: Snow absorbs here, cloud does not.
SNOW_BAND = "swir16"
#: Normalised difference of green and the band above from which a pixel is snow (Hall et al. 1995, RSE 54(2):127-140).
MIN_SNOW_NDSI = 0.4


@dataclass(frozen=True)
class CloudScreen:
    """Finds clouds that a quality band missed: bright, white pixels and their surroundings.

    A cloud is white and brighter in the blue than its red promises, while bare soil and roads are bright and reddish.
    Whiteness: Fmask (Zhu & Woodcock 2012, RSE 118:83-94, eq. 2). Brightness: the haze-optimised transform
    ``blue - 0.5 * red`` (Zhang et al. 2002, RSE 82:173-187), with a limit for surface reflectance.

    Attributes:
        min_haze: reflectance of the haze-optimised transform above which a pixel can be a cloud.
        max_whiteness: sum of relative deviations of the visible bands from their mean, below which it is white.
        min_of_nine: pixels of a 3 x 3 square that must be white, so that a road or a roof is no cloud.
        grow_m: how far the mask is grown, for thin edges and the blur around them.
        tells_snow: the scene has a short-wave infrared band, in which cloud is bright and snow is dark.
    """

    min_haze: float = 0.04
    max_whiteness: float = 0.7
    min_of_nine: int = 6
    grow_m: float = 80.0
    tells_snow: bool = False

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands it needs."""
        return (*VISIBLE, SNOW_BAND) if self.tells_snow else VISIBLE

    def halo_px(self, grid: Grid) -> int:
        """How far beyond a window pixels must be read for its answer not to depend on the window."""
        return self._grow_px(grid) + 1

    def _grow_px(self, grid: Grid) -> int:
        return round(self.grow_m / grid.gsd_m)

    def apply(self, raster: Raster) -> Raster:
        """``raster`` with cloud pixels moved from valid to obscured."""
        visible = np.stack([raster.band(name) for name in VISIBLE])
        haze = raster.band("blue") - 0.5 * raster.band("red")
        mean = visible.mean(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            whiteness = np.abs(visible - mean).sum(axis=0) / mean
            white = raster.valid & (haze > self.min_haze) & (whiteness < self.max_whiteness)
        if self.tells_snow:
            green, swir = raster.band("green"), raster.band(SNOW_BAND)
            with np.errstate(invalid="ignore"):
                white &= green - swir < MIN_SNOW_NDSI * (green + swir)
        neighbours = ndimage.correlate(white.astype(np.uint8), np.ones((3, 3), np.uint8), mode="constant")
        cloud = white & (neighbours >= self.min_of_nine)
        side = 2 * self._grow_px(raster.grid) + 1
        return obscuring(raster, ndimage.maximum_filter(cloud, size=side, mode="constant"))


#: A pixel this much darker than its own median over a series, in both bands, is in shadow. Felled or burned ground is
#: brighter than the trees were in the short-wave infrared, and standing trees than the felled ground in the near
#: infrared, so that a change of cover is never taken for a shadow.
SHADOW_BANDS = ("nir", "swir16")
SHADOW_MAX_RATIO = 0.65


def without_shadow(raster: Raster, usual: Mapping[str, NDArray[np.float32]]) -> Raster:
    """``raster`` with pixels much darker than ``usual``, the medians ``(y, x)`` of a series, moved to obscured."""
    with np.errstate(invalid="ignore"):
        dark = [raster.band(band) < SHADOW_MAX_RATIO * usual[band] for band in SHADOW_BANDS]
    return obscuring(raster, np.logical_and.reduce(dark))


def obscuring(raster: Raster, hidden: NDArray[np.bool_]) -> Raster:
    """``raster`` with the valid pixels of ``hidden`` moved to obscured."""
    moved = hidden & raster.valid
    before = np.zeros_like(moved) if raster.obscured is None else raster.obscured
    return Raster(raster.values, raster.valid & ~moved, raster.grid, raster.bands, before | moved)
