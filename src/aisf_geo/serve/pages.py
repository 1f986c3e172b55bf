"""The standards API for people: every document and table also as a plain page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.serve.table import Column, FeatureTable, Rows

Links = Sequence[Mapping[str, str]]


@lru_cache(maxsize=1)
def templates() -> Environment:
    """The templates of this package."""
    return Environment(
        loader=PackageLoader("aisf_geo.serve", "templates"),
        autoescape=select_autoescape(["html", "j2"]),
        trim_blocks=True,
    )


def items_page(request: Request, table: FeatureTable, columns: Sequence[Column], rows: Rows, links: Links) -> Response:
    """Features as a table with links to further pages."""
    cells = [
        [(f"{request.url.path}/{_quoted(id_)}?f=html", id_), *((None, _cell(v)) for v in values)]
        for id_, values in zip(rows.ids, rows.values, strict=True)
    ]
    heads = ["id", *(c.name for c in columns)]
    said = f"{rows.matched} features" if rows.matched is not None else "Features"
    return _page(request, table.title, heads=heads, rows=cells, links=links, said=said)


def record_page(request: Request, title: str, record: Mapping[str, Any], links: Links) -> Response:
    """A document as pairs of name and value."""
    pairs = [(name, value) for name, value in record.items() if name != "links"]
    return _page(request, title, pairs=pairs, links=links)


def _page(request: Request, title: str, **content: Any) -> Response:
    given = {"heads": [], "rows": [], "pairs": [], "said": "", **content}
    root = request.scope.get("root_path", "")
    text = templates().get_template("document.html.j2").render(title=title, made_by=MADE_BY, root=root, **given)
    return HTMLResponse(text, headers={"vary": "accept, authorization"})


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
