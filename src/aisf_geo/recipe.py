"""What to compute: ``configs/*.yaml`` as frozen, strict models that refuse unknown keys with the nearest valid one."""

from __future__ import annotations

import difflib
import reprlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from aisf_geo.domain.legend import Role
from aisf_geo.domain.licence import Purpose, Use, is_settled, refusal
from aisf_geo.domain.period import Period
from aisf_geo.domain.tiling import DEFAULT_BLOCK_PX
from aisf_geo.errors import LicenceError, RecipeError, UsageError


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


MAX_RECIPE_BYTES, MAX_DEPTH = 2**20, 50
#: Characters of a user's own text that an error repeats.
MAX_QUOTED = 200

Moment = Annotated[datetime, BeforeValidator(_utc)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class StacApi(_Strict):
    """A search in one or several STAC APIs that offer the same scenes."""

    endpoints: Annotated[tuple[str, ...], Field(min_length=1)]
    """Addresses of the APIs; the next one is asked where one fails."""
    collections: Annotated[tuple[str, ...], Field(min_length=1)]
    """Ids of the collections that are searched."""
    bbox: tuple[float, float, float, float] | None = None
    """West, south, east, north in degrees."""
    max_cloud_cover_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    """Only scenes whose item states at most this cloud cover."""
    max_items: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """The search ends here, and says so."""


class Source(_Strict):
    """Where scenes come from, and under which terms."""

    path: str | None = None
    """File, folder or static STAC collection, relative to the recipe's folder; either this or a search."""
    stac_api: StacApi | None = None
    """Search of STAC APIs; either this or a path."""
    hosts: tuple[str, ...] = ()
    """Hosts or S3 buckets that assets may lie on, beside the endpoints' own; ``*.example.org`` for all below."""
    licence: str
    """SPDX identifier or name of the licence the imagery is used under."""
    attribution: str
    """The line the licence asks for; it appears in every output."""
    bands: tuple[str, ...] | None = None
    """STAC common names in file order, for files that do not name their bands."""
    sensor: str | None = None
    """Sensor profile, for files that do not name their sensor."""
    allowed_use: tuple[Use, ...] | None = None
    """What the licence allows; needed only where the program does not know the licence."""

    @property
    def name(self) -> str:
        """The path, or the first endpoint and its collections."""
        api = self.stac_api
        return self.path or (f"{api.endpoints[0]} {', '.join(api.collections)}" if api else "")

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.path is None) == (self.stac_api is None):
            raise ValueError("give either a path or a stac_api")
        return self


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
    probabilities: bool = False
    """Whether a model also writes the probability of each of its classes, as probabilities.tif."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Segment:
        if (self.method is None) == (self.model is None):
            raise ValueError("give either a method or a model")
        if self.model is not None and (self.threshold is not None or self.counts_as or self.class_name):
            raise ValueError("threshold, counts_as and class_name belong to a method; a model's card settles them")
        if self.model is None and self.probabilities:
            raise ValueError("probabilities belong to a model; a method has a threshold")
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
    pmtiles: bool = False
    """Features, buildings and roads also as vector tiles (PMTiles), so that a map draws all outlines at every zoom."""


class Buildings(_Strict):
    """Building outlines from the class that counts as built-up: touching roofs split, walls squared."""

    head: str | None = None
    """Head of the model that maps buildings; absent: the one that has such a class."""
    tolerance_m: Annotated[float, Field(gt=0)] | None = None
    """Detail of an outline that is noise; absent: a pixel."""
    min_iou: Share = 0.85
    """An outline whose squared form agrees less with it than this keeps its traced form."""
    min_area_m2: Annotated[float, Field(ge=0)] = 0.0
    """Smaller buildings are left out, and counted."""


class Roads(_Strict):
    """A road graph from the class that is road."""

    head: str | None = None
    """Head of the model that maps roads; absent: the one that has such a class."""
    max_half_width_m: Annotated[float, Field(gt=0)] = 20.0
    """Half of the widest road, junctions included; wider areas become one node each."""
    spur_m: Annotated[float, Field(ge=0)] = 20.0
    """Shorter dead ends and isolated pieces are removed, and counted."""
    gap_m: Annotated[float, Field(ge=0)] = 30.0
    """Gaps up to this wide are bridged, and the bridges marked."""
    gap_angle_deg: Annotated[float, Field(ge=0, le=90)] = 30.0
    """How far both roads may point past each other there."""


class AggregateTo(_Strict):
    """Building counts and areas in cells, without those of few buildings. ``aggregate_to: h3`` is short for ``by``."""

    by: Literal["h3", "grid", "zone"]
    """Hexagons, squares in the CRS of the map, or the recipe's zones."""
    min_count: Annotated[int, Field(ge=2)] = 10
    """Cells with fewer buildings are suppressed."""
    resolution: Annotated[int, Field(ge=0, le=15)] = 8
    """H3 resolution; 8 are hexagons of about 0.7 km2."""
    cell_m: Annotated[float, Field(gt=0)] = 1000.0
    """Side of a square."""


