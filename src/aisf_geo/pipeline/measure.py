"""Label maps and zones to indicator values, in JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import shapely

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.indicator import IndicatorValue
from aisf_geo.domain.legend import UNKNOWN, Legend, Role
from aisf_geo.domain.tiling import blocks
from aisf_geo.indicators import registry
from aisf_geo.indicators.series import ClearedArea, Observation, ZoneSeries
from aisf_geo.indicators.zonal import Zone, ZoneAreas, add_window, start_zones
from aisf_geo.pipeline.clearing import cleared_in_zones, dates_of, write_clearing
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.segment import ItemOutcome
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import RunFolder, write_json

#: Columns of indicators.csv: the scalar keys of indicators.json.
CSV_COLUMNS = (
    "indicator",
    "formula",
    "name",
    "zone",
    "zone_name",
    "start",
    "end",
    "value",
    "unit",
    "low",
    "high",
    "coverage",
    "withheld_reason",
    "proxy",
    "caveat",
    "items",
)


def measure(plan: RunPlan, folder: RunFolder, outcomes: Sequence[ItemOutcome], models: tuple[str, ...]) -> list[IndicatorValue]:
    """Compute the recipe's indicators from the maps of a run and write them."""
    wanted = [registry.definition(code) for code in plan.recipe.indicators]
    cleared: list[tuple[ClearedArea, ...]] = [()] * len(plan.zones)
    if (asked := plan.recipe.clearing) is not None:
        dates = dates_of(plan, outcomes, asked)
        clearing = write_clearing(plan, folder, dates, asked.clear_dates)
        cleared = cleared_in_zones(plan, clearing, dates, plan.zones)
    observed = [observe(plan, item, folder) for item in plan.items] if wanted else []
    values = []
    for place, zone in enumerate(plan.zones):
        seen = tuple(of_item[place] for of_item in observed)
        outside = not zone.geometry.intersects(shapely.box(*plan.items[0].grid.bounds))
        series = ZoneSeries(zone.id, zone.name, seen, cleared[place], outside)
        for what in wanted:
            values += registry.evaluate(what, series, plan.recipe.min_coverage, models, plan.digest)
    write_indicators(folder, values)
    return values


def observe(plan: RunPlan, item: ItemPlan, folder: RunFolder) -> list[Observation]:
    """The class areas of one map in each zone."""
    grid, labels = item.grid, folder.item(item.id).labels
    zones = on_grid(plan.zones, plan.items[0].grid, grid)
    areas = start_zones(zones, grid)
    for block in blocks(grid, plan.recipe.segment.block_px):
        add_window(areas, zones, grid, block.core, read_pixels(labels, block.core))
    return [observation(item, account, plan.legend) for account in areas]


def on_grid(zones: Sequence[Zone], known: Grid, grid: Grid) -> Sequence[Zone]:
    """The zones in the CRS of another grid."""
    if known.pyproj_crs == grid.pyproj_crs:
        return zones
    import geopandas

    moved = geopandas.GeoSeries([z.geometry for z in zones], crs=known.pyproj_crs).to_crs(grid.pyproj_crs)
    return [Zone(z.id, z.name, g) for z, g in zip(zones, moved, strict=True)]


def observation(item: ItemPlan, account: ZoneAreas, legend: Legend) -> Observation:
    """The account of one zone and map by what its classes stand for."""
    by_role: dict[Role, float] = {c.role: 0.0 for c in legend.classes}
    for c in legend.classes:
        by_role[c.role] += account.by_code.get(c.code, 0.0)
    return Observation(item.id, item.period, by_role, account.by_code.get(UNKNOWN, 0.0), account.zone_m2)


def write_indicators(folder: RunFolder, values: Sequence[IndicatorValue]) -> None:
    """Write indicators.json and indicators.csv."""
    rows = [value.as_json() for value in values]
    write_json(folder.indicators, rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(row) for row in rows)
    write_text(folder.indicators.with_suffix(".csv"), stream.getvalue())


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    interval = row["interval"] or {}
    flat = row | row["period"] | {"low": interval.get("low"), "high": interval.get("high")}
    flat["items"] = " ".join(row["provenance"]["items"])
    return {key: flat[key] for key in CSV_COLUMNS}


def read_indicators(folder: RunFolder) -> list[dict[str, Any]]:
    """The values of a finished run; empty where it computed none."""
    if not folder.indicators.exists():
        return []
    rows: list[dict[str, Any]] = json.loads(folder.indicators.read_text(encoding="utf-8"))
    return rows
