"""The card of a model: a STAC item with the MLM extension, beside the weights it describes.

What the MLM extension (1.4) has a field for is written there and read from there; the rest of what inference needs
carries the prefix ``aisf:``. A card is read once, checked, and trusted from then on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from aisf_geo.domain.legend import Legend
from aisf_geo.domain.provenance import sha256_json
from aisf_geo.errors import DataError, LegendError, UnreadableError, UsageError

CARD_FILE = "item.json"
MLM_SCHEMA = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
EXTENSIONS = [
    MLM_SCHEMA,
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
#: Encoders halve the resolution five times. Patches that start a whole number of grains apart agree to 1e-5 far from
#: their borders; half a grain changes 0.3 % of the labels (decision 0004).
GRAIN_PX = 32
#: First bytes of a multihash that holds a SHA-256 (STAC file extension, ``file:checksum``).
SHA256_MULTIHASH = "1220"

#: Arithmetic whose loss against the fp32 reference a card states.
ReducedPrecision = Literal["bf16", "int8"]
#: What the numbers are that the normalisation expects: reflectance 0..1, or 8-bit display numbers 0..255.
Scale = Literal["reflectance", "8-bit"]

Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class BandScaling(_Strict):
    """One input band: STAC common name, and the fixed statistics it is normalised with, in the card's scale."""

    name: str
    mean: float
    std: Positive


class NetworkSpec(_Strict):
    """What to build: names of segmentation-models-pytorch, and keyword arguments of its architecture."""

    arch: str
    encoder: str
    options: dict[str, JsonValue] = {}


