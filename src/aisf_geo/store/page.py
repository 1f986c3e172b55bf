"""The report as one self-contained HTML page: pictures inlined, nothing loaded from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray

from aisf_geo.store.files import write_text
from aisf_geo.store.raster import png_bytes


@dataclass(frozen=True)
class Picture:
    """An inlined picture with its caption and alternative text."""

    src: str
    caption: str
    alt: str


@dataclass(frozen=True)
class Key:
    """One line of a map legend."""

    colour: str
    label: str


@dataclass(frozen=True)
class Point:
    """One value of a chart; ``value`` is None where it was withheld."""

    date: str
    years: float
    value: float | None
    note: str


def picture(rgba: NDArray[np.uint8], caption: str, alt: str) -> Picture:
    """A picture as a data URI."""
    return Picture("data:image/png;base64," + base64.b64encode(png_bytes(rgba)).decode(), caption, alt)


def write_page(path: Path, content: dict[str, Any]) -> None:
    """Render ``report.html.j2`` with ``content``."""
    environment = Environment(loader=PackageLoader("aisf_geo.store", "."), autoescape=select_autoescape(["html", "j2"]))
    environment.filters["number"] = number
    write_text(path, environment.get_template("report.html.j2").render(**content))


def number(value: float | None) -> str:
    """A number with three to four significant digits and thin grouping."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{max(0, 3 - len(str(int(abs(value)))))}f}"


def chart(points: Sequence[Point], unit: str) -> dict[str, Any] | None:
    """Positions of a small line chart on a 640 x 150 canvas, or None for fewer than two values."""
    given = [p for p in points if p.value is not None]
    if len(given) < 2:
        return None
    top = max(p.value or 0.0 for p in given) or 1.0
    first, last = points[0].years, points[-1].years
    span = max(last - first, 1e-9)

    def x(point: Point) -> float:
        return round(46 + 580 * (point.years - first) / span, 1)

    def y(value: float) -> float:
        return round(124 - 108 * value / top, 1)

    return {
        "line": " ".join(f"{x(p)},{y(p.value or 0.0)}" for p in given),
        "dots": [{"x": x(p), "y": y(p.value or 0.0), "title": f"{p.date}: {number(p.value)} {unit}"} for p in given],
        "withheld": [{"x": x(p), "title": f"{p.date}: withheld, {p.note}"} for p in points if p.value is None],
        "top": number(top),
        "unit": unit,
        "years": [
            {"x": round(46 + 580 * (year - first) / span, 1), "label": year}
            for year in range(int(np.ceil(first)), int(last) + 1)
        ],
    }
