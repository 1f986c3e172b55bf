"""Label maps to feature tables, and the account of what was moved, kept, withheld or simplified on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np

from aisf_geo.domain.legend import UNKNOWN
from aisf_geo.domain.period import rfc3339
from aisf_geo.errors import OutputError
from aisf_geo.pipeline.audience import Homes, homes_to_hide
from aisf_geo.pipeline.buildings import building_head, road_head, write_buildings, write_cells
from aisf_geo.pipeline.objects import objects_table
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.roads import write_item_roads
from aisf_geo.pipeline.tracing import LabelMap
from aisf_geo.store.features import WRITABLE, write_features, write_table
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.run import RunFolder
from aisf_geo.vectorise.absorb import absorb_small
from aisf_geo.vectorise.polygons import Features
from aisf_geo.vectorise.simplify import simplify

#: Fact of the ledger: the account of an item's vectors, as JSON.
ACCOUNT = "vectors"
NO_HOMES = Homes()


@dataclass(frozen=True)
class Generalised:
    """Features of a map and what was done to them.

    Attributes:
        moved_m2: area by the class it had and the class it has now; None where so few homes must not be told.
        isolated: features below the minimum that stay because all they border on is unobserved.
        withheld: homes that are left out for that reason.
    """

    features: Features
    moved_m2: dict[str, float | None]
    isolated: int = 0
    withheld: int = 0

    def account(self) -> dict[str, Any]:
        """For outputs and ``--json``."""
        said = {"features": len(self.features), "moved_m2": self.moved_m2, "isolated": self.isolated}
        return said | ({"withheld": self.withheld} if self.withheld else {})


def vectorise_item(plan: RunPlan, item: ItemPlan, folder: RunFolder) -> dict[str, Any]:
    """Write the features of every head of an item in every format, and what else the recipe asks for.

    Where the interpreter detects objects, they are the features of its main head, and no region is traced there.

    Returns:
        The account of what was done, by product; the features of the main head come first.
    """
    out = folder.item(item.id)
    account: dict[str, Any] = {}
    for name, files in out.all_heads(plan.heads).items():
        source = LabelMap.of(files.labels, files.confidence, item.id, when(item))
        if files.head is None and out.objects.exists():
            table = objects_table(np.load(out.objects), item.grid, plan.heads[name], item.id, when(item))
            account[files.features("").name] = {"features": len(table)}
            account |= write_cells(plan, table, source, out)
        else:
            traced = source.trace()
            homes = homes_to_hide(plan.recipe, source.legend, source.grid)
            shown = generalise(source, traced, plan.recipe.vectorise.min_area_m2, homes)
            table = source.table(shown.features)
            account[files.features("").name] = shown.account()
            if name == building_head(plan):
                account |= write_buildings(plan, source, traced, out)
            if plan.recipe.roads is not None and name == road_head(plan):
                account |= write_item_roads(plan.recipe.roads, source, out, plan.recipe.vectorise.pmtiles)
        write_table(files.features, table, source.about, plan.recipe.vectorise.pmtiles)
    with open_ledger(folder.ledger) as ledger:
        ledger.set_fact(item.id, ACCOUNT, json.dumps(account))
    return account


def vectorise_map(
    labels: Path, output: Path, min_area_m2: float, simplify_m: float, *, overwrite: bool = False
) -> dict[str, Any]:
    """Write the polygons of a label map, with the confidences that lie beside it; returns a summary.

    Raises:
        OutputError: the output exists and may not be replaced.
        LegendError: the map is not one of this program's.
    """
    if output.exists() and not overwrite:
        raise OutputError(f"output {output}: exists; add --overwrite or choose another -o")
    if output.suffix not in WRITABLE:
        raise OutputError(f"output {output}: expected {', '.join(WRITABLE)}, found {output.suffix or 'no suffix'}")
    if any(parent.exists() and not parent.is_dir() for parent in output.parents):
        raise OutputError(f"output {output}: lies below a file; choose another -o")
    beside = labels.with_name(labels.name.replace("labels", "confidence", 1))
    source = LabelMap.of(labels, beside if beside != labels and beside.exists() else None, None, "")
    shown = generalise(source, source.trace(), min_area_m2)
    table, simplified = simplified_table(source, shown.features, simplify_m)
    account = shown.account() | simplified
    write_features(output, table, source.about | {"account": json.dumps(account)})
    areas = {str(k): float(v) for k, v in table.groupby("class_name")["area_m2"].sum().items()}
    return account | {"area_m2": areas, "output": str(output)}


def when(item: ItemPlan) -> str:
    """The acquisition of an item as text, at least to the day; empty where only a longer range is known."""
    period = item.view.scene.period
    return rfc3339(period.start) if period and period.is_one_day else ""


def generalise(source: LabelMap, features: Features, min_area_m2: float, homes: Homes = NO_HOMES) -> Generalised:
    """Small features absorbed by their neighbours, and with them the homes that may not be shown.

    A home without an observed neighbour is left out and counted.
    """
    if min_area_m2 <= 0 and not homes.codes:
        return Generalised(features, {})
    least_m2 = dict.fromkeys([*(c.code for c in source.legend.classes), UNKNOWN], min_area_m2)
    least_m2 |= {code: max(min_area_m2, homes.least_m2) for code in homes.codes}
    absorbed = absorb_small(features, least_m2, source.grid)
    names, few = source.legend.class_name, int(homes.hidden(features).sum()) < homes.min_count
    moved = {
        f"{names(a)} -> {names(b)}": None if few and a in homes.codes else area
        for (a, b), area in sorted(absorbed.moved_m2.items())
    }
    alone = homes.hidden(absorbed.features)
    kept = absorbed.features.take(np.flatnonzero(~alone))
    return Generalised(kept, moved, absorbed.isolated - int(alone.sum()), int(alone.sum()))


def simplified_table(
    source: LabelMap, features: Features, tolerance_m: float
) -> tuple[geopandas.GeoDataFrame, dict[str, Any]]:
    """The table of features with smoother borders, and the change of area by class; as they are for 0 m."""
    if tolerance_m <= 0:
        return source.table(features), {}
    smooth = simplify(features, tolerance_m, source.grid)
    table = source.table(smooth.features)
    table["area_change_m2"] = smooth.area_change_m2
    return table, {
        "area_change_m2": {source.legend.class_name(code): area for code, area in smooth.class_change_m2.items()}
    }
