"""Label map to feature tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.period import rfc3339
from aisf_geo.errors import LegendError
from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.store.features import FORMATS, write_features
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import RunFolder
from aisf_geo.vectorise.trace import Features, concatenated, trace


def vectorise_item(plan: RunPlan, item: ItemPlan, folder: RunFolder) -> int:
    """Write the features of an item in every format; returns how many there are."""
    out = folder.item(item.id)
    table = feature_table(out.labels, out.confidence, plan.legend, item.id, when(item), plan.recipe.vectorise.min_area_m2)
    for suffix in FORMATS:
        write_features(out.features(suffix), table)
    return len(table)


def when(item: ItemPlan) -> str:
    """The acquisition of an item as text, at least to the day; empty where only a longer range is known."""
    period = item.view.scene.period
    return rfc3339(period.start) if period and period.is_one_day else ""


def feature_table(
    labels: Path, confidence: Path | None, legend: Legend, scene: str, datetime: str, min_area_m2: float = 0.0
) -> geopandas.GeoDataFrame:
    """The polygons of a label map with the contract's columns, in the CRS of the map.

    Raises:
        LegendError: the map holds codes that the legend lacks.
    """
    grid = read_header(str(labels)).grid

    def read(window: Window) -> tuple[np.ndarray, np.ndarray | None]:  # type: ignore[type-arg]
        return read_pixels(labels, window), read_pixels(confidence, window) if confidence else None

    return as_table(concatenated(list(trace(read, grid))), grid, legend, scene, datetime)


def as_table(features: Features, grid: Grid, legend: Legend, scene: str, datetime: str) -> geopandas.GeoDataFrame:
    """Traced features under the names and dtypes of the contract."""
    names = {code: legend.class_name(code) for code in np.unique(features.code).tolist()}
    columns = {
        "id": [f"{scene}-{pixel}" for pixel in features.first_pixel],
        "class": features.code,
        "class_name": [names[code] for code in features.code.tolist()],
        "area_m2": features.area_m2,
        "confidence": features.confidence.round(4),
        "confidence_p10": features.confidence_p10.round(4),
        "datetime": datetime,
        "scene": scene,
        "edge": features.edge,
    }
    table = geopandas.GeoDataFrame(columns, geometry=features.geometry, crs=grid.pyproj_crs)
    return table.astype({c.name: c.dtype for c in FEATURE_COLUMNS})


def class_areas_m2(tables: Iterable[pd.DataFrame]) -> dict[str, float]:
    """Total area of each class over feature tables."""
    totals: dict[str, float] = {}
    for table in tables:
        for name, area in table.groupby("class_name")["area_m2"].sum().items():
            totals[str(name)] = totals.get(str(name), 0.0) + float(area)
    return totals


def legend_of_codes(codes: Iterable[int]) -> Legend:
    """A legend without meanings, for a label map that comes with none.

    Raises:
        LegendError: there is no code.
    """
    from aisf_geo.domain.legend import LegendClass

    found = tuple(LegendClass(code, f"class {code}", (128, 128, 128)) for code in sorted(set(codes)))
    if not found:
        raise LegendError("the map holds no class: every pixel is not observed")
    return Legend("unnamed", found)
