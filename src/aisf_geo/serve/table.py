"""What a feature store is asked and what it answers, whatever database lies behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import shapely

Type = Literal["string", "number", "integer", "boolean", "datetime"]
#: A filter in CQL2's JSON form, as parsed.
Expression = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A property of a collection."""

    name: str
    type: Type
    title: str = ""


@dataclass(frozen=True, slots=True)
class Sql:
    """A fragment with its parameters in order."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """Which features, in which order, which part of them.

    Attributes:
        where: every expression must hold.
        sort: (column, descending); nulls come last, the id breaks ties.
    """

    where: tuple[Expression, ...] = ()
    sort: tuple[tuple[str, bool], ...] = ()
    limit: int = 10
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of a page.

    Attributes:
        geometry: in WGS 84, longitude first; None where a feature has none.
        matched: how many there are in all, or None where counting would cost more than the page.
    """

    ids: list[str]
    geometry: Sequence[shapely.Geometry | None]
    values: list[tuple[Any, ...]]
    more: bool
    matched: int | None


class FeatureTable(Protocol):
    """One collection of features."""

    @property
    def id(self) -> str:
        """Its name in addresses."""
        ...

    @property
    def title(self) -> str:
        """Its name for people."""
        ...

    @property
    def description(self) -> str:
        """What it holds."""
        ...

    @property
    def temporal(self) -> tuple[str, str] | None:
        """The columns of start and end of what a feature says something of; None for a table without times."""
        ...

    @property
    def columns(self) -> tuple[Column, ...]:
        """The properties, in order."""
        ...

    @property
    def id_column(self) -> str:
        """The property that names a feature, unique."""
        ...

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north in degrees; None where nothing has a place."""
        ...

    @property
    def period(self) -> tuple[str, str] | None:
        """First and last time of all features."""
        ...

    @property
    def rows(self) -> int:
        """How many features there are."""
        ...

    @property
    def stamp(self) -> str:
        """Changes when the content does."""
        ...

    def select(self, query: Query) -> Rows:
        """The features of a query."""
        ...

    def cheap(self, query: Query, /) -> bool:
        """Whether a query is answered faster than a thread is started for it."""
        ...


def column(columns: Sequence[Column], name: str) -> Column | None:
    """The column of a name."""
    return next((c for c in columns if c.name == name), None)
