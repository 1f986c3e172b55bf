"""CQL2 to SQL: the filters of OGC API - Features Part 3, parsed by the cql2 library, compiled with bound parameters.

Comparison, logical, LIKE, IN, BETWEEN, IS NULL, S_INTERSECTS and the temporal operators that make sense for an instant.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

import cql2
import shapely
from shapely.errors import ShapelyError

from aisf_geo.serve.errors import RequestError
from aisf_geo.serve.table import Column, Expression, Sql, Type, column

#: Nesting and length beyond which a filter is refused: it is not a question but an attempt to keep the server busy.
MAX_DEPTH, MAX_TERMS = 40, 500
_COMPARISONS = {"=": "=", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_SWAPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
#: Names by which the geometry is known to clients.
GEOMETRY_NAMES = ("geometry", "geom")

#: A row of signs, each of which is a level of its own to the parser.
_SIGNS = re.compile(r"([-+]\s*){4}")

Moments = tuple[float, float]


class Dialect(Protocol):
    """What differs between databases."""

    mark: str

    def moment(self, quoted: str) -> str:
        """SQL for a time column as seconds since 1970; NULL where empty."""
        ...

    def intersects(self, geometry: shapely.Geometry) -> Sql:
        """SQL for features that intersect a WGS 84 geometry."""
        ...


def parse_filter(text: str, language: str) -> Expression:
    """The expression of a filter in ``cql2-text`` or ``cql2-json``.

    Raises:
        RequestError: it does not parse, or the language is another.
    """
    if language not in ("cql2-text", "cql2-json"):
        raise RequestError(f"filter-lang: expected cql2-text or cql2-json, found {language!r}")
    _refuse_nesting(text)
    parse = cql2.parse_text if language == "cql2-text" else cql2.parse_json
    try:
        expression = parse(text).to_json()
    except (cql2.ParseError, cql2.ValidationError, ValueError) as error:
        detail = " ".join(str(error).split())
        raise RequestError(f"filter: not valid {language}: {detail[:300]}") from error
    if not isinstance(expression, dict | bool):
        raise RequestError("filter: expected a condition that is true or false")
    return {"op": "and", "args": [expression]} if isinstance(expression, bool) else expression


def _refuse_nesting(text: str) -> None:
    """Refuse what would overflow the stack of the parser, which takes the whole process with it."""
    if len(text) > 20_000:
        raise RequestError("filter: longer than 20,000 characters")
    if sum(text.count(mark) for mark in "([{") > 200 or text.lower().count("not") > 100 or _SIGNS.search(text):
        raise RequestError("filter: nested too deeply")


def parse_interval(text: str) -> Moments:
    """Seconds since 1970 of the first and last moment of ``INSTANT`` or ``START/END``; ``..`` or nothing is open.

    A date stands for its whole day. Both ends belong to the interval.

    Raises:
        RequestError: not a time, or the end lies before the start.
    """
    parts = text.split("/")
    if len(parts) == 1:
        return _instant(parts[0])
    if len(parts) != 2 or all(p in ("", "..") for p in parts):
        raise RequestError(f"datetime: expected INSTANT or START/END in RFC 3339, found {text!r}")
    low = -math.inf if parts[0] in ("", "..") else _instant(parts[0])[0]
    high = math.inf if parts[1] in ("", "..") else _instant(parts[1])[1]
    if low > high:
        raise RequestError(f"datetime: the end lies before the start in {text!r}")
    return low, high


def _instant(text: str) -> Moments:
    try:
        if len(text) == 10:
            start = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC)
            return start.timestamp(), (start + timedelta(days=1)).timestamp() - 1e-6
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise RequestError(f"datetime: expected RFC 3339 such as 2020-06-30T00:00:00Z, found {text[:60]!r}") from error
    if moment.tzinfo is None:
        raise RequestError(f"datetime: {text[:60]!r} has no time zone; add Z for UTC")
    try:
        return moment.timestamp(), moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise RequestError(f"datetime: {text[:60]!r} is out of range") from error


@dataclass
class Compiler:
    """Turns expressions over ``columns`` into SQL for one database and coordinate system."""

    columns: Sequence[Column]
    dialect: Dialect
    _terms: int = 0

    def conjunction(self, expressions: Sequence[Expression]) -> Sql:
        """All of ``expressions``; an empty fragment where there is none."""
        parts = [self.condition(e) for e in expressions]
        return Sql(" AND ".join(p.text for p in parts), tuple(v for p in parts for v in p.values))

    def condition(self, node: Any, depth: int = 0) -> Sql:
        """A condition.

        Raises:
            RequestError: an unknown property, operator or mismatched types.
        """
        self._terms += 1
        if depth > MAX_DEPTH or self._terms > MAX_TERMS:
            raise RequestError(f"filter: more than {MAX_DEPTH} levels or {MAX_TERMS} terms")
        if isinstance(node, bool):
            return Sql("(1=1)" if node else "(1=0)")
        if isinstance(node, dict) and set(node) == {"property"}:
            return self._comparison("=", [node, True])
        if not (isinstance(node, dict) and isinstance(node.get("op"), str) and isinstance(node.get("args"), list)):
            raise RequestError(f"filter: expected a condition, found {json.dumps(node)[:100]}")
        operator, args = node["op"].lower(), node["args"]
        if operator in ("and", "or"):
            return self._joined(operator, args, depth)
        if operator == "not":
            inner = self.condition(_only(args, 1, "not")[0], depth + 1)
            return Sql(f"(NOT {inner.text})", inner.values)
        return self._predicate(operator, args)

    def _joined(self, operator: str, args: list[Any], depth: int) -> Sql:
        if not args:
            raise RequestError(f"filter: {operator} without conditions")
        parts = [self.condition(a, depth + 1) for a in args]
        text = f" {operator.upper()} ".join(p.text for p in parts)
        return Sql(f"({text})", tuple(v for p in parts for v in p.values))

    def _predicate(self, operator: str, args: list[Any]) -> Sql:
        if operator in _COMPARISONS:
            return self._comparison(operator, args)
        known: Mapping[str, Callable[[list[Any]], Sql]] = {
            "like": self._like,
            "in": self._in,
            "between": self._between,
            "isnull": self._is_null,
            "s_intersects": self._intersects,
        }
        if operator in known:
            return known[operator](args)
        if operator in _TEMPORAL:
            return self._temporal(operator, args)
        names = ", ".join((*_COMPARISONS, "and", "or", "not", *known, *_TEMPORAL))
        raise RequestError(f"filter: operator {operator!r} is not offered; there are {names}")

    def _comparison(self, operator: str, args: list[Any]) -> Sql:
        left, right = _only(args, 2, operator)
        if not _is_property(left) and _is_property(right):
            left, right, operator = right, left, _SWAPPED[operator]
        known = self._property(left)
        if _is_property(right):
            other = self._property(right)
            if _family(other.type) != _family(known.type):
                raise RequestError(f"filter: {known.name} is {known.type}, {other.name} is {other.type}")
            return Sql(f"({self._term(known)} {_COMPARISONS[operator]} {self._term(other)})")
        if known.type == "datetime":
            return _moment_comparison(self._term(known), operator, _moments(right), self.dialect.mark)
        value = _literal(right, known)
        return Sql(f"({_quoted(known.name)} {_COMPARISONS[operator]} {self.dialect.mark})", (value,))

    def _like(self, args: list[Any]) -> Sql:
        known, pattern = self._property(_only(args, 2, "like")[0]), args[1]
        if known.type != "string" or not isinstance(pattern, str):
            raise RequestError("filter: like compares a text property with a text pattern")
        _text(pattern)
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise RequestError("filter: the pattern of like ends with a lone backslash")
        return Sql(f"({_quoted(known.name)} LIKE {self.dialect.mark} ESCAPE '\\')", (pattern,))

    def _in(self, args: list[Any]) -> Sql:
        known, values = self._property(_only(args, 2, "in")[0]), args[1]
        if not isinstance(values, list) or not values:
            raise RequestError("filter: in needs a list of values")
        if known.type == "datetime":
            return self.condition({"op": "or", "args": [{"op": "=", "args": [args[0], v]} for v in values]})
        marks = ", ".join(self.dialect.mark for _ in values)
        return Sql(f"({_quoted(known.name)} IN ({marks}))", tuple(_literal(v, known) for v in values))

    def _between(self, args: list[Any]) -> Sql:
        subject, low, high = _only(args, 3, "between")
        return self.condition(
            {"op": "and", "args": [{"op": ">=", "args": [subject, low]}, {"op": "<=", "args": [subject, high]}]}
        )

    def _is_null(self, args: list[Any]) -> Sql:
        return Sql(f"({self._term(self._property(_only(args, 1, 'isNull')[0]))} IS NULL)")

    def _intersects(self, args: list[Any]) -> Sql:
        left, right = _only(args, 2, "s_intersects")
        if not _is_geometry(left):
            left, right = right, left
        if not _is_geometry(left):
            raise RequestError("filter: s_intersects compares the property geometry with a geometry")
        return self.dialect.intersects(_geometry(right))

    def _temporal(self, operator: str, args: list[Any]) -> Sql:
        left, right = _only(args, 2, operator)
        if not _is_property(left):
            left, right, operator = right, left, _MIRRORED.get(operator, operator)
        known = self._property(left)
        if known.type != "datetime":
            raise RequestError(f"filter: {known.name} is {known.type}, {operator} needs a time")
        low, high = _moments(right)
        text, ends = _TEMPORAL[operator]
        bound = tuple({"low": low, "high": high}[end] for end in ends)
        return Sql(text.format(x=self._term(known), m=self.dialect.mark), bound)

    def _property(self, node: Any) -> Column:
        name = node.get("property") if isinstance(node, dict) else None
        found = column(self.columns, name) if isinstance(name, str) else None
        if found is None:
            said = name if isinstance(name, str) else json.dumps(node)[:80]
            raise RequestError(f"filter: no property {said!r}; there are {', '.join(c.name for c in self.columns)}")
        return found

    def _term(self, known: Column) -> str:
        return self.dialect.moment(_quoted(known.name)) if known.type == "datetime" else _quoted(known.name)


#: SQL over an instant x and an interval, and which ends it uses (OGC 21-065r2, table 9, with start = end = x).
_TEMPORAL: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "t_after": ("({x} > {m})", ("high",)),
    "t_before": ("({x} < {m})", ("low",)),
    "t_during": ("({x} > {m} AND {x} < {m})", ("low", "high")),
    "t_equals": ("({x} >= {m} AND {x} <= {m})", ("low", "high")),
    "t_intersects": ("({x} >= {m} AND {x} <= {m})", ("low", "high")),
    "t_disjoint": ("({x} < {m} OR {x} > {m})", ("low", "high")),
}
_MIRRORED = {"t_after": "t_before", "t_before": "t_after"}


def _moment_comparison(term: str, operator: str, moments: Moments, mark: str) -> Sql:
    """A comparison with a moment or, for a date, with its whole day."""
    low, high = moments
    if operator == "=":
        return Sql(f"({term} >= {mark} AND {term} <= {mark})", (low, high))
    if operator == "<>":
        return Sql(f"({term} < {mark} OR {term} > {mark})", (low, high))
    return Sql(f"({term} {operator} {mark})", (low if operator in ("<", ">=") else high,))


def _moments(node: Any) -> Moments:
    """The first and last moment of a temporal literal; text is taken as RFC 3339."""
    if isinstance(node, str):
        return _instant(node)
    if isinstance(node, dict) and len(node) == 1:
        ((kind, value),) = node.items()
        if kind in ("timestamp", "date") and isinstance(value, str):
            return _instant(value)
        if kind == "interval" and isinstance(value, list) and len(value) == 2:
            ends = [
                v if isinstance(v, str) else next(iter(v.values()), "") if isinstance(v, dict) else "" for v in value
            ]
            return parse_interval("/".join(map(str, ends)))
    raise RequestError(f"filter: expected a time, found {json.dumps(node)[:100]}")


def _geometry(node: Any) -> shapely.Geometry:
    if not isinstance(node, dict):
        raise RequestError("filter: s_intersects needs a geometry")
    if "bbox" in node:
        return box_of(node["bbox"])
    try:
        geometry = shapely.from_geojson(json.dumps(node))
    except ShapelyError as error:
        raise RequestError(f"filter: not a geometry: {str(error)[:100]}") from error
    if geometry is None or geometry.is_empty or not geometry.is_valid:
        reason = "empty" if geometry is None or geometry.is_empty else shapely.is_valid_reason(geometry)
        raise RequestError(f"filter: the geometry cannot be used: {reason}")
    if not all(math.isfinite(v) for v in geometry.bounds):
        raise RequestError("filter: the geometry has coordinates that are not numbers")
    return shapely.force_2d(geometry)


def box_of(numbers: Sequence[Any]) -> shapely.Geometry:
    """The polygon of ``w,s,e,n`` or ``w,s,bottom,e,n,top`` in degrees; two boxes where it crosses the antimeridian.

    Raises:
        RequestError: not such numbers.
    """
    if len(numbers) not in (4, 6) or not all(isinstance(v, int | float) and math.isfinite(v) for v in numbers):
        raise RequestError("bbox: expected west,south,east,north in degrees (or six numbers with heights)")
    west, south, east, north = (float(numbers[i]) for i in ((0, 1, 2, 3) if len(numbers) == 4 else (0, 1, 3, 4)))
    if not (-90 <= south <= north <= 90) or not all(-180 <= v <= 180 for v in (west, east)):
        raise RequestError("bbox: longitudes lie in -180..180, latitudes in -90..90, south before north")
    if west <= east:
        return _box(west, south, east, north)
    return shapely.union(_box(west, south, 180, north), _box(-180, south, east, north))


def _box(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """A box; a line or a point where it has no height or width, of which a polygon would be invalid."""
    if (west, south) == (east, north):
        return shapely.Point(west, south)
    if west == east or south == north:
        return shapely.LineString([(west, south), (east, north)])
    return shapely.box(west, south, east, north)


def _literal(value: Any, known: Column) -> Any:
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,), "number": (int, float), "integer": (int, float), "boolean": (bool,),
    }  # fmt: skip
    fits = isinstance(value, kinds[known.type]) and (known.type == "boolean" or not isinstance(value, bool))
    if not fits:
        raise RequestError(f"filter: {known.name} is {known.type}, it cannot be compared with {json.dumps(value)[:60]}")
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    """``value`` if a database can hold it."""
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise RequestError("filter: the text has characters that no property can have")
    return value


def _only(args: list[Any], count: int, operator: str) -> list[Any]:
    if len(args) != count:
        raise RequestError(f"filter: {operator} takes {count} argument(s), found {len(args)}")
    return args


def _is_property(node: Any) -> bool:
    return isinstance(node, dict) and set(node) == {"property"}


def _is_geometry(node: Any) -> bool:
    return _is_property(node) and node["property"] in GEOMETRY_NAMES


def _family(kind: Type) -> str:
    return "number" if kind == "integer" else kind


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
