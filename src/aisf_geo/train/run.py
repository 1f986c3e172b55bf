"""One training from recipe to published model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from aisf_geo.errors import UnreadableError
from aisf_geo.segment.card import ModelCard
from aisf_geo.settings import usable_cores
from aisf_geo.shipped import shipped
from aisf_geo.train.loop import Task, train
from aisf_geo.train.objects import ObjectTask, read_boxed_splits
from aisf_geo.train.publish import card_of, check_replaceable, publish
from aisf_geo.train.recipe import TrainRecipe
from aisf_geo.train.segmentation import SegmentationTask, read_splits


def train_model(
    recipe: TrainRecipe,
    data: Path,
    out: Path,
    work: Path,
    *,
    resume: bool = False,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> ModelCard:
    """Trains what a recipe says on the data below ``data`` and publishes it to ``out``.

    Args:
        recipe: what to train.
        data: folder that the recipe's sources lie in.
        out: the model's folder.
        work: folder for checkpoint and log.
        resume: continue the checkpoint in ``work``.
        force: replace better weights in ``out``.
        report: gets a line now and then.

    Raises:
        AisfGeoError: a source that cannot be used, a checkpoint in the way, or better weights in ``out``.
    """
    if not data.is_dir():
        raise UnreadableError(f"data {data}: there is no such folder; give the one that holds the recipe's sources")
    if not force:
        check_replaceable(out)
    torch.set_num_threads(usable_cores())
    task = _task(recipe, data, [out.parent, shipped("models")], report)
    trained = train(task, recipe.schedule, work, fingerprint=recipe.fingerprint, resume=resume, report=report)
    return publish(recipe, trained, out, force=force)


def _task(recipe: TrainRecipe, data: Path, models: list[Path], report: Callable[[str], None]) -> Task:
    splits = read_boxed_splits(recipe, data) if recipe.detection else read_splits(recipe, data)
    for split in splits:
        report(f"{split.source.path}: {len(split.train)} scenes to train on, {len(split.validation)} to validate")
    kind = ObjectTask if recipe.detection else SegmentationTask
    return kind(recipe, card_of(recipe), splits, models)  # type: ignore[arg-type]  # each kind gets its own splits
