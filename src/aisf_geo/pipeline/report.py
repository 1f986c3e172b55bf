"""What the report says and shows, gathered from a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import NOT_OBSERVED
from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import UnreadableError
from aisf_geo.indicators import registry
from aisf_geo.indicators.zonal import Zone
from aisf_geo.ingest.read import read_thumbnail
from aisf_geo.pipeline.clearing import NO_BASELINE_TREES, STANDING, clearing_colours, clearing_names, dates_of
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.mapped import mapped_items
from aisf_geo.pipeline.measure import on_grid, read_indicators
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.segment import SETTLED, ItemOutcome
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.page import Key, Picture, Point, chart, number, picture, write_page
from aisf_geo.store.raster import coloured, thumbnail
from aisf_geo.store.run import RunFolder

#: Longest side of the large maps, and of the small ones of each date.
MAP_PX, DATE_PX = 600, 200
#: A report shows at most this many dates; all of them are in the run folder.
MAX_DATES = 24
#: Columns of a table that still fit a printed page.
ZONES_ACROSS = 5

Rgba = NDArray[np.uint8]


def write_report(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> None:
    """Write report.html."""
    rows = [_row(row) for row in read_indicators(folder)]
    items = [_item(item, outcome, folder) for item, outcome in zip(plan.items, outcomes, strict=True)]
    maps, keys = _maps(plan, folder, outcomes)
    write_page(
        folder.report,
        {
            "title": plan.recipe.title,
            "dates_line": _dates_line(plan),
            "made_by": MADE_BY,
            "warnings": plan.warnings,
            "statements": _statements(_latest(rows)),
            "maps": maps,
            "keys": keys,
            "charts": _charts(rows),
            "tables": _tables(rows),
            "min_coverage_pct": round(100 * plan.recipe.min_coverage),
            "dates": [_date(plan, i, o, folder) for i, o in zip(plan.items, outcomes, strict=True)][:MAX_DATES],
            "items": items,
            "sources": [
                dict(t)
                for t in dict.fromkeys((("attribution", i.attribution), ("licence", i.licence)) for i in plan.items)
            ],
            "method": "; ".join(dict.fromkeys(f"{i.choice.name}: {i.choice.source}" for i in plan.items)),
            "formulas": [d for d in registry.describe() if d["formula"] in {r["formula"] for r in rows}],
            "software": ", ".join(f"{k} {v}" for k, v in versions().items()),
            "recipe": plan.recipe.name,
            "digest": plan.digest,
        },
    )


def _dates_line(plan: RunPlan) -> str:
    days = sorted(i.view.scene.period.start.date().isoformat() for i in plan.items if i.view.scene.period)
    if not days:
        return f"{len(plan.items)} scene(s), acquisition date not stated"
    return f"{len(plan.items)} scene(s), " + (days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    interval = row["interval"]
    text = f"{number(interval['low'])} to {number(interval['high'])}" if interval else ""
    start, end = (datetime.fromisoformat(row["period"][key]) for key in ("start", "end"))
    one_day = Period(start, end).is_one_day
    when = start.date().isoformat() if one_day else f"{start.date()} to {(end - timedelta(days=1)).date()}"
    return row | {"interval_text": text, "when": when}


def _latest(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each figure and zone the last value that was not withheld, or the last one if all were."""
    chosen: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["formula"], row["name"], row["zone"]
        if row["value"] is not None or key not in chosen or chosen[key]["value"] is None:
            chosen[key] = row
    return list(chosen.values())


