"""The map page and what it needs to know: which runs, layers, values and sources there are."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response

from aisf_geo import __version__
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import RecipeError
from aisf_geo.serve.catalog import LOOK_AGAIN_S, PMTILES, RasterLayer, Run, is_internal, unknown_colour
from aisf_geo.serve.errors import NotFoundError
from aisf_geo.serve.library import Library
from aisf_geo.serve.pages import templates
from aisf_geo.serve.web import library_of, negotiated, origin_of, token_of, unchanged

router = APIRouter(tags=["Map"])
#: A report is a page of its own with inline styles; it may show them, and reach nothing.
REPORT_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; sandbox allow-scripts; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
mimetypes.add_type("text/javascript", ".mjs")
mimetypes.add_type(PMTILES, ".pmtiles")
#: Suffixes of the files of a collection; whoever may see it may have them.
_TABLES = (".gpkg", ".parquet", ".geojson", ".pmtiles")
_RANGES: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that the header Range asks for"},
    304: {"description": "The caller has the file, by If-None-Match"},
    416: {"description": "The file is shorter than the range"},
}


@router.get(
    "/",
    openapi_extra={
        "parameters": [{"name": "f", "in": "query", "schema": {"type": "string", "enum": ["json", "html"]}}]
    },
)
async def landing(request: Request) -> Response:
    """The map page, or for programs the landing page of the API."""
    if negotiated(request, ("json", "html")) == "html":
        root = request.scope.get("root_path", "")
        return HTMLResponse(
            templates().get_template("map.html.j2").render(root=root, version=__version__), headers={"vary": "accept"}
        )
    base = origin_of(request)
    oas = "application/vnd.oai.openapi+json;version=3.1"
    links = [
        _link(f"{base}/?f=json", "self"),
        _link(f"{base}/?f=html", "alternate", "text/html"),
        _link(f"{base}/api", "service-desc", oas),
        _link(f"{base}/api?f=html", "service-doc", "text/html"),
        _link(f"{base}/conformance", "conformance"),
        _link(f"{base}/collections", "data"),
        _link(f"{base}/stac", "child"),
    ]
    return JSONResponse({"title": "aisf-geo", "description": MADE_BY, "links": links}, headers={"vary": "accept"})


@router.get("/map.json")
async def map_json(request: Request) -> JSONResponse:
    """Runs with their maps, legends, collections, dates and sources."""
    token, library = token_of(request), library_of(request)
    tables = {t.id: t for t in library.tables(token)}
    rasters = list(library.rasters(token))
    runs = [_run(run, rasters, tables, library) for run in library.runs(token).values()]
    return JSONResponse(
        {"made_by": MADE_BY, "version": __version__, "runs": runs}, headers={"cache-control": "no-cache"}
    )


def _run(run: Run, rasters: list[RasterLayer], tables: Mapping[str, Any], library: Library) -> dict[str, Any]:
    mine = [r for r in rasters if r.id.startswith(f"{run.id}.")]
    return {
        "id": run.id,
        "title": run.title,
        "state": run.about.get("state"),
        "warnings": run.about.get("warnings", []),
        "bounds": run.bounds,
        "sources": run.collection.get("aisf:sources", []),
        "report": run.folder.report.exists(),
        "items": [_item(item, mine) for item in run.items],
        "changes": [_layer(r) for r in mine if r.kind == "change"],
        "tables": [
            {
                "id": id_,
                "name": id_.removeprefix(f"{run.id}."),
                "rows": t.rows,
                "columns": [c.name for c in t.columns],
                "tiles": {tiles.item: tiles.address for tiles in library.vector_tiles(id_)},
            }
            for id_, t in tables.items()
            if id_.startswith(f"{run.id}.") and not id_.endswith((".indicators", ".zones"))
        ],
        "indicators": f"{run.id}.indicators" in tables,
        "zones": f"{run.id}.zones" in tables,
    }


def _item(item: Mapping[str, Any], rasters: list[RasterLayer]) -> dict[str, Any]:
    properties = item["properties"]
    return {
        "id": item["id"],
        "datetime": properties.get("datetime") or properties.get("start_datetime"),
        "coverage": properties.get("aisf:coverage"),
        "obscured": properties.get("aisf:obscured_share"),
        "attribution": properties.get("aisf:source_attribution"),
        "licence": properties.get("aisf:source_licence"),
        "method": properties.get("aisf:method"),
        "gsd": properties.get("gsd"),
        "layers": [_layer(r) for r in rasters if r.item == item["id"]],
    }


def _layer(raster: RasterLayer) -> dict[str, Any]:
    return {
        "id": raster.id,
        "kind": raster.kind,
        "head": raster.head,
        "bounds": raster.bounds,
        "legend": [{"code": e.code, "name": e.name, "colour": e.colour} for e in raster.legend],
        "unknown": unknown_colour(raster.path, raster.stamp) if raster.kind == "labels" else None,
        "stamp": raster.stamp,
    }


@router.get("/runs/{run}/indicators.json")
async def indicators(request: Request, run: str) -> JSONResponse:
    """The values of a run as they were written."""
    library, token = library_of(request), token_of(request)
    library.table(token, f"{run}.indicators")
    return JSONResponse(library.run(token, run).indicators, headers={"cache-control": "no-cache"})


@router.get("/runs/{run}/indicators/{number}/explanation")
async def explanation(request: Request, run: str, number: int) -> JSONResponse:
    """How a value came about, in lines; values are counted from 1 as in indicators.json."""
    library, token = library_of(request), token_of(request)
    library.table(token, f"{run}.indicators")
    found, explain = library.run(token, run), request.app.state.explain
    if explain is None or not 1 <= number <= len(found.indicators):
        raise NotFoundError(f"run {run[:80]!r} has no explanation of value {number}")
    try:
        return JSONResponse({"lines": explain(found.indicators[number - 1], found.about)})
    except RecipeError as error:
        # The run was made by another version, which knew other formulas.
        raise NotFoundError(f"value {number} of run {run[:80]!r} cannot be explained here ({error})") from error


@router.get("/runs/{run}/report.html", response_class=FileResponse)
async def report(request: Request, run: str) -> Response:
    """The report of a run."""
    found = library_of(request).run(token_of(request), run)
    headers = {"content-security-policy": REPORT_CSP, "cache-control": "no-cache"}
    return _file(request, found.folder.report, headers)


@router.get("/runs/{run}/items/{item}/{name}", response_class=FileResponse, responses=_RANGES)
@router.head("/runs/{run}/items/{item}/{name}", include_in_schema=False)
async def asset(request: Request, run: str, item: str, name: str) -> Response:
    """A file that the STAC item of a scene names, vector tiles (PMTiles) among them; ranges are answered."""
    library, token = library_of(request), token_of(request)
    found = library.run(token, run)
    for known in found.items:
        named = {str(a["href"]).removeprefix("./") for a in known.get("assets", {}).values()}
        if known["id"] == item and name in named and "/" not in name and "\\" not in name:
            stem = name.partition(".")[0]
            layer = f"{run}.{stem}" if name.endswith(_TABLES) else f"{run}.{item}.{stem}"
            if library.access.opens(token, layer, is_internal(known, stem)):
                # A map asks for a part of vector tiles several times; a replaced run is seen no sooner either.
                headers = {"cache-control": f"private, max-age={LOOK_AGAIN_S:.0f}"}
                return _file(request, found.folder.item(item).path / name, headers)
    raise NotFoundError(f"item {item[:80]!r} of run {run[:80]!r} has no file {name[:80]!r}")


def _file(request: Request, path: Path, headers: dict[str, str]) -> Response:
    """A file, a part of it, or word that the caller has it."""
    if not path.is_file():
        raise NotFoundError("the file is not there any more")
    response = FileResponse(path, headers={**headers, "vary": "authorization"}, stat_result=path.stat())
    if unchanged(request, response.headers["etag"]):
        kept = {name: response.headers[name] for name in (*headers, "vary", "etag", "last-modified")}
        return Response(status_code=304, headers=kept)
    return response


def _link(href: str, rel: str, media: str = "application/json") -> dict[str, str]:
    return {"href": href, "rel": rel, "type": media}
