"""Indicator values and zones as feature tables: the few rows of a JSON file, held in a GeoPackage in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import geopandas
import shapely

from aisf_geo.serve.catalog import Run
from aisf_geo.serve.gpkg import GeoPackageTable, Part, part_of, with_header
from aisf_geo.serve.table import Column

_numbers = count()
_DECLARED = {"string": "TEXT", "number": "REAL", "integer": "INTEGER", "boolean": "BOOLEAN", "datetime": "DATETIME"}

INDICATOR_COLUMNS = (
    Column("id", "string", "unique within the run"),
    Column("indicator", "string", "code"),
    Column("formula", "string", "code and version"),
    Column("name", "string", "what the value is"),
    Column("zone", "string", "id of the zone"),
    Column("zone_name", "string", "name of the zone"),
    Column("start", "datetime", "first moment of the period"),
    Column("end", "datetime", "last moment of the period"),
    Column("value", "number", "null where withheld"),
    Column("unit", "string", "unit of value, low and high"),
    Column("low", "number", "lower end of the interval; null where there is none"),
    Column("high", "number", "upper end of the interval"),
    Column("level", "number", "confidence level of the interval, 0..1"),
    Column("method", "string", "how the interval was obtained"),
    Column("coverage", "number", "share of the zone that was observed, 0..1"),
    Column("withheld_reason", "string", "why there is no value"),
    Column("proxy", "boolean", "True where it supports the indicator but is not it"),
    Column("caveat", "string", "what to keep in mind"),
    Column("items", "string", "the scenes behind it, separated by blanks"),
    Column("models", "string", "the models or methods behind it"),
    Column("inputs", "string", "areas and counts that the formula used, as JSON"),
)
ZONE_COLUMNS = (Column("id", "string", "id of the zone"), Column("zone_name", "string", "name of the zone"))


def indicator_table(run: Run) -> GeoPackageTable | None:
    """The values of a run where they hold; None where it computed none."""
    if not run.indicators:
        return None
    places = zone_shapes(run.folder.zones)
    records = [_record(number, row) for number, row in enumerate(run.indicators, start=1)]
    part = memory_part(INDICATOR_COLUMNS, records, [places.get(row["zone"]) for row in run.indicators], _stamp(run))
    title = f"{run.title}: indicators"
    about = "Value of each indicator, zone and period, with interval, coverage and caveat; withheld values say why."
    return GeoPackageTable(f"{run.id}.indicators", title, about, (part,), ("start", "end"))


def zone_table(run: Run) -> GeoPackageTable | None:
    """The zones of a run; None where it names none."""
    frame = _zones(run.folder.zones)
    if frame is None:
        return None
    records = [{"id": str(z), "zone_name": str(n)} for z, n in zip(frame["zone"], frame["zone_name"], strict=True)]
    part = memory_part(ZONE_COLUMNS, records, list(frame.geometry), _stamp(run))
    return GeoPackageTable(f"{run.id}.zones", f"{run.title}: zones", "The zones the values are of.", (part,), None)


def zone_shapes(path: Path) -> dict[str, shapely.Geometry]:
    """Zone id to its outline in WGS 84."""
    frame = _zones(path)
    return {} if frame is None else dict(zip(map(str, frame["zone"]), frame.geometry, strict=True))


def _zones(path: Path) -> geopandas.GeoDataFrame | None:
    return geopandas.read_file(path) if path.exists() else None


def _record(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    interval = row.get("interval") or {}
    provenance = row.get("provenance") or {}
    return {
        **{c.name: row.get(c.name) for c in INDICATOR_COLUMNS},
        **{key: interval.get(key) for key in ("low", "high", "level", "method")},
        "id": f"{row['indicator']}-{row['zone']}-{number}",
        "start": row["period"]["start"],
        "end": row["period"]["end"],
        "items": " ".join(provenance.get("items", [])),
        "models": "; ".join(provenance.get("models", [])),
        "inputs": json.dumps(row.get("inputs", {}), ensure_ascii=False),
    }


def _stamp(run: Run) -> str:
    stat = run.folder.run_json.stat()
    return f"{stat.st_mtime_ns:x}"


def memory_part(
    columns: Sequence[Column],
    records: Sequence[Mapping[str, Any]],
    geometry: Sequence[shapely.Geometry | None],
    stamp: str,
) -> Part:
    """Records and their WGS 84 outlines as a GeoPackage layer in memory, which lives as long as the part."""
    address = f"file:aisf-{next(_numbers)}?mode=memory&cache=shared"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, check_same_thread=False)

    db = connect()
    names = ", ".join(f'"{c.name}" {_DECLARED[c.type]}' for c in columns)
    db.executescript(
        "CREATE TABLE gpkg_spatial_ref_sys (srs_id INTEGER PRIMARY KEY, definition TEXT);"
        "INSERT INTO gpkg_spatial_ref_sys VALUES (4326, '');"
        "CREATE TABLE gpkg_geometry_columns (table_name TEXT, column_name TEXT, srs_id INTEGER);"
        "INSERT INTO gpkg_geometry_columns VALUES ('features', 'geom', 4326);"
        "CREATE VIRTUAL TABLE rtree_features_geom USING rtree(id, minx, maxx, miny, maxy);"
    )
    db.execute(f"CREATE TABLE features (fid INTEGER PRIMARY KEY, geom BLOB, {names})")
    for number, (record, shape) in enumerate(zip(records, geometry, strict=True), start=1):
        blob = None if shape is None else with_header(shapely.to_wkb(shape), 4326)
        values = [number, blob, *(record[c.name] for c in columns)]
        db.execute(f"INSERT INTO features VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608  marks only
        if shape is not None:
            west, south, east, north = shapely.bounds(shape).tolist()
            db.execute("INSERT INTO rtree_features_geom VALUES (?, ?, ?, ?, ?)", (number, west, east, south, north))
    db.commit()
    part = part_of(connect, db, stamp)
    if part is None:
        raise AssertionError("the layer that was just made")
    part.keep = db
    titles = {c.name: c for c in columns}
    part.columns = tuple(titles[c.name] for c in part.columns)
    return part
