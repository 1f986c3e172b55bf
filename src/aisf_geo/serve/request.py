"""The parameters of a request for features, parsed once into a query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from aisf_geo.serve.cql import box_of, parse_filter, parse_interval
from aisf_geo.serve.errors import RequestError
from aisf_geo.serve.table import Column, Expression, FeatureTable, Query, column

DEFAULT_LIMIT, MAX_LIMIT = 10, 10_000
#: Beyond it a caller should filter, not page.
MAX_OFFSET = 10_000_000
FORMATS = ("json", "geojson", "html", "csv", "parquet")
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_KNOWN = {"bbox", "datetime", "limit", "offset", "f", "filter", "filter-lang", "sortby", "properties", "token"}
_KNOWN |= {"bbox-crs", "filter-crs", "crs"}


@dataclass(frozen=True)
class Asked:
    """A query, and the columns that are wanted in the answer."""

    query: Query
    columns: tuple[Column, ...]


def parse_items(parameters: QueryParams, table: FeatureTable) -> Asked:
    """The query of ``/items``.

    Raises:
        RequestError: an unknown parameter or a value that does not fit, with what was expected.
    """
    named = [name for name, _ in parameters.multi_items()]
    if doubled := next((n for n in named if named.count(n) > 1), None):
        raise RequestError(f"{doubled}: given twice")
    where: list[Expression] = []
    if "bbox" in parameters:
        where.append(_bbox(parameters["bbox"]))
    if "datetime" in parameters:
        where += _datetime(parameters["datetime"], table)
    for name in named:
        if name not in _KNOWN:
            where.append(_equals(name, parameters[name], table))
    if "filter" in parameters:
        where.append(parse_filter(parameters["filter"], parameters.get("filter-lang", "cql2-text")))
    for crs in ("bbox-crs", "filter-crs", "crs"):
        if parameters.get(crs, CRS84) != CRS84:
            raise RequestError(f"{crs}: only {CRS84} is offered")
    query = Query(
        tuple(where),
        _sort(parameters.get("sortby", ""), table.columns),
        min(_whole(parameters, "limit", DEFAULT_LIMIT, 1), MAX_LIMIT),
        _whole(parameters, "offset", 0, 0, MAX_OFFSET),
    )
    return Asked(query, _wanted(parameters.get("properties"), table.columns))


def _bbox(text: str) -> Expression:
    try:
        numbers = [float(v) for v in text.split(",")]
    except ValueError as error:
        raise RequestError(f"bbox: expected west,south,east,north in degrees, found {text[:80]!r}") from error
    box_of(numbers)
    return {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": numbers}]}


def _datetime(text: str, table: FeatureTable) -> list[Expression]:
    """Both ends of the interval belong to it; a feature counts if its own period touches it."""
    low, high = parse_interval(text)
    if table.temporal is None:
        raise RequestError(f"datetime: collection {table.id} has no times")
    ends = text.split("/") if "/" in text else [text, text]
    start, end = table.temporal
    conditions: list[tuple[str, str, float]] = [("<=", start, high), (">=", end, low)]
    return [
        {"op": op, "args": [{"property": name}, {"interval": ends}]}
        for op, name, bound in conditions
        if math.isfinite(bound)
    ]


def _equals(name: str, text: str, table: FeatureTable) -> Expression:
    known = column(table.columns, name)
    if known is None:
        names = ", ".join(c.name for c in table.columns)
        raise RequestError(f"{name}: neither a parameter nor a property of {table.id}; its properties are {names}")
    return {"op": "=", "args": [{"property": name}, _parsed(known, text)]}


def _parsed(known: Column, text: str) -> Any:
    if known.type == "boolean":
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
    elif known.type in ("number", "integer"):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            return value
    else:
        return text
    raise RequestError(f"{known.name}: expected a {known.type}, found {text[:60]!r}")


def _sort(text: str, columns: Sequence[Column]) -> tuple[tuple[str, bool], ...]:
    chosen = []
    for term in filter(None, (t.strip() for t in text.split(","))):
        name = term.lstrip("+-")
        if column(columns, name) is None:
            raise RequestError(f"sortby: no property {name[:60]!r}; there are {', '.join(c.name for c in columns)}")
        chosen.append((name, term.startswith("-")))
    if len(chosen) > 5:
        raise RequestError("sortby: at most five properties")
    return tuple(chosen)


def _whole(parameters: QueryParams, name: str, default: int, least: int, most: int | None = None) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 12) or int(text) < least or (most and int(text) > most):
        raise RequestError(
            f"{name}: expected a whole number from {least}{f' to {most}' if most else ''}, found {text[:40]!r}"
        )
    return int(text)


def _wanted(text: str | None, columns: Sequence[Column]) -> tuple[Column, ...]:
    if text is None:
        return tuple(columns)
    chosen = []
    for name in text.split(","):
        known = column(columns, name.strip())
        if known is None:
            raise RequestError(f"properties: no property {name[:60]!r}")
        chosen.append(known)
    return tuple(chosen)
