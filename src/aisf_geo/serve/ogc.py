"""OGC API - Features Parts 1 and 3 over the tables of the runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.serve.catalog import PMTILES
from aisf_geo.serve.encode import as_csv, as_parquet, geojson_collection, geojson_feature
from aisf_geo.serve.errors import NotFoundError
from aisf_geo.serve.library import Library
from aisf_geo.serve.pages import items_page, record_page
from aisf_geo.serve.request import CRS84, FORMATS, Asked, parse_items
from aisf_geo.serve.table import Column, FeatureTable, Query, Rows
from aisf_geo.serve.web import answer, etag_of, library_of, negotiated, origin_of, token_of, unchanged

CONFORMANCE = (
    "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-common-2/1.0/conf/collections",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/oas30",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/html",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/queryables-query-parameters",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/filter",
    "http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/features-filter",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text",
    "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    "http://www.opengis.net/spec/cql2/1.0/conf/advanced-comparison-operators",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions",
    "http://www.opengis.net/spec/cql2/1.0/conf/basic-spatial-functions-plus",
)
_MEDIA = {
    "json": "application/geo+json",
    "geojson": "application/geo+json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
_JSON_TYPES: Mapping[str, dict[str, str]] = {
    "string": {"type": "string"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
}

router = APIRouter(tags=["OGC API - Features"])


def _parameter(name: str, about: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": schema or {"type": "string"}}


_FORMAT = _parameter("f", "json, html, csv or parquet", {"type": "string", "enum": list(FORMATS)})
_ITEM_PARAMETERS = [
    {
        **_parameter("bbox", "west,south,east,north in degrees"),
        "schema": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
        "style": "form",
        "explode": False,
    },
    _parameter("datetime", "An instant or START/END, both ends included; .. is open"),
    _parameter("limit", "Features of a page", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 10}),
    _parameter("offset", "Features to skip", {"type": "integer", "minimum": 0, "default": 0}),
    _parameter("filter", "A condition in CQL2"),
    _parameter("filter-lang", "Language of filter", {"type": "string", "enum": ["cql2-text", "cql2-json"]}),
    _parameter("sortby", "Properties, - before a name for descending; nulls last, then by id"),
    _parameter("properties", "Properties wanted in the answer"),
    _FORMAT,
]


# The first route, since routes are tried in order and this one is asked most.
@router.get("/collections/{collection}/items", openapi_extra={"parameters": _ITEM_PARAMETERS})
async def items(request: Request, collection: str) -> Response:
    """Features, by place, time, property and condition, as GeoJSON, CSV, GeoParquet or a page."""
    table = _table(request, collection)
    form = negotiated(request, FORMATS)
    etag = etag_of(request, table.stamp, form)
    if unchanged(request, etag):
        return Response(status_code=304, headers={"etag": etag})
    asked = parse_items(request.query_params, table)
    base = origin_of(request)
    work = (request, table, asked, form, base)
    response = _answered(*work) if table.cheap(asked.query) else await run_in_threadpool(_answered, *work)
    response.headers.update({"etag": etag, "cache-control": "no-cache", "vary": "accept, authorization"})
    return response


def _answered(request: Request, table: FeatureTable, asked: Asked, form: str, base: str) -> Response:
    rows = _narrowed(table.select(asked.query), table, asked.columns)
    links = _paging(request, table, asked.query, rows, form, base)
    headers = {"content-crs": f"<{CRS84}>"}
    if form == "html":
        return items_page(request, table, asked.columns, rows, links)
    if form in ("csv", "parquet"):
        content = as_csv(rows, asked.columns) if form == "csv" else as_parquet(rows, asked.columns)
        headers |= _link_header(links) | {"content-disposition": f'attachment; filename="{_file_name(table)}.{form}"'}
        return Response(content, media_type=_MEDIA[form], headers=headers)
    members: dict[str, Any] = {"numberReturned": len(rows.ids), "links": links}
    if rows.matched is not None:
        members["numberMatched"] = rows.matched
    return Response(geojson_collection(rows, asked.columns, members), media_type=_MEDIA[form], headers=headers)


@router.get("/conformance", openapi_extra={"parameters": [_FORMAT]})
def conformance(request: Request) -> Response:
    """The standards this server keeps."""
    from aisf_geo.serve.stac import CONFORMANCE as STAC

    return answer(request, "Conformance", {"conformsTo": [*CONFORMANCE, *STAC]})


@router.get("/collections", openapi_extra={"parameters": [_FORMAT]})
async def collections(request: Request) -> Response:
    """Every collection: features, indicators and zones of each run."""
    library, base = library_of(request), origin_of(request)
    content = {
        "links": [
            _link(f"{base}/collections?f=json", "self"),
            _link(f"{base}/collections?f=html", "alternate", "text/html"),
        ],
        "collections": [_described(table, base, library) for table in library.tables(token_of(request))],
    }
    return answer(request, "Collections", content)


@router.get("/collections/{collection}", openapi_extra={"parameters": [_FORMAT]})
async def collection(request: Request, collection: str) -> Response:
    """One collection: its extent and links."""
    table = _table(request, collection)
    return answer(request, table.title, _described(table, origin_of(request), library_of(request)))


@router.get("/collections/{collection}/queryables", openapi_extra={"parameters": [_FORMAT]})
@router.get("/collections/{collection}/schema", include_in_schema=False)
async def queryables(request: Request, collection: str) -> Response:
    """The properties that filters may name, as JSON Schema."""
    table = _table(request, collection)
    properties: dict[str, Any] = {c.name: {"title": c.title or c.name, **_JSON_TYPES[c.type]} for c in table.columns}
    properties["geometry"] = {"$ref": "https://geojson.org/schema/Geometry.json"}
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{_address(table, origin_of(request))}/queryables",
        "type": "object",
        "title": table.title,
        "properties": properties,
        "additionalProperties": False,
    }
    return answer(request, f"{table.title}: queryables", content, "application/schema+json")


@router.get("/collections/{collection}/items/{feature}", openapi_extra={"parameters": [_FORMAT]})
async def item(request: Request, collection: str, feature: str) -> Response:
    """One feature."""
    table = _table(request, collection)
    form = negotiated(request, ("json", "geojson", "html"))
    query = Query(({"op": "=", "args": [{"property": table.id_column}, feature]},), limit=1)
    rows = await run_in_threadpool(table.select, query)
    if not rows.ids:
        raise NotFoundError(f"collection {table.id} has no feature {feature[:80]!r}")
    base = _address(table, origin_of(request))
    address = f"{base}/items/{_quoted(rows.ids[0])}"
    links = [
        _link(address, "self", "application/geo+json"),
        _link(f"{address}?f=html", "alternate", "text/html"),
        _link(base, "collection"),
    ]
    if form == "html":
        record = dict(zip((c.name for c in table.columns), rows.values[0], strict=True))
        return record_page(request, f"{table.title}: {rows.ids[0]}", record, links)
    content = geojson_feature(rows, table.columns, {"links": links})
    return Response(content, media_type="application/geo+json", headers={"content-crs": f"<{CRS84}>"})


def _table(request: Request, collection: str) -> FeatureTable:
    library: Library = library_of(request)
    return library.table(token_of(request), collection)


def _narrowed(rows: Rows, table: FeatureTable, columns: tuple[Column, ...]) -> Rows:
    """The rows with the wanted columns only."""
    if columns == table.columns:
        return rows
    at = [table.columns.index(c) for c in columns]
    return Rows(rows.ids, rows.geometry, [tuple(v[i] for i in at) for v in rows.values], rows.more, rows.matched)


def _described(table: FeatureTable, base: str, library: Library) -> dict[str, Any]:
    address = _address(table, base)
    extent: dict[str, Any] = {}
    if table.bounds:
        extent["spatial"] = {"bbox": [list(table.bounds)], "crs": CRS84}
    if table.period:
        extent["temporal"] = {"interval": [list(table.period)]}
    forms = {**_MEDIA, "html": "text/html"}
    forms.pop("geojson")
    return {
        "id": table.id,
        "title": table.title,
        "description": f"{table.description} {MADE_BY}",
        "itemType": "feature",
        "crs": [CRS84],
        "storageCrs": CRS84,
        "extent": extent,
        "links": [
            _link(address, "self"),
            *(_link(f"{address}/items?f={form}", "items", media) for form, media in forms.items()),
            _link(
                f"{address}/queryables", "http://www.opengis.net/def/rel/ogc/1.0/queryables", "application/schema+json"
            ),
            # Part 1, 7.14: a download of all features, here of one date and for display.
            *(
                _link(base + t.address, "enclosure", PMTILES) | {"title": f"Vector tiles, {t.item}"}
                for t in library.vector_tiles(table.id)
            ),
        ],
    }


def _paging(
    request: Request, table: FeatureTable, query: Query, rows: Rows, form: str, base: str
) -> list[dict[str, str]]:
    address, media = f"{_address(table, base)}/items", _MEDIA.get(form, "text/html")
    asked = {name: value for name, value in request.query_params.items() if name != "f"}
    same = f"{address}?{urlencode(asked)}{'&' if asked else ''}f="
    links = [_link(f"{same}{form}", "self", media)]

    def page(offset: int, rel: str) -> dict[str, str]:
        turned = urlencode(asked | {"limit": query.limit, "offset": offset, "f": form})
        return _link(f"{address}?{turned}", rel, media)

    if rows.more:
        links.append(page(query.offset + query.limit, "next"))
    if query.offset:
        links.append(page(max(0, query.offset - query.limit), "prev"))
    other = "json" if form == "html" else "html"
    links.append(_link(f"{same}{other}", "alternate", _MEDIA.get(other, "text/html")))
    links.append(_link(_address(table, base), "collection"))
    return links


def _link_header(links: list[dict[str, str]]) -> dict[str, str]:
    """Paging of formats that have no place for links (RFC 8288)."""
    return {
        "link": ", ".join(f'<{x["href"]}>; rel="{x["rel"]}"' for x in links if x["rel"] in ("next", "prev", "self"))
    }


def _link(href: str, rel: str, media: str = "application/json") -> dict[str, str]:
    return {"href": href, "rel": rel, "type": media}


def _address(table: FeatureTable, base: str) -> str:
    return f"{base}/collections/{_quoted(table.id)}"


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _file_name(table: FeatureTable) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in table.id)
