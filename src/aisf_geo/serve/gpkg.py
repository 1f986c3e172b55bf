"""GeoPackages as a feature table: SQLite's R*Tree preselects, shapely decides; no SpatiaLite needed."""

from __future__ import annotations

import heapq
import math
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.serve.cql import Compiler, parse_interval
from aisf_geo.serve.errors import RequestError, TooSlowError
from aisf_geo.serve.projection import in_degrees, in_native
from aisf_geo.serve.table import Column, Query, Rows, Sql, Type

#: A query is broken off after this time.
TIME_LIMIT_S = 10.0
#: Steps of SQLite between two looks at the clock.
STEPS = 20_000
#: A page of at most this many features in table order is answered on the spot.
CHEAP_ROWS = 500
#: Rows fetched, and their place decided, in one call.
AT_ONCE = 512
#: Bytes of the envelope by its code in the GeoPackage header (OGC 12-128r18, clause 2.1.3).
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)

Open = Callable[[], sqlite3.Connection]


@dataclass
class Part:
    """One GeoPackage layer.

    Attributes:
        connect: opens the database anew; each thread has its own connection.
        keep: what keeps a database in memory alive.
    """

    connect: Open
    layer: str
    geometry_column: str
    crs: pyproj.CRS
    extent: tuple[float, float, float, float] | None
    columns: tuple[Column, ...]
    rows: int
    stamp: str
    keep: sqlite3.Connection | None = None
    _local: threading.local = field(default_factory=threading.local, repr=False)

    mark: str = field(default="?", init=False)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        if not hasattr(self._local, "connection"):
            connection = self.connect()
            connection.create_function("aisf_intersects", 2, _intersects, deterministic=True)
            connection.create_function("aisf_moment", 1, _moment, deterministic=True)
            connection.execute("PRAGMA case_sensitive_like = ON")
            self._local.connection = connection
        held: sqlite3.Connection = self._local.connection
        return held

    def moment(self, quoted: str) -> str:
        """SQL for a time column as seconds since 1970."""
        return f"aisf_moment({quoted})"

    def intersects(self, geometry: shapely.Geometry) -> Sql:
        """SQL for features that intersect a WGS 84 geometry."""
        near, area = self.preselect(geometry)
        if area is None:
            return near
        decided = f'({near.text} AND aisf_intersects("{self.geometry_column}", ?))'
        return Sql(decided, (*near.values, shapely.to_wkb(area)))

    def preselect(self, geometry: shapely.Geometry) -> tuple[Sql, shapely.Geometry | None]:
        """SQL for features near a WGS 84 geometry, and what they must intersect; None where the SQL decides."""
        native = in_native(geometry, self.crs)
        if native is None:
            return Sql("(1=0)"), None
        if self.extent and shapely.contains_properly(native, shapely.box(*self.extent)):
            return Sql(f'("{self.geometry_column}" IS NOT NULL)'), None
        west, south, east, north = shapely.bounds(native).tolist()
        tree = f"rtree_{self.layer}_{self.geometry_column}"
        near = f'SELECT id FROM "{tree}" WHERE maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ?'  # noqa: S608  bound
        return Sql(f"(fid IN ({near}))", (west, east, south, north)), native

    def iterate(self, query: Query, id_column: str, head: int | None) -> Iterator[tuple[Any, ...]]:
        """Rows ``(fid, geometry, *columns)`` in the order of the query, at most ``head``; None is all.

        Places that must all be met are decided here, many rows at once; those inside OR and NOT by SQLite, row by row.
        """
        areas = _Areas(self)
        places = [w for w in query.where if w.get("op") == "s_intersects"]
        others = [w for w in query.where if w.get("op") != "s_intersects"]
        parts = Compiler(self.columns, areas).conjunction(places), Compiler(self.columns, self).conjunction(others)
        where = Sql(" AND ".join(p.text for p in parts if p.text), (*parts[0].values, *parts[1].values))
        names = ", ".join(f'"{c.name}"' for c in self.columns)
        text = f'SELECT fid, "{self.geometry_column}", {names} FROM "{self.layer}"'  # noqa: S608  names of the file
        if where.text:
            text += f" WHERE {where.text}"
        text += f" ORDER BY {_order(query.sort, id_column, self)}"
        if head is not None and not areas.met:
            text += f" LIMIT {head}"
        rows = self.run(Sql(text, where.values), limited=head is not None)
        return islice(_meeting(rows, areas.met), head) if areas.met else rows

    def count(self, query: Query) -> int:
        """How many rows match."""
        where = Compiler(self.columns, self).conjunction(query.where)
        text = f'SELECT COUNT(*) FROM "{self.layer}"' + (f" WHERE {where.text}" if where.text else "")  # noqa: S608
        return int(next(self.run(Sql(text, where.values)))[0])

    def run(self, sql: Sql, limited: bool = True) -> Iterator[tuple[Any, ...]]:
        """The rows of a statement, broken off after TIME_LIMIT_S unless it is a copy of everything.

        Raises:
            TooSlowError: the time ran out.
        """
        return chain.from_iterable(self._batches(sql, limited))

    def _batches(self, sql: Sql, limited: bool) -> Iterator[list[tuple[Any, ...]]]:
        connection = self.connection
        end = time.monotonic() + TIME_LIMIT_S if limited else math.inf
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        try:
            cursor = connection.execute(sql.text, sql.values)
            while rows := cursor.fetchmany(AT_ONCE):
                yield rows
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TooSlowError(
                    f"the query took longer than {TIME_LIMIT_S:.0f} s; ask for a smaller area"
                ) from error
            raise
        except OverflowError as error:
            raise RequestError("filter: a number is too large") from error


