"""The siamese network: swapping the dates swaps its answers, by construction; its card goes through evaluate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from aisf_geo.change.siamese import MARGIN_PX, SiameseModel, SiameseNetwork, _mirrored
from aisf_geo.errors import DataError
from aisf_geo.evaluate.change import evaluate_change
from aisf_geo.segment.card import ModelCard, write_card
from aisf_geo.segment.network import seeded_model
from aisf_geo.train.siamese import card_of


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "building-change"
    network = SiameseNetwork().eval()
    return write_card(card_of(network, folder, 0.5), folder)


def two_pictures(side: int = 200) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (3, side, side)).astype(np.float32) for _ in range(2)]


def test_swapping_the_dates_swaps_gained_and_lost(card: ModelCard) -> None:
    model = SiameseModel(card)
    before, after = two_pictures()
    there, back = model.probabilities(before, after), model.probabilities(after, before)
    assert np.allclose(there.gained, back.lost, atol=1e-5)
    assert np.allclose(there.lost, back.gained, atol=1e-5)
    assert np.allclose(there.before, back.after, atol=1e-5)
    assert not np.allclose(there.gained, there.lost, atol=1e-3), "a network that cannot tell the order would pass"


def test_a_model_of_one_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="interprets one date"):
        SiameseModel(seeded_model(tmp_path / "single"))


@pytest.mark.parametrize(("start", "stop", "limit"), [(-64, 90, 40), (0, 32, 32), (-64, 65, 1)])
def test_pictures_are_continued_by_their_mirror_image(start: int, stop: int, limit: int) -> None:
    index = _mirrored(start, stop, limit)
    assert len(index) % 32 == 0
    assert len(index) >= stop - start
    assert index.min() >= 0
    assert index.max() < limit
    assert start == 0 or index[MARGIN_PX] == 0


@pytest.mark.parametrize("changed", [1, 255])
def test_evaluate_reads_pairs_and_their_masks(card: ModelCard, tmp_path: Path, changed: int) -> None:
    for name in ("A", "B", "label"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(1)
    mask = np.zeros((96, 96), np.uint8)
    mask[20:40, 20:40] = changed
    for k in range(2):
        for date in ("A", "B"):
            Image.fromarray(rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)).save(tmp_path / date / f"{k}.png")
        Image.fromarray(mask).save(tmp_path / "label" / f"{k}.png")
    document = evaluate_change(card, tmp_path)
    assert document["pixels"] == 2 * 96 * 96
    assert [row["name"] for row in document["classes"]] == ["unchanged", "changed"]
    assert document["classes"][1]["pixels"] == 2 * 400
    assert {"model", "head", "data", "accuracy", "mean_iou", "places", "interval"} <= document.keys()
