"""Changes of indicators that are larger than their uncertainty, each told once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.indicators import registry
from aisf_geo.pipeline.mapped import mapped_items
from aisf_geo.pipeline.measure import read_indicators
from aisf_geo.recipe import Clearing, Recipe
from aisf_geo.store.run import RunFolder, write_json

Row = dict[str, Any]


def tell_new_alerts(folder: RunFolder, recipe: Recipe) -> list[Row]:
    """The alerts that were not told before; ``alerts.json`` then holds them all.

    A date takes part only if cloud and shadow hide at most what the recipe's clearing allows. Where a figure has no
    interval, its uncertainty is how far it moved in the quiet year: the baseline year of the recipe, or the first
    year of the series.
    """
    limit = recipe.clearing.max_obscured if recipe.clearing else Clearing(baseline_year=1).max_obscured
    clear = {item.id for item in mapped_items(folder) if item.obscured_share <= limit}
    rows = [
        row for row in read_indicators(folder) if row["value"] is not None and set(row["provenance"]["items"]) & clear
    ]
    before = _told(folder)
    known = {(a["formula"], a["name"], a["zone"], a["date"]) for a in before}
    found = [a for a in alerts(rows, recipe) if (a["formula"], a["name"], a["zone"], a["date"]) not in known]
    if found or not folder.alerts.exists():
        write_json(folder.alerts, [*before, *found])
    return found


def _told(folder: RunFolder) -> list[Row]:
    if not folder.alerts.exists():
        return []
    told: list[Row] = json.loads(folder.alerts.read_text(encoding="utf-8"))
    return told


def alerts(rows: Sequence[Row], recipe: Recipe) -> Iterator[Row]:
    """Walks each figure of each zone through time; after an alert the new value is what later ones are held against.

    Where a recipe follows clearing, only its confirmed figures alert: single dates are what clouds and seasons move.
    """
    cumulative = {r["formula"] for r in rows if registry.definition(r["formula"]).needs_clearing}
    for formula, name, zone in dict.fromkeys((r["formula"], r["name"], r["zone"]) for r in rows):
        if recipe.clearing is not None and formula not in cumulative:
            continue
        series = sorted(
            (r for r in rows if (r["formula"], r["name"], r["zone"]) == (formula, name, zone)),
            key=lambda r: r["period"]["start"],
        )
        noise = quiet_noise(rows, zone, series, recipe)
        start = 0.0 if formula in cumulative else series[0]["value"]
        yield from _walk(series, start, noise)


def _walk(series: Sequence[Row], start: float, noise: float | None) -> Iterator[Row]:
    held, held_half = start, 0.0
    for row in series:
        half = _half_width(row)
        uncertainty = noise if half is None else math.hypot(half, held_half)
        if uncertainty is None or abs(row["value"] - held) <= uncertainty:
            continue
        yield _alert(row, held, uncertainty, "interval" if half is not None else "spread in the quiet year")
        held, held_half = row["value"], half or 0.0


def _half_width(row: Row) -> float | None:
    return None if row["interval"] is None else (row["interval"]["high"] - row["interval"]["low"]) / 2


def quiet_noise(rows: Sequence[Row], zone: str, series: Sequence[Row], recipe: Recipe) -> float | None:
    """Largest difference between two dates of the quiet year, in the figure's unit; None with fewer than two dates.

    A cumulative area in hectares has no quiet value of its own: that of the tree cover it is taken from stands for it.
    """
    year = str(recipe.clearing.baseline_year) if recipe.clearing else series[0]["period"]["start"][:4]
    quiet = [r for r in rows if r["zone"] == zone and r["period"]["start"].startswith(year)]
    own = [r["value"] for r in quiet if r["formula"] == series[0]["formula"] and r["name"] == series[0]["name"]]
    if series[0]["unit"] == "ha" and len(own) < 2:
        # Of what was seen on both dates alike, so that a cloud's edge is no change.
        own = [r["value"] / 100 * r["inputs"]["zone_m2"] / 1e4 for r in quiet if "tree_cover_m2" in r["inputs"]]
    return max(own) - min(own) if len(own) > 1 else None


def _alert(row: Row, held: float, uncertainty: float, source: str) -> Row:
    change = row["value"] - held
    date = row["period"]["start"][:10]
    return {
        "formula": row["formula"],
        "name": row["name"],
        "zone": row["zone"],
        "zone_name": row["zone_name"],
        "date": date,
        "value": row["value"],
        "change": change,
        "uncertainty": uncertainty,
        "uncertainty_from": source,
        "unit": row["unit"],
        "sentence": (
            f"{row['name']}, {row['zone_name']}: {change:+.2f} {row['unit']} by {date}, more than its uncertainty of "
            f"{uncertainty:.2f} {row['unit']} ({source})."
        ),
        "made_by": MADE_BY,
    }
