"""Made pairs of dates: equal seeds make equal pairs, masks and change agree, no ground is learnt from and judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from aisf_geo.change.siamese import Answer
from aisf_geo.train.pairs import NOT_KNOWN, Chip, Chips, Pair, make_pair, read_chips
from aisf_geo.train.siamese import CHANNELS, MEAN, STD, tuned


@pytest.fixture(scope="module")
def chips() -> Chips:
    """One town with two houses, one city where nothing is known, one suburb."""
    rng = np.random.default_rng(0)
    ground = rng.integers(90, 130, (160, 160, 3)).astype(np.uint8)
    houses = np.zeros((160, 160), np.uint8)
    houses[30:60, 40:80] = houses[100:130, 20:60] = 1
    town = np.where(houses[..., None] == 1, np.uint8(220), ground)
    nothing = np.full((160, 160), NOT_KNOWN, np.uint8)
    return Chips((Chip(town, houses, 0.5),), (Chip(ground, nothing, 0.5),), (Chip(ground, nothing, 1.0),))


@pytest.fixture(scope="module")
def pairs(chips: Chips) -> list[Pair]:
    torch.set_num_threads(1)
    return [make_pair(np.random.default_rng([5, i]), chips, 96) for i in range(24)]


def test_equal_seeds_make_equal_pairs(chips: Chips, pairs: list[Pair]) -> None:
    again = make_pair(np.random.default_rng([5, 3]), chips, 96)
    assert (again.before == pairs[3].before).all()
    assert (again.change == pairs[3].change).all()


def test_what_was_gained_stands_after_and_what_was_lost_stood_before(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert (pair.buildings[1][pair.change == 1] == 1).all()
        assert (pair.buildings[0][pair.change == 2] == 1).all()


def test_there_are_gains_losses_and_pairs_that_only_look_changed(pairs: list[Pair]) -> None:
    assert any((pair.change == 1).any() for pair in pairs)
    assert any((pair.change == 2).any() for pair in pairs)
    still = [pair for pair in pairs if not np.isin(pair.change, (1, 2)).any()]
    assert still
    assert all(np.abs(pair.before.astype(int) - pair.after).mean() > 2 for pair in still)


def test_no_ground_is_in_two_groups_of_places(tmp_path: Path) -> None:
    files = [f"buildings/{town}/images/{k}-19.jpg" for town in ("zanzibar", "catanduanes") for k in range(3)]
    files += [f"urban_landcover/tile{k}/a.jpg" for k in (1, 5, 7)] + [f"roads/images/{k:02}.jpg" for k in range(20)]
    for number, file in enumerate(files):
        image = tmp_path / file
        mask = image.with_suffix(".png")
        if "buildings" in file:
            mask = image.parents[1] / "masks" / f"{image.stem}.png"
        for path, value in ((image, number * 8), (mask, 0)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), value, np.uint8)).convert("RGB").save(path)
    seen: list[int] = []
    for places in ("train", "tune", "test"):
        found = read_chips(tmp_path, places)
        assert found.towns
        assert found.cities
        assert found.suburbs
        seen += [int(c.image[0, 0, 0]) for c in (*found.towns, *found.cities, *found.suburbs)]
    assert len(seen) == len(set(seen)) == len(files)


class _Reads(torch.nn.Module):
    """Takes the red of the second date, 0..255, for the chance that a building was gained."""

    def forward(self, _before: torch.Tensor, after: torch.Tensor) -> Answer:
        logits = ((after[:, 0] * STD[0] + MEAN[0]) / 255).logit(1e-4)
        none = torch.full_like(logits, -9)
        return Answer(logits, none, none, none)


def test_a_threshold_is_chosen_for_ground_of_which_little_changes() -> None:
    changed: NDArray[np.uint8] = np.zeros((64, 64, CHANNELS), np.uint8)
    changed[:32, :, 3], changed[:32, :, 8] = 200, 1
    changed[:8, :, 3] = 140
    still = np.zeros_like(changed)
    still[:8, :, 3] = 150
    low, _ = tuned(_Reads(), [np.stack([changed])])  # type: ignore[arg-type] # a stand-in for the network
    high, figures = tuned(_Reads(), [np.stack([changed, still])])  # type: ignore[arg-type] # the same
    assert low < 140 / 255 < 150 / 255 < high < 200 / 255
    assert figures["false_alarm_rate"] == 0
