"""What the pipeline asks of anything that turns pixels into classes, be it an index or a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.raster import Raster


@dataclass(frozen=True)
class Decision:
    """The answer for the core of one block.

    Attributes:
        labels: uint8 ``(y, x)``, legend codes; 254 observed but undecided, 255 not observed.
        confidence: uint8 ``(y, x)``, 0..254 = 0..1; 255 exactly where ``labels`` is 255.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


class Interpreter(Protocol):
    """Decides blocks. The answer for a pixel must not depend on the block it is asked in.

    Attributes:
        name: method or model name, as given on the command line.
        version: what makes two interpreters of one name differ: threshold rule version or weights digest.
        legend: the codes it answers with.
        bands: STAC common names it reads, in its order.
    """

    @property
    def name(self) -> str:
        """Method or model name."""
        ...

    @property
    def version(self) -> str:
        """Identity within the name."""
        ...

    @property
    def legend(self) -> Legend:
        """Codes it answers with."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands it reads."""
        ...

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels it needs to decide ``core``: a window inside ``grid`` that contains ``core``."""
        ...

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """Labels and confidence of ``core`` from ``raster``, which holds exactly the pixels of ``read``."""
        ...
