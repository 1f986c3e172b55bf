"""A model as a small value that travels to workers; each process builds its network once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError
from aisf_geo.segment.card import load_card
from aisf_geo.segment.interpreter import Decision

if TYPE_CHECKING:
    from aisf_geo.segment.blocks import NetworkInterpreter


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """An interpreter by reference: the folder of the model, and how its network is run.

    Attributes:
        digest: the card's version; a worker whose copy of the model differs refuses to answer.
        threads: of one session; a constant of the run.
    """

    folder: Path
    digest: str
    runtime: str
    precision: str
    threads: int

    @property
    def name(self) -> str:
        """The model's name."""
        return _network(self).name

    @property
    def version(self) -> str:
        """The card's digest of everything that decides a label."""
        return self.digest

    @property
    def legend(self) -> Legend:
        """The main head's classes."""
        return _network(self).legend

    @property
    def bands(self) -> tuple[str, ...]:
        """STAC common names in the network's order."""
        return _network(self).bands

    def identity(self) -> dict[str, Any]:
        """Under what its labels are byte-identical."""
        return _network(self).runtime.identity.as_json()

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels seen by the patches that own a pixel of ``core``."""
        return _network(self).read_window(core, grid)

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """The main head's labels and confidence of ``core``."""
        return _network(self).decide(raster, read, core)


@lru_cache(maxsize=2)
def _network(model: ResidentModel) -> NetworkInterpreter:
    """The network of a model in this process.

    Raises:
        DataError: the model on this machine is not the one that was asked for.
    """
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.runtime import choose_runtime

    card = load_card(model.folder)
    if card.version != model.digest:
        raise DataError(f"model {model.folder}: its digest is {card.version}, the run was planned with {model.digest}")
    return NetworkInterpreter(card, choose_runtime(card, model.runtime, model.precision, model.threads))