def _by_name(value: Any) -> Any:
    """``aggregate_to: h3`` means ``{by: h3}``."""
    return {"by": value} if isinstance(value, str) else value


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
    purpose: Purpose = "publication"
    """What the outputs are for; a source whose licence does not allow it is refused."""
    period: PeriodRange | None = None
    """Only scenes acquired in it; absent: all."""
    area: str | None = None
    """Polygon file: an answer is wanted only inside; relative to the recipe's folder. Absent: everywhere."""
    clouds: Clouds = Clouds()
    """Tests for clouds and shadows that the quality band misses."""
    vectorise: Vectorise = Vectorise()
    """How label maps become features."""
    buildings: Buildings | None = None
    """Building outlines; absent: none."""
    roads: Roads | None = None
    """A road graph; absent: none."""
    aggregate_to: Annotated[AggregateTo | None, BeforeValidator(_by_name)] = None
    """Cells that building counts and areas are published in; absent: none, or hexagons in a public run."""
    audience: Literal["public", "internal"] = "internal"
    """Who will see the outputs. ``public``: no vector output shows a single home, cells stand in for them."""
    clearing: Clearing | None = None
    """Cumulative clearing over the series; absent: not computed."""
    indicators: tuple[str, ...] = ()
    """Codes, with or without the formula's date: ``15.1.1`` means the newest."""
    zones: Zones | None = None
    """Polygons to report for; absent: the whole image."""
    reference_sample: str | None = None
    """Labelled sample of a map of this run (`aisf-geo sample`), for intervals; relative to the recipe's folder."""
    min_coverage: Share = 0.7
    """Share of a zone that must be observed, or its indicator is withheld."""
    folder: Path = Field(default=Path(), exclude=True)
    """Folder that relative paths start from; set when a recipe is read."""

    @property
    def cells(self) -> AggregateTo | None:
        """The cells of buildings, or of detected objects: those asked for, else hexagons where the public looks."""
        return self.aggregate_to or (AggregateTo(by="h3") if self.audience == "public" else None)

    @model_validator(mode="after")
    def _zones_to_aggregate_to(self) -> Recipe:
        if self.aggregate_to is not None and self.aggregate_to.by == "zone" and self.zones is None:
            raise ValueError("aggregate_to zone needs the section 'zones'")
        return self

    @model_validator(mode="after")
    def _licensed(self) -> Recipe:
        for source in self.sources:
            why = refusal(source.licence, source.allowed_use, self.purpose)
            if why is not None:
                raise LicenceError(f"source {source.name}: {why}")
        return self

    def with_probabilities(self) -> Recipe:
        """The same question, with the probabilities of a model's classes.

        Raises:
            RecipeError: it asks for a method.
        """
        if self.segment.model is None:
            raise RecipeError("probabilities: a method has a threshold and no probabilities; give a --model")
        return self.model_copy(update={"segment": self.segment.model_copy(update={"probabilities": True})})

    def resolve(self, path: str) -> Path:
        """A path of the recipe as it is found on this machine."""
        return (self.folder / path).resolve()


def read_recipe(path: Path) -> Recipe:
    """The recipe in a YAML file.

    Raises:
        RecipeError: no such file, not YAML, an unknown key (with the nearest valid one) or a wrong value.
    """
    try:
        if path.is_file() and path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(f"recipe {path}: larger than {MAX_RECIPE_BYTES:,} bytes; no recipe is")
        content = yaml.load(path.read_text(encoding="utf-8"), _PlainLoader)  # noqa: S506 - a safe loader, made stricter
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"recipe {path}: cannot be read ({error}); give a YAML file such as configs/romania_forest.yaml"
        ) from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RecipeError(f"recipe {path}: not YAML ({_short(error)})") from error
    if not isinstance(content, dict):
        raise RecipeError(f"recipe {path}: expected keys and values, found {type(content).__name__}")
    if "folder" in content:
        raise RecipeError(f"recipe {path}: unknown key 'folder'; paths start from the recipe's own folder")
    recipe = parse_recipe({**content, "folder": path.parent}, str(path))
    for source in recipe.sources:
        if not is_settled(source.licence, source.allowed_use):
            raise RecipeError(
                f"recipe {path}: source {source.name}: what the licence {source.licence!r} allows is not known here; "
                "read it and state allowed_use, e.g. [research, publication]"
            )
    return recipe


class _PlainLoader(yaml.SafeLoader):
    """Plain values only: aliases, which a few lines can multiply into billions, and repeated keys are refused."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed, write the value out")
        if self.depth == MAX_DEPTH:
            raise yaml.YAMLError(f"lists or keys stand more than {MAX_DEPTH} deep")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.YAMLError(f"the key {twice[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def _quoted(value: Any) -> str:
    try:
        return _short(reprlib.repr(value) if isinstance(value, list | dict) else repr(value))
    except ValueError:
        return "a number of more than 4,300 digits"


def _short(text: object) -> str:
    """One line of bounded length."""
    line = " ".join(str(text).split())
    return line if len(line) <= MAX_QUOTED else line[:MAX_QUOTED] + "..."


def parse_recipe(content: dict[str, Any], name: str = "recipe") -> Recipe:
    """A recipe from plain values.

    Raises:
        RecipeError: naming the key, what was found and what is allowed.
    """
    try:
        return Recipe.model_validate(content)
    except LicenceError as error:
        raise LicenceError(f"recipe {name}: {error}") from error
    except (ValidationError, UsageError, RecursionError) as error:
        raise RecipeError(f"recipe {name}: {_explain(error)}") from error


def _explain(error: ValidationError | UsageError | RecursionError) -> str:
    if not isinstance(error, ValidationError):
        return _short(error)
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
    found = "" if error.get("input") is None else f", found {_quoted(error['input'])}"
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
