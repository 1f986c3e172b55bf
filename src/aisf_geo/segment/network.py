"""A card's network in torch: built without downloads, filled from tensors only, verified by digest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, UnreadableError
from aisf_geo.segment.card import (
    GRAIN_PX,
    BandScaling,
    Head,
    ModelCard,
    ModelFile,
    NetworkSpec,
    verified_bytes,
    write_card,
)

WEIGHTS_FILE = "weights.safetensors"
#: Keyword arguments that the card decides elsewhere, or that would make the network download or answer differently.
RESERVED_OPTIONS = frozenset({"encoder_name", "encoder_weights", "in_channels", "classes", "activation", "aux_params"})
#: Counts training steps; no part of the answer.
UNUSED_SUFFIX = "num_batches_tracked"
#: Variance of a normalised channel up to which its file keeps it; fp16 ends at 65,504.
LARGEST_VARIANCE = 1e4


def build_network(card: ModelCard) -> torch.nn.Module:
    """The card's architecture with random weights; nothing is downloaded.

    One encoder and decoder end in one convolution whose channels are those of all heads, in the card's order.

    Raises:
        DataError: segmentation-models-pytorch knows no such architecture, encoder or option.
    """
    import segmentation_models_pytorch as smp  # 5 s of imports that listing and checking cards does not need

    spec = card.network
    if spec.arch == "siamese":
        raise DataError(f"model {card.name!r}: compares two dates; run `aisf-geo change BEFORE AFTER --method siamese`")
    if reserved := RESERVED_OPTIONS & spec.options.keys():
        raise DataError(
            f"model {card.name!r}: options {sorted(reserved)} are set by other fields of the card; remove them"
        )
    try:
        network: torch.nn.Module = smp.create_model(
            spec.arch,
            encoder_name=spec.encoder,
            encoder_weights=None,
            in_channels=len(card.bands),
            classes=card.output_channels,
            **spec.options,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error.args[0] if error.args else error)[:200]
        raise DataError(
            f"model {card.name!r}: asked for {spec.arch} on {spec.encoder} with {spec.options}, but {reason}; "
            "correct `aisf:network` in the card"
        ) from error
    return network


def load_network(card: ModelCard) -> torch.nn.Module:
    """The card's network for inference: fp32, on the CPU, without gradients (tracing would keep every activation).

    Raises:
        DataError: the weights differ from the card's digest, or do not fit the network it describes.
        UnreadableError: the weights are not safetensors.
    """
    network: torch.nn.Module = fill_network(card, build_network(card))
    return network


def fill_network(card: ModelCard, network: Any) -> Any:
    """``network`` with the card's weights, for inference; see :func:`load_network` for what is raised."""
    content = verified_bytes(card, card.weights)
    try:
        stored = {name: tensor.float() for name, tensor in load(content).items()}
    except SafetensorError as error:
        raise UnreadableError(f"model {card.name!r}: {card.weights.path} is not safetensors ({error})") from error
    wanted = _weights(network)
    if problem := _mismatch(wanted, stored):
        raise DataError(
            f"model {card.name!r}: {card.weights.path} does not fit {card.network.arch} on {card.network.encoder} with "
            f"{len(card.bands)} bands and {card.output_channels} output channels: {problem}; "
            "publish weights and card together"
        )
    network.load_state_dict(stored, strict=False)
    return network.eval().requires_grad_(False)


