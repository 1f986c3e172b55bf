"""What a scene is interpreted with: an index with its threshold, or a model with its runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import Legend
from aisf_geo.domain.tiling import Block
from aisf_geo.errors import BandError, UsageError
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.identity import numpy_identity
from aisf_geo.pipeline.mapper import BlockMap
from aisf_geo.pipeline.work import CountTask, View, count_block
from aisf_geo.recipe import Segment
from aisf_geo.segment.card import ModelCard, find_model
from aisf_geo.segment.interpreter import Interpreter
from aisf_geo.segment.resident import ResidentModel
from aisf_geo.segment.spectral import BINS, Index, Method, SpectralInterpreter, Threshold, automatic_threshold, fit
from aisf_geo.shipped import shipped


@dataclass(frozen=True, slots=True)
class Means:
    """With what a network is run; an index needs none of it."""

    runtime: str = "auto"
    precision: str | None = None


@dataclass(frozen=True)
class Unsettled:
    """A scene before its blocks: how it is looked at, its blocks, and what was settled of it in an earlier run."""

    view: View
    lattice: tuple[Block, ...]
    said: str | None
    mapper: BlockMap


class Choice(Protocol):
    """An interpreter to be, for one scene.

    Attributes:
        name: method or model.
        legend: its classes, under the names and roles the recipe gives them.
        source: where the method is written down, for people.
    """

    @property
    def name(self) -> str:
        """Method or model."""
        ...

    @property
    def legend(self) -> Legend:
        """Its classes."""
        ...

    @property
    def source(self) -> str:
        """Where it is written down."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands it reads."""
        ...

    @property
    def seconds_per_mpx(self) -> float | None:
        """For the estimate of a dry run; None where it was not measured."""
        ...

    def block_px(self, requested: int) -> int:
        """The side of a block that suits it."""
        ...

    def identity(self) -> dict[str, Any]:
        """Runtime, precision and machine class, which a resumed run must match."""
        ...

    def settle(self, scene: Unsettled, /) -> tuple[Interpreter, str]:
        """The interpreter, and as JSON what was settled for this scene."""
        ...


@dataclass(frozen=True)
class IndexChoice:
    """An index-and-threshold method; the threshold is None while it must be measured."""

    method: Method
    index: Index
    fixed: Threshold | None
    legend: Legend

    @property
    def name(self) -> str:
        """The method."""
        return self.method.name

    @property
    def source(self) -> str:
        """Index and paper."""
        return f"{self.index.name} above a threshold ({self.index.source})"

    @property
    def bands(self) -> tuple[str, ...]:
        """Those of the index and of what it leaves out."""
        return tuple(dict.fromkeys((self.index.a, self.index.b, *self.method.extra_bands)))

    @property
    def seconds_per_mpx(self) -> float:
        """One worker, 1,024 px blocks: ``benchmarks/segment.py`` on two shared cores, 2026-11-22."""
        return 1 / 6.0

    def block_px(self, requested: int) -> int:
        """Any size will do."""
        return requested

    def identity(self) -> dict[str, Any]:
        """That of numpy."""
        return numpy_identity()

    def settle(self, scene: Unsettled, /) -> tuple[Interpreter, str]:
        """Measure the threshold over all blocks of the scene, once, unless it is fixed."""
        threshold = self.fixed
        if threshold is None and scene.said is not None and "unread blocks" not in scene.said:
            threshold = Threshold(**json.loads(scene.said))
        if threshold is None:
            histogram: NDArray[np.int64] = np.zeros(BINS, np.int64)
            tasks = [CountTask(scene.view, block, self.index) for block in scene.lattice]
            unread = 0
            for counts in scene.mapper(count_block, tasks):
                if counts is None:
                    unread += 1
                else:
                    histogram += counts
            threshold = automatic_threshold(self.index, histogram)
            if unread:
                threshold = replace(threshold, reason=f"{threshold.reason}; {unread} unread blocks had no say")
        # Rounded as it is published, so that anyone who repeats the run from its outputs cuts at the same number.
        threshold = Threshold(**threshold.as_json())
        return SpectralInterpreter(self.method, self.index, threshold), json.dumps(threshold.as_json())


@dataclass(frozen=True)
class ModelChoice:
    """A network and how it is run."""

    card: ModelCard
    resident: ResidentModel

    @property
    def name(self) -> str:
        """The model."""
        return self.card.name

    @property
    def legend(self) -> Legend:
        """The main head's classes."""
        return self.card.heads[0].legend

    @property
    def source(self) -> str:
        """The card's description and licence."""
        return f"{self.card.description} Weights: {self.card.licence}"

    @property
    def bands(self) -> tuple[str, ...]:
        """In the network's order."""
        return self.card.band_names

    @property
    def seconds_per_mpx(self) -> float | None:
        """As the card states it for this runtime, the overlap of patches left out."""
        return self.card.seconds_per_mpx.get(f"{self.resident.runtime}-{self.resident.precision}")

    def block_px(self, requested: int) -> int:
        """The multiple of the stride nearest to ``requested``: such blocks share no patch."""
        return max(1, round(requested / self.card.stride_px)) * self.card.stride_px

    def identity(self) -> dict[str, Any]:
        """That of the session."""
        return self.resident.identity()

    def settle(self, _scene: Unsettled, /) -> tuple[Interpreter, str]:
        """Nothing is measured: the card settled everything."""
        used = {"runtime": self.resident.runtime, "precision": self.resident.precision}
        return self.resident, json.dumps(used)


def choose(segment: Segment, scene: Scene, means: Means) -> Choice:
    """What the recipe asks a scene to be interpreted with.

    Raises:
        BandError: the scene lacks a band it needs, or its values are of another kind.
        UsageError: no such method or model, or the runtime cannot run it.
    """
    if segment.model is not None:
        return _model(segment.model, scene, means)
    method, index, fixed = fit(segment.method or "", scene.band_names, segment.threshold)
    return IndexChoice(method, index, fixed, _vouched(method, segment))


def _model(name: str, scene: Scene, means: Means) -> ModelChoice:
    from aisf_geo.segment.runtime import resolve_runtime, usable_cores

    card = find_model(name, [shipped("models")])
    scene.require(card.band_names, f"model {name!r}")
    if (card.scale == "reflectance") != scene.reflectance:
        found = "reflectances" if scene.reflectance else "uncalibrated numbers"
        raise BandError(f"model {name!r} needs {card.scale} values, scene {scene.id} has {found}; use another model")
    runtime, precision = resolve_runtime(card, means.runtime, means.precision)
    return ModelChoice(card, ResidentModel(card.folder, card.version, runtime, precision, usable_cores()))


def _vouched(method: Method, segment: Segment) -> Legend:
    """The method's legend with the name and role the recipe vouches for."""
    other, target = method.legend.classes
    name = segment.class_name or target.name
    renamed = replace(target, name=name, role=segment.counts_as or target.role)
    return Legend(method.legend.name, (replace(other, name=f"not {name}"), renamed))


def one_legend(choices: Iterable[Choice]) -> Legend:
    """The legend all scenes share.

    Raises:
        UsageError: they do not.
    """
    legends = list(dict.fromkeys(choice.legend for choice in choices))
    if len(legends) > 1:
        raise UsageError(f"segment: the scenes would get {len(legends)} different legends; use one method or model")
    return legends[0]
