"""Label maps and zones to indicator values, in JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import shapely

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.indicator import IndicatorValue
from aisf_geo.domain.legend import UNKNOWN, Legend, Role
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import RecipeError
from aisf_geo.indicators import registry
from aisf_geo.indicators.series import ClearedArea, Observation, ZoneSeries
from aisf_geo.indicators.zonal import Zone, ZoneAreas, add_window, start_zones
from aisf_geo.pipeline.clearing import cleared_in_zones, dates_of, write_clearing
from aisf_geo.pipeline.mapped import MappedItem, legend_of, mapped_items
from aisf_geo.pipeline.plan import read_zones
from aisf_geo.recipe import Recipe, parse_recipe
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


def measure(folder: RunFolder, recipe: Recipe, zones: Sequence[Zone]) -> list[IndicatorValue]:
    """Compute the recipe's indicators from the maps of a run and write them.

    The zones are given in the CRS of the first map.
    """
    wanted = [registry.definition(code) for code in recipe.indicators]
    items = mapped_items(folder)
    cleared: list[tuple[ClearedArea, ...]] = [()] * len(zones)
    if recipe.clearing is not None:
        dates = dates_of(items, recipe.clearing)
        cleared = cleared_in_zones(write_clearing(folder, dates, recipe.clearing.clear_dates), dates, zones)
    observed = [observe(item, zones, items[0].grid) for item in items] if wanted else []
    models = tuple(dict.fromkeys(item.method for item in items))
    values = []
    for place, zone in enumerate(zones):
        seen = tuple(of_item[place] for of_item in observed)
        outside = not shapely.intersects(zone.geometry, shapely.box(*items[0].grid.bounds))
        series = ZoneSeries(zone.id, zone.name, seen, cleared[place], outside)
        for what in wanted:
            values += registry.evaluate(what, series, recipe.min_coverage, models, folder.read_run()["plan_digest"])
    write_indicators(folder, values)
    return values


def observe(item: MappedItem, zones: Sequence[Zone], known: Grid) -> list[Observation]:
    """The class areas of one map in each zone, zones given in the CRS of ``known``."""
    grid, placed = item.grid, on_grid(zones, known, item.grid)
    areas = start_zones(placed, grid)
    for block in blocks(grid):
        add_window(areas, placed, grid, block.core, read_pixels(item.labels, block.core))
    legend = legend_of(item.labels)
    return [observation(item, account, legend) for account in areas]


def on_grid(zones: Sequence[Zone], known: Grid, grid: Grid) -> Sequence[Zone]:
    """The zones in the CRS of another grid."""
    if known.pyproj_crs == grid.pyproj_crs:
        return zones
    import geopandas

    moved = geopandas.GeoSeries([z.geometry for z in zones], crs=known.pyproj_crs).to_crs(grid.pyproj_crs)
    return [Zone(z.id, z.name, g) for z, g in zip(zones, moved, strict=True)]


def observation(item: MappedItem, account: ZoneAreas, legend: Legend) -> Observation:
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


def measure_again(
    path: Path, zones: Path, id_column: str | None, name_column: str | None
) -> tuple[list[str], list[dict[str, Any]]]:
    """Compute the indicators of a finished run for other zones; returns what to know of the zones, and the values.

    Raises:
        DataError: the folder is not a run.
        RecipeError: the run computed no indicators, or a zone column is missing.
        GridError: invalid zones, or none touches the imagery.
    """
    folder = RunFolder(path)
    recipe = parse_recipe(folder.read_run()["recipe"], "in run.json")
    if not recipe.indicators:
        raise RecipeError(
            f"{path}: its recipe asks for no indicators, so there is nothing to compute; add some and run it"
        )
    warnings: list[str] = []
    placed = read_zones(zones, id_column, name_column, mapped_items(folder)[0].grid, warnings)
    return warnings, [value.as_json() for value in measure(folder, recipe, placed)]
