"""What the pipeline asks of anything that turns pixels into classes, be it an index or a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.objects import Objects
from aisf_geo.domain.raster import Raster


@dataclass(frozen=True)
class ClassMap:
    """One head's answer for the core of one block.

    Attributes:
        labels: uint8 ``(y, x)``, legend codes; 254 observed but undecided, 255 not observed.
        confidence: uint8 ``(y, x)``, 0..254 = 0..1; 255 exactly where ``labels`` is 255.
    """

    labels: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


@dataclass(frozen=True)
class Decision:
    """The answer for the core of one block.

    Attributes:
        heads: the map of each head, in the order of :attr:`Interpreter.heads`; the first is the main one.
        objects: of an interpreter that detects objects, those whose centre lies in the core, so that every object
            belongs to exactly one block; their rows and columns are those of the grid. None from one that does not.
        probabilities: of each head where they were asked for: uint8 ``(class, y, x)``, the classes in ascending order
            of code, 0..254 = 0..1, 255 not observed.
    """

    heads: Mapping[str, ClassMap]
    objects: Objects | None = None
    probabilities: Mapping[str, NDArray[np.uint8]] | None = None

    @property
    def labels(self) -> NDArray[np.uint8]:
        """The main head's labels."""
        return next(iter(self.heads.values())).labels

    @property
    def confidence(self) -> NDArray[np.uint8]:
        """The main head's confidence."""
        return next(iter(self.heads.values())).confidence


class Interpreter(Protocol):
    """Decides blocks. The answer for a pixel must not depend on the block it is asked in.

    Attributes:
        name: method or model name, as given on the command line.
        version: what makes two interpreters of one name differ: threshold rule version or weights digest.
        heads: the codes of each of its answers, the main one first.
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
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head; the first is the main one."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands it reads."""
        ...

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels it needs to decide ``core``: a window inside ``grid`` that contains ``core``."""
        ...

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """The answer of every head for ``core`` from ``raster``, which holds exactly the pixels of ``read``."""
        ...
