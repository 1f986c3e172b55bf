"""Counts and areas of features by cell, so that a public table need not show single homes.

A feature belongs to the one cell that holds its representative point, with all of its area. Areas split by intersection
would let one home count in several cells, where no minimum count protects it, and the counts would not add up.

A cell with fewer than ``min_count`` features is suppressed: its count and area are null in the table, and the totals of
the table are over published cells only, so that subtraction gives nothing. Hexagons and squares without any feature are
not in the table at all; zones without any are suppressed like the others, so that no row says "empty".

**What this protects.** That a row describes a single home, or few: outlines and points are gone, and every published
figure is about ``min_count`` features or more.

**What it does not.** It is no differential privacy. That a hexagon or square is listed as suppressed says that there is
at least one building and fewer than ``min_count``; pass ``list_suppressed=False`` where that is too much. Figures from
elsewhere undo suppression (complementary disclosure): a total of the same buildings published in another table, by
another resolution, cell size, zone set or date, or the area of the same class in an indicator; publish one partition of
one map, or raise ``min_count``. An area may be that of one large building and some small ones: the
rule counts buildings and does not look at their sizes. Who has the imagery can map the homes again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import geopandas
import h3
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from aisf_geo.errors import GridError, UsageError

Partition = Literal["h3", "grid", "zone"]

#: Fewest features in a published cell. Statistical offices use thresholds of 3 to 10 for counts (Hundepool and others
#: 2012, Statistical Disclosure Control, 4.2.2).
DEFAULT_MIN_COUNT = 10
#: Cells of about 0.7 km2 (https://h3geo.org/docs/core-library/restable, 2026-11-22).
DEFAULT_H3_RESOLUTION = 8
#: Side of a square cell, m.
DEFAULT_CELL_M = 1000.0


@dataclass(frozen=True)
class Aggregated:
    """Figures by cell, and what of the input they hold.

    Attributes:
        table: one row per cell, by ascending ``cell``: ``cell`` (str), ``count`` (Int64, null where suppressed),
            ``area_m2`` (float64, null where suppressed), ``suppressed`` (bool), geometry.
        count, area_m2: totals **over published cells alone**.
        published, suppressed: numbers of cells in the table.
        min_count: the smallest count that is published.
        unplaced: features in no cell: outside of all zones, or without a geometry. Not for publication, for it may be a
            single one.
    """

    table: geopandas.GeoDataFrame
    count: int
    area_m2: float
    published: int
    suppressed: int
    min_count: int
    unplaced: int

    def summary(self) -> dict[str, Any]:
        """What may be published beside the table; it says nothing about suppressed cells but how many are listed."""
        return {
            "count": self.count,
            "area_m2": self.area_m2,
            "published": self.published,
            "suppressed": self.suppressed,
            "min_count": self.min_count,
        }


def aggregate_to(
    features: geopandas.GeoDataFrame,
    by: Partition,
    *,
    min_count: int = DEFAULT_MIN_COUNT,
    resolution: int = DEFAULT_H3_RESOLUTION,
    cell_m: float = DEFAULT_CELL_M,
    zones: geopandas.GeoDataFrame | None = None,
    zone_column: str = "zone",
    list_suppressed: bool = True,
) -> Aggregated:
    """Counts and areas of features by cell, without the cells of fewer than ``min_count``; see the module.

    Args:
        features: with a column ``area_m2`` and a CRS.
        by: ``h3`` for hexagons of ``resolution``, ``grid`` for squares of ``cell_m`` in the CRS of the features (which
            must be in metres; cells are aligned to its origin), ``zone`` for ``zones``.
        min_count: fewest features of a published cell, at least 2.
        resolution: of H3, 0..15.
        cell_m: side of a square, m.
        zones: polygons that do not overlap, with unique ids in ``zone_column``; features in none of them are left out.
        zone_column: the ids of the zones.
        list_suppressed: whether suppressed hexagons and squares appear in the table. Zones always do.

    Raises:
        UsageError: an option is out of range, ``area_m2`` is missing or not finite, or zones are missing, unnamed or
            overlap.
        GridError: the features have no CRS, or squares are asked for in a CRS that is not in metres.
    """
    if min_count < 2:
        raise UsageError(f"aggregate: a minimum count of {min_count} hides nothing; use at least 2")
    if "area_m2" not in features or not np.isfinite(features["area_m2"].to_numpy(np.float64)).all():
        raise UsageError("aggregate: every feature needs a finite area_m2; pass a feature table of this program")
    if features.crs is None:
        raise GridError("aggregate: the features have no CRS; set it")
    points = shapely.point_on_surface(features.geometry.to_numpy())
    placed = ~(shapely.is_missing(points) | shapely.is_empty(points))
    points = points[placed]
    listed, outlines = np.empty(0, dtype=object), np.empty(0, dtype=object)
    if by == "h3":
        cell = _h3_cells(points, features.crs, resolution)
        crs = CRS.from_epsg(4326)
    elif by == "grid":
        cell = _squares(points, features.crs, cell_m)
        crs = features.crs
    else:
        cell, listed, outlines = _zones(points, features.crs, zones, zone_column)
        crs = zones.crs if zones is not None else features.crs
    found, count, area_m2 = _sums(cell, features["area_m2"].to_numpy(np.float64)[placed], listed)
    shown = count >= min_count
    if by == "h3":
        outlines = np.array([shapely.Polygon([(x, y) for y, x in h3.cell_to_boundary(c)]) for c in found], dtype=object)
    elif by == "grid":
        outlines = _square_outlines(found, cell_m)
    table = geopandas.GeoDataFrame(
        {
            "cell": found,
            "count": pd.array(np.where(shown, count, 0), dtype="Int64"),
            "area_m2": np.where(shown, area_m2, np.nan),
            "suppressed": ~shown,
        },
        geometry=outlines,
        crs=crs,
    )
    table.loc[~shown, "count"] = pd.NA
    if by != "zone" and not list_suppressed:
        table = table[shown].reset_index(drop=True)
    return Aggregated(
        table=table,
        count=int(count[shown].sum()),
        area_m2=math.fsum(area_m2[shown]),
        published=int(shown.sum()),
        suppressed=int(table["suppressed"].sum()),
        min_count=min_count,
        unplaced=len(features) - int(count.sum()),
    )


def _sums(
    cell: NDArray[np.object_], area_m2: NDArray[np.float64], listed: NDArray[np.object_]
) -> tuple[NDArray[np.object_], NDArray[np.int64], NDArray[np.float64]]:
    """The cells in order, with their counts and areas; empty names count for nothing, ``listed`` ones always appear.

    Areas are summed exactly rounded (``math.fsum``): the order of the features changes no digit.
    """
    inside = cell != ""
    found, index = np.unique(np.concatenate([listed, cell[inside]]).astype(str), return_inverse=True)
    index = index[len(listed) :]
    count = np.bincount(index, minlength=found.size).astype(np.int64)
    order = np.argsort(index, kind="stable")
    groups = np.split(area_m2[inside][order], np.cumsum(count)[:-1])
    sums = np.array([math.fsum(group) for group in groups] if found.size else [], dtype=np.float64)
    return found.astype(object), count, sums


def _h3_cells(points: NDArray[np.object_], crs: CRS, resolution: int) -> NDArray[np.object_]:
    """The H3 cell of each point."""
    if not 0 <= resolution <= 15:
        raise UsageError(f"aggregate: H3 has the resolutions 0..15, asked for {resolution}")
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(shapely.get_x(points), shapely.get_y(points))
    return _names([h3.latlng_to_cell(y, x, resolution) for x, y in zip(lon, lat, strict=True)])


def _squares(points: NDArray[np.object_], crs: CRS, cell_m: float) -> NDArray[np.object_]:
    """The square of each point, as ``<size>m:<column>:<row>`` from the origin of the CRS."""
    if not (math.isfinite(cell_m) and cell_m > 0):
        raise UsageError(f"aggregate: cells must be larger than 0 m, asked for {cell_m}")
    if not crs.is_projected or crs.axis_info[0].unit_conversion_factor != 1:
        raise GridError(
            f"aggregate: squares of {cell_m} m need a CRS in metres, found {crs.name!r}; reproject, or use h3"
        )
    column = np.floor(shapely.get_x(points) / cell_m).astype(np.int64)
    row = np.floor(shapely.get_y(points) / cell_m).astype(np.int64)
    return _names([f"{cell_m:g}m:{c}:{r}" for c, r in zip(column.tolist(), row.tolist(), strict=True)])


def _square_outlines(cells: NDArray[np.object_], cell_m: float) -> NDArray[np.object_]:
    place = np.array([cell.split(":")[1:] for cell in cells], dtype=np.float64).reshape(-1, 2) * cell_m
    return np.asarray(shapely.box(place[:, 0], place[:, 1], place[:, 0] + cell_m, place[:, 1] + cell_m), dtype=object)


def _zones(
    points: NDArray[np.object_], crs: CRS, zones: geopandas.GeoDataFrame | None, column: str
) -> tuple[NDArray[np.object_], NDArray[np.object_], NDArray[np.object_]]:
    """The zone of each point, "" outside of all; and all zones with their outlines, by ascending id."""
    if zones is None or zones.crs is None or column not in zones:
        raise UsageError(
            f"aggregate: zones need polygons with a CRS and a column {column!r}; pass zones and zone_column"
        )
    ids = zones[column].astype(str).to_numpy(object)
    if len(set(ids)) != ids.size or "" in ids:
        raise UsageError(f"aggregate: the ids in {column!r} must be unique and not empty")
    # Points on a common border lie in both zones: the first id takes them.
    order = np.argsort(ids)
    outlines = zones.geometry.to_numpy()[order]
    here = zones.geometry.to_crs(crs).to_numpy()[order]
    a, b = shapely.STRtree(here).query(here, predicate="intersects")
    a, b = a[a != b], b[a != b]
    if (shapely.area(shapely.intersection(here[a], here[b])) > 1e-6 * shapely.area(here[a])).any():
        raise UsageError("aggregate: zones overlap, so a feature would count twice; pass zones that do not")
    point, zone = shapely.STRtree(here).query(points, predicate="intersects")
    first = np.full(points.size, ids.size)
    np.minimum.at(first, point, zone)
    return np.append(ids[order], "")[first], ids[order], outlines


def _names(cells: list[str]) -> NDArray[np.object_]:
    """Names as an array of Python strings, whatever their lengths."""
    names = np.empty(len(cells), dtype=object)
    names[:] = cells
    return names
