"""Crops of labelled scenes: which scene, where, how large, turned and changed; the same for equal random states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from aisf_geo.evaluate.metrics import UNLABELLED
from aisf_geo.train.augment import FULL_SCALE, changed, kept_bands
from aisf_geo.train.recipe import LabelSource, TrainRecipe
from aisf_geo.train.scenes import Scene, Split
from aisf_geo.train.weather import HEAD, clouded

#: Pixels remembered of each class of a scene, to centre crops on.
REMEMBERED = 400


@dataclass(frozen=True)
class Crop:
    """A square piece of a scene.

    Attributes:
        image: float32 ``(band, y, x)``, normalised; 0, the mean, where nothing was observed or a band is missing.
        truth: head to int64 ``(y, x)``, the class's place in the legend, 255 not labelled.
    """

    image: torch.Tensor
    truth: dict[str, torch.Tensor]


class CropSampler:
    """Draws crops: a source by its share, a place by the root of its area, a scene by its area."""

    def __init__(self, recipe: TrainRecipe, splits: list[Split]) -> None:
        self.recipe = recipe
        self._splits = splits
        shares = np.array([split.source.share for split in splits])
        self._shares = shares / shares.sum()
        self._odds = [_scene_odds(split.train) for split in splits]
        self._marks = [_marks(split.train) for split in splits]
        self._mean = torch.tensor([band.mean for band in recipe.bands])[:, None, None]
        self._std = torch.tensor([band.std for band in recipe.bands])[:, None, None]

    def draw(self, rng: np.random.Generator) -> Crop:
        """The next crop; torch's generator decides the changes to its pixels."""
        k = int(rng.choice(len(self._splits), p=self._shares))
        split, marks = self._splits[k], self._marks[k]
        if rng.random() < self.recipe.schedule.rare:
            places = marks[rng.integers(len(marks))]
            index, row, col = (int(v) for v in places[rng.integers(len(places))])
        else:
            index = int(rng.choice(len(split.train), p=self._odds[k]))
            row, col = (int(rng.integers(length)) for length in split.train[index].shape)
        return self._crop(split.train[index], split.source, row, col, rng)

    def _crop(self, scene: Scene, source: LabelSource, row: int, col: int, rng: np.random.Generator) -> Crop:
        """Around a pixel, moved inside the scene; a scene smaller than the crop is mirrored."""
        side, (low, high) = self.recipe.schedule.crop_px, source.scale
        seen = max(32, round(side / float(np.exp(rng.uniform(np.log(low), np.log(high))))))
        rows, cols = (_stretch(at, seen, length, rng) for at, length in zip((row, col), scene.shape, strict=True))
        around = np.ix_(rows, cols)
        image = torch.from_numpy(scene.values[:, rows[:, None], cols].astype(np.float32))
        masks = [truth[around] for truth in scene.truth.values()]
        layers = torch.from_numpy(np.stack([scene.valid[around].astype(np.uint8), *masks]))
        if seen != side:
            image = interpolate(image[None], (side, side), mode="bilinear", antialias=seen > side)[0]
            layers = interpolate(layers[None], (side, side), mode="nearest-exact")[0]
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        image, layers = (_turned(each, turns, flip) for each in (image, layers))
        return self._finished(scene, image, layers)

    def _finished(self, scene: Scene, image: torch.Tensor, layers: torch.Tensor) -> Crop:
        valid, masks = layers[0].bool(), layers[1:].long()
        truth = dict(zip(scene.truth, masks, strict=True))
        if HEAD in truth and torch.rand(()) < self.recipe.augment.clouds:
            image, truth = clouded(image, self.recipe.band_names, truth)
        image = changed(image, self.recipe.augment, FULL_SCALE[self.recipe.scale])
        kept = kept_bands(self.recipe.band_names, self.recipe.augment) & torch.from_numpy(scene.present)
        image = (image - self._mean) / self._std * (kept[:, None, None] & valid)
        return Crop(image, {name: mask.masked_fill(~valid, UNLABELLED) for name, mask in truth.items()})


def _stretch(at: int, seen: int, length: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``seen`` positions along an axis that hold ``at``; mirrored at the ends where the axis is shorter."""
    start = at - int(rng.integers(seen // 4, seen - seen // 4))
    positions = np.arange(seen) + (min(max(start, 0), length - seen) if length >= seen else -((seen - length) // 2))
    if length == 1:
        return np.zeros(seen, np.int64)
    period = 2 * (length - 1)
    positions = np.abs(positions) % period
    return cast("NDArray[np.int64]", np.where(positions >= length, period - positions, positions))


def _turned(layers: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    turned = torch.rot90(layers, turns, (1, 2))
    return turned.flip(2) if flip else turned


def _scene_odds(scenes: list[Scene]) -> NDArray[np.float64]:
    area: dict[str, float] = {}
    for scene in scenes:
        area[scene.place] = area.get(scene.place, 0.0) + scene.valid.size
    odds = np.array([scene.valid.size / np.sqrt(area[scene.place]) for scene in scenes])
    return cast("NDArray[np.float64]", odds / odds.sum())


def _marks(scenes: list[Scene]) -> list[NDArray[np.int64]]:
    """For each head and class that occurs: some of its pixels as ``(scene, row, col)``."""
    found: dict[tuple[str, int], list[NDArray[np.int64]]] = {}
    rng = np.random.default_rng(0)
    for index, scene in enumerate(scenes):
        for head, truth in scene.truth.items():
            flat = truth.ravel()
            drawn = rng.integers(flat.size, size=min(flat.size, 40 * REMEMBERED))
            for channel in np.unique(flat[drawn]):
                if channel != UNLABELLED:
                    chosen = drawn[flat[drawn] == channel][:REMEMBERED]
                    rows, cols = np.divmod(chosen, truth.shape[1])
                    marks = np.stack([np.full_like(rows, index), rows, cols], axis=1)
                    found.setdefault((head, int(channel)), []).append(marks)
    return [np.concatenate(parts) for _, parts in sorted(found.items())]
