"""The report as one self-contained HTML page: pictures inlined, nothing loaded from anywhere."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
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


def write_page(path: Path, content: dict[str, Any], template: str = "report.html.j2") -> None:
    """Render a template of this package with ``content``."""
    environment = Environment(loader=PackageLoader("aisf_geo.store", "."), autoescape=select_autoescape(["html", "j2"]))
    environment.filters["number"] = number
    write_text(path, environment.get_template(template).render(**content))


def number(value: float | None) -> str:
    """A number with three to four significant digits and thin grouping."""
    if value is None:
        return "–"
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.{max(0, 3 - len(str(int(abs(value)))))}f}"


#: Colours of the lines of a chart, told apart also by those who see few colours (Okabe & Ito 2008).
LINE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def chart(lines: Mapping[str, Sequence[Point]], unit: str) -> dict[str, Any] | None:
    """Positions of a line chart on a 640 x 170 canvas, one line per name; None where no line has two values."""
    given = {name: [p for p in points if p.value is not None] for name, points in lines.items()}
    if all(len(points) < 2 for points in given.values()):
        return None
    everything = [p for points in lines.values() for p in points]
    top = max(p.value or 0.0 for p in everything) or 1.0
    first, last = min(p.years for p in everything), max(p.years for p in everything)
    span = max(last - first, 1e-9)

    def x(years: float) -> float:
        return round(52 + 574 * (years - first) / span, 1)

    def y(value: float) -> float:
        return round(140 - 120 * value / top, 1)

    return {
        "lines": [
            {
                "name": name,
                "colour": LINE_COLOURS[i % len(LINE_COLOURS)],
                "path": " ".join(f"{x(p.years)},{y(p.value or 0.0)}" for p in points),
                "dots": [
                    {"x": x(p.years), "y": y(p.value or 0.0), "title": f"{name}, {p.date}: {number(p.value)} {unit}"}
                    for p in points
                ],
            }
            for i, (name, points) in enumerate(given.items())
        ],
        "withheld": [
            {"x": place, "title": "; ".join(f"{p.date}: withheld, {p.note}" for p in withheld)}
            for place, withheld in _by_place(x, [p for p in everything if p.value is None]).items()
        ],
        "top": number(top),
        "unit": unit,
        "years": [{"x": x(year), "label": year} for year in range(math.ceil(first), int(last) + 1)],
    }


def _by_place(x: Callable[[float], float], points: Sequence[Point]) -> dict[float, list[Point]]:
    grouped: dict[float, list[Point]] = {}
    for point in points:
        grouped.setdefault(x(point.years), []).append(point)
    return grouped
