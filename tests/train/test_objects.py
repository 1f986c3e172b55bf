from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from aisf_geo.segment.card import Detection
from aisf_geo.segment.detect import find_objects
from aisf_geo.train.loop import train
from aisf_geo.train.objects import ObjectTask, heat_and_sizes, read_boxed_splits
from aisf_geo.train.publish import card_of
from aisf_geo.train.recipe import TrainRecipe, parse_train_recipe

SIDE = 96


@given(st.integers(0, 10_000))
def test_the_target_read_as_an_answer_gives_the_boxes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = [(r + rng.uniform(0, 4), c + rng.uniform(0, 4)) for r in (12, 48, 84) for c in (12, 48, 80)]
    boxes = np.array([(*centre, *rng.uniform(8, 24, 2)) for centre in centres])
    kinds = rng.integers(0, 2, len(boxes))
    target = heat_and_sizes(boxes, kinds, 2, SIDE).numpy()
    logits = np.log(np.clip(target[:2], 1e-6, 1 - 1e-6) / (1 - np.clip(target[:2], 1e-6, 1 - 1e-6)))
    detection = Detection(score_above=0.5, largest_px=40)
    found = find_objects(logits, target[2:], np.ones((SIDE, SIDE), np.bool_), np.array([0, 1, 2], np.uint8), detection)
    found = np.sort(found, order=["row", "col"])
    expected = boxes[np.lexsort((np.floor(boxes[:, 1]), np.floor(boxes[:, 0])))]
    assert len(found) == len(boxes)
    assert np.abs(found["row"] - expected[:, 0]).max() <= 0.5
    assert np.allclose(found["height_px"], expected[:, 2], rtol=1e-4)
    assert np.allclose(found["width_px"], expected[:, 3], rtol=1e-4)


def recipe() -> TrainRecipe:
    classes = [{"code": k, "name": n, "colour": [k, k, k]} for k, n in enumerate(("none", "car"))]
    return parse_train_recipe(
        {
            "name": "finder",
            "description": "",
            "licence": "CC0-1.0",
            "network": {"arch": "unet", "encoder": "tu-mobilenetv3_small_050"},
            "start": None,
            "bands": [{"name": name, "mean": 100, "std": 50} for name in ("red", "green", "blue")],
            "scale": "8-bit",
            "gsd_m": [0.1, 0.2],
            "patch_px": 64,
            "margin_px": 0,
            "heads": [{"name": "thing", "legend": {"name": "things", "classes": classes}}],
            "detection": {"score_above": 0.3, "largest_px": 40},
            "sources": [
                {
                    **{"path": "things", "heads": {"thing": {}}, "share": 1, "licence": "CC0-1.0", "attribution": ""},
                    **{"test": ["c"], "validation": ["b"]},
                }
            ],
            "augment": dict.fromkeys(("gain", "gamma", "haze", "colour", "blur", "noise"), 0),
            "schedule": {"steps": 2, "batch": 2, "crop_px": 64, "validations": 1},
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data/things"
    folder.mkdir(parents=True)
    (folder / "things.names").write_text("car\n")
    for track in "abc":
        pixels = np.full((90, 110, 3), 90, np.uint8)
        pixels[40:52, 30:50] = 250
        Image.fromarray(pixels).save(folder / f"{track}-0001.jpg")
        (folder / f"{track}-0001.txt").write_text(f"0 {40 / 110} {46 / 90} {20 / 110} {12 / 90}\n")
    return tmp_path / "data"


def test_images_are_split_by_their_tracks(data: Path) -> None:
    (split,) = read_boxed_splits(recipe(), data)
    assert [[s.name for s in part] for part in (split.train, split.validation)] == [["a-0001"], ["b-0001"]]


def test_a_crop_and_its_target_turn_together(data: Path) -> None:
    task = ObjectTask(recipe(), card_of(recipe()), read_boxed_splits(recipe(), data))
    judged = 0
    for seed in range(20):
        for image, target in zip(*task.batch(np.random.default_rng(seed)), strict=True):
            bright = (image.mean(dim=0) > 1).numpy()
            rows, cols = np.nonzero(bright)
            if len(rows) and rows.min() > 0 and rows.max() < 63 and cols.min() > 0 and cols.max() < 63:
                row, col = np.unravel_index(int(target[0].argmax()), target[0].shape)
                height, width = target[-2:, row, col].exp().tolist()
                assert (row, col) == pytest.approx(
                    ((rows.min() + rows.max()) / 2, (cols.min() + cols.max()) / 2), abs=2
                )
                assert (height, width) == pytest.approx((np.ptp(rows) + 1, np.ptp(cols) + 1), abs=2.5)
                judged += 1
    assert judged > 5


@pytest.mark.slow
def test_a_detector_is_trained_by_the_same_loop(data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    task = ObjectTask(recipe(), card_of(recipe()), read_boxed_splits(recipe(), data))
    trained = train(task, recipe().schedule, tmp_path / "work", report=lambda _: None)
    assert {"score", "score_above", "ap50"} <= trained.figures.keys()
    assert trained.network(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 64, 64)
