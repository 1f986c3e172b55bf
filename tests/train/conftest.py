from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aisf_geo.train.recipe import TrainRecipe, parse_train_recipe


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Two threads that wait for each other on a busy machine are ten times slower than one."""
    torch.set_num_threads(1)


def two_class_head(name: str, other: str) -> dict[str, Any]:
    classes = [
        {"code": 0, "name": "other", "colour": [0, 0, 0], "role": "other"},
        {"code": 7, "name": other, "colour": [255, 0, 0], "role": "other"},
    ]
    return {"name": name, "legend": {"name": name, "classes": classes}}


def recipe_content() -> dict[str, Any]:
    """A network small enough to train in seconds, two data sets that each label one head."""
    source = {"share": 1.0, "validation": ["east"], "licence": "CC0-1.0", "attribution": "nobody"}
    return {
        "name": "tiny",
        "description": "Bright things.",
        "licence": "CC0-1.0",
        "network": {
            "arch": "unet",
            "encoder": "tu-mobilenetv3_small_050",
            "options": {"decoder_channels": [16, 16, 8, 8, 8]},
        },
        "start": None,
        "bands": [{"name": n, "mean": 110.0, "std": 50.0} for n in ("red", "green", "blue")],
        "scale": "8-bit",
        "gsd_m": [0.3, 2.0],
        "patch_px": 64,
        "margin_px": 0,
        "heads": [two_class_head("roof", "roof"), two_class_head("pond", "pond")],
        "sources": [
            {"path": "roofs", "heads": {"roof": {1: 7}}, **source},
            {"path": "ponds", "heads": {"pond": {1: 7}}, **source},
        ],
        "augment": {"jpeg": 0.3},
        "schedule": {"steps": 5, "batch": 2, "crop_px": 64, "rate": 0.01, "warmup_steps": 2, "validations": 1},
    }


def write_pairs(folder: Path, count: int = 2, side: int = 96, seed: int = 0) -> None:
    """Images with a bright square, and masks of it, in two places."""
    rng = np.random.default_rng(seed)
    for place in ("west", "east"):
        (folder / place).mkdir(parents=True)
        for k in range(count):
            image = rng.normal(90, 15, (side, side, 3))
            mask = np.zeros((side, side), np.uint8)
            row, col = rng.integers(5, side - 45, 2)
            mask[row : row + 40, col : col + 40] = 1
            image[mask == 1] += 90
            Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / place / f"{k}.jpg", quality=95)
            Image.fromarray(mask).save(folder / place / f"{k}.png")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pairs(folder / "roofs")
    write_pairs(folder / "ponds", seed=1)
    return folder


@pytest.fixture
def recipe() -> Callable[..., TrainRecipe]:
    def changed(**changes: Any) -> TrainRecipe:
        content = recipe_content()
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(value, dict) else value
        return parse_train_recipe(content)

    return changed