def _statements(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each formula the plain sentences of all zones, and once what to keep in mind."""
    spoken = []
    for formula in dict.fromkeys(row["formula"] for row in rows):
        of_formula = [row for row in rows if row["formula"] == formula]
        spoken.append(
            {
                "sentences": [_sentence(row) for row in of_formula],
                "caveat": of_formula[0]["caveat"],
                "proxy": of_formula[0]["proxy"],
                "unsure": all(row["interval"] is None for row in of_formula),
            }
        )
    return spoken


def _sentence(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return f"{row['name']}, {row['zone_name']}: withheld, because {row['withheld_reason']}."
    value = f"{number(row['value'])} {row['unit']}"
    what = registry.definition(row["formula"])
    if row["name"] != what.name:
        return f"{row['name']}, {row['zone_name']}: {value} ({row['when']})."
    return what.sentence.format(value=value, zone=f"“{row['zone_name']}”", when=row["when"])


def _charts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One chart for each figure, a line for each zone."""
    drawn = []
    for name in dict.fromkeys(row["name"] for row in rows):
        of_name = [row for row in rows if row["name"] == name]
        lines = {
            zone: [
                Point(r["when"], _years(r["period"]["start"]), r["value"], r["withheld_reason"] or "")
                for r in of_name
                if r["zone_name"] == zone
            ]
            for zone in dict.fromkeys(r["zone_name"] for r in of_name)
        }
        drawing = chart(lines, of_name[0]["unit"])
        if drawing:
            drawn.append({"title": name, "chart": drawing})
    return drawn


def _tables(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One table for each figure and group of zones: dates down, zones across."""
    tables = []
    for formula, name in dict.fromkeys((row["formula"], row["name"]) for row in rows):
        cells = {(r["when"], r["zone"]): r for r in rows if (r["formula"], r["name"]) == (formula, name)}
        zones = list(dict.fromkeys((r["zone"], r["zone_name"]) for r in cells.values()))
        for first in range(0, len(zones), ZONES_ACROSS):
            across = zones[first : first + ZONES_ACROSS]
            days = dict.fromkeys(day for day, zone in cells if zone in {z for z, _ in across})
            tables.append(
                {
                    "title": name,
                    "formula": formula,
                    "zones": [zone_name for _, zone_name in across],
                    "rows": [{"when": day, "cells": [cells.get((day, z)) for z, _ in across]} for day in days],
                }
            )
    return tables


def _years(moment: str) -> float:
    day = np.datetime64(moment[:10])
    year = day.astype("datetime64[Y]")
    return float(year.astype(int)) + 1970 + float((day - year).astype(int)) / 365.25


def _item(item: ItemPlan, outcome: ItemOutcome, folder: RunFolder) -> dict[str, Any]:
    with open_ledger(folder.ledger) as ledger:
        settled = json.loads(ledger.fact(item.id, SETTLED) or "{}")
        failures = [f"block {r.block}: {r.reason}" for r in ledger.blocks(item.id) if r.state == "failed"]
    period = item.view.scene.period
    return {
        "id": item.id,
        "acquired": period.start.date().isoformat() if period else "not stated",
        "seen": outcome.coverage,
        "obscured": outcome.obscured_share,
        "missing": max(0.0, 1 - outcome.coverage - outcome.obscured_share),
        "failed": outcome.failed,
        "failures": failures[:5],
        "settled": settled.get("reason") or ", ".join(f"{k} {v}" for k, v in settled.items()),
    }


def _maps(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> tuple[list[Picture], list[Key]]:
    """Before, after, and what was found between them; for a single scene the image and its classes."""
    best = max(o.coverage for o in outcomes)
    clear = [i for i, o in zip(plan.items, outcomes, strict=True) if o.coverage >= 0.95 * best]
    first, last = clear[0], clear[-1]
    pictures = [
        _picture(_outlined(_image(item, MAP_PX), plan, item.grid), f"{item.id}: the image")
        for item in ([first] if first is last else [first, last])
    ]
    clearing = folder.change / "clearing" / "clearing.tif"
    if plan.recipe.clearing is not None and clearing.exists():
        dates = dates_of(mapped_items(folder), plan.recipe.clearing)
        codes = thumbnail(clearing, MAP_PX)
        table, names, colours = np.zeros((256, 4), np.uint8), clearing_names(dates), clearing_colours(len(dates.later))
        shown = [k for k in np.unique(codes).tolist() if STANDING < k < NO_BASELINE_TREES]
        for code in shown:
            table[code] = (*colours[code], 255)
        keys, overlay = [Key(_css(colours[k]), names[k]) for k in shown], table[codes]
        caption = f"Cleared after {plan.recipe.clearing.baseline_year}, over the image of {last.id}"
    else:
        overlay = coloured(thumbnail(folder.item(last.id).labels, MAP_PX), plan.legend)
        keys = [Key(_css(c.colour), c.name) for c in plan.legend.classes]
        caption = f"{last.id}: the classes over the image"
    mixed = _over(overlay, _image(last, MAP_PX), 0.75)
    return [*pictures, _picture(_outlined(mixed, plan, last.grid), caption)], keys


def _date(plan: RunPlan, item: ItemPlan, outcome: ItemOutcome, folder: RunFolder) -> Picture:
    """The classes of one date over its image; what was not seen is hatched."""
    under = _image(item, DATE_PX)
    labels = thumbnail(folder.item(item.id).labels, DATE_PX)
    mixed = _over(coloured(labels, plan.legend), under, 0.55)
    hidden = _like(under, (labels == NOT_OBSERVED).astype(np.uint8)[..., None])[..., 0] > 0
    rows, cols = np.indices(hidden.shape)
    mixed[hidden & ((rows + cols) % 8 < 3)] = (200, 60, 60, 255)
    return _picture(mixed, f"{item.id}: {100 * outcome.coverage:.0f} % seen")


def _image(item: ItemPlan, longest_px: int) -> Rgba:
    """The scene in natural colours, stretched between the 2nd and 98th percentile; grey where it has no such bands."""
    scene = item.view.scene
    wanted = ("red", "green", "blue")
    names = wanted if set(wanted) <= set(scene.band_names) else scene.band_names[:1] * 3
    try:
        values = read_thumbnail(scene, names, item.view.grid, item.extent, longest_px)
    except UnreadableError:
        # The table of scenes says why; a report with a grey picture is better than none.
        return np.full((longest_px, longest_px, 4), 128, np.uint8)
    seen = np.asarray(np.isfinite(values).all(axis=0))
    if not seen.any():
        return np.zeros((*seen.shape, 4), np.uint8)
    # One stretch for all bands keeps the colours of the ground; clouds must not darken it, hence the percentiles.
    low, high = np.percentile(values[:, seen], (1, 98))
    shown = np.nan_to_num((values - low) / max(high - low, 1e-9)).clip(0, 1) ** 0.7
    rgba = (np.concatenate([shown, seen[None]]).transpose(1, 2, 0) * 255).astype(np.uint8)
    # Small scenes are enlarged in whole pixels, so that outlines drawn on them stay thin.
    times = max(1, longest_px // max(rgba.shape[:2]))
    return np.asarray(rgba.repeat(times, axis=0).repeat(times, axis=1), np.uint8)


def _like(reference: Rgba, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``pixels`` by nearest neighbour at the size of ``reference``."""
    rows = np.arange(reference.shape[0]) * pixels.shape[0] // reference.shape[0]
    cols = np.arange(reference.shape[1]) * pixels.shape[1] // reference.shape[1]
    return np.asarray(pixels[rows][:, cols])


def _over(layer: Rgba, under: Rgba, opacity: float) -> Rgba:
    """``layer`` laid over ``under``."""
    layer = _like(under, layer)
    share = (layer[..., 3:] / 255) * opacity
    mixed = under.astype(np.float64)
    mixed[..., :3] = mixed[..., :3] * (1 - share) + layer[..., :3] * share
    mixed[..., 3] = np.maximum(under[..., 3], layer[..., 3])
    return np.asarray(mixed.astype(np.uint8))


def _outlined(rgba: Rgba, plan: RunPlan, grid: Grid) -> Rgba:
    """The picture with the outlines of the recipe's zones."""
    if plan.recipe.zones is None:
        return rgba
    canvas = Image.fromarray(rgba)
    pen = ImageDraw.Draw(canvas)
    to_pixel, (height, width) = ~grid.transform, grid.shape
    for zone in on_grid(plan.zones, plan.items[0].grid, grid):
        for ring in _rings(zone):
            corners = [to_pixel @ (x, y) for x, y in ring]
            pen.line(
                [(c * canvas.width / width, r * canvas.height / height) for c, r in corners], (255, 255, 255, 255), 2
            )
    return np.asarray(canvas)


def _rings(zone: Zone) -> list[list[tuple[float, float]]]:
    return [list(line.coords) for line in shapely.get_parts(shapely.boundary(zone.geometry))]


def _picture(rgba: Rgba, caption: str) -> Picture:
    return picture(rgba, caption, caption)


def _css(colour: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*colour)
