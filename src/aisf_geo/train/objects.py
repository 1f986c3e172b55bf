"""Detection of objects as centre heatmaps, from images with boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate, smooth_l1_loss

from aisf_geo.domain.objects import Objects
from aisf_geo.errors import NoDataError
from aisf_geo.evaluate.boxes import BoxedImage, find_boxed
from aisf_geo.evaluate.matching import BoxTally, box_tally
from aisf_geo.segment.card import GRAIN_PX, ModelCard
from aisf_geo.segment.detect import find_objects
from aisf_geo.segment.network import build_network
from aisf_geo.train.augment import FULL_SCALE, changed
from aisf_geo.train.encoder import start_weights
from aisf_geo.train.loop import Predict
from aisf_geo.train.recipe import LabelSource, TrainRecipe
from aisf_geo.train.scenes import part_of

#: Deviation of the bump that marks a centre, as a share of the object's height and width.
BUMP_SHARE = 0.14
#: Height of a bump from which on a pixel must know the object's size.
SIZED_ABOVE = 0.3
#: Weight of the error of sizes against that of centres.
SIZE_WEIGHT = 1.5
#: Probability of a centre that the untrained network answers: nearly all pixels are none.
PRIOR = 0.02
#: Scores among which validation takes the one with the highest F1.
SCORES = tuple(round(0.1 + 0.05 * k, 2) for k in range(13))


@dataclass(frozen=True)
class BoxedScene:
    """One image in memory: uint8 ``(band, y, x)``, its boxes, and the place of each box's class among the objects."""

    name: str
    values: NDArray[np.uint8]
    boxes: Objects
    kinds: NDArray[np.int64]


@dataclass(frozen=True)
class BoxedSplit:
    """The images of a source."""

    source: LabelSource
    train: list[BoxedScene]
    validation: list[BoxedScene]


