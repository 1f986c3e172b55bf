"""What routes share: who asks, for which format, under which address, and whether they have it already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aisf_geo.serve.errors import RequestError
from aisf_geo.serve.library import Library

_ACCEPTED = {
    "text/html": "html",
    "application/geo+json": "json",
    "application/json": "json",
    "text/csv": "csv",
    "application/vnd.apache.parquet": "parquet",
}


def library_of(request: Request) -> Library:
    """What this server offers."""
    library: Library = request.app.state.library
    return library


def token_of(request: Request) -> str | None:
    """The bearer token of a request."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else None


def origin_of(request: Request) -> str:
    """Scheme, host and path under which the server was asked; links are made of it."""
    return str(request.base_url).rstrip("/")


def negotiated(request: Request, offered: Sequence[str]) -> str:
    """The format by ``f``, else by the Accept header, else JSON.

    Raises:
        RequestError: ``f`` names a format that is not offered here.
    """
    wanted = request.query_params.get("f")
    if wanted is not None:
        if wanted not in offered:
            raise RequestError(f"f: expected {', '.join(offered)}, found {wanted[:40]!r}")
        return wanted
    for part in request.headers.get("accept", "").split(","):
        form = _ACCEPTED.get(part.partition(";")[0].strip().lower())
        if form in offered:
            return str(form)
    return "json"


def etag_of(request: Request, stamp: str, form: str = "") -> str:
    """The tag of what an address gives while ``stamp`` holds, to the holder of a token."""
    told = (stamp, form, str(request.url), request.headers.get("authorization", ""))
    return '"' + hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()[:24] + '"'


def unchanged(request: Request, etag: str) -> bool:
    """Whether the caller has what the tag names."""
    held = request.headers.get("if-none-match")
    return held is not None and (held.strip() == "*" or etag in [t.strip().removeprefix("W/") for t in held.split(",")])


def answer(request: Request, title: str, content: dict[str, Any], media: str = "application/json") -> Response:
    """A document as JSON or as a page."""
    from aisf_geo.serve.pages import record_page

    if negotiated(request, ("json", "html")) == "html":
        return record_page(request, title, content, content.get("links", []))
    return Response(
        json.dumps(content, ensure_ascii=False), media_type=media, headers={"vary": "accept, authorization"}
    )
