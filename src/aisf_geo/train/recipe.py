"""What to train: ``configs/train/*.yaml`` as frozen, strict models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aisf_geo.domain.provenance import sha256_json
from aisf_geo.errors import RecipeError
from aisf_geo.segment.card import GRAIN_PX, BandScaling, Detection, Head, NetworkSpec, Positive, Scale

Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True)


class LabelSource(_Strict):
    """One data set: where it lies, which heads it labels, which places are kept from training."""

    path: str
    """Folder below ``--data``."""
    heads: Annotated[dict[str, dict[int, int]], Field(min_length=1)]
    """Head to codes of the mask that mean other codes of the head (255: not labelled); empty: the same codes."""
    bands: tuple[str, ...] | None = None
    """Bands it has, where these are fewer than the model's; the others enter as missing."""
    share: Positive
    """Part of the crops drawn from it, relative to the other sources."""
    test: tuple[str, ...] = ()
    """Places (or ``place/name``) never used, as shell patterns."""
    validation: tuple[str, ...] = ()
    """Places (or ``place/name``) that only judge."""
    scale: tuple[Positive, Positive] = (0.5, 2.0)
    """Enlargement of crops, smallest and largest: jitter of the ground sample distance."""
    quadrants: bool = False
    """Images named ``..-X-Y-Z`` are web tiles: four of a zoom are joined where their parent is there too."""
    licence: str
    """SPDX expression of images and labels."""
    attribution: str
    """The line the licences ask for."""


