"""PostGIS as the second feature store: the tables of runs copied into a schema, and the same questions asked of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
import pyproj
import shapely
from psycopg import sql

from aisf_geo.errors import DataError
from aisf_geo.serve.cql import Compiler
from aisf_geo.serve.errors import RequestError, TooSlowError
from aisf_geo.serve.gpkg import TIME_LIMIT_S, GeoPackageTable, without_header
from aisf_geo.serve.projection import in_degrees, in_native
from aisf_geo.serve.table import Column, Query, Rows, Sql

SCHEMA = "aisf_geo"
#: Text sorts by its bytes, as SQLite does, and not by the language of the database.
_DECLARED = {
    "string": 'text COLLATE "C"',
    "number": "float8",
    "integer": "bigint",
    "boolean": "boolean",
    "datetime": 'text COLLATE "C"',
}
_CONTENTS = f"""
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.contents (
    id text PRIMARY KEY, title text NOT NULL, description text NOT NULL, columns jsonb NOT NULL,
    id_column text NOT NULL, temporal jsonb, bounds jsonb, period jsonb,
    rows bigint NOT NULL, srid integer NOT NULL, stamp text NOT NULL)
"""


@contextmanager
def connected(dsn: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection; what the server says of a failure without the password.

    Raises:
        DataError: it cannot be reached.
    """
    try:
        connection = psycopg.connect(dsn, connect_timeout=10, **options)
    except (psycopg.Error, ValueError) as error:
        raise DataError(f"database: cannot be reached ({str(error).splitlines()[0]}); check the address") from error
    with connection:
        yield connection


def publish_table(connection: psycopg.Connection[Any], table: GeoPackageTable) -> int:
    """Copy a table, replacing one of that name in the same transaction; returns the number of rows."""
    codes = {part.crs.to_epsg() for part in table.parts}
    # One table has one coordinate system: that of its files where they share one, else WGS 84.
    srid = (codes.pop() if len(codes) == 1 else None) or 4326
    name = sql.Identifier(SCHEMA, table.id)
    columns = [sql.SQL("{} " + _DECLARED[c.type]).format(sql.Identifier(c.name)) for c in table.columns]
    with connection.transaction():
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        layout = sql.SQL("CREATE TABLE {} (fid bigint PRIMARY KEY, geom geometry(Geometry, {}), {})")
        connection.execute(layout.format(name, sql.Literal(srid), sql.SQL(", ").join(columns)))
        with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
            for fid, (part, values, blob) in enumerate(table.everything(), start=1):
                copy.write_row((fid, _ewkb(blob, part.crs, srid), *values))
        connection.execute(sql.SQL("CREATE INDEX ON {} USING gist (geom)").format(name))
        connection.execute(sql.SQL("CREATE INDEX ON {} ({})").format(name, sql.Identifier(table.id_column)))
        connection.execute(f"DELETE FROM {SCHEMA}.contents WHERE id = %s", (table.id,))  # noqa: S608  a constant
        told = [[c.name, c.type, c.title] for c in table.columns]
        row = (table.id, table.title, table.description, json.dumps(told), table.id_column, json.dumps(table.temporal),
               json.dumps(table.bounds), json.dumps(table.period), table.rows, srid, table.stamp)  # fmt: skip
        marks = ", ".join(["%s"] * len(row))
        connection.execute(f"INSERT INTO {SCHEMA}.contents VALUES ({marks})", row)  # noqa: S608  marks only
    connection.execute(sql.SQL("ANALYZE {}").format(name))
    return table.rows


def _ewkb(blob: bytes | None, crs: pyproj.CRS, srid: int) -> str | None:
    if blob is None:
        return None
    geometry = shapely.from_wkb(without_header(blob))
    if crs.to_epsg() != srid:
        geometry = in_degrees(geometry, crs)
    return shapely.to_wkb(shapely.set_srid(geometry, srid), hex=True, include_srid=True)


def prepare(connection: psycopg.Connection[Any]) -> None:
    """Make the schema and the table of contents.

    Raises:
        DataError: the database has no PostGIS, or the user may not make the schema.
    """
    try:
        connection.execute(_CONTENTS)
    except psycopg.Error as error:
        raise DataError(f"database: cannot be prepared ({str(error).splitlines()[0]}); PostGIS is needed") from error


