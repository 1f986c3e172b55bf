"""What to look for in a series of dates: ``configs/series/*.yaml``; the imagery itself is named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aisf_geo.domain.legend import Role
from aisf_geo.errors import RecipeError

Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Breaks(_Strict):
    """When the level of an index fell, and when it rose again, per pixel."""

    index: Literal["ndmi", "ndvi", "nbr", "mndwi"] = "ndmi"
    """Normalised difference whose level is followed: it falls where forest is felled (mndwi: where water goes)."""
    min_drop: Annotated[float, Field(gt=0, lt=2)] = 0.15
    """Fall of the level that counts as a loss."""
    clear_dates: Annotated[int, Field(ge=1)] = 2
    """Clear observations that confirm a level."""
    max_obscured: Share = 0.5
    """A date takes part only if cloud, shadow and gaps hide at most this share of the area."""


class Layer(_Strict):
    """One class, told by an index; layers decide in order, the first that applies."""

    method: Literal["water", "vegetation", "snow", "built-up", "burn"]
    """Index-and-threshold method."""
    threshold: Annotated[float, Field(gt=-1, lt=1)] | None = None
    """Fixed threshold; absent: found on each date by itself."""
    counts_as: Role | None = None
    """What the class stands for, where the author vouches for it; absent: the method's own role."""


class Classes(_Strict):
    """Classes on the first and the last date, and what went from one to another."""

    layers: Annotated[tuple[Layer, ...], Field(min_length=1, max_length=5)]
    """In order of precedence."""
    rest: str = "other"
    """Name of what no layer takes."""
    rest_counts_as: Role = "other"
    """What the rest stands for."""


class SeriesRecipe(_Strict):
    """A use of ``change-series``."""

    title: str
    """One line for people."""
    source: str | None = None
    """Imagery, relative to the recipe's folder; absent: named on the command line."""
    bands: tuple[str, ...] | None = None
    """STAC common names in file order, for files that do not name their bands."""
    sensor: str | None = None
    """Sensor profile, for files that do not name their sensor."""
    nodata: float | None = None
    """Number that means "not observed" where all bands hold it, for files that do not say."""
    licence: str | None = None
    """For files that do not state it."""
    attribution: str | None = None
    """For files that do not state it."""
    area: str | None = None
    """Polygon file: an answer is wanted only inside; relative to the recipe's folder."""
    control_area: str | None = None
    """Polygon file: here nothing changed; what is found there is the false-alarm rate."""
    min_area_m2: Annotated[float, Field(ge=0)] | None = None
    """Smallest feature; absent: 3 x 3 pixels."""
    breaks: Breaks | None = None
    """Dates of loss and recovery; absent: not looked for."""
    classes: Classes | None = None
    """Transitions from the first to the last date; absent: not computed."""
    folder: Path = Field(default=Path(), exclude=True)
    """Folder that relative paths start from; set when a recipe is read."""

    @model_validator(mode="after")
    def _asks_something(self) -> SeriesRecipe:
        if self.breaks is None and self.classes is None:
            raise ValueError("give 'breaks', 'classes' or both")
        return self

    def resolve(self, path: str | None) -> Path | None:
        """A path of the recipe as it is found on this machine."""
        return None if path is None else (self.folder / path).resolve()


def read_series_recipe(path: Path) -> SeriesRecipe:
    """The series recipe in a YAML file.

    Raises:
        RecipeError: no such file, not YAML, an unknown key or a wrong value.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        return SeriesRecipe.model_validate({**content, "folder": path.parent})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise RecipeError(f"recipe {path}: cannot be read ({' '.join(str(error).split())})") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "recipe"
        raise RecipeError(f"recipe {path}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
