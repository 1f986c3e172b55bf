from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, NoDataError, UnreadableError
from aisf_geo.segment.network import build_network
from aisf_geo.train.augment import changed, kept_bands
from aisf_geo.train.crops import CropSampler
from aisf_geo.train.encoder import imagenet_file, imagenet_weights, start_from_imagenet
from aisf_geo.train.losses import class_weights
from aisf_geo.train.publish import card_of
from aisf_geo.train.recipe import Augment, TrainRecipe
from aisf_geo.train.run import train_model
from aisf_geo.train.scenes import read_split
from aisf_geo.train.segmentation import read_splits
from aisf_geo.train.weather import clouded

Recipes = Callable[..., TrainRecipe]
EVERYTHING = Augment(gain=1, gamma=1, haze=1, colour=1, blur=1, noise=1, jpeg=1)


def pair(folder: Path, mask: np.ndarray, side: int = 64, place: str = "west", name: str = "a") -> None:
    (folder / "roofs" / place).mkdir(parents=True, exist_ok=True)
    image = np.full((side, side, 3), 100, np.uint8)
    Image.fromarray(image).save(folder / "roofs" / place / f"{name}.jpg")
    Image.fromarray(mask).save(folder / "roofs" / place / f"{name}.png")


def test_mask_codes_become_places_in_the_legend_and_places_are_split(recipe: Recipes, data: Path) -> None:
    split = read_split(recipe(), recipe().sources[0], data)
    assert {scene.place for scene in split.train} == {"west"}
    assert {scene.place for scene in split.validation} == {"east"}
    scene = split.train[0]
    assert set(np.unique(scene.truth["roof"])) == {0, 1}
    assert scene.values.dtype == np.uint8
    assert scene.present.all()


def test_a_mask_of_another_size_is_refused(recipe: Recipes, tmp_path: Path) -> None:
    pair(tmp_path, np.zeros((32, 64), np.uint8))
    with pytest.raises(DataError, match=r"has 64 x 32 px, its image a\.jpg has 64 x 64"):
        read_split(recipe(), recipe().sources[0], tmp_path)


def test_a_class_value_that_nobody_explains_is_refused(recipe: Recipes, tmp_path: Path) -> None:
    pair(tmp_path, np.full((64, 64), 9, np.uint8))
    with pytest.raises(DataError, match=r"roofs/a: class values \[9\] in the mask, the legend 'roof' has \[0, 7\]"):
        read_split(recipe(), recipe().sources[0], tmp_path)


def test_a_folder_without_pairs_or_without_training_places_is_refused(recipe: Recipes, tmp_path: Path) -> None:
    (tmp_path / "roofs").mkdir()
    with pytest.raises(NoDataError, match="no pairs"):
        read_split(recipe(), recipe().sources[0], tmp_path)
    pair(tmp_path, np.zeros((64, 64), np.uint8), place="east")
    with pytest.raises(NoDataError, match="leave some to train on"):
        read_split(recipe(), recipe().sources[0], tmp_path)
    with pytest.raises(UnreadableError, match="there is no such folder"):
        train_model(recipe(), tmp_path / "gone", tmp_path / "m", tmp_path / "w")


def test_quadrants_are_joined_and_their_parent_is_left_out(recipe: Recipes, tmp_path: Path) -> None:
    for k, (x, y) in enumerate([(8, 4), (9, 4), (8, 5), (9, 5)]):
        mask = np.full((64, 64), 255, np.uint8)
        mask[0, 0] = k % 2
        pair(tmp_path, mask, name=f"OAM-{x}-{y}-20")
    pair(tmp_path, np.zeros((64, 64), np.uint8), name="OAM-4-2-19")
    pair(tmp_path, np.zeros((64, 64), np.uint8), name="OAM-7-7-19")
    source = recipe().sources[0].model_copy(update={"quadrants": True})
    scenes = read_split(recipe(), source, tmp_path).train

    assert sorted(scene.shape for scene in scenes) == [(64, 64), (128, 128)]
    truth = next(scene for scene in scenes if scene.shape == (128, 128)).truth["roof"]
    assert truth[[0, 0, 64, 64], [0, 64, 0, 64]].tolist() == [0, 1, 0, 1]


def test_crops_have_the_size_and_lie_where_the_truth_does(recipe: Recipes, data: Path) -> None:
    still = Augment(gain=0, gamma=0, haze=0, colour=0, blur=0, noise=0, jpeg=0)
    wanted = recipe().model_copy(update={"augment": still})
    sampler = CropSampler(wanted, read_splits(wanted, data))
    rng = np.random.default_rng(0)
    for _ in range(20):
        crop = sampler.draw(rng)
        (truth,) = crop.truth.values()
        assert crop.image.shape == (3, 64, 64)
        assert truth.shape == (64, 64)
        if (truth == 1).any() and (truth == 0).any():
            assert crop.image[:, truth == 1].mean() > crop.image[:, truth == 0].mean() + 1