@dataclass
class GeoPackageTable:
    """Parts of the same columns as one collection, one after the other."""

    id: str
    title: str
    description: str
    parts: tuple[Part, ...]
    temporal: tuple[str, str] | None

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Every property of any part, in order of appearance."""
        return tuple({c.name: c for part in self.parts for c in part.columns}.values())

    @cached_property
    def id_column(self) -> str:
        """``id`` where there is one, else the row number."""
        return "id" if any(c.name == "id" for c in self.columns) else "fid"

    @cached_property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """In degrees."""
        boxes = [shapely.bounds(in_degrees(shapely.box(*p.extent), p.crs)).tolist() for p in self.parts if p.extent]
        if not boxes:
            return None
        west, south, east, north = zip(*boxes, strict=True)
        return min(west), min(south), max(east), max(north)

    @cached_property
    def period(self) -> tuple[str, str] | None:
        """The first and last time of all features."""
        if self.temporal is None:
            return None
        start, end = self.temporal
        text = f'SELECT MIN(NULLIF("{start}", \'\')), MAX(NULLIF("{end}", \'\')) FROM "{{}}"'  # noqa: S608
        found = [next(p.run(Sql(text.format(p.layer)))) for p in self.parts]
        lows, highs = [f[0] for f in found if f[0]], [f[1] for f in found if f[1]]
        return (min(lows), max(highs)) if lows else None

    @property
    def rows(self) -> int:
        """How many features there are."""
        return sum(p.rows for p in self.parts)

    @property
    def stamp(self) -> str:
        """Changes with any of the files."""
        return "-".join(p.stamp for p in self.parts)

    def cheap(self, query: Query) -> bool:
        """A small page in table order, filtered by place alone, from few files."""
        spatial = all(w.get("op") == "s_intersects" for w in query.where)
        return spatial and not query.sort and query.limit + query.offset <= CHEAP_ROWS and len(self.parts) <= 4

    def select(self, query: Query) -> Rows:
        """The features of a query."""
        head = query.offset + query.limit + 1
        streams = [self._stream(part, query, head) for part in self.parts]
        merged = heapq.merge(*streams, key=lambda r: r[0]) if query.sort and len(streams) > 1 else _one_by_one(streams)
        page = list(islice(merged, query.offset, query.offset + query.limit + 1))
        more, page = len(page) > query.limit, page[: query.limit]
        return Rows(
            [str(r[2][self._id_place]) if self._id_place is not None else str(r[3]) for r in page],
            self._geometries(page),
            [r[2] for r in page],
            more,
            self._matched(query, len(page), more),
        )

    def everything(self) -> Iterator[tuple[Part, tuple[Any, ...], bytes | None]]:
        """``(part, values, geometry)`` of every row, in order."""
        for part in self.parts:
            for _, _, values, _, blob in self._stream(part, Query(), None):
                yield part, values, blob

    @cached_property
    def _id_place(self) -> int | None:
        return next((i for i, c in enumerate(self.columns) if c.name == self.id_column), None)

    def _stream(self, part: Part, query: Query, head: int | None) -> Iterator[tuple[Any, ...]]:
        """``(sort key, part, values, fid, geometry)`` of a part's rows."""
        at = {c.name: i + 2 for i, c in enumerate(part.columns)}
        places = [at.get(c.name) for c in self.columns]
        same = places == list(range(2, 2 + len(places)))
        booleans = [i for i, c in enumerate(self.columns) if c.type == "boolean"]
        sort_places = [(places[self._place(name)], descending) for name, descending in query.sort]
        id_place = at.get(self.id_column, 0)
        for row in part.iterate(query, self.id_column, head):
            values = list(row[2:]) if same else [None if p is None else row[p] for p in places]
            for i in booleans:
                values[i] = None if values[i] is None else bool(values[i])
            key = _key(row, sort_places, id_place) if query.sort else None
            yield key, part, tuple(values), row[0], row[1]

    def _place(self, name: str) -> int:
        return next(i for i, c in enumerate(self.columns) if c.name == name)

    def _geometries(self, page: list[tuple[Any, ...]]) -> list[shapely.Geometry | None]:
        out: list[shapely.Geometry | None] = [None] * len(page)
        for part in {id(r[1]): r[1] for r in page}.values():
            rows = [i for i, r in enumerate(page) if r[1] is part and r[4] is not None]
            native = shapely.from_wkb([without_header(page[i][4]) for i in rows])
            for i, geometry in zip(rows, in_degrees(native, part.crs), strict=True):
                out[i] = geometry
        return out

    def _matched(self, query: Query, found: int, more: bool) -> int | None:
        """Counted where it costs little: everything, the last page, or without a place to decide on."""
        if not more and (found or not query.offset):
            return query.offset + found
        if not query.where:
            return self.rows
        if any("s_intersects" in str(w) for w in query.where):
            return None
        return sum(p.count(query) for p in self.parts)


