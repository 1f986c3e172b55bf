"""Label maps and zones to indicator values, in JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.indicator import IndicatorValue
from aisf_geo.domain.legend import UNKNOWN, Legend
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import RecipeError
from aisf_geo.indicators import registry
from aisf_geo.indicators.series import ClearedArea, Observation, ZoneSeries
from aisf_geo.indicators.zonal import Zone, ZoneAreas, add_window, on_grid, start_zones
from aisf_geo.pipeline.assess import Reference, adopt, references
from aisf_geo.pipeline.clearing import ClearingDates, clearing_accounts, cumulative, dates_of, write_clearing
from aisf_geo.pipeline.mapped import MappedItem, legend_of, mapped_items
from aisf_geo.pipeline.plan import read_zones
from aisf_geo.pipeline.population import PopulationFile, parse_population, people_in_zones
from aisf_geo.pipeline.reference import CLEARING
from aisf_geo.pipeline.transitions import transitions_in_zones
from aisf_geo.recipe import Recipe, parse_recipe
from aisf_geo.store.features import write_features
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import RunFolder, remember_figures, write_json

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


def measure(
    folder: RunFolder,
    recipe: Recipe,
    zones: Sequence[Zone],
    sample: Path | None = None,
    population: Sequence[PopulationFile] = (),
) -> list[IndicatorValue]:
    """Compute the recipe's indicators from the maps of a run and write them.

    The zones are given in the CRS of the first map; ``sample`` is a labelled sample to take into the run first.
    """
    wanted = [registry.definition(code) for code in recipe.indicators]
    items = mapped_items(folder)
    if wanted:
        write_zones(folder.zones, zones, items[0].grid)
    cleared: list[tuple[ClearedArea, ...]] = [()] * len(zones)
    if recipe.clearing is not None:
        write_clearing(folder, dates_of(items, recipe.clearing), recipe.clearing.clear_dates)
    if sample is not None:
        adopt(folder, sample)
    sampled = references(folder)
    if recipe.clearing is not None:
        cleared = _cleared(folder, dates_of(items, recipe.clearing), zones, sampled.get(CLEARING))
    observed = [observe(item, zones, items[0].grid, sampled.get(item.id)) for item in items] if wanted else []
    people = people_in_zones(population, zones, items[0].grid)
    happened = None
    if any(what.needs_transitions for what in wanted):
        happened = transitions_in_zones(items, zones, items[0].grid, recipe.min_coverage)
    models = tuple(dict.fromkeys(item.method for item in items))
    values = []
    for place, zone in enumerate(zones):
        seen = tuple(of_item[place] for of_item in observed)
        outside = not shapely.intersects(zone.geometry, shapely.box(*items[0].grid.bounds))
        moved = happened[place] if happened else None
        series = ZoneSeries(zone.id, zone.name, seen, cleared[place], outside, people[place], moved)
        for what in wanted:
            values += registry.evaluate(what, series, recipe.min_coverage, models, folder.read_run()["plan_digest"])
    credits_ = tuple(dict.fromkeys(source.attribution for source in recipe.sources))
    values = [replace(v, provenance=replace(v.provenance, attribution=credits_)) for v in values]
    write_indicators(folder, values)
    return values


def _cleared(
    folder: RunFolder, dates: ClearingDates, zones: Sequence[Zone], sampled: Reference | None
) -> list[tuple[ClearedArea, ...]]:
    """The clearing series of each zone; a reference sample belongs to its last date."""
    series = []
    path, grid = folder.change / "clearing" / "clearing.tif", dates.baseline[0].grid
    for zone, account in zip(zones, clearing_accounts(path, grid, zones), strict=True):
        points = cumulative(account, dates)
        earlier = "the reference sample was labelled by the state on the last date"
        if sampled is not None:
            sample, why = sampled.in_zone(zone, account)
            last = replace(points[-1], sample=sample, no_sample=why)
            points = (*(replace(p, no_sample=earlier) for p in points[:-1]), last)
        series.append(points)
    return series


def observe(
    item: MappedItem, zones: Sequence[Zone], known: Grid, sampled: Reference | None = None
) -> list[Observation]:
    """The class areas of one map in each zone, zones given in the CRS of ``known``."""
    grid, placed = item.grid, on_grid(zones, known, item.grid)
    areas = start_zones(placed, grid)
    for block in blocks(grid):
        add_window(areas, placed, grid, block.core, read_pixels(item.labels, block.core))
    legend = legend_of(item.labels)
    seen = [observation(item, account, legend) for account in areas]
    if sampled is None:
        return seen
    found = [sampled.in_zone(zone, account) for zone, account in zip(placed, areas, strict=True)]
    return [replace(o, sample=sample, no_sample=why) for o, (sample, why) in zip(seen, found, strict=True)]


def write_zones(path: Path, zones: Sequence[Zone], known: Grid) -> None:
    """Write the zones as GeoJSON: a value that names a zone can be drawn where it holds."""
    import geopandas

    columns = {"zone": [z.id for z in zones], "zone_name": [z.name for z in zones]}
    placed = geopandas.GeoDataFrame(columns, geometry=[z.geometry for z in zones], crs=known.pyproj_crs)
    write_features(path, placed)


def observation(item: MappedItem, account: ZoneAreas, legend: Legend) -> Observation:
    """The account of one zone and map by what its classes stand for."""
    by_role: dict[str, float] = {c.role: 0.0 for c in legend.classes}
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
    remember_figures(folder)


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
    path: Path, zones: Path, id_column: str | None, name_column: str | None, population: Sequence[str] = ()
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
    files = [parse_population(text) for text in population]
    values = measure(folder, recipe, placed, population=files)
    return warnings, [value.as_json() for value in values]


def assess_run(path: Path, labelled: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Take a labelled sample into a run and compute its indicators again; returns what it says of the map, and values.

    Raises:
        DataError: the folder is not a run.
        UsageError: the sample has no answers, or those of another map.
    """
    folder = RunFolder(path)
    recipe = parse_recipe(folder.read_run()["recipe"], "in run.json")
    summary = adopt(folder, labelled)
    if not recipe.indicators:
        return summary, []
    zones = read_zones(folder.zones, "zone", "zone_name", mapped_items(folder)[0].grid, [])
    return summary, [value.as_json() for value in measure(folder, recipe, zones)]
