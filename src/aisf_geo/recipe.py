"""What to compute: ``configs/*.yaml`` as frozen, strict models that refuse unknown keys with the nearest valid one."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aisf_geo.domain.legend import Role
from aisf_geo.domain.period import Period
from aisf_geo.domain.tiling import DEFAULT_BLOCK_PX
from aisf_geo.errors import RecipeError, UsageError


def _utc(value: Any) -> Any:
    """YAML dates and zone-less times mean UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if hasattr(value, "year"):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


Moment = Annotated[datetime, BeforeValidator(_utc)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Source(_Strict):
    """Where scenes come from, and under which terms."""

    path: str
    """File, folder or static STAC collection; relative to the recipe's folder."""
    licence: str
    """SPDX identifier or name of the licence the imagery is used under."""
    attribution: str
    """The line the licence asks for; it appears in every output."""
    bands: tuple[str, ...] | None = None
    """STAC common names in file order, for files that do not name their bands."""
    sensor: str | None = None
    """Sensor profile, for files that do not name their sensor."""


class PeriodRange(_Strict):
    """A half-open interval of UTC time."""

    start: Moment
    """First moment, included."""
    end: Moment
    """Last moment, excluded."""

    def as_period(self) -> Period:
        """The domain value."""
        return Period(self.start, self.end)

    @model_validator(mode="after")
    def _ordered(self) -> PeriodRange:
        if self.end <= self.start:
            raise ValueError(f"the end {self.end.date()} must lie after the start {self.start.date()}")
        return self


class Segment(_Strict):
    """How pixels become classes."""

    method: Literal["water", "vegetation", "snow", "built-up", "burn"] | None = None
    """Index-and-threshold method; either this or a model."""
    model: str | None = None
    """Name of a trained model; either this or a method."""
    threshold: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Fixed threshold of the index; absent: found in each scene, with the published default where none is found."""
    counts_as: Role | None = None
    """What the class stands for in the indicators, where the recipe's author vouches for it (e.g. tree-cover)."""
    class_name: str | None = None
    """Name of the class in outputs; absent: the method's."""
    block_px: Annotated[int, Field(ge=16, le=8192)] = DEFAULT_BLOCK_PX
    """Side of a block, the unit of work; the labels do not depend on it."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Segment:
        if (self.method is None) == (self.model is None):
            raise ValueError("give either a method or a model")
        if self.model is not None and (self.threshold is not None or self.counts_as or self.class_name):
            raise ValueError("threshold, counts_as and class_name belong to a method; a model's card settles them")
        return self


class Clouds(_Strict):
    """Tests for what the quality band misses; they need calibrated reflectance."""

    bright_white: bool = True
    """Mask bright, white pixels and their surroundings as cloud."""
    shadow: bool = True
    """In a series, mask pixels much darker in the short-wave infrared than they usually are."""


class Vectorise(_Strict):
    """How label maps become features."""

    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    """Minimum mapping unit; smaller features are absorbed by the neighbour with the longest shared border."""


class Clearing(_Strict):
    """Cumulative clearing: tree cover in a baseline year, later clear of trees on several clear dates."""

    baseline_year: int
    """Calendar year whose dates say where trees stood."""
    clear_dates: Annotated[int, Field(ge=1)] = 2
    """Clear dates without trees that confirm a clearing."""
    max_obscured: Share = 0.05
    """A date takes part only if cloud and shadow hide at most this share: their margins are where masks fail."""


class Zones(_Strict):
    """Polygons that indicators are reported for."""

    path: str
    """GeoJSON, GeoPackage or Shapefile; relative to the recipe's folder."""
    id: str
    """Column with the unique id."""
    name: str | None = None
    """Column with the name for people; absent: the id."""


class Recipe(_Strict):
    """One use of the program: sources in; maps, features, change and indicators out."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Short name: lower case, digits, ``_`` and ``-``."""
    title: str
    """One line for people."""
    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    """Where the scenes come from."""
    segment: Segment
    """How pixels become classes."""
    period: PeriodRange | None = None
    """Only scenes acquired in it; absent: all."""
    area: str | None = None
    """Polygon file: an answer is wanted only inside; relative to the recipe's folder. Absent: everywhere."""
    clouds: Clouds = Clouds()
    """Tests for clouds and shadows that the quality band misses."""
    vectorise: Vectorise = Vectorise()
    """How label maps become features."""
    clearing: Clearing | None = None
    """Cumulative clearing over the series; absent: not computed."""
    indicators: tuple[str, ...] = ()
    """Codes, with or without the formula's date: ``15.1.1`` means the newest."""
    zones: Zones | None = None
    """Polygons to report for; absent: the whole image."""
    min_coverage: Share = 0.7
    """Share of a zone that must be observed, or its indicator is withheld."""
    folder: Path = Field(default=Path(), exclude=True)
    """Folder that relative paths start from; set when a recipe is read."""

    def resolve(self, path: str) -> Path:
        """A path of the recipe as it is found on this machine."""
        return (self.folder / path).resolve()


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (with the nearest valid one) or a wrong value.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"recipe {path}: cannot be read ({error}); give a YAML file such as configs/romania_forest.yaml"
        ) from error
    except yaml.YAMLError as error:
        raise RecipeError(f"recipe {path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise RecipeError(f"recipe {path}: expected keys and values, found {type(content).__name__}")
    if "folder" in content:
        raise RecipeError(f"recipe {path}: unknown key 'folder'; paths start from the recipe's own folder")
    return parse_recipe({**content, "folder": path.parent}, str(path))


def parse_recipe(content: dict[str, Any], name: str = "recipe") -> Recipe:
    """A recipe from plain values.

    Raises:
        RecipeError: naming the key, what was found and what is allowed.
    """
    try:
        return Recipe.model_validate(content)
    except (ValidationError, UsageError) as error:
        raise RecipeError(f"recipe {name}: {_explain(error)}") from error


def _explain(error: ValidationError | UsageError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    found = error.errors()
    # A list whose item is wrong is then also called too short: only the item is worth a word.
    causes = [e for e in found if not any(e is not o and o["loc"][: len(e["loc"])] == e["loc"] for o in found)]
    return "; ".join(_explain_one(dict(e)) for e in causes)


def _explain_one(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        allowed = _keys_at(parents)
        near = difflib.get_close_matches(str(key), allowed, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"allowed are {', '.join(allowed)}"
        return f"unknown key {where!r}; {hint}"
    if error["type"] == "missing":
        return f"key {where!r} is missing"
    found = "" if error.get("input") is None else f", found {error['input']!r}"
    return f"{where}: {error['msg'].removeprefix('Value error, ')}{found}"


def _keys_at(parents: list[Any]) -> list[str]:
    """The keys allowed inside the nested model that ``parents`` lead to."""
    model: Any = Recipe
    for part in parents:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        model = next(c for c in _models_in(annotation))
    return [key for key in model.model_fields if key != "folder"]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models named anywhere in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in getattr(annotation, "__args__", ()) for m in _models_in(part)]


def recipe_schema() -> dict[str, Any]:
    """JSON Schema of recipes, for editors and for ``configs/recipe.schema.json``."""
    schema = Recipe.model_json_schema()
    schema["properties"].pop("folder")
    return schema
