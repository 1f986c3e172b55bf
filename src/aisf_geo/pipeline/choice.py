"""What a scene is interpreted with: an index with its threshold, or a model with its runtime."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.tiling import Block
from aisf_geo.errors import BandError, UsageError
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.identity import numpy_identity
from aisf_geo.pipeline.mapper import BlockMap
from aisf_geo.pipeline.work import CountTask, LookTask, View, count_block, look_at_window, no_say
from aisf_geo.recipe import Segment
from aisf_geo.segment.card import ModelCard, find_model
from aisf_geo.segment.domain import doubts, windows
from aisf_geo.segment.interpreter import Interpreter
from aisf_geo.segment.resident import ResidentModel
from aisf_geo.segment.spectral import BINS, Index, Method, SpectralInterpreter, Threshold, automatic_threshold, fit
from aisf_geo.settings import usable_cores
from aisf_geo.shipped import own_models, shipped


@dataclass(frozen=True, slots=True)
class Means:
    """With what a network is run; an index needs none of it.

    Attributes:
        workers: processes on this machine that share its cores.
    """

    runtime: str = "auto"
    precision: str | None = None
    workers: int = 1


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
        heads: name and legend of each of its answers, the main one first, under the names and roles of the recipe.
        source: where the method is written down, for people.
    """

    @property
    def name(self) -> str:
        """Method or model."""
        ...

    @property
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head, the main one first."""
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

    def overlap_factor(self, grid: Grid, cores: Sequence[Window], /) -> float | None:
        """Network-input pixels for each output pixel; None where there is no network."""
        ...

    def identity(self) -> dict[str, Any]:
        """Runtime, precision and machine class, which a resumed run must match."""
        ...

    def settle(self, scene: Unsettled, /) -> tuple[Interpreter, str]:
        """The interpreter, and as JSON what was settled for this scene."""
        ...

    def doubts(self, view: View, mapper: BlockMap, /) -> list[str]:
        """What whoever reads the maps of a scene must know of it; best asked when its pixels were just read."""
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
    def heads(self) -> Mapping[str, Legend]:
        """One, under the method's name."""
        return {self.method.name: self.legend}

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
        """Of one core, 1,024 px blocks: ``benchmarks/segment.py``, 2026-11-29; two cores take about half."""
        return 0.12

    def block_px(self, requested: int) -> int:
        """Any size will do."""
        return requested

    def overlap_factor(self, _grid: Grid, _cores: Sequence[Window], /) -> None:
        """There is no network."""

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
            for counts in scene.mapper(count_block, tasks, no_say):
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

    def doubts(self, _view: View, _mapper: BlockMap, /) -> list[str]:
        """None: an index means the same everywhere."""
        return []


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
    def heads(self) -> Mapping[str, Legend]:
        """Those of the card."""
        return {head.name: head.legend for head in self.card.heads}

    @property
    def source(self) -> str:
        """The card's description and licence."""
        return f"{self.card.description} Weights: {self.card.licence}"

    @property
    def bands(self) -> tuple[str, ...]:
        """In the network's order, optional ones left out where the scene lacks them."""
        return self.resident.bands

    @property
    def seconds_per_mpx(self) -> float | None:
        """As the card states it for this runtime, the overlap of patches left out."""
        return self.card.seconds_per_mpx.get(f"{self.resident.runtime}-{self.resident.precision}")

    def block_px(self, requested: int) -> int:
        """The multiple of the stride nearest to ``requested``: such blocks share no patch."""
        return max(1, round(requested / self.card.stride_px)) * self.card.stride_px

    def overlap_factor(self, grid: Grid, cores: Sequence[Window], /) -> float:
        """Of the lattice of patches over these cores."""
        given = sum(self.resident.network_px(core, grid) for core in cores)
        return round(given / max(1, sum(core.height * core.width for core in cores)), 4)

    def identity(self) -> dict[str, Any]:
        """That of the session."""
        return self.resident.identity()

    def settle(self, _scene: Unsettled, /) -> tuple[Interpreter, str]:
        """The card settled everything."""
        return self.resident, json.dumps({"runtime": self.resident.runtime, "precision": self.resident.precision})

    def doubts(self, view: View, mapper: BlockMap, /) -> list[str]:
        """Whether the scene looks like the training imagery, in a few windows."""
        tasks = [LookTask(view, window, self.bands) for window in windows(view.grid) if self.card.domain]
        looks = [look for look in mapper(look_at_window, tasks, no_say) if look is not None]
        return doubts(self.card, looks, self.bands, view.grid.gsd_m)


def choose(segment: Segment, scene: Scene, means: Means) -> Choice:
    """What the recipe asks a scene to be interpreted with.

    Raises:
        BandError: the scene lacks a band it needs, or its values are of another kind.
        UsageError: no such method or model, the runtime cannot run it, or a method was given one.
    """
    if segment.model is not None:
        return _model(segment.model, scene, means, segment.probabilities)
    if (means.runtime, means.precision) != ("auto", None):
        raise UsageError(
            f"segment: --runtime and --precision are of a model, method {segment.method!r} runs none; leave them out"
        )
    method, index, fixed = fit(segment.method or "", scene.band_names, segment.threshold)
    return IndexChoice(method, index, fixed, _vouched(method, segment))


def _model(name: str, scene: Scene, means: Means, probabilities: bool) -> ModelChoice:
    from aisf_geo.segment.runtime import resolve_runtime

    card = find_model(name, [own_models(), shipped("models")])
    bands = card.usable_bands(scene.band_names, f"model {name!r} on scene {scene.id}")
    if (card.scale == "reflectance") != scene.reflectance:
        found = "reflectances" if scene.reflectance else "uncalibrated numbers"
        raise BandError(f"model {name!r} needs {card.scale} values, scene {scene.id} has {found}; use another model")
    if probabilities and card.detection:
        raise UsageError(
            f"probabilities: model {name!r} detects objects and decides no pixels; leave --probabilities out"
        )
    runtime, precision = resolve_runtime(card, means.runtime, means.precision)
    # Of torch the threads decide the last bits, so that they must not follow the number of workers.
    threads = usable_cores() if runtime == "torch" else max(1, usable_cores() // means.workers)
    how = (runtime, precision, threads, bands, probabilities)
    return ModelChoice(card, ResidentModel(card.folder, card.version, *how))


def _vouched(method: Method, segment: Segment) -> Legend:
    """The method's legend with the name and role the recipe vouches for."""
    other, target = method.legend.classes
    name = segment.class_name or target.name
    renamed = replace(target, name=name, role=segment.counts_as or target.role)
    return Legend(method.legend.name, (replace(other, name=f"not {name}"), renamed))


def shared_heads(choices: Iterable[Choice]) -> Mapping[str, Legend]:
    """The heads and legends all scenes share.

    Raises:
        UsageError: they do not.
    """
    different = list(dict.fromkeys(tuple(choice.heads.items()) for choice in choices))
    if len(different) > 1:
        raise UsageError(f"segment: the scenes would get {len(different)} different legends; use one method or model")
    return dict(different[0])
