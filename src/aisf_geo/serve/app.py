"""The application: one port, read-only, everything of it from this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from aisf_geo import __version__
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.serve import ogc, stac, view
from aisf_geo.serve.catalog import Catalog
from aisf_geo.serve.errors import RequestError
from aisf_geo.serve.gate import Gate
from aisf_geo.serve.library import Library
from aisf_geo.serve.settings import Access
from aisf_geo.serve.tiles import tile_router

if TYPE_CHECKING:
    from aisf_geo.serve.postgis import Database

#: From a row of indicators.json and the content of run.json to lines of text.
Explain = Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]]
STATIC = Path(__file__).parent / "static"


def create_app(
    path: Path, access: Access | None = None, dsn: str | None = None, explain: Explain | None = None
) -> FastAPI:
    """The server of the runs at or below ``path``; their features from the database at ``dsn`` where it is given.

    ``explain`` tells in lines how a row of indicators.json came about; it belongs to a stage that serving does not see.

    Raises:
        DataError: there is no run, or no database.
    """
    rules = access or Access()
    library = Library(Catalog(path), rules, database(dsn) if dsn else None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if library.database is not None:
            library.database.close()

    app = FastAPI(
        title="aisf-geo", version=__version__, description=MADE_BY, openapi_url=None, docs_url=None, redoc_url=None,
        lifespan=lifespan,
    )  # fmt: skip
    app.state.library = library
    app.state.explain = explain
    library.runs(None)  # opens every layer now, so that the first caller does not wait
    for router in (ogc.router, view.router, stac.router, tile_router()):
        app.include_router(router)

    @app.get("/api", tags=["OGC API - Features"])
    async def api() -> Response:
        """This interface as OpenAPI."""
        return JSONResponse(app.openapi(), media_type="application/vnd.oai.openapi+json;version=3.1")

    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    if rules.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(rules.origins), allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "range", "if-none-match", "if-range"],
            expose_headers=["etag", "link", "content-crs", "content-range"],
        )  # fmt: skip
    app.add_middleware(Gate, access=rules)
    return app


def database(dsn: str) -> Database:
    """The second store; psycopg is loaded only where it is asked for."""
    from aisf_geo.serve.postgis import Database

    return Database(dsn)


async def _refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, RequestError) else 400
    return _said(int(status), str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return _said(400, "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in found) or "not valid")


async def _http(_: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return _said(500, "the server failed")
    return _said(error.status_code, str(error.detail), dict(error.headers or {}))


def _said(status: int, what: str, headers: dict[str, str] | None = None) -> Response:
    """An exception as OGC API - Common writes it."""
    return JSONResponse({"code": str(status), "description": what}, status, headers)
