"""What can be judged: a model or a method, asked through the same lattice of patches as in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from aisf_geo.domain.legend import Legend
from aisf_geo.domain.raster import Raster
from aisf_geo.segment.card import ModelCard
from aisf_geo.segment.interpreter import Decision, Interpreter
from aisf_geo.segment.resident import interpreter_of
from aisf_geo.segment.spectral import (
    Index,
    Method,
    SpectralInterpreter,
    Threshold,
    automatic_threshold,
    count_index,
    fit,
)

if TYPE_CHECKING:
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.runtime import Runtime


class Answerer(Protocol):
    """Turns an image into maps."""

    @property
    def name(self) -> str:
        """Method or model."""
        ...

    @property
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head, the main one first."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands it reads."""
        ...

    def identity(self) -> dict[str, Any]:
        """Version and runtime, for the report."""
        ...

    def answer(self, raster: Raster) -> Decision:
        """The maps of a whole image."""
        ...


@dataclass(frozen=True)
class ModelAnswerer:
    """A model; its doubts are left out, so that every pixel gets the likeliest class and its confidence."""

    interpreter: NetworkInterpreter
    bands: tuple[str, ...]

    @property
    def name(self) -> str:
        """The model's."""
        return self.interpreter.name

    @property
    def card(self) -> ModelCard:
        """The model's."""
        return self.interpreter.card

    @property
    def heads(self) -> Mapping[str, Legend]:
        """The model's."""
        return self.interpreter.heads

    def identity(self) -> dict[str, Any]:
        """Digest of the weights, runtime and precision."""
        runtime = self.interpreter.runtime.identity
        return {"weights": self.card.weights.sha256, "runtime": runtime.runtime, "precision": runtime.precision}

    def answer(self, raster: Raster) -> Decision:
        """See :class:`Answerer`."""
        return _whole(self.interpreter, raster)


def model_answerer(card: ModelCard, session: Runtime, available: tuple[str, ...]) -> ModelAnswerer:
    """A model ready to be judged on images that have the bands ``available``; empty: they name none, all are there.

    Raises:
        BandError: a band that is not optional is missing.
    """
    certain = card.model_copy(update={"heads": tuple(h.model_copy(update={"unknown_below": 0.0}) for h in card.heads)})
    present = card.usable_bands(available or card.band_names, f"model {card.name!r}")
    return ModelAnswerer(interpreter_of(certain, session, present), present)


@dataclass(frozen=True)
class MethodAnswerer:
    """An index; its threshold is found in each image, as in each scene of a run, unless it is fixed."""

    method: Method
    index: Index
    fixed: Threshold | None

    @property
    def name(self) -> str:
        """The method's."""
        return self.method.name

    @property
    def heads(self) -> Mapping[str, Legend]:
        """One, under the method's name."""
        return {self.method.name: self.method.legend}

    @property
    def bands(self) -> tuple[str, ...]:
        """Those of the index and of what it leaves out."""
        return tuple(dict.fromkeys((self.index.a, self.index.b, *self.method.extra_bands)))

    def identity(self) -> dict[str, Any]:
        """The index and its threshold."""
        return {"index": self.index.name, "threshold": self.fixed.value if self.fixed else "found in each image"}

    def answer(self, raster: Raster) -> Decision:
        """See :class:`Answerer`."""
        threshold = self.fixed or automatic_threshold(self.index, count_index(self.index, raster))
        return _whole(SpectralInterpreter(self.method, self.index, threshold), raster)


def method_answerer(name: str, available: tuple[str, ...], threshold: float | None) -> MethodAnswerer:
    """A method ready to be judged on images that have the bands ``available``.

    Raises:
        UsageError: there is no such method.
        BandError: its bands are not there.
    """
    return MethodAnswerer(*fit(name, available, threshold))


def _whole(interpreter: Interpreter, raster: Raster) -> Decision:
    everything = raster.grid.full_window
    return interpreter.decide(raster, everything, everything)