class ObjectTask:
    """A :class:`~aisf_geo.train.loop.Task` for a recipe whose model detects objects.

    ``models`` are the folders in which a model to start from is looked up.
    """

    def __init__(
        self, recipe: TrainRecipe, card: ModelCard, splits: list[BoxedSplit], models: Sequence[Path] = ()
    ) -> None:
        self._recipe, self._card, self._splits, self._models = recipe, card, splits, models
        legend = card.heads[0].legend
        self._codes = np.array([entry.code for entry in legend.classes], np.uint8)
        self._mean = torch.tensor([band.mean for band in recipe.bands])[:, None, None]
        self._std = torch.tensor([band.std for band in recipe.bands])[:, None, None]
        shares = np.array([split.source.share for split in splits])
        self._shares = shares / shares.sum()

    def build(self) -> torch.nn.Module:
        """See :class:`Task`."""
        network = build_network(self._card)
        start_weights(network, self._recipe.start, self._models)
        last = [m for m in network.get_submodule("segmentation_head").modules() if isinstance(m, torch.nn.Conv2d)][-1]
        assert last.bias is not None  # noqa: S101 - the library's heads have one
        with torch.no_grad():
            last.bias[:-2] = float(np.log(PRIOR / (1 - PRIOR)))
            last.bias[-2:] = float(np.log(32))
        return network

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`Task`; the target holds a heatmap for each class, then the logarithms of height and width."""
        crops = [self._crop(rng) for _ in range(self._recipe.schedule.batch)]
        return torch.stack([image for image, _ in crops]), torch.stack([target for _, target in crops])

    def loss(self, answer: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """See :class:`Task`: quality focal loss (Li et al. 2020, arXiv:2006.04388, eq. 5) and smooth L1 of sizes."""
        heat, wanted = answer[:, :-2], target[:, :-2]
        error = binary_cross_entropy_with_logits(heat, wanted, reduction="none")
        centres = (error * (heat.sigmoid() - wanted).abs().square()).sum() / wanted.sum().clamp_min(1)
        weight = wanted.amax(dim=1, keepdim=True)
        weight = weight * (weight > SIZED_ABOVE)
        sizes = smooth_l1_loss(answer[:, -2:], target[:, -2:], reduction="none", beta=0.1)
        return centres + SIZE_WEIGHT * (sizes * weight).sum() / weight.sum().clamp_min(1)

    def validate(self, predict: Predict) -> dict[str, float]:
        """See :class:`Task`; F1 of objects at the score that makes it highest, that score, and AP50."""
        answers = [(scene, self._answered(predict, scene)) for split in self._splits for scene in split.validation]
        tallies = {score: self._tally(answers, score) for score in SCORES}
        best = max(tallies, key=lambda score: tallies[score].hits.f1 or 0.0)
        ap50 = tallies[SCORES[0]].ap50() or 0.0
        return {"score": tallies[best].hits.f1 or 0.0, "score_above": best, "ap50": ap50}

    def _tally(self, answers: list[tuple[BoxedScene, NDArray[np.float32]]], score: float) -> BoxTally:
        assert self._card.detection is not None  # noqa: S101 - the recipe of a detector
        detection = self._card.detection.model_copy(update={"score_above": score})
        tally = BoxTally()
        for scene, answer in answers:
            valid = np.ones(answer.shape[1:], np.bool_)
            found = find_objects(answer[:-2], answer[-2:], valid, self._codes, detection)
            tally = tally + box_tally(scene.boxes, found, self._codes[1:].tolist())
        return tally

    def _answered(self, predict: Predict, scene: BoxedScene) -> NDArray[np.float32]:
        height, width = scene.values.shape[1:]
        missing = [(0, -length % GRAIN_PX) for length in (height, width)]
        image = (torch.from_numpy(scene.values.astype(np.float32)) - self._mean) / self._std
        padded = np.pad(image.numpy(), [(0, 0), *missing], mode="reflect")
        return predict(torch.from_numpy(padded)[None])[0, :, :height, :width].cpu().numpy()

    def _crop(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """A piece of an image, half the time around an object of a class drawn with equal odds."""
        split = self._splits[int(rng.choice(len(self._splits), p=self._shares))]
        scene, (row, col) = _somewhere(split.train, rng, self._recipe.schedule.rare)
        side, (low, high) = self._recipe.schedule.crop_px, split.source.scale
        seen = max(GRAIN_PX, round(side / float(np.exp(rng.uniform(np.log(low), np.log(high))))))
        top, left = (
            int(np.clip(at - rng.integers(seen), min(0, length - seen), max(0, length - seen)))
            for at, length in ((row, scene.values.shape[1]), (col, scene.values.shape[2]))
        )
        image = _cut(scene.values, top, left, seen)
        image = interpolate(image[None], (side, side), mode="bilinear", antialias=seen > side)[0]
        boxes = np.stack([scene.boxes[key] for key in ("row", "col", "height_px", "width_px")], axis=1)
        boxes = (boxes - [top, left, 0, 0]) * (side / seen)
        target = heat_and_sizes(boxes, scene.kinds, len(self._codes) - 1, side)
        turns, flip = int(rng.integers(4)), bool(rng.integers(2))
        image, target = (_turned(each, turns, flip) for each in (image, target))
        if turns % 2:
            target[-2:] = target[-2:].flip(0)
        image = changed(image, self._recipe.augment, FULL_SCALE[self._recipe.scale])
        return (image - self._mean) / self._std, target


def heat_and_sizes(boxes: NDArray[np.float64], kinds: NDArray[np.int64], classes: int, side: int) -> torch.Tensor:
    """What the network should answer for a square crop, ``(class + 2, y, x)``.

    Args:
        boxes: centre row, centre column, height and width in px of the crop; those outside leave their margin.
        kinds: class of each box.
        classes: number of them.
        side: of the crop.
    """
    target = np.zeros((classes + 2, side, side), np.float32)
    nearest = np.zeros((side, side), np.float32)
    place = np.arange(side) + 0.5
    for (row, col, height, width), kind in zip(boxes, kinds, strict=True):
        # The pixel of the centre is the top of the bump, so that it is 1 there.
        top, left = np.floor(row) + 0.5, np.floor(col) + 0.5
        down, across = max(BUMP_SHARE * height, 1.0), max(BUMP_SHARE * width, 1.0)
        rows = slice(*np.clip([int(top - 4 * down), int(top + 4 * down) + 2], 0, side))
        cols = slice(*np.clip([int(left - 4 * across), int(left + 4 * across) + 2], 0, side))
        bump = np.exp(-(((place[rows, None] - top) / down) ** 2) / 2 - ((place[cols] - left) / across) ** 2 / 2)
        target[kind, rows, cols] = np.maximum(target[kind, rows, cols], bump)
        closer = bump > nearest[rows, cols]
        nearest[rows, cols] = np.maximum(nearest[rows, cols], bump)
        for layer, length in ((-2, height), (-1, width)):
            target[layer, rows, cols] = np.where(closer, np.log(max(length, 1.0)), target[layer, rows, cols])
    return torch.from_numpy(target)


def read_boxed_splits(recipe: TrainRecipe, data: Path) -> list[BoxedSplit]:
    """The images of all sources, split by place.

    Raises:
        NoDataError: a source has no image to train on.
        DataError: boxes that cannot be read.
    """
    splits = []
    for source in recipe.sources:
        parts: dict[str, list[BoxedScene]] = {"train": [], "validation": [], "test": []}
        for image in find_boxed(data / source.path):
            part = part_of(source, f"{image.place}/{image.name}", image.place)
            if part != "test":
                parts[part].append(_scene(recipe, image))
        if not parts["train"]:
            raise NoDataError(f"data {data / source.path}: every place is kept for testing; leave some to train on")
        splits.append(BoxedSplit(source, parts["train"], parts["validation"]))
    return splits


def _scene(recipe: TrainRecipe, image: BoxedImage) -> BoxedScene:
    raster = image.read_raster(recipe.band_names)
    legend = recipe.heads[0].legend
    boxes = image.read_boxes(legend, *raster.grid.shape)
    order = {entry.code: place for place, entry in enumerate(legend.classes[1:])}
    kinds = np.array([order[code] for code in boxes["code"].tolist()], np.int64)
    return BoxedScene(image.name, raster.values.astype(np.uint8), boxes, kinds)


def _somewhere(
    scenes: list[BoxedScene], rng: np.random.Generator, around_objects: float
) -> tuple[BoxedScene, tuple[int, int]]:
    """An image and a pixel of it."""
    if rng.random() < around_objects:
        known = sorted({int(kind) for scene in scenes for kind in scene.kinds})
        kind = known[int(rng.integers(len(known)))]
        holders = [scene for scene in scenes if (scene.kinds == kind).any()]
        scene = holders[int(rng.integers(len(holders)))]
        box = rng.choice(scene.boxes[scene.kinds == kind])
        return scene, (int(box["row"]), int(box["col"]))
    scene = scenes[int(rng.integers(len(scenes)))]
    return scene, (int(rng.integers(scene.values.shape[1])), int(rng.integers(scene.values.shape[2])))


def _cut(values: NDArray[np.uint8], top: int, left: int, seen: int) -> torch.Tensor:
    """A square of an image; what lies beyond it is its mean colour."""
    height, width = values.shape[1:]
    cut = np.broadcast_to(values.mean(axis=(1, 2))[:, None, None], (len(values), seen, seen)).astype(np.float32)
    rows = slice(max(top, 0), min(top + seen, height))
    cols = slice(max(left, 0), min(left + seen, width))
    cut[:, rows.start - top : rows.stop - top, cols.start - left : cols.stop - left] = values[:, rows, cols]
    return torch.from_numpy(cut)


def _turned(layers: torch.Tensor, turns: int, flip: bool) -> torch.Tensor:
    turned = torch.rot90(layers, turns, (1, 2))
    return turned.flip(2) if flip else turned
