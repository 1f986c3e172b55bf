"""STAC API over the items of the runs: catalog, collections, items and search, as pystac-client asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import shapely
from fastapi import APIRouter, Request
from starlette.responses import Response

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.serve.catalog import Run
from aisf_geo.serve.cql import Moments, box_of, parse_interval
from aisf_geo.serve.errors import NotFoundError, RequestError
from aisf_geo.serve.web import library_of, origin_of, token_of

CONFORMANCE = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
)
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000
router = APIRouter(prefix="/stac", tags=["STAC API"])


def _query(name: str, about: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": schema or {"type": "string"}}


_PAGING = [
    _query("limit", "Items of a page", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    _query("token", "Where the page starts"),
    _query("bbox", "west,south,east,north"),
    _query("datetime", "An instant or START/END"),
]
_SEARCH = [*_PAGING, _query("collections", "Ids, separated by commas"), _query("ids", "Ids, separated by commas")]


@router.get("")
@router.get("/", include_in_schema=False)
async def landing(request: Request) -> Response:
    """The catalog."""
    base = origin_of(request)
    runs = library_of(request).runs(token_of(request))
    return _json(
        {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "aisf-geo",
            "title": "Maps and indicators by aisf-geo",
            "description": MADE_BY,
            "conformsTo": list(CONFORMANCE),
            "links": [
                _link(f"{base}/stac", "self"),
                _link(f"{base}/stac", "root"),
                _link(f"{base}/stac/conformance", "conformance"),
                _link(f"{base}/stac/collections", "data"),
                {**_link(f"{base}/stac/search", "search", "application/geo+json"), "method": "GET"},
                {**_link(f"{base}/stac/search", "search", "application/geo+json"), "method": "POST"},
                _link(f"{base}/api", "service-desc", "application/vnd.oai.openapi+json;version=3.1"),
                *(_link(f"{base}/stac/collections/{id_}", "child") for id_ in runs),
            ],
        }
    )


@router.get("/conformance")
async def conformance() -> Response:
    """The parts of the STAC API kept."""
    return _json({"conformsTo": list(CONFORMANCE)})


@router.get("/collections")
async def collections(request: Request) -> Response:
    """A collection for each run."""
    base = origin_of(request)
    runs = library_of(request).runs(token_of(request)).values()
    links = [_link(f"{base}/stac/collections", "self"), _link(f"{base}/stac", "root")]
    return _json({"collections": [_collection(run, base) for run in runs], "links": links})


@router.get("/collections/{collection}")
async def collection(request: Request, collection: str) -> Response:
    """The collection of a run."""
    return _json(_collection(library_of(request).run(token_of(request), collection), origin_of(request)))


@router.get("/collections/{collection}/items", openapi_extra={"parameters": _PAGING})
async def items(request: Request, collection: str) -> Response:
    """The items of a run."""
    library_of(request).run(token_of(request), collection)
    asked = {**request.query_params, "collections": [collection]}
    return _page(request, asked, f"{origin_of(request)}/stac/collections/{collection}/items")


@router.get("/collections/{collection}/items/{item}")
async def item(request: Request, collection: str, item: str) -> Response:
    """One item."""
    run = library_of(request).run(token_of(request), collection)
    for known in run.items:
        if known["id"] == item:
            return _json(_item(run, known, origin_of(request)), "application/geo+json")
    raise NotFoundError(f"run {collection} has no item {item[:80]!r}")


@router.get("/search", openapi_extra={"parameters": _SEARCH})
async def search(request: Request) -> Response:
    """Items of all runs by place, time and id."""
    return _page(request, dict(request.query_params), f"{origin_of(request)}/stac/search")


_BODY = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "collections": {"type": "array", "items": {"type": "string"}},
                    "ids": {"type": "array", "items": {"type": "string"}},
                    "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
                    "datetime": {"type": "string"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
                },
            }
        }
    }
}


@router.post("/search", openapi_extra={"requestBody": _BODY})
async def search_by_body(request: Request) -> Response:
    """The same search, its parameters in a body."""
    try:
        asked = json.loads(await request.body() or b"{}")
    except (ValueError, RecursionError) as error:
        raise RequestError("the body is not JSON") from error
    if not isinstance(asked, dict):
        raise RequestError("the body is not a JSON object")
    return _page(request, asked, f"{origin_of(request)}/stac/search")


def _page(request: Request, asked: Mapping[str, Any], address: str) -> Response:
    limit = min(_whole(asked.get("limit", DEFAULT_LIMIT), "limit", 1), MAX_LIMIT)
    start = _whole(asked.get("token", 0), "token", 0)
    base = origin_of(request)
    found = list(_matching(library_of(request).runs(token_of(request)), asked))
    page = found[start : start + limit]
    links = [_link(f"{base}/stac", "root"), _link(str(request.url), "self", "application/geo+json")]
    if start + limit < len(found):
        links.append(_next(request, asked, address, start + limit))
    content = {
        "type": "FeatureCollection",
        "numberMatched": len(found),
        "numberReturned": len(page),
        "features": [_item(run, known, base) for run, known in page],
        "links": links,
    }
    return _json(content, "application/geo+json")


def _next(request: Request, asked: Mapping[str, Any], address: str, start: int) -> dict[str, Any]:
    from urllib.parse import urlencode

    link = _link(address, "next", "application/geo+json")
    if request.method == "POST":
        return {**link, "method": "POST", "body": {**asked, "token": str(start)}}
    further = {k: v for k, v in asked.items() if k in ("limit", "bbox", "datetime", "ids")}
    if address.endswith("/search") and "collections" in asked:
        further["collections"] = asked["collections"]
    return {**link, "href": f"{address}?{urlencode(further | {'token': start})}", "method": "GET"}


def _matching(runs: Mapping[str, Run], asked: Mapping[str, Any]) -> Iterator[tuple[Run, Mapping[str, Any]]]:
    wanted, ids = _names(asked.get("collections"), "collections"), _names(asked.get("ids"), "ids")
    box = _box(asked["bbox"]) if asked.get("bbox") else None
    span = parse_interval(str(asked["datetime"])) if asked.get("datetime") else None
    for run in runs.values():
        if wanted and run.id not in wanted:
            continue
        for known in run.items:
            if ids and known["id"] not in ids:
                continue
            if box is not None and not shapely.intersects(box, shapely.from_geojson(json.dumps(known["geometry"]))):
                continue
            if span is not None and not _touches(known["properties"], span):
                continue
            yield run, known


def _touches(properties: Mapping[str, Any], span: Moments) -> bool:
    start = properties.get("datetime") or properties.get("start_datetime")
    end = properties.get("datetime") or properties.get("end_datetime")
    return bool(start and end) and parse_interval(str(start))[0] <= span[1] and parse_interval(str(end))[1] >= span[0]


def _names(value: Any, what: str) -> set[str]:
    if value is None or value == "":
        return set()
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise RequestError(f"{what}: expected a list of ids")
    return set(names)


def _box(value: Any) -> shapely.Geometry:
    if isinstance(value, str):
        try:
            value = [float(v) for v in value.split(",")]
        except ValueError as error:
            raise RequestError(f"bbox: expected west,south,east,north in degrees, found {value[:60]!r}") from error
    if not isinstance(value, list) or any(isinstance(v, bool) for v in value):
        raise RequestError("bbox: expected a list of four numbers")
    return box_of(value)


def _whole(value: Any, name: str, least: int) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) <= 9) or int(text) < least:
        raise RequestError(f"{name}: expected a whole number from {least}, found {text[:40]!r}")
    return int(text)


def _collection(run: Run, base: str) -> dict[str, Any]:
    address = f"{base}/stac/collections/{run.id}"
    return {
        **run.collection,
        "id": run.id,
        "links": [
            _link(f"{base}/stac", "root"),
            _link(f"{base}/stac", "parent"),
            _link(address, "self"),
            _link(f"{address}/items", "items", "application/geo+json"),
        ],
    }


def _item(run: Run, known: Mapping[str, Any], base: str) -> dict[str, Any]:
    address = f"{base}/stac/collections/{run.id}"
    files = f"{base}/runs/{run.id}/items/{known['id']}"
    assets = {
        key: {**asset, "href": f"{files}/{str(asset['href']).removeprefix('./')}"}
        for key, asset in known.get("assets", {}).items()
    }
    links = [
        _link(f"{base}/stac", "root"),
        _link(address, "parent"),
        _link(address, "collection"),
        _link(f"{address}/items/{known['id']}", "self", "application/geo+json"),
    ]
    return {**known, "collection": run.id, "assets": assets, "links": links}


def _link(href: str, rel: str, media: str = "application/json") -> dict[str, Any]:
    return {"href": href, "rel": rel, "type": media}


def _json(content: Any, media: str = "application/json") -> Response:
    return Response(json.dumps(content, ensure_ascii=False), media_type=media)