@pytest.mark.parametrize("bands", [3, 7])
def test_changes_keep_shape_and_numbers_finite_and_repeat_with_the_state(bands: int) -> None:
    settings = EVERYTHING if bands == 3 else EVERYTHING.model_copy(update={"jpeg": 0.0})
    full_scale = 255.0 if bands == 3 else 1.0
    image = torch.rand(bands, 48, 48) * full_scale
    torch.manual_seed(3)
    one = changed(image, settings, full_scale)
    torch.manual_seed(3)
    again = changed(image, settings, full_scale)
    assert torch.equal(one, again)
    assert torch.isfinite(one).all()
    assert one.shape == image.shape
    assert not torch.equal(one, image)
    assert torch.equal(image, changed(image, Augment(**dict.fromkeys(_SHARES, 0.0)), full_scale))


_SHARES = ("gain", "gamma", "haze", "colour", "blur", "noise", "jpeg")


def test_bands_are_taken_away_in_the_sets_of_the_recipe() -> None:
    torch.manual_seed(0)
    names = ("coastal", "red", "swir16")
    drawn = {
        tuple(kept_bands(names, Augment(drop_bands=(("coastal",), ("coastal", "swir16")))).tolist()) for _ in range(40)
    }
    assert drawn == {(True, True, True), (False, True, True), (False, True, False)}


def test_drawn_clouds_are_bright_labelled_and_hide_the_ground() -> None:
    bands = ("blue", "green", "red", "nir", "swir16")
    torch.manual_seed(1)
    ground = torch.full((5, 96, 96), 0.1)
    truth = {"cloud": torch.zeros(96, 96, dtype=torch.long), "water": torch.ones(96, 96, dtype=torch.long)}
    image, labels = clouded(ground, bands, truth)
    sky = labels["cloud"]

    assert {0, 1, 2} <= set(sky.unique().tolist()) <= {0, 1, 2, 255}
    assert image[2][sky == 1].mean() > 0.2 > image[2][sky == 0].mean()
    assert image[3][sky == 2].mean() < 0.1
    assert (labels["water"][sky == 1] == 255).all()
    assert (labels["water"][sky != 1] == 1).all()
    assert (truth["cloud"] == 0).all()


def test_rare_classes_weigh_more_and_the_mean_over_pixels_is_one() -> None:
    weights = class_weights([9000, 900, 100], 0.5)
    assert weights[0] < weights[1] < weights[2] <= 10 * weights[0] * 1.0001
    assert float(weights @ torch.tensor([0.9, 0.09, 0.01])) == pytest.approx(1)
    assert torch.equal(class_weights([5, 1], 0.0), torch.ones(2))


def lite0(recipe: Recipes, bands: int = 3) -> TrainRecipe:
    names = ("red", "green", "blue", "nir", "swir16")[:bands]
    return recipe(
        network={"encoder": "tu-tf_efficientnet_lite0"},
        bands=[{"name": name, "mean": 110.0, "std": 50.0} for name in names],
    )


def test_the_encoder_takes_imagenets_weights_in_order(recipe: Recipes) -> None:
    network = build_network(card_of(lite0(recipe)))
    start_from_imagenet(network)
    encoder = {n: t for n, t in network.get_submodule("encoder").state_dict().items() if "num_batches" not in n}
    stored = imagenet_weights()

    assert len(stored) == len(encoder) + 7  # the head: one convolution, its normalisation, the classifier
    for (ours, tensor), (theirs, kept) in zip(encoder.items(), stored, strict=False):
        assert torch.equal(tensor, kept)
        assert ours.rsplit(".", 1)[1] == theirs.rsplit(".", 1)[1]
        assert ("conv_dw" in ours) == ("_depthwise_conv" in theirs)
        assert ("conv" in ours) == ("conv" in theirs)


def test_the_packages_weights_are_those_its_file_name_promises() -> None:
    path = imagenet_file()
    assert sha256_bytes(path.read_bytes()).removeprefix("sha256:").startswith(path.stem.rsplit("-", 1)[1])


def test_more_bands_take_rgbs_filters_in_turn_and_another_encoder_is_refused(recipe: Recipes) -> None:
    network = build_network(card_of(lite0(recipe, bands=5)))
    start_from_imagenet(network)
    stem = network.state_dict()["encoder.model.conv_stem.weight"]
    stored = imagenet_weights()[0][1]
    assert torch.allclose(stem[:, :3] * 5 / 3, stored)
    assert torch.allclose(stem[:, 3:] * 5 / 3, stored[:, :2])
    with pytest.raises(DataError, match="use tu-tf_efficientnet_lite0"):
        start_from_imagenet(build_network(card_of(recipe())))
