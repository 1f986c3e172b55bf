"""Burn severity from the difference of the normalised burn ratio of two dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aisf_geo.change.method import Detection, margin_confidence, min_mappable_m2
from aisf_geo.change.pair import Epochs, Sample
from aisf_geo.change.transition import NOT_COMPARED
from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.segment.spectral import normalised_difference

#: Upper ends of the classes of dNBR (Key & Benson 2006, USDA RMRS-GTR-164, table LA-1), and the classes.
SEVERITY_EDGES = (-0.25, -0.10, 0.10, 0.27, 0.44, 0.66)
UNBURNED = 2
BURN_LEGEND = Legend(
    "burn severity",
    (
        LegendClass(0, "regrowth, high", (26, 120, 60), "vegetation"),
        LegendClass(1, "regrowth, low", (120, 190, 110), "vegetation"),
        LegendClass(UNBURNED, "unburned", (232, 230, 222)),
        LegendClass(3, "burned, low severity", (250, 214, 90), "burned"),
        LegendClass(4, "burned, moderate-low severity", (245, 160, 60), "burned"),
        LegendClass(5, "burned, moderate-high severity", (220, 90, 40), "burned"),
        LegendClass(6, "burned, high severity", (130, 30, 30), "burned"),
    ),
)
#: dNBR of unchanged ground differs from 0 by season and moisture; a larger offset than this is no such thing.
MAX_OFFSET = 0.1
#: Green water is not burned: above this NDWI a pixel is left out (McFeeters 1996).
WATER_NDWI = 0.25
#: Distance from the nearest edge of a class at which the confidence is 0.73.
SCALE = 0.05


@dataclass(frozen=True)
class BurnDetector:
    """dNBR with the offset of unchanged ground taken out; the score is dNBR, the threshold that of a low burn."""

    offset: float
    name: str = "dnbr"
    legend: Legend = BURN_LEGEND
    bands: tuple[str, ...] = ("nir", "swir22", "green")
    halo_px: int = 0
    threshold: float = SEVERITY_EDGES[2]

    @property
    def version(self) -> str:
        """Offset and edges."""
        return f"dnbr offset={self.offset:.6g} edges={SEVERITY_EDGES}"

    @property
    def reason(self) -> str:
        """How it decided."""
        return (
            f"dNBR = NBR before - NBR after, less {self.offset:.3f} that unchanged ground shows, in the classes of Key "
            f"& Benson 2006; burned above {self.threshold:g}"
        )

    def min_area_m2(self, grid: Grid) -> float:
        """Three by three pixels."""
        return min_mappable_m2(grid.gsd_m)

    def detect(self, epochs: Epochs) -> Detection:
        """From "unburned" to a class of severity or regrowth; water on either date is not compared."""
        ratios, water = [], np.zeros(epochs.valid.shape, np.bool_)
        for raster in (epochs.before, epochs.after):
            ratios.append(normalised_difference(raster.band("nir"), raster.band("swir22")))
            with np.errstate(invalid="ignore"):
                water |= normalised_difference(raster.band("green"), raster.band("nir")) > WATER_NDWI
        score = ratios[0] - ratios[1] - np.float32(self.offset)
        seen = epochs.valid & np.isfinite(score) & ~water
        score = np.where(seen, score, np.float32(np.nan))
        severity = np.digitize(np.nan_to_num(score), SEVERITY_EDGES).astype(np.uint16)
        labels = np.where(seen, UNBURNED * 256 + severity, NOT_COMPARED).astype(np.uint16)
        distance = np.min([np.abs(np.nan_to_num(score) - edge) for edge in SEVERITY_EDGES], axis=0)
        return Detection(score, self.threshold, labels, margin_confidence(1 / (1 + np.exp(-distance / SCALE)), seen))


def fit_dnbr(pixels: Sample) -> BurnDetector:
    """The offset of unchanged ground is the median of dNBR, where that is small; else none is taken out.

    ``pixels`` hold the bands of :class:`BurnDetector` in order.
    """
    ratios = [
        normalised_difference(p[:, 0].astype(np.float32), p[:, 1].astype(np.float32))
        for p in (pixels.before, pixels.after)
    ]
    middle = float(np.nanmedian(ratios[0] - ratios[1]))
    return BurnDetector(round(middle, 6) if abs(middle) <= MAX_OFFSET else 0.0)
