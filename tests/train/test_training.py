from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aisf_geo.errors import DataError, OutputError
from aisf_geo.segment.card import load_card
from aisf_geo.segment.network import load_network
from aisf_geo.train.loop import CHECKPOINT, Predict, train
from aisf_geo.train.publish import card_of
from aisf_geo.train.recipe import Schedule, TrainRecipe
from aisf_geo.train.run import train_model
from aisf_geo.train.segmentation import SegmentationTask, read_splits

Recipes = Callable[..., TrainRecipe]


def quiet(_line: str) -> None:
    pass


def task_of(recipe: TrainRecipe, data: Path) -> SegmentationTask:
    return SegmentationTask(recipe, card_of(recipe), read_splits(recipe, data))


def tensors(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(tensor, tensors(other)[name]) for name, tensor in tensors(one).items())


class Line:
    """The smallest task: a straight line through noise."""

    def build(self) -> torch.nn.Module:
        return torch.nn.Conv2d(1, 1, 1)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = torch.from_numpy(rng.normal(size=(4, 1, 8, 8)).astype(np.float32))
        return inputs, 3 * inputs - 1 + 0.01 * torch.randn_like(inputs)

    def loss(self, answer: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return ((answer - target) ** 2).mean()

    def validate(self, predict: Predict) -> dict[str, float]:
        return {"score": float(predict(torch.ones(1, 1, 1, 1)))}


def test_another_task_learns_through_the_same_loop(tmp_path: Path) -> None:
    trained = train(Line(), Schedule(steps=150, rate=0.1, ema=0.9), tmp_path, report=quiet)
    assert trained.figures["score"] == pytest.approx(2, abs=0.05)
    assert not trained.network.training


@pytest.mark.parametrize("stops_at", [3])
def test_a_resumed_training_ends_in_the_same_bits(
    recipe: Recipes, data: Path, tmp_path: Path, stops_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = recipe()
    whole = train(task_of(wanted, data), wanted.schedule, tmp_path / "whole", report=quiet)

    interrupted = task_of(wanted, data)
    monkeypatch.setattr("aisf_geo.train.loop.CHECKPOINT_EVERY_S", 0.0)
    steps = 0

    def stopping(answer: torch.Tensor, target: dict[str, torch.Tensor]) -> torch.Tensor:
        nonlocal steps
        if steps == stops_at:
            raise KeyboardInterrupt
        steps += 1
        return SegmentationTask.loss(interrupted, answer, target)

    interrupted.loss = stopping  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(interrupted, wanted.schedule, tmp_path / "parts", report=quiet)
    resumed = train(task_of(wanted, data), wanted.schedule, tmp_path / "parts", resume=True, report=quiet)

    assert same(whole.network, resumed.network)
    assert whole.figures == resumed.figures


def test_the_seed_decides_the_weights(recipe: Recipes, data: Path, tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> torch.nn.Module:
        wanted = recipe(schedule={"steps": 2, "seed": seed})
        return train(task_of(wanted, data), wanted.schedule, tmp_path / name, report=quiet).network

    first = weights("a", 1)
    assert same(first, weights("b", 1))
    assert not same(first, weights("c", 2))


def test_training_finds_bright_squares_and_publishes_what_it_learnt(
    recipe: Recipes, data: Path, tmp_path: Path
) -> None:
    wanted = recipe(schedule={"steps": 20, "batch": 4})
    card = train_model(wanted, data, tmp_path / "tiny", tmp_path / "work", report=quiet)

    rows = [json.loads(line) for line in (tmp_path / "work" / "log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    record = json.loads((tmp_path / "tiny" / "training.json").read_text())
    assert losses[-1] < 0.6 * losses[0]
    assert record["figures"]["score"] > 0.6
    assert record["weights"] == card.weights.sha256
    assert (tmp_path / "tiny" / "curves.png").read_bytes().startswith(b"\x89PNG")
    load_network(load_card(tmp_path / "tiny"))


def test_worse_weights_do_not_replace_better_ones_without_force(recipe: Recipes, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny"

    def trained(name: str, force: bool = False) -> str:
        wanted = recipe(schedule={"steps": 1, "seed": len(name)})
        return train_model(wanted, data, out, tmp_path / name, force=force, report=quiet).weights.sha256

    first = trained("a")
    record = json.loads((out / "training.json").read_text())
    record["figures"]["score"] = 0.99
    (out / "training.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match=r"validation score 0\.9900, the new ones have 0\..*--force"):
        trained("bb")
    assert load_card(out).weights.sha256 == first
    assert trained("ccc", force=True) != first


def test_weights_of_unknown_score_are_kept_before_any_time_is_spent(
    recipe: Recipes, data: Path, tmp_path: Path
) -> None:
    train_model(recipe(schedule={"steps": 1}), data, tmp_path / "tiny", tmp_path / "work", report=quiet)
    (tmp_path / "tiny" / "training.json").unlink()
    with pytest.raises(OutputError, match="unknown"):
        train_model(recipe(), data, tmp_path / "tiny", tmp_path / "other", report=quiet)
    assert not (tmp_path / "other").exists()


def test_a_checkpoint_in_the_way_of_another_recipe_or_broken_is_refused(tmp_path: Path) -> None:
    schedule = Schedule(steps=1)
    train(Line(), schedule, tmp_path, fingerprint="one", report=quiet)
    with pytest.raises(OutputError, match="--resume"):
        train(Line(), schedule, tmp_path, fingerprint="one", report=quiet)
    with pytest.raises(OutputError, match="another recipe"):
        train(Line(), schedule, tmp_path, fingerprint="two", resume=True, report=quiet)
    (tmp_path / CHECKPOINT).write_bytes(b"no")
    with pytest.raises(OutputError, match="not a checkpoint"):
        train(Line(), schedule, tmp_path, fingerprint="one", resume=True, report=quiet)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    class Broken(Line):
        def loss(self, answer: torch.Tensor, target: Any) -> torch.Tensor:
            return answer.mean() * float("nan")

    with pytest.raises(DataError, match="the loss is nan at step 0"):
        train(Broken(), Schedule(steps=2), tmp_path, report=quiet)


def test_heads_without_labels_get_no_gradient(recipe: Recipes, data: Path) -> None:
    task = task_of(recipe(), data)
    answer = torch.randn(2, 4, 64, 64, requires_grad=True)
    _, target = task.batch(np.random.default_rng(0))
    target["pond"] = torch.full_like(target["pond"], 255)
    target["roof"] = torch.ones_like(target["roof"])
    target["roof"][:, :8] = 255
    task.loss(answer, target).backward()

    assert answer.grad is not None
    assert (answer.grad[:, 2:] == 0).all()
    assert (answer.grad[:, :2, :8] == 0).all()
    assert (answer.grad[:, :2, 8:] != 0).any()


def test_a_batch_without_any_label_changes_nothing(recipe: Recipes, data: Path) -> None:
    task = task_of(recipe(), data)
    answer = torch.randn(2, 4, 64, 64, requires_grad=True)
    nothing = {name: torch.full((2, 64, 64), 255) for name in ("roof", "pond")}
    loss = task.loss(answer, nothing)
    loss.backward()
    assert float(loss.detach()) == 0
    assert answer.grad is not None
    assert (answer.grad == 0).all()


def test_a_false_pixel_of_a_class_that_does_not_occur_hardly_moves_the_score(recipe: Recipes, data: Path) -> None:
    classes = [
        {"code": code, "name": name, "colour": [code, 0, 0], "role": "other"}
        for code, name in ((0, "other"), (7, "roof"), (9, "tank"))
    ]
    pond = json.loads(recipe().heads[1].model_dump_json())
    task = task_of(recipe(heads=[{"name": "roof", "legend": {"name": "roof", "classes": classes}}, pond]), data)

    def score(tanks: int) -> float:
        answer = torch.zeros(1, 5, 96, 96)
        answer[:, [0, 3]] = 1
        answer[:, 2, 0, :tanks] = 2
        return task.validate(lambda _: answer)["score"]

    assert score(0) == pytest.approx(score(1), abs=1e-3)
    assert score(0) != score(1)
