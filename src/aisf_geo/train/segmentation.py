"""Segmentation with several heads on one network, from data sets that each label some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from aisf_geo.evaluate.metrics import UNLABELLED, Confusion, confusion
from aisf_geo.segment.card import GRAIN_PX, Head, ModelCard
from aisf_geo.segment.network import build_network
from aisf_geo.train.crops import CropSampler
from aisf_geo.train.encoder import start_weights
from aisf_geo.train.loop import Predict
from aisf_geo.train.losses import HeadLoss, class_weights
from aisf_geo.train.recipe import TrainRecipe
from aisf_geo.train.scenes import Scene, Split, read_split

#: Largest side of a validation image that is judged in one piece.
WHOLE_PX = 1024
#: Share of a head's labelled validation pixels from which on a class has a say in the score: one false pixel of a class
#: that does not occur would halve the mean of two.
JUDGED_FROM = 0.001


@dataclass(frozen=True)
class _HeadPart:
    """A head, its channels of the network's answer, and the codes of its classes by their place in the legend."""

    head: Head
    channels: slice
    loss: HeadLoss
    codes: NDArray[np.uint8]


class SegmentationTask:
    """A :class:`~aisf_geo.train.loop.Task` for the heads of a recipe.

    The loss is the mean over the heads that have labels in a batch; the score that of their mean IoU over the classes
    that make up :data:`JUDGED_FROM` of what is labelled. A model to start from is looked up in the folders ``models``.
    """

    def __init__(self, recipe: TrainRecipe, card: ModelCard, splits: list[Split], models: Sequence[Path] = ()) -> None:
        self._recipe, self._card, self._splits, self._models = recipe, card, splits, models
        self._sampler = CropSampler(recipe, splits)
        self._parts = list(self._head_parts())
        self._mean = np.array([band.mean for band in recipe.bands], np.float32)[:, None, None]
        self._std = np.array([band.std for band in recipe.bands], np.float32)[:, None, None]

    def build(self) -> torch.nn.Module:
        """See :class:`Task`."""
        network = build_network(self._card)
        start_weights(network, self._recipe.start, self._models)
        return network

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See :class:`Task`."""
        crops = [self._sampler.draw(rng) for _ in range(self._recipe.schedule.batch)]
        images = torch.stack([crop.image for crop in crops])
        nothing = torch.full(images.shape[2:], UNLABELLED)
        truth = {
            part.head.name: torch.stack([crop.truth.get(part.head.name, nothing) for crop in crops])
            for part in self._parts
        }
        return images, truth

    def loss(self, answer: torch.Tensor, target: dict[str, torch.Tensor]) -> torch.Tensor:
        """See :class:`Task`."""
        labelled = sum(bool((truth != UNLABELLED).any()) for truth in target.values())
        losses = [part.loss(answer[:, part.channels], target[part.head.name]) for part in self._parts]
        return torch.stack(losses).sum() / max(labelled, 1)

    def validate(self, predict: Predict) -> dict[str, float]:
        """See :class:`Task`; accuracy and mean IoU of each head, over all its validation scenes."""
        counts: dict[str, Confusion] = {}
        for scene in (scene for split in self._splits for scene in split.validation):
            for image, truth in self._pieces(scene):
                answer = _answered(predict, image)
                for part in (p for p in self._parts if p.head.name in truth):
                    name, best = part.head.name, answer[part.channels].argmax(axis=0)
                    found = confusion(part.codes[truth[name]], part.codes[best], part.head.legend)
                    counts[name] = counts[name] + found if name in counts else found
        return _figures(counts)

    def _head_parts(self) -> Iterator[_HeadPart]:
        first = 0
        for head in self._recipe.heads:
            classes = len(head.legend.classes)
            pixels = np.zeros(256, np.int64)
            for scene in (scene for split in self._splits for scene in split.train if head.name in scene.truth):
                pixels += np.bincount(scene.truth[head.name].ravel(), minlength=256)
            codes = np.full(256, UNLABELLED, np.uint8)
            codes[:classes] = [c.code for c in head.legend.classes]
            weights = class_weights(pixels[:classes].tolist(), self._recipe.schedule.balance)
            yield _HeadPart(head, slice(first, first := first + classes), HeadLoss(weights), codes)

    def _pieces(self, scene: Scene) -> Iterator[tuple[NDArray[np.float32], dict[str, NDArray[np.uint8]]]]:
        """Normalised image and truth of a scene, in pieces that fit in memory."""
        for row in range(0, scene.shape[0], WHOLE_PX):
            for col in range(0, scene.shape[1], WHOLE_PX):
                seen = (slice(row, row + WHOLE_PX), slice(col, col + WHOLE_PX))
                known = scene.valid[seen] & scene.present[:, None, None]
                image = (scene.values[:, *seen].astype(np.float32) - self._mean) / self._std * known
                yield image, {head: np.where(scene.valid[seen], t[seen], UNLABELLED) for head, t in scene.truth.items()}


def _answered(predict: Predict, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores ``(channel, y, x)`` of an image of any size, mirrored to whole grains."""
    height, width = image.shape[1:]
    missing = [(0, -length % GRAIN_PX) for length in (height, width)]
    padded = np.pad(image, [(0, 0), *missing], mode="reflect")
    return predict(torch.from_numpy(padded)[None])[0, :, :height, :width].cpu().numpy()


def _figures(counts: dict[str, Confusion]) -> dict[str, float]:
    figures, judged = {}, []
    for name, matrix in counts.items():
        figures[f"{name}_accuracy"] = matrix.accuracy or 0.0
        figures[f"{name}_mean_iou"] = matrix.mean_iou or 0.0
        if matrix.pixels:
            judged.append(matrix.iou[matrix.counts.sum(axis=1) >= JUDGED_FROM * matrix.pixels].mean())
    return {"score": float(np.mean(judged)) if judged else 0.0, **figures}


def read_splits(recipe: TrainRecipe, data: Path) -> list[Split]:
    """The scenes of all sources; raises as :func:`~aisf_geo.train.scenes.read_split`."""
    return [read_split(recipe, source, data) for source in recipe.sources]
