"""Label map to feature tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.period import rfc3339
from aisf_geo.errors import OutputError
from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.mapped import legend_of
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.store.features import FORMATS, WRITABLE, write_features
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import RunFolder
from aisf_geo.vectorise.absorb import absorb_small
from aisf_geo.vectorise.polygons import Features, concatenated
from aisf_geo.vectorise.simplify import simplify
from aisf_geo.vectorise.trace import trace


@dataclass(frozen=True)
class Traced:
    """The features of a label map and what a minimum mapping unit did to them.

    Attributes:
        moved_m2: area by the class it had and the class it has now.
        isolated: features below the minimum that stay because all they border on is unobserved.
    """

    table: geopandas.GeoDataFrame
    moved_m2: dict[str, float]
    isolated: int = 0

    def summary(self) -> dict[str, Any]:
        """Counts and areas for outputs and ``--json``."""
        return {
            "features": len(self.table),
            "area_m2": {str(k): float(v) for k, v in self.table.groupby("class_name")["area_m2"].sum().items()},
            "moved_m2": self.moved_m2,
            "isolated": self.isolated,
        }


def vectorise_item(plan: RunPlan, item: ItemPlan, folder: RunFolder) -> Traced:
    """Write the features of an item in every format."""
    out = folder.item(item.id)
    traced = trace_map(out.labels, out.confidence, item.id, when(item), plan.recipe.vectorise.min_area_m2)
    for suffix in FORMATS:
        write_features(out.features(suffix), traced.table)
    return traced


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
    beside = labels.with_name("confidence.tif")
    scene = read_header(str(labels)).tags.get("SCENE", labels.stem)
    traced = trace_map(labels, beside if beside.exists() else None, scene, "", min_area_m2, simplify_m)
    write_features(output, traced.table)
    return traced.summary() | {"output": str(output)}


def when(item: ItemPlan) -> str:
    """The acquisition of an item as text, at least to the day; empty where only a longer range is known."""
    period = item.view.scene.period
    return rfc3339(period.start) if period and period.is_one_day else ""


def trace_map(
    labels: Path,
    confidence: Path | None,
    scene: str,
    datetime: str,
    min_area_m2: float = 0.0,
    simplify_m: float = 0.0,
) -> Traced:
    """The polygons of a label map with the contract's columns, in the CRS of the map.

    Raises:
        LegendError: the map carries no legend, or codes that the legend lacks.
    """
    grid, legend = read_header(str(labels)).grid, legend_of(labels)

    def read(window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        pixels = np.asarray(read_pixels(labels, window), np.uint8)
        return pixels, np.asarray(read_pixels(confidence, window), np.uint8) if confidence else None

    features = concatenated(list(trace(read, grid)))
    moved, isolated = {}, 0
    if min_area_m2 > 0:
        absorbed = absorb_small(features, min_area_m2, grid)
        features, isolated = absorbed.features, absorbed.isolated
        moved = {
            f"{legend.class_name(a)} -> {legend.class_name(b)}": area
            for (a, b), area in sorted(absorbed.moved_m2.items())
        }
    table = as_table(features, grid, legend, scene, datetime)
    if simplify_m > 0:
        smooth = simplify(features, simplify_m, grid).features
        table = as_table(smooth, grid, legend, scene, datetime)
        table["area_change_m2"] = smooth.area_m2 - features.area_m2
    return Traced(table, moved, isolated)


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