def open_geopackages(id_: str, title: str, description: str, files: Sequence[Path]) -> GeoPackageTable:
    """The collection of some GeoPackages, each with one layer of features."""
    parts = tuple(part for part in map(read_part, files) if part)
    has_time = any(c.name == "datetime" and c.type == "datetime" for p in parts for c in p.columns)
    return GeoPackageTable(id_, title, description, parts, ("datetime", "datetime") if has_time else None)


def read_part(path: Path) -> Part | None:
    """The first feature layer of a file; None where it has none with a spatial index."""
    stat = path.stat()

    def connect() -> sqlite3.Connection:
        # immutable: published outputs are replaced as a whole, never written in place; no lock, no -wal beside them.
        return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)

    with_close = connect()
    try:
        return part_of(connect, with_close, f"{stat.st_mtime_ns:x}-{stat.st_size:x}")
    except sqlite3.DatabaseError:
        return None
    finally:
        with_close.close()


def part_of(connect: Open, db: sqlite3.Connection, stamp: str) -> Part | None:
    """The first feature layer of an open database."""
    found = db.execute(
        "SELECT g.table_name, g.column_name, g.srs_id, s.definition FROM gpkg_geometry_columns g "
        "JOIN gpkg_spatial_ref_sys s ON s.srs_id = g.srs_id "
        "JOIN sqlite_master m ON m.name = 'rtree_' || g.table_name || '_' || g.column_name LIMIT 1"
    ).fetchone()
    if found is None:
        return None
    layer, geometry, srs, definition = found
    rows, *extent = db.execute(
        f'SELECT (SELECT COUNT(*) FROM "{layer}"), MIN(minx), MIN(miny), MAX(maxx), MAX(maxy) '  # noqa: S608
        f'FROM "rtree_{layer}_{geometry}"'
    ).fetchone()
    columns = tuple(
        Column(name, _type(name, declared), _MEANING.get(name, ""))
        for _, name, declared, *_ in db.execute(f'PRAGMA table_info("{layer}")')
        if name not in ("fid", geometry)
    )
    crs = pyproj.CRS.from_epsg(srs) if srs > 0 and _is_epsg(srs) else pyproj.CRS.from_wkt(definition)
    return Part(connect, layer, geometry, crs, tuple(extent) if extent[0] is not None else None, columns, rows, stamp)


