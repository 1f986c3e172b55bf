"""Labelled images in memory, split by place, with each mask as channels of the heads it labels."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import Legend
from aisf_geo.errors import DataError, NoDataError
from aisf_geo.evaluate.archives import archive_patches
from aisf_geo.evaluate.labelled import Sample, find_pairs
from aisf_geo.evaluate.metrics import UNLABELLED
from aisf_geo.train.recipe import LabelSource, TrainRecipe

_TileKey = tuple[str, int, int, int]
_WEB_TILE = re.compile(r"^(.*?)(\d+)-(\d+)-(\d+)$")


@dataclass(frozen=True)
class Scene:
    """One labelled image.

    Attributes:
        values: ``(band, y, x)`` of the recipe's bands, uint8 or float32 in the recipe's scale.
        valid: bool ``(y, x)``, True where observed.
        present: bool ``(band,)``, False for a band that the source does not have.
        truth: head to uint8 ``(y, x)``, the class's place in the legend; 255 not labelled.
    """

    name: str
    place: str
    values: NDArray[np.generic]
    valid: NDArray[np.bool_]
    present: NDArray[np.bool_]
    truth: dict[str, NDArray[np.uint8]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.valid.shape
        return height, width


@dataclass
class Split:
    """Scenes of one source."""

    source: LabelSource
    train: list[Scene] = field(default_factory=list)
    validation: list[Scene] = field(default_factory=list)


def read_split(recipe: TrainRecipe, source: LabelSource, data: Path) -> Split:
    """Training and validation scenes of a source; test places are not even read.

    Raises:
        NoDataError: no pairs, or no place left to train on.
        DataError: image and mask of different size, a class value no head knows, NaN where labelled.
    """
    split = Split(source)
    for name, place, samples in _samples(source, data / source.path):
        part = part_of(source, f"{place}/{name}", place)
        if part != "test":
            getattr(split, part).append(_scene(recipe, source, name, place, samples))
    if source.quadrants:
        split = Split(source, _joined(split.train), _joined(split.validation))
    if not split.train:
        raise NoDataError(f"data {data / source.path}: every place is kept for testing; leave some to train on")
    return split


def _samples(source: LabelSource, folder: Path) -> Iterable[tuple[str, str, dict[str, Sample]]]:
    """Name, place and samples by head of each image."""
    if not any(folder.glob("*.npz")):
        for pair in find_pairs(folder):
            yield Path(pair.name).name, pair.place, dict.fromkeys(source.heads, pair)
        return
    by_head = {head: archive_patches(folder, head) for head in source.heads}
    for samples in zip(*by_head.values(), strict=True):
        yield samples[0].name, samples[0].place, dict(zip(by_head, samples, strict=True))


def part_of(source: LabelSource, name: str, place: str) -> Literal["test", "validation", "train"]:
    """What an image is used for, by its name or place."""
    for part, patterns in (("test", source.test), ("validation", source.validation)):
        if any(fnmatchcase(name, p) or fnmatchcase(place, p) for p in patterns):
            return part  # type: ignore[return-value]  # literals of the tuple above
    return "train"


def _scene(recipe: TrainRecipe, source: LabelSource, name: str, place: str, samples: dict[str, Sample]) -> Scene:
    bands = source.bands or recipe.band_names
    read = {id(sample): sample.read(bands) for sample in samples.values()}
    labelled = {head: read[id(sample)] for head, sample in samples.items()}
    first = next(iter(labelled.values()))
    values = np.zeros((len(recipe.bands), *first.truth.shape), np.float32)
    places = [recipe.band_names.index(band) for band in bands]
    values[places] = np.nan_to_num(first.raster.values)
    present = np.zeros(len(recipe.bands), bool)
    present[places] = True
    truth = {
        head: _channels(each.truth, source.heads[head], recipe_legend(recipe, head), f"{source.path}/{name}")
        for head, each in labelled.items()
    }
    stored = values.astype(np.uint8) if recipe.scale == "8-bit" else values
    return Scene(name, place, stored, first.raster.valid, present, truth)


def recipe_legend(recipe: TrainRecipe, head: str) -> Legend:
    """The legend of one of the recipe's heads."""
    return next(h.legend for h in recipe.heads if h.name == head)


def _channels(truth: NDArray[np.uint8], codes: dict[int, int], legend: Legend, what: str) -> NDArray[np.uint8]:
    """The place in the legend of each code of a mask.

    Raises:
        DataError: a code that neither the legend nor ``codes`` knows.
    """
    place = {c.code: channel for channel, c in enumerate(legend.classes)} | {UNLABELLED: UNLABELLED}
    table, known = np.full(256, UNLABELLED, np.uint8), np.zeros(256, bool)
    for code, meaning in {**{code: code for code in place}, **codes}.items():
        if meaning in place:
            table[code], known[code] = place[meaning], True
    if unknown := [int(code) for code in np.unique(truth) if not known[code]]:
        raise DataError(
            f"{what}: class values {unknown} in the mask, the legend {legend.name!r} has "
            f"{[c.code for c in legend.classes]}; say in the recipe's `heads` what they mean (255: not labelled)"
        )
    return table[truth]


def _joined(scenes: list[Scene]) -> list[Scene]:
    """Web tiles of the finest zoom joined four by four; their parents, which show the same ground, are left out."""
    tiles = {key: scene for scene in scenes if (key := _tile_key(scene))}
    fours: dict[_TileKey, list[_TileKey]] = defaultdict(list)
    for prefix, z, x, y in sorted(tiles):
        fours[prefix, z - 1, x // 2, y // 2].append((prefix, z, x, y))
    whole = {parent: four for parent, four in fours.items() if len(four) == 4 and parent in tiles}
    replaced = {*whole, *(key for four in whole.values() for key in four)}
    rest = [scene for scene in scenes if _tile_key(scene) not in replaced]
    return rest + [_quadruple([tiles[key] for key in four]) for four in whole.values()]


def _tile_key(scene: Scene) -> _TileKey | None:
    """What comes before the numbers, zoom, column and row of a web tile; None for other names."""
    match = _WEB_TILE.match(scene.name)
    return (f"{scene.place}/{match[1]}", int(match[4]), int(match[2]), int(match[3])) if match else None


def _quadruple(children: list[Scene]) -> Scene:
    """One scene of four quadrants in the order upper left, lower left, upper right, lower right."""

    def together(parts: list[NDArray[np.generic]]) -> NDArray[np.generic]:
        left, right = (np.concatenate(parts[i : i + 2], axis=-2) for i in (0, 2))
        return np.concatenate([left, right], axis=-1)

    first = children[0]
    return Scene(
        name=first.name,
        place=first.place,
        values=together([c.values for c in children]),
        valid=together([c.valid for c in children]).astype(bool),
        present=first.present,
        truth={head: together([c.truth[head] for c in children]).astype(np.uint8) for head in first.truth},
    )