@dataclass
class Database:
    """Connections, one for each thread, read-only and with a time limit."""

    dsn: str
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _opened: list[psycopg.Connection[Any]] = field(default_factory=list, repr=False)

    def close(self) -> None:
        """Close the connections of every thread."""
        while self._opened:
            self._opened.pop().close()

    def rows(self, query: Sql) -> list[tuple[Any, ...]]:
        """The rows of a statement; a lost connection is opened anew once.

        Raises:
            TooSlowError: the time ran out.
        """
        for attempt in (1, 2):
            try:
                with self._connection().cursor(binary=True) as cursor:
                    return cursor.execute(query.text, query.values, prepare=True).fetchall()
            except psycopg.errors.QueryCanceled as error:
                raise TooSlowError(f"the query took longer than {TIME_LIMIT_S:.0f} s; ask for less") from error
            except psycopg.errors.DataError as error:
                raise RequestError(f"filter: {str(error).splitlines()[0]}") from error
            except psycopg.OperationalError:
                self._connection().close()
                self._local.connection = None
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def _connection(self) -> psycopg.Connection[Any]:
        held = getattr(self._local, "connection", None)
        if held is None or held.closed:
            options = f"-c default_transaction_read_only=on -c statement_timeout={int(1000 * TIME_LIMIT_S)}"
            held = psycopg.connect(self.dsn, autocommit=True, options=options, connect_timeout=10)
            self._local.connection = held
            self._opened.append(held)
        opened: psycopg.Connection[Any] = held
        return opened

    def tables(self) -> dict[str, PostgisTable]:
        """Every published collection.

        Raises:
            DataError: the database cannot be reached or holds none.
        """
        names = "id, title, description, columns, id_column, temporal, bounds, period, rows, srid, stamp"
        try:
            found = self.rows(Sql(f"SELECT {names} FROM {SCHEMA}.contents ORDER BY id"))  # noqa: S608  constants
        except psycopg.Error as error:
            said = str(error).splitlines()[0]
            raise DataError(f"database: no published run ({said}); use `aisf-geo publish RUN --to DSN`") from error
        return {row[0]: PostgisTable(self, *row) for row in found}


@dataclass
class PostgisTable:
    """A published collection."""

    database: Database
    id: str
    title: str
    description: str
    told: list[list[Any]]
    id_column: str
    temporal_pair: list[str] | None
    box: list[float] | None
    times: list[str] | None
    rows: int
    srid: int
    stamp: str
    mark: str = field(default="%s", init=False)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The properties, in order."""
        return tuple(Column(*c) for c in self.told)

    @property
    def temporal(self) -> tuple[str, str] | None:
        """The columns of start and end."""
        return (self.temporal_pair[0], self.temporal_pair[1]) if self.temporal_pair else None

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """In degrees."""
        return (self.box[0], self.box[1], self.box[2], self.box[3]) if self.box else None

    @property
    def period(self) -> tuple[str, str] | None:
        """First and last time."""
        return (self.times[0], self.times[1]) if self.times else None

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The coordinate system of the geometries."""
        return pyproj.CRS.from_epsg(self.srid)

    def moment(self, quoted: str) -> str:
        """SQL for a time column as seconds since 1970."""
        return f"EXTRACT(EPOCH FROM NULLIF({quoted}, '')::timestamptz)::float8"

    def intersects(self, geometry: shapely.Geometry) -> Sql:
        """SQL for features that intersect a WGS 84 geometry."""
        native = in_native(geometry, self.crs)
        if native is None:
            return Sql("(1=0)")
        # The same cut edges as for a GeoPackage, and not ST_Transform of the corners: equal answers from both.
        text = f"(geom IS NOT NULL AND ST_Intersects(geom, ST_GeomFromWKB(%s, {int(self.srid)})))"
        return Sql(text, (shapely.to_wkb(native),))

    def cheap(self, _: Query) -> bool:
        """Never: a database may be far."""
        return False

    def select(self, query: Query) -> Rows:
        """The features of a query."""
        where = Compiler(self.columns, self).conjunction(query.where)
        names = ", ".join(_quoted(c.name) for c in self.columns)
        source = f"{_quoted(SCHEMA)}.{_quoted(self.id)}"
        condition = f" WHERE {where.text}" if where.text else ""
        text = f"SELECT fid, geom, {names} FROM {source}{condition} ORDER BY {self._order(query)} LIMIT %s OFFSET %s"  # noqa: S608
        found = self.database.rows(Sql(text, (*where.values, query.limit + 1, query.offset)))
        more, page = len(found) > query.limit, found[: query.limit]
        at = next((i for i, c in enumerate(self.columns, start=2) if c.name == self.id_column), 0)
        geometry = in_degrees(shapely.from_wkb([r[1] for r in page]), self.crs) if page else []
        matched = self._matched(query, len(page), more, f"SELECT COUNT(*) FROM {source}{condition}", where)  # noqa: S608
        return Rows([str(r[at]) for r in page], list(geometry), [r[2:] for r in page], more, matched)

    def _order(self, query: Query) -> str:
        if not query.sort:
            return "fid"
        terms = [f"{_quoted(name)} {'DESC' if down else 'ASC'} NULLS LAST" for name, down in query.sort]
        return ", ".join((*terms, _quoted(self.id_column)))

    def _matched(self, query: Query, found: int, more: bool, count: str, where: Sql) -> int | None:
        """As for a GeoPackage."""
        if not more and (found or not query.offset):
            return query.offset + found
        if not query.where:
            return self.rows
        if any("s_intersects" in str(w) for w in query.where):
            return None
        return int(self.database.rows(Sql(count, where.values))[0][0])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