def adopt_weights(card: ModelCard, weights: Path, folder: Path) -> ModelCard:
    """Writes weights of others and a card for them to ``folder``; they must be exactly the network of the card.

    Raises:
        UnreadableError: the file is not safetensors: pickled checkpoints can run code and are not read.
        DataError: the tensors do not fit the card's network, or exceed fp16.
    """
    network = build_network(card)
    try:
        stored = load(weights.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UnreadableError(
            f"weights {weights}: not safetensors ({error}); save the state dict with `safetensors.torch.save_file`"
        ) from error
    kept = {name: tensor.float() for name, tensor in stored.items() if not name.endswith(UNUSED_SUFFIX)}
    if problem := _mismatch(_weights(network), kept):
        raise DataError(
            f"weights {weights}: do not fit {card.network.arch} on {card.network.encoder} with {len(card.bands)} bands "
            f"and {card.output_channels} output channels: {problem}; correct the card"
        )
    network.load_state_dict(kept, strict=False)
    file = save_weights(network, folder)
    return write_card(card.model_copy(update={"weights": file, "int8": None, "figures": ()}), folder)


def save_weights(network: torch.nn.Module, folder: Path) -> ModelFile:
    """Writes the weights as fp16 and returns what a card says of the file.

    A batch normalisation divides by the root of a variance, which fp16 may not hold: a large one is made smaller, and
    the factor beside it by the root, which is the same function.

    Raises:
        DataError: a weight is not finite in fp16, so that the file would not be the network.
    """
    weights = {**_weights(network), **_smaller_variances(network)}
    tensors = {name: tensor.detach().cpu().half().contiguous() for name, tensor in weights.items()}
    broken = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if broken:
        raise DataError(
            f"weights: {broken[0]} and {len(broken) - 1} more exceed fp16 or are NaN; train at a lower rate"
        )
    content = save(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(content)
    return ModelFile(path=WEIGHTS_FILE, sha256=sha256_bytes(content))


def seeded_model(folder: Path, seed: int = 0, **changes: Any) -> ModelCard:
    """Writes card and weights of a random network: for tests and benchmarks, where only the work counts.

    The logits are scaled so that every class occurs.

    Args:
        folder: where to write; its name becomes the model's.
        seed: equal seeds give equal weights on one machine.
        **changes: fields of :class:`ModelCard` that replace the defaults (RGB, five classes, U-Net, 512 px).
    """
    card = _seeded_card(folder).model_copy(update=changes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(card)
        _standardise_head(network, len(card.bands))
    checked = ModelCard(**{**dict(card), "weights": save_weights(network, folder)})
    return write_card(checked, folder)


def _seeded_card(folder: Path) -> ModelCard:
    classes = tuple(LegendClass(code, f"class-{code}", (50 * code, 255 - 50 * code, 128)) for code in range(5))
    return ModelCard(
        name=folder.name,
        description="A random network: its answers mean nothing.",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        licence="CC0-1.0",
        network=NetworkSpec(arch="unet", encoder="tu-tf_efficientnet_lite0"),
        bands=tuple(BandScaling(name=name, mean=0.0, std=1.0) for name in ("red", "green", "blue")),
        scale="8-bit",
        gsd_m=(0.3, 30.0),
        patch_px=512,
        margin_px=64,
        heads=(Head(name="classes", legend=Legend("seeded", classes)),),
        weights=ModelFile(path=WEIGHTS_FILE, sha256="sha256:" + 64 * "0"),
    )


def _standardise_head(network: torch.nn.Module, bands: int) -> None:
    """Scales the last convolution so that every channel has mean 0 and deviation 1 over an image of noise."""
    network.eval()
    head = network.get_submodule("segmentation_head")
    last = [module for module in head.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        answer = network(torch.randn(1, bands, 4 * GRAIN_PX, 4 * GRAIN_PX))
        mean, deviation = answer.mean((0, 2, 3)), answer.std((0, 2, 3)).clamp_min(1e-6)
        last.weight /= deviation[:, None, None, None]
        if last.bias is not None:
            last.bias.sub_(mean).div_(deviation)


def _weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not name.endswith(UNUSED_SUFFIX)}


def _smaller_variances(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Variances and factors, by name, of the batch normalisations that hold a variance too large."""
    smaller = {}
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_var is not None and module.affine:
            excess = (module.running_var / LARGEST_VARIANCE).clamp_min(1)
            if (excess > 1).any():
                smaller[f"{name}.running_var"] = module.running_var / excess
                smaller[f"{name}.weight"] = module.weight / excess.sqrt()
    return smaller


def _mismatch(wanted: Mapping[str, torch.Tensor], stored: Mapping[str, torch.Tensor]) -> str | None:
    """The first reason why ``stored`` are not the tensors of the network, or None."""
    if missing := sorted(wanted.keys() - stored.keys()):
        return f"{len(missing)} tensors are missing, the first is {missing[0]}"
    if extra := sorted(stored.keys() - wanted.keys()):
        return f"{len(extra)} tensors have no place, the first is {extra[0]}"
    for name, tensor in wanted.items():
        if tensor.shape != stored[name].shape:
            return f"{name} has shape {tuple(stored[name].shape)}, the network needs {tuple(tensor.shape)}"
    return None