_MEANING = {c.name: c.meaning for c in FEATURE_COLUMNS}


@lru_cache(maxsize=64)
def _is_epsg(code: int) -> bool:
    try:
        pyproj.CRS.from_epsg(code)
    except pyproj.exceptions.CRSError:
        return False
    return True


def _type(name: str, declared: str) -> Type:
    declared = declared.upper()
    if declared.startswith(("DATE", "TIMESTAMP")) or (name in ("datetime", "start", "end") and "TEXT" in declared):
        return "datetime"
    if declared.startswith("BOOL"):
        return "boolean"
    if "INT" in declared:
        return "integer"
    return "number" if declared.startswith(("REAL", "DOUBLE", "FLOAT", "NUMERIC")) else "string"


def _order(sort: Sequence[tuple[str, bool]], id_column: str, part: Part) -> str:
    if not sort:
        return "fid"
    terms = []
    for name, descending in sort:
        known = any(c.name == name for c in part.columns)
        quoted = '"' + name.replace('"', '""') + '"' if known else "NULL"
        terms.append(f"({quoted} IS NULL), {quoted} {'DESC' if descending else 'ASC'}")
    return ", ".join((*terms, f'"{id_column}"'))


class _Reversed:
    """Compares the other way round."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(other.value == self.value)

    __hash__ = None  # type: ignore[assignment]  # never in a set


def _key(row: tuple[Any, ...], sort: Sequence[tuple[int | None, bool]], id_place: int) -> tuple[Any, ...]:
    """The order of :func:`_order` in Python, to merge parts that each are in that order."""
    key: list[Any] = []
    for place, descending in sort:
        value = None if place is None else row[place]
        # SQLite and PostgreSQL compare text by its UTF-8 bytes here, which is the order of code points.
        key += [value is None, 0 if value is None else _Reversed(value) if descending else value]
    return (*key, row[id_place])


def _one_by_one(streams: Sequence[Iterator[tuple[Any, ...]]]) -> Iterator[tuple[Any, ...]]:
    for stream in streams:
        yield from stream


@dataclass
class _Areas:
    """The dialect of a part that leaves the decision on a place to the caller.

    Attributes:
        met: what the rows must intersect.
    """

    part: Part
    met: list[shapely.Geometry] = field(default_factory=list)
    mark: str = "?"

    def moment(self, quoted: str) -> str:
        """As the part."""
        return self.part.moment(quoted)

    def intersects(self, geometry: shapely.Geometry) -> Sql:
        """SQL for features that may intersect a WGS 84 geometry."""
        near, area = self.part.preselect(geometry)
        if area is not None:
            shapely.prepare(area)
            self.met.append(area)
        return near


def _meeting(rows: Iterator[tuple[Any, ...]], areas: Sequence[shapely.Geometry]) -> Iterator[tuple[Any, ...]]:
    """The rows whose geometry intersects every area, in their order."""
    while batch := list(islice(rows, AT_ONCE)):
        geometry = shapely.from_wkb([without_header(row[1]) for row in batch])
        met = np.logical_and.reduce([shapely.intersects(area, geometry) for area in areas])
        yield from compress(batch, met)


def without_header(blob: bytes) -> bytes:
    """The WKB of a GeoPackage geometry."""
    return blob[8 + _ENVELOPE_BYTES[blob[3] >> 1 & 7] :]


def with_header(wkb: bytes, srs: int) -> bytes:
    """WKB as a GeoPackage geometry without envelope."""
    return b"GP\x00\x01" + srs.to_bytes(4, "little", signed=True) + wkb


@lru_cache(maxsize=8)
def _prepared(wkb: bytes) -> shapely.Geometry:
    geometry = shapely.from_wkb(wkb)
    shapely.prepare(geometry)
    return geometry


def _intersects(blob: bytes | None, wkb: bytes) -> bool | None:
    if blob is None:
        return None
    return bool(shapely.intersects(_prepared(wkb), shapely.from_wkb(without_header(blob))))


@lru_cache(maxsize=4096)
def _moment(text: str | None) -> float | None:
    """Seconds since 1970 of a stored time; None where there is none."""
    if not text:
        return None
    try:
        return parse_interval(text if len(text) == 10 or text.endswith("Z") or "+" in text else text + "Z")[0]
    except RequestError:
        return None