class Head(_Strict):
    """One question the network answers; its channels are the classes of ``legend`` in ascending order of code.

    Attributes:
        temperature: logits are divided by it before the softmax, so that confidence means probability.
        unknown_below: probability of the best class under which a pixel is ``unknown``.
    """

    name: str
    legend: Legend
    temperature: Positive = 1.0
    unknown_below: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ModelFile(_Strict):
    """A file of the model: path inside its folder, and SHA-256 as ``sha256:<hex>``."""

    path: str
    sha256: Annotated[str, Field(pattern="^sha256:[0-9a-f]{64}$")]

    @field_validator("path")
    @classmethod
    def _inside_the_folder(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.name:
            raise ValueError("must be a relative path inside the model's folder")
        return path


class TrainingData(_Strict):
    """A data set the weights were trained on, with the terms that come with it."""

    name: str
    licence: str
    attribution: str


class ModelCard(_Strict):
    """Everything needed to run a model and to say where it comes from.

    Attributes:
        name: as on the command line; also the name of the model's folder.
        licence: SPDX expression of the weights.
        gsd_m: ground sample distances the model is meant for, finest and coarsest.
        patch_px: side of the square the network sees; a multiple of 32.
        margin_px: width of the patch border whose answer is discarded, see decision 0004; a multiple of 32.
        heads: the first is the main one.
        int8: OpenVINO IR, ``.xml`` then ``.bin``, or None where none was built.
        iou_loss_points: measured loss of mean IoU against the fp32 reference, in points (hundredths).
        seconds_per_mpx: by ``<runtime>-<precision>``, per 1e6 network-input pixels on two cores.
        folder: where the card was read from; not part of the card.
    """

    name: Annotated[str, Field(pattern="^[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]$")]
    description: str
    created: datetime
    licence: str
    network: NetworkSpec
    bands: Annotated[tuple[BandScaling, ...], Field(min_length=1)]
    scale: Scale
    gsd_m: tuple[Positive, Positive]
    patch_px: Annotated[int, Field(gt=0, multiple_of=GRAIN_PX)]
    margin_px: Annotated[int, Field(ge=0, multiple_of=GRAIN_PX)]
    heads: Annotated[tuple[Head, ...], Field(min_length=1)]
    weights: ModelFile
    training_data: tuple[TrainingData, ...] = ()
    int8: tuple[ModelFile, ModelFile] | None = None
    iou_loss_points: dict[ReducedPrecision, float] = {}
    seconds_per_mpx: dict[str, Positive] = {}
    folder: Path = Field(default=Path(), exclude=True, strict=False)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.stride_px < GRAIN_PX:
            raise ValueError(f"patch_px - 2 * margin_px must be at least {GRAIN_PX}, is {self.stride_px}")
        for what, names in (("bands", self.band_names), ("heads", tuple(head.name for head in self.heads))):
            if len(set(names)) < len(names):
                raise ValueError(f"{what} must have different names, found {names}")
        if self.gsd_m[0] > self.gsd_m[1]:
            raise ValueError(f"gsd_m must be (finest, coarsest), found {self.gsd_m}")
        return self

    @property
    def stride_px(self) -> int:
        """Distance between neighbouring patches."""
        return self.patch_px - 2 * self.margin_px

    @property
    def band_names(self) -> tuple[str, ...]:
        """STAC common names in the network's order."""
        return tuple(band.name for band in self.bands)

    @property
    def output_channels(self) -> int:
        """Channels of the network's output: those of every head, one after the other."""
        return sum(len(head.legend.classes) for head in self.heads)

    @cached_property
    def version(self) -> str:
        """Digest of everything that decides a label: weights, normalisation, lattice, legends, thresholds."""
        deciding = {"network", "bands", "scale", "patch_px", "margin_px", "heads", "weights", "int8"}
        return sha256_json(self.model_dump(mode="json", include=deciding))


def load_card(folder: Path) -> ModelCard:
    """The card in ``folder/item.json``.

    Raises:
        UnreadableError: there is no such file, or it is not JSON.
        DataError: a field is missing or has a wrong value.
    """
    path = folder / CARD_FILE
    try:
        item = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableError(
            f"model card {path}: cannot be read ({error.strerror}); give a folder with {CARD_FILE}"
        ) from error
    except ValueError as error:
        raise UnreadableError(f"model card {path}: not JSON ({error}); write it again or fetch it anew") from error
    try:
        fields = _fields_of(item)
        return ModelCard.model_validate_json(json.dumps(fields)).model_copy(update={"folder": folder})
    except KeyError as error:
        raise DataError(
            f"model card {path}: the key {error.args[0]!r} is missing; write the card with `write_card`"
        ) from error
    except ValidationError as error:
        raise DataError(f"model card {path}: {_first_problem(error)}") from error
    except (LegendError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"model card {path}: not a STAC item of a model ({error})") from error


def write_card(card: ModelCard, folder: Path) -> ModelCard:
    """Writes ``folder/item.json`` and returns the card as it would be loaded from there."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_item_of(card), indent=2, ensure_ascii=False)
    (folder / CARD_FILE).write_text(text + "\n", encoding="utf-8")
    return card.model_copy(update={"folder": folder})


def list_models(folders: Iterable[Path]) -> dict[str, Path]:
    """Model name to folder, sorted by name; of two models of one name the one in the earlier folder."""
    found: dict[str, Path] = {}
    for parent in folders:
        for path in parent.glob(f"*/{CARD_FILE}"):
            found.setdefault(path.parent.name, path.parent)
    return dict(sorted(found.items()))


def find_model(name: str, folders: Iterable[Path]) -> ModelCard:
    """The card of the model called ``name``.

    Raises:
        UsageError: no folder holds such a model; the message lists those there are.
        DataError: its card cannot be used, or was made for another name.
    """
    known = list_models(folders)
    if name not in known:
        raise UsageError(f"model: asked for {name!r}, found {', '.join(known) or 'none'}; see `aisf-geo models list`")
    card = load_card(known[name])
    if card.name != name:
        raise DataError(f"model {name!r}: the card in {card.folder} is for {card.name!r}; rename the folder")
    return card


def verified_bytes(card: ModelCard, file: ModelFile) -> bytes:
    """The content of a file of the model, exactly as the card states it.

    Raises:
        UnreadableError: the file cannot be read.
        DataError: its digest is not the one in the card.
    """
    path = card.folder / file.path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"model {card.name!r}: {path} cannot be read ({error.strerror}); restore it") from error
    found = "sha256:" + hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"model {card.name!r}: expected {file.path} with {file.sha256}, found {found}; "
            "restore the file that belongs to the card, or publish it with a new card"
        )
    return content


def _fields_of(item: dict[str, Any]) -> dict[str, Any]:
    """The fields of :class:`ModelCard` as JSON values, from a STAC item."""
    properties, assets = item["properties"], item["assets"]
    (image,) = properties["mlm:input"]
    return {
        "name": properties["mlm:name"],
        "description": properties["description"],
        "created": properties["datetime"],
        "licence": properties["license"],
        "network": properties["aisf:network"],
        "bands": [
            {"name": name, "mean": scaling["mean"], "std": scaling["stddev"]}
            for name, scaling in zip(image["bands"], image["value_scaling"], strict=True)
        ],
        "scale": properties["aisf:scale"],
        "gsd_m": properties["aisf:gsd_m"],
        "patch_px": image["input"]["shape"][-1],
        "margin_px": properties["aisf:margin_px"],
        "heads": [_head_fields(output) for output in properties["mlm:output"]],
        "weights": _file_fields(assets["weights"]),
        "training_data": properties["aisf:training_data"],
        "int8": [_file_fields(assets[key]) for key in ("int8", "int8-weights")] if "int8" in assets else None,
        "iou_loss_points": properties["aisf:iou_loss_points"],
        "seconds_per_mpx": properties["aisf:seconds_per_mpx"],
    }


def _head_fields(output: dict[str, Any]) -> dict[str, Any]:
    classes = [
        {
            "code": entry["value"],
            "name": entry.get("title", entry["name"]),
            "colour": list(bytes.fromhex(entry["color_hint"])),
            "role": entry["aisf:role"],
        }
        for entry in output["classification:classes"]
    ]
    return {
        "name": output["name"],
        "legend": {"name": output["aisf:legend"], "classes": classes},
        "temperature": output["aisf:temperature"],
        "unknown_below": output["aisf:unknown_below"],
    }


def _file_fields(asset: dict[str, Any]) -> dict[str, str]:
    checksum = asset["file:checksum"]
    if not checksum.startswith(SHA256_MULTIHASH):
        raise ValueError(f"file:checksum must be a SHA-256 multihash ({SHA256_MULTIHASH}...), found {checksum[:12]!r}")
    return {"path": asset["href"].removeprefix("./"), "sha256": "sha256:" + checksum[len(SHA256_MULTIHASH) :]}


def _item_of(card: ModelCard) -> dict[str, Any]:
    """The STAC item of a card; the inverse of :func:`_fields_of`."""
    fields = card.model_dump(mode="json")
    assets = {"weights": _asset(card.weights, "safetensors", ["mlm:model", "mlm:weights"])}
    # STAC 1.1 wants the bands that `mlm:input` names described at an asset.
    assets["weights"]["bands"] = [{"name": name, "eo:common_name": name} for name in card.band_names]
    if card.int8:
        assets["int8"] = _asset(card.int8[0], "openvino-ir", ["mlm:model"])
        assets["int8-weights"] = _asset(card.int8[1], "openvino-ir", ["mlm:model", "mlm:weights"])
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": card.name,
        "geometry": None,
        "properties": {
            "datetime": fields["created"],
            "description": card.description,
            "license": card.licence,
            "mlm:name": card.name,
            "mlm:architecture": card.network.arch,
            "mlm:framework": "PyTorch",
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:input": [_mlm_input(card)],
            "mlm:output": [_mlm_output(head, card.patch_px) for head in card.heads],
            **{f"aisf:{key}": fields[key] for key in ("network", "scale", "gsd_m", "margin_px", "training_data")},
            **{f"aisf:{key}": fields[key] for key in ("iou_loss_points", "seconds_per_mpx")},
        },
        "links": [],
        "assets": assets,
    }


def _mlm_input(card: ModelCard) -> dict[str, Any]:
    return {
        "name": "image",
        "description": "reflectance, 0..1" if card.scale == "reflectance" else "8-bit display numbers, 0..255",
        "bands": list(card.band_names),
        "input": {
            "shape": [-1, len(card.bands), card.patch_px, card.patch_px],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "value_scaling": [{"type": "z-score", "mean": band.mean, "stddev": band.std} for band in card.bands],
        "resize_type": None,
        "pre_processing_function": None,
    }


def _mlm_output(head: Head, patch_px: int) -> dict[str, Any]:
    return {
        "name": head.name,
        "tasks": ["semantic-segmentation"],
        "result": {
            "shape": [-1, len(head.legend.classes), patch_px, patch_px],
            "dim_order": ["batch", "classes", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": entry.code,
                # The extension allows no spaces in a name; the title carries ours unchanged.
                "name": re.sub(r"[^0-9A-Za-z_-]+", "-", entry.name),
                "title": entry.name,
                "color_hint": bytes(entry.colour).hex().upper(),
                "aisf:role": entry.role,
            }
            for entry in head.legend.classes
        ],
        "post_processing_function": None,
        "aisf:legend": head.legend.name,
        "aisf:temperature": head.temperature,
        "aisf:unknown_below": head.unknown_below,
    }


def _asset(file: ModelFile, artifact_type: str, roles: list[str]) -> dict[str, Any]:
    return {
        "href": f"./{file.path}",
        "type": "text/xml" if file.path.endswith(".xml") else "application/octet-stream",
        "roles": roles,
        "mlm:artifact_type": artifact_type,
        "file:checksum": SHA256_MULTIHASH + file.sha256.removeprefix("sha256:"),
    }


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "card"
    return f"{place}: {problem['msg']}, found {str(problem['input'])[:80]!r}"
