"""What every method of change detection takes and gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.pair import Epochs
from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, Legend


@dataclass(frozen=True)
class Detection:
    """The answer for a window; arrays are ``(y, x)``.

    Attributes:
        score: float32, what was measured, in the method's own unit; NaN where not compared.
        threshold: of the score: beyond it a pixel has changed.
        labels: uint16 ``from * 256 + to``; 65535 where not compared.
        confidence: uint8, 0..254 for 0..1, 255 where not compared. A margin, not a probability, unless calibrated.
    """

    score: NDArray[np.float32]
    threshold: float
    labels: NDArray[np.uint16]
    confidence: NDArray[np.uint8]


class Detector(Protocol):
    """A method settled for one pair of scenes.

    Attributes:
        name: what the user calls it.
        version: settings and threshold; two runs that agree in it decide alike.
        legend: the classes its labels go from and to.
        bands: what it reads, in this order.
        halo_px: how far around a window it looks.
        min_area_m2: the smallest change worth a polygon at this ground sample distance.
        reason: one plain sentence on how it decided, for the reader of the output.
    """

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def version(self) -> str:
        """Settings and threshold."""
        ...

    @property
    def legend(self) -> Legend:
        """The classes its labels go from and to."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """What it reads."""
        ...

    @property
    def halo_px(self) -> int:
        """How far around a window it looks."""
        ...

    @property
    def reason(self) -> str:
        """How it decided."""
        ...

    def min_area_m2(self, grid: Grid) -> float:
        """The smallest change worth a polygon."""
        ...

    def detect(self, epochs: Epochs) -> Detection:
        """The answer for the whole window of ``epochs``."""
        ...


#: Misplacement that is left after co-registration, in pixels; see :func:`min_mappable_m2`.
RESIDUAL_SHIFT_PX = 0.5


def min_mappable_m2(gsd_m: float) -> float:
    """The smallest change that can be told from misplacement: 3 x 3 pixels, 900 m2 for Sentinel-2, 8,100 for Landsat.

    A strip along every edge of the ground changes by misplacement alone, :data:`RESIDUAL_SHIFT_PX` wide on each side
    (Dai & Khorram 1998, IEEE TGRS 36(5):1566-1577); a change must be two pixels wide beside it to be seen as a shape.
    """
    return ((2 + 2 * RESIDUAL_SHIFT_PX) * gsd_m) ** 2


def margin_confidence(share: NDArray[np.floating], compared: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A share in 0..1 as stored; 255 where not compared."""
    steps = np.rint(np.clip(np.nan_to_num(share), 0, 1) * CONFIDENCE_STEPS)
    return np.where(compared, steps, NO_CONFIDENCE).astype(np.uint8)
