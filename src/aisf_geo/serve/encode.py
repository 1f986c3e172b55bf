"""Features as GeoJSON, CSV and GeoParquet; each says that it was made by AI."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import geopandas
import shapely

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.serve.table import Column, Rows

CSV_PLACE = ("longitude", "latitude")
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def geojson_features(rows: Rows, columns: Sequence[Column]) -> list[str]:
    """One GeoJSON feature for each row."""
    names = ",".join(f"{_dumps(c.name).replace('%', '%%')}:%s" for c in columns)
    form = f'{{"type":"Feature","id":%s,"geometry":%s,"properties":{{{names}}}}}'
    shapes = ["null" if g is None else text for g, text in zip(rows.geometry, _shapes(rows.geometry), strict=True)]
    values = map(_texts, zip(*rows.values, strict=True))
    return [form % row for row in zip(map(_text, rows.ids), shapes, *values, strict=True)]


def _shapes(geometry: Sequence[shapely.Geometry | None]) -> list[str | None]:
    return list(shapely.to_geojson(geometry)) if len(geometry) else []


#: How the encoder writes a type. A call into it for each value took most of the time of a page.
_text = json.encoder.encode_basestring
_TEXT: Mapping[type, Callable[[Any], str]] = {str: _text, float: float.__repr__, int: int.__repr__}


def _texts(values: Sequence[Any]) -> Iterable[str]:
    """A column as JSON, at once where it is of one type."""
    kinds = set(map(type, values))
    known = _TEXT.get(kinds.pop()) if len(kinds) == 1 else None
    if known is None or (known is float.__repr__ and not all(map(math.isfinite, values))):
        return map(_dumps, values)
    return map(known, values)


def geojson_collection(rows: Rows, columns: Sequence[Column], members: Mapping[str, Any]) -> bytes:
    """A FeatureCollection with further members such as links."""
    head = _dumps({"type": "FeatureCollection", **members, "aisf:made_by": MADE_BY})[:-1]
    return f'{head},"features":[{",".join(geojson_features(rows, columns))}]}}'.encode()


def geojson_feature(rows: Rows, columns: Sequence[Column], members: Mapping[str, Any]) -> bytes:
    """The first row as a feature with further members."""
    text = geojson_features(rows, columns)[0]
    return (text[:-1] + "," + _dumps({**members, "aisf:made_by": MADE_BY})[1:]).encode()


def as_csv(rows: Rows, columns: Sequence[Column]) -> bytes:
    """A table with a point inside each feature, and who made it, in every row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*(c.name for c in columns), *CSV_PLACE, "made_by"])
    for geometry, values in zip(rows.geometry, rows.values, strict=True):
        point = shapely.point_on_surface(geometry) if geometry is not None else None
        place = (round(point.x, 7), round(point.y, 7)) if point is not None and not point.is_empty else ("", "")
        writer.writerow([*(_cell(v) for v in values), *place, MADE_BY])
    return stream.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run as a formula is quoted (OWASP, CSV injection)."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def as_parquet(rows: Rows, columns: Sequence[Column]) -> bytes:
    """GeoParquet in WGS 84."""
    table = {c.name: [values[i] for values in rows.values] for i, c in enumerate(columns)}
    frame = geopandas.GeoDataFrame(table, geometry=list(rows.geometry), crs=4326)
    frame["made_by"] = MADE_BY
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()