class Augment(_Strict):
    """Changes that sensors, air and storage make; each probability is per crop."""

    gain: Share = 0.8
    """Brightness of all bands, and a little of each, by up to ``gain_range``."""
    gain_range: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Largest relative change of brightness."""
    gamma: Share = 0.5
    """Exponent between 0.7 and 1.4."""
    haze: Share = 0.25
    """Light added and contrast lost, shorter wavelengths more."""
    colour: Share = 0.5
    """Saturation and hue; images of three bands only."""
    blur: Share = 0.2
    """Gaussian, up to 1.5 px."""
    noise: Share = 0.2
    """Gaussian, up to 2 % of full scale."""
    jpeg: Share = 0.0
    """Compression at quality 30 to 95; 8-bit RGB only."""
    clouds: Share = 0.0
    """Clouds and shadows drawn over clear reflectance; needs a head ``cloud`` (clear, cloud, shadow, snow)."""
    drop_bands: tuple[tuple[str, ...], ...] = ()
    """Sets of bands that may be missing together; one is drawn, half the time none."""


class Schedule(_Strict):
    """How long and how fast."""

    minutes: Positive | None = None
    """Time to train; the rate follows the clock, so that the end is reached on any machine. Either this or steps."""
    steps: Annotated[int, Field(gt=0)] | None = None
    """Steps to train: the same weights whenever and wherever it runs on one kind of CPU."""
    batch: Annotated[int, Field(gt=1)] = 6
    """Crops per step."""
    crop_px: Annotated[int, Field(gt=0, multiple_of=GRAIN_PX)] = 384
    """Side of a crop."""
    rate: Positive = 2e-3
    """Largest learning rate of AdamW."""
    encoder_rate: Share = 0.5
    """Learning rate of the encoder, relative to ``rate``."""
    warmup_steps: Annotated[int, Field(ge=0)] = 40
    """Steps over which the rate rises."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.02
    """Of AdamW."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Share of the old average kept in each step; the average is what is published."""
    rare: Share = 0.5
    """Share of crops centred on a pixel of a class drawn with equal odds."""
    balance: Share = 0.25
    """Classes weigh in the loss by their frequency to the power of minus this."""
    validations: Annotated[int, Field(gt=0)] = 4
    """Times the validation places are judged."""
    seed: int = 0
    """Of weights, crops and changes."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")
        return self


class TrainRecipe(_Strict):
    """One training: the network and its heads, the data, the time."""

    name: Annotated[str, Field(pattern="^[a-zA-Z][a-zA-Z0-9_.-]*[a-zA-Z0-9]$")]
    """Name of the model."""
    description: str
    """What the card says it is for."""
    licence: str
    """SPDX expression of the weights."""
    not_for: tuple[str, ...] = ()
    """Where the model must not be used, one sentence each."""
    network: NetworkSpec
    """Architecture and encoder of segmentation-models-pytorch."""
    start: str | None = "imagenet"
    """``imagenet``, for the encoder ``tu-tf_efficientnet_lite0``; or a model of the same network and bands, by name."""
    bands: Annotated[tuple[BandScaling, ...], Field(min_length=1)]
    """Input bands and their normalisation."""
    scale: Scale
    """What the numbers are: ``reflectance`` or ``8-bit``."""
    gsd_m: tuple[Positive, Positive]
    """Ground sample distances the model is meant for."""
    patch_px: Annotated[int, Field(gt=0, multiple_of=GRAIN_PX)] = 640
    """Side of the square seen at inference."""
    margin_px: Annotated[int, Field(ge=0, multiple_of=GRAIN_PX)] = 64
    """Border of it whose answer is discarded."""
    heads: Annotated[tuple[Head, ...], Field(min_length=1)]
    """The questions; the first is the main one."""
    detection: Detection | None = None
    """How centre heatmaps become objects, of a model that detects them; absent: it decides pixels."""
    sources: Annotated[tuple[LabelSource, ...], Field(min_length=1)]
    """Labelled data."""
    augment: Augment = Augment()
    """Changes made to crops."""
    schedule: Schedule
    """Time and rate."""

    @model_validator(mode="after")
    def _heads_are_labelled(self) -> Self:
        known, labelled = {h.name for h in self.heads}, {name for s in self.sources for name in s.heads}
        if known != labelled:
            raise ValueError(f"heads are {sorted(known)}, sources label {sorted(labelled)}; they must be the same")
        if self.augment.clouds and ("cloud" not in known or self.scale != "reflectance"):
            raise ValueError("augment.clouds needs reflectance and a head 'cloud'")
        bands = {band.name for band in self.bands}
        for name in {n for dropped in self.augment.drop_bands for n in dropped}:
            if name not in bands:
                raise ValueError(f"augment.drop_bands names {name!r}, which is no band of the model")
        return self

    @property
    def band_names(self) -> tuple[str, ...]:
        """STAC common names in the network's order."""
        return tuple(band.name for band in self.bands)

    @property
    def fingerprint(self) -> str:
        """Digest of everything that decides the weights; a training resumes only under the same."""
        told = {"description", "licence", "not_for", "gsd_m", "patch_px", "margin_px"}
        sources = {"__all__": {"licence", "attribution"}}
        return sha256_json(self.model_dump(mode="json", exclude={**dict.fromkeys(told, True), "sources": sources}))


def read_train_recipe(path: Path) -> TrainRecipe:
    """The training recipe in a YAML file.

    Raises:
        RecipeError: no such file, not YAML, an unknown key or a wrong value; names the key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"recipe {path}: cannot be read ({error}); give one such as configs/train/vhr_city.yaml"
        ) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {path}: not YAML ({' '.join(str(error).split())})") from error
    return parse_train_recipe(content, str(path))


def parse_train_recipe(content: Any, name: str = "recipe") -> TrainRecipe:
    """A training recipe from plain values; raises as :func:`read_train_recipe`."""
    try:
        # Through JSON: strict models take lists for tuples there and nowhere else.
        return TrainRecipe.model_validate_json(json.dumps(content))
    except (ValidationError, TypeError) as error:
        if not isinstance(error, ValidationError):
            raise RecipeError(f"recipe {name}: {error}") from error
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"]) or "recipe"
        if problem["type"] == "extra_forbidden":
            raise RecipeError(f"recipe {name}: unknown key {where!r}; see configs/train/vhr_city.yaml") from error
        message = problem["msg"].removeprefix("Value error, ")
        raise RecipeError(f"recipe {name}: {where}: {message}, found {str(problem['input'])[:80]!r}") from error
