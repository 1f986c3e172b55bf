"""Building outlines of a map, and the cells that stand for them where homes must not be shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import geopandas
import numpy as np
import pandas as pd

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Role
from aisf_geo.errors import RecipeError
from aisf_geo.indicators.zonal import Zone
from aisf_geo.pipeline.plan import RunPlan
from aisf_geo.pipeline.tracing import LabelMap
from aisf_geo.recipe import AggregateTo, Buildings
from aisf_geo.store.features import write_table
from aisf_geo.store.run import ItemFolder
from aisf_geo.vectorise.aggregate import Aggregated, aggregate_to
from aisf_geo.vectorise.buildings import SquaringRules, square
from aisf_geo.vectorise.polygons import Features
from aisf_geo.vectorise.roofs import split_roofs
from aisf_geo.vectorise.simplify import outline_lengths_m


@dataclass(frozen=True)
class Outlines:
    """Building outlines under the contract's columns, and the account of splitting, leaving out and squaring."""

    table: geopandas.GeoDataFrame
    account: dict[str, Any]


def write_buildings(plan: RunPlan, source: LabelMap, traced: Features, out: ItemFolder) -> dict[str, Any]:
    """Write the outlines and cells a recipe asks for; nothing that shows a single home in a public run.

    Returns the account by product. That of a public run tells nothing of what lies in suppressed cells.
    """
    recipe, account = plan.recipe, {}
    codes = source.legend.codes_with_role("built-up")
    if recipe.buildings is not None:
        outlines = outlines_of(source, traced, codes, recipe.buildings)
        table = outlines.table
        if recipe.audience == "internal":
            account["buildings"] = outlines.account
            write_table(partial(out.table, "buildings"), table, source.about, recipe.vectorise.pmtiles)
    else:
        table = source.table(traced.take(np.flatnonzero(np.isin(traced.code, codes))))
    return account | write_cells(plan, table, source, out)


def write_cells(plan: RunPlan, table: geopandas.GeoDataFrame, source: LabelMap, out: ItemFolder) -> dict[str, Any]:
    """Write how many features of a table lie in each cell, if the recipe asks; returns the account."""
    if plan.recipe.cells is None:
        return {}
    cells = cells_of(table, plan.recipe.cells, plan.zones, plan.items[0].grid)
    table = cells.table.assign(datetime=source.datetime, scene=source.scene)
    # Cells are few, and have no id by which a tile could lead to the table.
    write_table(partial(out.table, "cells"), table, source.about, tiles=False)
    return {"cells": cells.summary()}


def outlines_of(source: LabelMap, traced: Features, codes: tuple[int, ...], asked: Buildings) -> Outlines:
    """The regions of some classes as buildings: touching roofs split, walls squared, small ones left out.

    Columns beside those of the contract: ``area_change_m2`` against the pixels, ``orientation_deg``, ``compactness``,
    ``iou`` with the traced outline, ``squared``. ``area_m2`` and ``perimeter_m`` are of the outline.
    """
    split = {"split": 0, "roofs": 0, "too_large": 0}
    roofs = traced
    for code in codes:
        parted = split_roofs(roofs, source.read, source.grid, code)
        roofs = parted.features
        split = {name: count + getattr(parted, name) for name, count in split.items()}
    roofs = roofs.take(np.flatnonzero(np.isin(roofs.code, codes)))
    large = roofs.area_m2 >= asked.min_area_m2
    left_out = {"left_out": int((~large).sum()), "left_out_m2": float(roofs.area_m2[~large].sum())}
    roofs = roofs.take(np.flatnonzero(large))
    rules = SquaringRules(asked.tolerance_m or source.grid.gsd_m, asked.min_iou)
    squared = square(roofs.geometry, source.grid.pyproj_crs, rules, roofs.area_m2)
    table = source.table(roofs).drop(columns=["geometry", "area_m2"])
    columns = squared.columns() | {"perimeter_m": outline_lengths_m(squared.geometry, source.grid.pyproj_crs).round(3)}
    table = geopandas.GeoDataFrame(
        pd.DataFrame(table).assign(**columns), geometry="geometry", crs=source.grid.pyproj_crs
    )
    return Outlines(table, {"outlines": len(roofs), **split, **left_out, **squared.summary.as_json()})


def cells_of(
    buildings: geopandas.GeoDataFrame, asked: AggregateTo, zones: tuple[Zone, ...], zone_grid: Grid
) -> Aggregated:
    """Counts and areas by cell; zones are given in the CRS of ``zone_grid``."""
    table = geopandas.GeoDataFrame(
        {"zone": [zone.id for zone in zones]}, geometry=[zone.geometry for zone in zones], crs=zone_grid.pyproj_crs
    )
    return aggregate_to(
        buildings,
        asked.by,
        min_count=asked.min_count,
        resolution=asked.resolution,
        cell_m=asked.cell_m,
        zones=table if asked.by == "zone" else None,
    )


def building_head(plan: RunPlan) -> str | None:
    """The head that buildings and cells are made from; None where the recipe asks for neither, or no class is built-up.

    Raises:
        RecipeError: the recipe asks for them, and no class, or classes of several heads, count as built-up.
    """
    recipe = plan.recipe
    if plan.detects and recipe.buildings is None:
        # Its cells count the objects it detects.
        return None
    section = next((s for s in ("buildings", "aggregate_to") if getattr(recipe, s) is not None), None)
    named = recipe.buildings.head if recipe.buildings else None
    if section is None and (recipe.cells is None or not _heads_with(plan, "built-up")):
        return None
    return _head(plan, "built-up", named, section or "audience", "buildings")


def road_head(plan: RunPlan) -> str | None:
    """The head that roads are made from; None where the recipe asks for none.

    Raises:
        RecipeError: no class, or classes of several heads, are road.
    """
    return _head(plan, "road", plan.recipe.roads.head, "roads", "roads") if plan.recipe.roads else None


def _heads_with(plan: RunPlan, role: Role) -> list[str]:
    return [name for name, legend in plan.heads.items() if legend.codes_with_role(role)]


def _head(plan: RunPlan, role: Role, named: str | None, section: str, settled_in: str) -> str:
    able = _heads_with(plan, role)
    if not able:
        roles = sorted({c.role for legend in plan.heads.values() for c in legend.classes})
        raise RecipeError(
            f"{section}: no class counts as {role!r}; they count as {', '.join(roles)}. "
            "Set segment.counts_as if the method's class may stand for it, or take a model with such a class"
        )
    if named is not None and named not in able:
        raise RecipeError(f"{settled_in}.head: {named!r} has no class that counts as {role!r}; use {', '.join(able)}")
    if named is None and len(able) > 1:
        raise RecipeError(
            f"{section}: heads {', '.join(able)} have classes that count as {role!r}; say {settled_in}.head"
        )
    return named or able[0]


def check_vectors(plan: RunPlan) -> None:
    """Refuse, before the first pixel, what could not be carried out after the last.

    Raises:
        RecipeError: buildings or roads are asked for and it is not clear what they are made from.
        UsageError: zones overlap.
        GridError: squares of metres are asked for in a CRS of degrees.
    """
    road_head(plan)
    if (building_head(plan) is not None or plan.detects) and plan.recipe.cells is not None:
        for item in plan.items:
            nothing = geopandas.GeoDataFrame({"area_m2": []}, geometry=[], crs=item.grid.pyproj_crs)
            cells_of(nothing, plan.recipe.cells, plan.zones, plan.items[0].grid)
