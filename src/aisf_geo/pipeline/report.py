"""What the report says and shows, gathered from a run folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import UnreadableError
from aisf_geo.indicators import registry
from aisf_geo.indicators.zonal import Zone, on_grid
from aisf_geo.pipeline.audience import homes_to_hide
from aisf_geo.pipeline.brief import ClassAreas, brief
from aisf_geo.pipeline.clearing import NO_BASELINE_TREES, STANDING, clearing_colours, clearing_names, dates_of
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.imagery import natural_colours
from aisf_geo.pipeline.mapped import mapped_items
from aisf_geo.pipeline.measure import read_indicators
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.segment import SETTLED, ItemOutcome, scene_warnings
from aisf_geo.store.features import class_areas_m2
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.page import Key, Picture, Point, chart, number, picture, write_page
from aisf_geo.store.raster import UNKNOWN_COLOUR, coloured, thumbnail
from aisf_geo.store.run import RunFolder

#: Longest side of the large maps, and of the small ones of each date.
MAP_PX, DATE_PX = 600, 200
#: A report shows at most this many dates; all of them are in the run folder.
MAX_DATES = 24
#: Zones are numbered on the map up to this many; more numbers would hide it.
NUMBERED_ZONES = 30
#: Columns of a table that still fit a printed page.
ZONES_ACROSS = 5

Rgba = NDArray[np.uint8]


def write_report(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> None:
    """Write report.html."""
    rows = [_row(row) for row in read_indicators(folder)]
    unseen = [o.item for o in outcomes if rows and o.coverage < plan.recipe.min_coverage]
    items = [_item(item, outcome, folder) for item, outcome in zip(plan.items, outcomes, strict=True)]
    maps, keys = _maps(plan, folder, outcomes)
    write_page(
        folder.report,
        {
            "title": plan.recipe.title,
            "dates_line": _dates_line(plan),
            "made_by": MADE_BY,
            "warnings": [*plan.warnings, *scene_warnings(plan, folder)],
            "brief": brief(rows, [] if rows else _class_areas(plan, folder, outcomes), unseen),
            "heads": _other_heads(plan, folder, outcomes),
            "maps": maps,
            "keys": keys,
            "charts": _charts(rows),
            "tables": _tables(rows),
            "min_coverage_pct": round(100 * plan.recipe.min_coverage),
            "dates": [_date(plan, i, o, folder) for i, o in zip(plan.items, outcomes, strict=True)][:MAX_DATES],
            "items": items,
            "numbers": _numbers(plan),
            "sources": [
                dict(t)
                for t in dict.fromkeys((("attribution", i.attribution), ("licence", i.licence)) for i in plan.items)
            ],
            "method": "; ".join(dict.fromkeys(f"{i.choice.name}: {i.choice.source}" for i in plan.items)),
            "formulas": [d for d in registry.describe() if d["formula"] in {r["formula"] for r in rows}],
            "program": f"aisf-geo {versions()['aisf-geo']}",
            "software": ", ".join(f"{k} {v}" for k, v in versions().items()),
            "recipe": plan.recipe.name,
            "digest": plan.digest,
        },
    )


def _dates_line(plan: RunPlan) -> str:
    days = sorted(i.view.scene.period.start.date().isoformat() for i in plan.items if i.view.scene.period)
    scenes = "1 scene" if len(plan.items) == 1 else f"{len(plan.items)} scenes"
    if not days:
        return f"{scenes}, acquisition date not stated"
    return f"{scenes}, " + (days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    interval = row["interval"]
    text = f"{number(interval['low'])} to {number(interval['high'])}" if interval else ""
    start, end = (datetime.fromisoformat(row["period"][key]) for key in ("start", "end"))
    one_day = Period(start, end).is_one_day
    when = start.date().isoformat() if one_day else f"{start.date()} to {(end - timedelta(days=1)).date()}"
    return row | {"interval_text": text, "when": when}


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
    return {
        "id": item.id,
        "acquired": _acquired(item),
        "seen": outcome.coverage,
        "obscured": outcome.obscured_share,
        "missing": max(0.0, 1 - outcome.coverage - outcome.obscured_share),
        "failed": outcome.failed,
        "failures": failures[:5],
        "settled": settled.get("reason") or ", ".join(f"{k} {v}" for k, v in settled.items()),
    }


def _clear(plan: RunPlan, outcomes: Sequence[ItemOutcome]) -> list[ItemPlan]:
    """The scenes that show nearly as much as the one that shows most."""
    best = max(o.coverage for o in outcomes)
    return [i for i, o in zip(plan.items, outcomes, strict=True) if o.coverage >= 0.95 * best]


def _class_areas(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> list[ClassAreas]:
    """What each head shows of the last clear scene; none without features, or with objects, which cover no ground."""
    last = _clear(plan, outcomes)[-1]
    out = folder.item(last.id)
    if out.objects.exists():
        return []
    coverage = next(o.coverage for o in outcomes if o.item == last.id)
    found = [
        ClassAreas(
            head, plan.heads[head], last.id, _acquired(last), coverage, class_areas_m2(files.features(".parquet"))
        )
        for head, files in out.all_heads(plan.heads).items()
    ]
    return [areas for areas in found if areas.area_m2] if found[0].area_m2 else []


def _other_heads(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> list[dict[str, Any]]:
    """What the heads beside the main one show of the last clear scene."""
    last = _clear(plan, outcomes)[-1]
    _, *others = folder.item(last.id).all_heads(plan.heads).items()
    shown = []
    for head, files in others:
        if _shows_homes(plan, last, plan.heads[head]):
            continue
        overlay, keys = _classes_of(files.labels, plan.heads[head])
        mixed = _over(overlay, _image(last, MAP_PX), 0.75)
        shown.append({"picture": _picture(mixed, f"{last.id}, {head}, over the image"), "keys": keys})
    return shown


def _acquired(item: ItemPlan) -> str:
    period = item.view.scene.period
    return period.start.date().isoformat() if period else "date not stated"


def _maps(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome]) -> tuple[list[Picture], list[Key]]:
    """What was found, and the scenes it was found in: the first and the last, or the only one."""
    clear = _clear(plan, outcomes)
    first, last = clear[0], clear[-1]
    pictures = [
        _picture(_outlined(_image(item, MAP_PX), plan, item.grid), f"{item.id}, the image")
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
    elif _shows_homes(plan, last, plan.legend):
        overlay, keys = np.zeros((1, 1, 4), np.uint8), []
        caption = f"{last.id}: its map shows single homes and is not for the public, counts stand in cells"
    else:
        overlay, keys = _classes_of(folder.item(last.id).labels, plan.legend)
        caption = f"{last.id}, the classes over the image"
    mixed = _over(overlay, _image(last, MAP_PX), 0.75)
    across_km = last.grid.gsd_m * last.grid.shape.width / 1000
    found = _picture(_outlined(mixed, plan, last.grid, numbered=True), f"{caption}; {number(across_km)} km across")
    return [found, *pictures], keys


def _shows_homes(plan: RunPlan, item: ItemPlan, legend: Legend) -> bool:
    """Whether a map would show single homes to an audience that is not to see them."""
    return homes_to_hide(plan.recipe, legend, item.grid).in_pixels


def _classes_of(path: Path, legend: Legend) -> tuple[Rgba, list[Key]]:
    """A label map in its colours, and what those it shows stand for."""
    labels = thumbnail(path, MAP_PX)
    keys = [Key(_css(c.colour), c.name) for c in legend.classes if (labels == c.code).any()]
    if (labels == UNKNOWN).any():
        keys.append(Key(_css(UNKNOWN_COLOUR), legend.class_name(UNKNOWN)))
    return coloured(labels, legend), keys


def _date(plan: RunPlan, item: ItemPlan, outcome: ItemOutcome, folder: RunFolder) -> Picture:
    """The classes of one date over its image; what was not seen is hatched."""
    under = _image(item, DATE_PX)
    labels = thumbnail(folder.item(item.id).labels, DATE_PX)
    mixed = under.copy() if _shows_homes(plan, item, plan.legend) else _over(coloured(labels, plan.legend), under, 0.55)
    hidden = _like(under, (labels == NOT_OBSERVED).astype(np.uint8)[..., None])[..., 0] > 0
    rows, cols = np.indices(hidden.shape)
    mixed[hidden & ((rows + cols) % 8 < 3)] = (200, 60, 60, 255)
    return _picture(mixed, f"{item.id}: {100 * outcome.coverage:.0f} % seen")


def _image(item: ItemPlan, longest_px: int) -> Rgba:
    """The scene in natural colours; small ones enlarged in whole pixels, so that outlines drawn on them stay thin."""
    try:
        rgba = natural_colours(item, longest_px)
    except UnreadableError:
        # The table of scenes says why; a report with a grey picture is better than none.
        return np.full((longest_px, longest_px, 4), 128, np.uint8)
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


def _outlined(rgba: Rgba, plan: RunPlan, grid: Grid, numbered: bool = False) -> Rgba:
    """The picture with the outlines of the recipe's zones, and their numbers where they are few."""
    if plan.recipe.zones is None:
        return rgba
    canvas = Image.fromarray(rgba)
    pen = ImageDraw.Draw(canvas)
    to_pixel, (height, width) = ~grid.transform, grid.shape

    def place(x: float, y: float) -> tuple[float, float]:
        column, row = to_pixel @ (x, y)
        return column * canvas.width / width, row * canvas.height / height

    zones = on_grid(plan.zones, plan.items[0].grid, grid)
    for zone in zones:
        for ring in _rings(zone):
            pen.line([place(x, y) for x, y in ring], (255, 255, 255, 255), 2)
    numbers = _numbers(plan) if numbered else {}
    for zone in zones:
        inside = shapely.point_on_surface(shapely.intersection(zone.geometry, shapely.box(*grid.bounds)))
        if zone.id in numbers and not shapely.is_empty(inside):
            _badge(pen, place(inside.x, inside.y), str(numbers[zone.id]))
    return np.asarray(canvas)


def _numbers(plan: RunPlan) -> dict[str, int]:
    """The number of each zone on the map and in the table; none where they are too many or the image is the zone."""
    few = plan.recipe.zones is not None and len(plan.zones) <= NUMBERED_ZONES
    return {zone.id: i for i, zone in enumerate(plan.zones, 1)} if few else {}


def _badge(pen: ImageDraw.ImageDraw, at: tuple[float, float], text: str) -> None:
    """A number in a disc, black on white, so that it reads on any map."""
    x, y = at
    pen.ellipse((x - 15, y - 15, x + 15, y + 15), (255, 255, 255, 255), (28, 35, 33, 255), 2)
    pen.text(at, text, (28, 35, 33, 255), font=ImageFont.load_default(18), anchor="mm")


def _rings(zone: Zone) -> list[list[tuple[float, float]]]:
    return [list(line.coords) for line in shapely.get_parts(shapely.boundary(zone.geometry))]


def _picture(rgba: Rgba, caption: str) -> Picture:
    return picture(rgba, caption, caption)


def _css(colour: tuple[int, int, int]) -> str:
    return "rgb({}, {}, {})".format(*colour)
