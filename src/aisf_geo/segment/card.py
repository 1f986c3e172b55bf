"""The card of a model, beside the weights it describes: read once, checked, and trusted from then on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from aisf_geo.domain.legend import Legend
from aisf_geo.domain.provenance import sha256_json
from aisf_geo.errors import BandError, DataError, LegendError, UnreadableError, UsageError
from aisf_geo.segment.mlm import fields_of, item_of

CARD_FILE = "item.json"
#: Encoders halve the resolution five times. Patches that start a whole number of grains apart agree to 1e-5 far from
#: their borders; half a grain changes 0.3 % of the labels (decision 0004).
GRAIN_PX = 32

#: What a card says of weights that it does not know yet, and of a date that nobody stated.
NO_WEIGHTS = {"path": "weights.safetensors", "sha256": "sha256:" + 64 * "0"}
NO_DATE = "1970-01-01T00:00:00Z"

#: Arithmetic whose loss against the fp32 reference a card states.
ReducedPrecision = Literal["bf16", "int8"]
#: What the numbers are that the normalisation expects: reflectance 0..1, or 8-bit display numbers 0..255.
Scale = Literal["reflectance", "8-bit"]

Positive = Annotated[float, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class BandScaling(_Strict):
    """One input band: STAC common name, and the fixed statistics it is normalised with, in the card's scale.

    Attributes:
        optional: the network was trained to do without it; where a scene lacks it, its mean takes its place.
    """

    name: str
    mean: float
    std: Positive
    optional: bool = False


class NetworkSpec(_Strict):
    """What to build: names of segmentation-models-pytorch, and keyword arguments of its architecture."""

    arch: str
    encoder: str
    options: dict[str, JsonValue] = {}


class Head(_Strict):
    """One question the network answers; its channels are the classes of ``legend`` in ascending order of code.

    Attributes:
        name: part of file names, such as ``labels_roads.tif``.
        temperature: logits are divided by it before the softmax, so that confidence means probability.
        unknown_below: probability of the best class under which a pixel is ``unknown``.
    """

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9_-]*$")]
    legend: Legend
    temperature: Positive = 1.0
    unknown_below: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Detection(_Strict):
    """How centre heatmaps become objects, see :mod:`aisf_geo.segment.detect`.

    The network then gives one heatmap for each class but the first, which is the background, and the logarithms of
    height and width in pixels.

    Attributes:
        score_above: probability of a centre from which on there is an object.
        overlap: intersection over union of two boxes above which the weaker object is dropped.
        largest_px: longest side an object can have.
    """

    score_above: Annotated[float, Field(gt=0, lt=1)]
    overlap: Annotated[float, Field(gt=0, lt=1)] = 0.3
    largest_px: Annotated[int, Field(gt=0)]


class Domain(_Strict):
    """What the windows of the training imagery look like, see :mod:`aisf_geo.segment.domain`.

    Attributes:
        window_px: side of a window.
        mean: of the windows' band means, in the card's scale and band order.
        covariance: of these, between bands.
        limit: distance of a window's band means from ``mean`` (Mahalanobis) below which 99 % of the windows lie.
        sharpness: 1st and 99th percentile of the windows' sharpness.
    """

    window_px: Annotated[int, Field(gt=0)]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    limit: Positive
    sharpness: tuple[float, float]


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
        not_for: where the model must not be used, one sentence each.
        detection: of a model that detects objects; None of one that decides pixels.
        domain: what the training imagery looks like; None where it was not measured.
        figures: what `aisf-geo evaluate --json` printed for each head on places no training saw.
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
    not_for: tuple[str, ...] = ()
    detection: Detection | None = None
    domain: Domain | None = None
    figures: tuple[dict[str, Any], ...] = ()
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
        if all(band.optional for band in self.bands):
            raise ValueError("bands: at least one must not be optional")
        if self.detection and (len(self.heads) != 1 or len(self.heads[0].legend.classes) < 2):
            raise ValueError("detection: needs one head with the background and at least one class of objects")
        return self

    @property
    def stride_px(self) -> int:
        """Distance between neighbouring patches."""
        return self.patch_px - 2 * self.margin_px

    @property
    def band_names(self) -> tuple[str, ...]:
        """STAC common names in the network's order."""
        return tuple(band.name for band in self.bands)

    def usable_bands(self, available: Sequence[str], asker: str) -> tuple[str, ...]:
        """The bands of the network that are ``available``, in its order; only optional ones may be missing.

        Raises:
            BandError: others are missing.
        """
        missing = [band.name for band in self.bands if band.name not in available and not band.optional]
        if missing:
            optional = ", ".join(band.name for band in self.bands if band.optional) or "none"
            raise BandError(
                f"{asker} needs the bands {', '.join(self.band_names)} (optional: {optional}); found "
                f"{', '.join(available) or 'none'}, which lack {', '.join(missing)}; name the bands if they are there"
            )
        return tuple(name for name in self.band_names if name in available)

    @property
    def output_channels(self) -> int:
        """Channels of the network's output: those of every head, one after the other; of a detector, see there."""
        if self.detection:
            return len(self.heads[0].legend.classes) - 1 + 2
        return sum(len(head.legend.classes) for head in self.heads)

    @cached_property
    def version(self) -> str:
        """Digest of everything that decides a label: weights, normalisation, lattice, legends, thresholds."""
        deciding = {"network", "bands", "scale", "patch_px", "margin_px", "heads", "weights", "int8", "detection"}
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
    return card_from_fields(item, path).model_copy(update={"folder": folder})


def card_from_fields(content: dict[str, Any], path: Path) -> ModelCard:
    """A card from a STAC item, or from the fields of :class:`ModelCard` as JSON values without ``weights``.

    Raises:
        DataError: a field is missing or has a wrong value; names ``path``, where it was read.
    """
    try:
        item = content.get("type") == "Feature"
        fields = fields_of(content) if item else {"weights": NO_WEIGHTS, "created": NO_DATE, **content}
        return ModelCard.model_validate_json(json.dumps(fields, default=str))
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
    text = json.dumps(item_of(card), indent=2, ensure_ascii=False)
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


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    place = ".".join(str(part) for part in problem["loc"]) or "card"
    return f"{place}: {problem['msg']}, found {str(problem['input'])[:80]!r}"
