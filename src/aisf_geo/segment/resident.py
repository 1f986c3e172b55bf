"""A model as a small value that travels to workers; each process builds its network once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError
from aisf_geo.segment.card import ModelCard, load_card
from aisf_geo.segment.interpreter import Decision

if TYPE_CHECKING:
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.runtime import Runtime


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """An interpreter by reference: the folder of the model, and how its network is run.

    Attributes:
        digest: the card's version; a worker whose copy of the model differs refuses to answer.
        threads: cores that the session of one process may use. In torch it decides the last bits of the answer and
            is a constant of the run.
        bands: those of the network that the scene has, in its order.
        probabilities: whether decisions hold those of every class.
    """

    folder: Path
    digest: str
    runtime: str
    precision: str
    threads: int
    bands: tuple[str, ...]
    probabilities: bool = False

    @property
    def name(self) -> str:
        """The model's name."""
        return _network(self).name

    @property
    def version(self) -> str:
        """The card's digest of everything that decides a label."""
        return self.digest

    @property
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head, the main one first."""
        return _network(self).heads

    def identity(self) -> dict[str, Any]:
        """Under what its labels are byte-identical."""
        return _network(self).runtime.identity.as_json()

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels seen by the patches that own a pixel of ``core``."""
        return _network(self).read_window(core, grid)

    def network_px(self, core: Window, grid: Grid) -> int:
        """Network-input pixels it takes to decide ``core``."""
        return _network(self).network_px(core, grid)

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """Every head's labels and confidence of ``core``, from one pass of the network."""
        return _network(self).decide(raster, read, core)


#: Threads of one process that need a network at the same time shall wait for one, not build one each.
_BUILDING = Lock()


def _network(model: ResidentModel) -> NetworkInterpreter:
    with _BUILDING:
        return _built(model)


@lru_cache(maxsize=2)
def _built(model: ResidentModel) -> NetworkInterpreter:
    """The network of a model in this process.

    Raises:
        DataError: the model on this machine is not the one that was asked for.
    """
    from aisf_geo.segment.runtime import choose_runtime

    card = load_card(model.folder)
    if card.version != model.digest:
        raise DataError(f"model {model.folder}: its digest is {card.version}, the run was planned with {model.digest}")
    network = interpreter_of(card, choose_runtime(card, model.runtime, model.precision, model.threads), model.bands)
    network.with_probabilities = model.probabilities
    return network


def interpreter_of(card: ModelCard, runtime: Runtime, bands: tuple[str, ...] | None = None) -> NetworkInterpreter:
    """What decides blocks with a model: objects where its card says so, else pixels."""
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.detect import ObjectInterpreter

    return (ObjectInterpreter if card.detection else NetworkInterpreter)(card, runtime, bands)
