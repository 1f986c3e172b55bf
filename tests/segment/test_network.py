from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, UnreadableError
from aisf_geo.segment.card import BandScaling, ModelCard, ModelFile, NetworkSpec
from aisf_geo.segment.network import build_network, load_network, save_weights, seeded_model

SPEC = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Two threads that wait for each other on a busy machine are ten times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    return seeded_model(tmp_path_factory.mktemp("models") / "tiny", network=SPEC, patch_px=96, margin_px=32)


def with_weights(card: ModelCard, folder: Path, tensors: dict[str, torch.Tensor]) -> ModelCard:
    """The card with other tensors and a digest that fits them."""
    save_file(tensors, folder / "weights.safetensors")
    digest = sha256_bytes((folder / "weights.safetensors").read_bytes())
    return card.model_copy(update={"folder": folder, "weights": ModelFile(path="weights.safetensors", sha256=digest)})


def test_nothing_is_downloaded(model: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    load_network(model)


def test_loaded_weights_are_the_stored_ones_in_fp32(model: ModelCard) -> None:
    stored = load_file(model.folder / "weights.safetensors")
    loaded = load_network(model).state_dict()

    assert all(tensor.dtype == torch.float16 for tensor in stored.values())
    assert all(torch.equal(loaded[name], tensor.float()) for name, tensor in stored.items())
    assert loaded.keys() - stored.keys() == {name for name in loaded if name.endswith("num_batches_tracked")}


def test_a_loaded_network_is_set_for_inference_and_has_the_cards_channels(model: ModelCard) -> None:
    network = load_network(model)
    with torch.inference_mode():
        answer = network(torch.zeros(1, 3, 96, 96))

    assert not network.training
    assert answer.shape == (1, model.output_channels, 96, 96)


def test_equal_seeds_give_equal_weights(model: ModelCard, tmp_path: Path) -> None:
    again, other = (
        seeded_model(tmp_path / str(seed) / "tiny", seed=seed, network=SPEC, patch_px=96, margin_px=32)
        for seed in (0, 1)
    )

    assert again.weights == model.weights
    assert other.weights != model.weights


def test_every_architecture_of_the_library_can_be_seeded_by_name(tmp_path: Path) -> None:
    card = seeded_model(
        tmp_path / "fpn",
        network=NetworkSpec(arch="fpn", encoder="tu-mobilenetv3_small_050"),
        bands=tuple(BandScaling(name=name, mean=0.1, std=0.05) for name in ("blue", "green", "red", "nir")),
    )
    with torch.inference_mode():
        assert load_network(card)(torch.zeros(1, 4, 64, 64)).shape == (1, 5, 64, 64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("segmentation_head.0.bias"), "1 tensors are missing, the first is segmentation_head.0.bias"),
        (lambda t: t.update(surplus=torch.zeros(1)), "1 tensors have no place, the first is surplus"),
        (lambda t: t.update({"segmentation_head.0.bias": torch.zeros(4)}), r"shape \(4,\), the network needs \(5,\)"),
    ],
)
def test_weights_of_another_network_are_refused(model: ModelCard, tmp_path: Path, change: Any, message: str) -> None:
    tensors = load_file(model.folder / "weights.safetensors")
    change(tensors)

    with pytest.raises(DataError, match=message):
        load_network(with_weights(model, tmp_path, tensors))


def test_weights_for_another_number_of_bands_are_refused(model: ModelCard) -> None:
    two_bands = model.model_copy(update={"bands": model.bands[:2]})
    with pytest.raises(DataError, match=r"with 2 bands.*shape"):
        load_network(two_bands)


def test_a_changed_file_is_refused_by_its_digest(model: ModelCard, tmp_path: Path) -> None:
    content = bytearray((model.folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(content)

    with pytest.raises(DataError, match=r"expected weights\.safetensors with sha256"):
        load_network(model.model_copy(update={"folder": tmp_path}))


def test_a_file_that_is_not_safetensors_is_unreadable(model: ModelCard, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"pickle?")
    file = ModelFile(path="weights.safetensors", sha256=sha256_bytes(b"pickle?"))

    with pytest.raises(UnreadableError, match="not safetensors"):
        load_network(model.model_copy(update={"folder": tmp_path, "weights": file}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (NetworkSpec(arch="vnet", encoder="resnet18"), "Wrong architecture"),
        (NetworkSpec(arch="unet", encoder="nonesuch"), "Wrong encoder name"),
        (NetworkSpec(arch="unet", encoder="tu-nonesuch"), "Unknown model"),
        (NetworkSpec(arch="unet", encoder="resnet18", options={"decoder_channels": [8]}), "decoder_channels"),
        (NetworkSpec(arch="unet", encoder="resnet18", options={"encoder_weights": "imagenet"}), "set by other fields"),
    ],
)
def test_a_network_the_library_cannot_build_is_refused(model: ModelCard, spec: NetworkSpec, message: str) -> None:
    with pytest.raises(DataError, match=message):
        build_network(model.model_copy(update={"network": spec}))


def test_weights_that_fp16_cannot_hold_are_not_written(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(network.weight, 1e6)

    with pytest.raises(DataError, match="exceed fp16"):
        save_weights(network, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_variance_that_fp16_cannot_hold_is_stored_as_the_same_function(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()
    network[1].running_var = torch.logspace(0, 7, 8)
    torch.nn.init.constant_(network[1].weight, 3e3)
    stored = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8)).eval()
    save_weights(network, tmp_path)
    stored.load_state_dict(load_file(tmp_path / "weights.safetensors"), strict=False)

    image = torch.randn(1, 3, 8, 8)
    wrong, answer = (stored(image) - network(image)).abs().amax((0, 2, 3)), network(image).abs().amax((0, 2, 3))
    assert (wrong < 0.01 * answer).all()
