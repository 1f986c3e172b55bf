"""Detected objects as a feature table."""

from __future__ import annotations

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import affine_transform

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.objects import Objects
from aisf_geo.vectorise.simplify import outline_lengths_m


def objects_table(objects: Objects, grid: Grid, legend: Legend, scene: str, datetime: str) -> geopandas.GeoDataFrame:
    """Detected objects as boxes under the names and dtypes of the contract; ``area_m2`` is that of the box.

    Args:
        objects: their rows and columns are pixels of ``grid``.
        grid: that of the item.
        legend: of the main head.
        scene: id of the item.
        datetime: of the acquisition, RFC 3339 or empty.
    """
    objects = np.sort(objects, order=["row", "col", "code"])
    row, col = objects["row"], objects["col"]
    half_y, half_x = objects["height_px"] / 2, objects["width_px"] / 2
    boxes = shapely.box(col - half_x, row - half_y, col + half_x, row + half_y)
    t = grid.transform
    columns = {
        "id": [f"{scene}-{number}" for number in range(len(objects))],
        "class": objects["code"],
        "class_name": [legend.class_name(code) for code in objects["code"].tolist()],
        "area_m2": 4 * half_y * half_x * _pixel_areas_m2(grid, row.astype(np.intp), col.astype(np.intp)),
        "confidence": objects["confidence"].astype(np.float64).round(4),
        "confidence_p10": objects["confidence"].astype(np.float64).round(4),
        "datetime": datetime,
        "scene": scene,
        "edge": (row < half_y)
        | (col < half_x)
        | (row + half_y > grid.shape.height)
        | (col + half_x > grid.shape.width),
    }
    placed = np.array([affine_transform(box, (t.a, t.b, t.d, t.e, t.c, t.f)) for box in boxes], dtype=object)
    inside = shapely.intersection(shapely.boundary(boxes), shapely.box(0, 0, grid.shape.width, grid.shape.height))
    columns["perimeter_m"] = outline_lengths_m(placed, grid.pyproj_crs).round(3)
    columns["open_border_share"] = (1 - shapely.length(inside) / shapely.length(boxes)).round(6)
    table = geopandas.GeoDataFrame(columns, geometry=placed, crs=grid.pyproj_crs)
    return table.astype({c.name: c.dtype for c in FEATURE_COLUMNS})


def _pixel_areas_m2(grid: Grid, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """The area of each pixel named by row and column."""
    areas = np.empty(len(rows), np.float64)
    for row in np.unique(rows).tolist():
        here = rows == row
        areas[here] = grid.pixel_area_m2(Window(row, 0, 1, grid.shape.width))[0, cols[here]]
    return areas
