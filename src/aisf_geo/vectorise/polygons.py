"""Traced regions as polygons with their attributes, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid
from aisf_geo.errors import GridError
from aisf_geo.vectorise.confidence import ConfidenceCounts, stacked_counts
from aisf_geo.vectorise.regions import RegionTable
from aisf_geo.vectorise.rings import Outlines, ring_lengths
from aisf_geo.vectorise.scan import Int32Array, Int64Array, UInt8Array


@dataclass(frozen=True)
class Features:
    """Polygons in the CRS of the map and what is known of them, as columns of one length.

    Attributes:
        geometry: shapely polygons ``(n,)``, exteriors counter-clockwise, holes clockwise (RFC 7946).
        code: uint8, legend code; 254 = observed but undecided, never 255.
        first_pixel: int64, row-major index of the region's first pixel in the grid: an id no block size changes.
        last_row: int32, the grid row of its lowest pixel.
        pixels: int64, number of pixels.
        area_m2: float64, sum of the areas on the ellipsoid of the pixels.
        perimeter_m: float64, length of all rings: planar in projected CRSs; along parallels and meridians of the
            ellipsoid in geographic ones.
        open_border_share: float64, share of the outline's pixel edges on the image edge or unobserved pixels.
        edge: bool, True where that share is not 0.
        confidence: float64, mean confidence of the pixels, 0..1, NaN where there is none.
        confidence_p10: float64, the smallest confidence that at least a tenth of the pixels do not exceed.
        counts: the confidences both come from.
    """

    geometry: NDArray[np.object_]
    code: UInt8Array
    first_pixel: Int64Array
    last_row: Int32Array
    pixels: Int64Array
    area_m2: NDArray[np.float64]
    perimeter_m: NDArray[np.float64]
    open_border_share: NDArray[np.float64]
    edge: NDArray[np.bool_]
    confidence: NDArray[np.float64]
    confidence_p10: NDArray[np.float64]
    counts: ConfidenceCounts

    def __len__(self) -> int:
        return self.code.size

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, without ``counts``: what a GeoDataFrame takes."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "counts"}

    def take(self, index: NDArray[np.integer]) -> Features:
        """The features ``index``, in that order."""
        columns = {name: column[index] for name, column in self.columns().items()}
        return Features(**columns, counts=self.counts.take(index))


def concatenated(batches: Sequence[Features]) -> Features:
    """The batches one behind the other; at least one is needed."""
    columns = [batch.columns() for batch in batches]
    counts = stacked_counts([batch.counts for batch in batches])
    return Features(**{name: np.concatenate([c[name] for c in columns]) for name in columns[0]}, counts=counts)


@dataclass(frozen=True)
class EdgeLengths:
    """Lengths of pixel edges of a grid in m.

    Attributes:
        east_m: float64 ``(height + 1,)``, one edge along the horizontal line above a row (below the last one).
        south_m: float64 ``(height + 1,)``, all vertical edges from the first line down to a line.
    """

    east_m: NDArray[np.float64]
    south_m: NDArray[np.float64]

    @classmethod
    def of(cls, grid: Grid) -> EdgeLengths:
        """Planar lengths in projected CRSs; arcs of the ellipsoid in geographic ones."""
        crs, transform, lines = grid.pyproj_crs, grid.transform, np.arange(grid.shape.height + 1)
        unit = float(crs.axis_info[0].unit_conversion_factor)
        if not crs.is_geographic:
            east_m = np.full(lines.size, np.hypot(transform.a, transform.d) * unit)
            return cls(east_m, lines * (np.hypot(transform.b, transform.e) * unit))
        geod = crs.get_geod()
        if geod is None:
            raise GridError(f"perimeters: {crs.name!r} names no ellipsoid")
        latitude = np.clip(np.rad2deg((transform.f + lines * transform.e) * unit), -90, 90)
        # Radius of a parallel: Snyder 1987, Map Projections: A Working Manual, eq. 4-20 times cos(latitude).
        parallel_m = geod.a * np.cos(np.deg2rad(latitude)) / np.sqrt(1 - geod.es * np.sin(np.deg2rad(latitude)) ** 2)
        arcs_m = geod.inv(np.zeros(lines.size - 1), latitude[:-1], np.zeros(lines.size - 1), latitude[1:])[2]
        return cls(parallel_m * abs(transform.a) * unit, np.concatenate([[0.0], np.cumsum(arcs_m)]))


def to_features(outlines: Outlines, table: RegionTable, grid: Grid, lengths: EdgeLengths) -> Features:
    """Outlines and sums of complete regions as features, in the order of the table."""
    rings_m = ring_lengths(outlines.xy, outlines.ring_offsets, lengths.east_m, lengths.south_m)
    perimeter_m = np.add.reduceat(rings_m, outlines.region_offsets[:-1]) if len(table) else np.zeros(0)
    confidence, confidence_p10 = table.counts.mean_and_p10()
    return Features(
        geometry=_polygons(outlines, grid),
        code=table.code,
        first_pixel=table.first_pixel,
        last_row=table.last_row,
        pixels=table.pixels,
        area_m2=table.area_m2,
        perimeter_m=perimeter_m,
        open_border_share=table.open_px / table.border_px,
        edge=table.open_px > 0,
        confidence=confidence,
        confidence_p10=confidence_p10,
        counts=table.counts,
    )


def _polygons(outlines: Outlines, grid: Grid) -> NDArray[np.object_]:
    """Shapely polygons in CRS coordinates."""
    t = grid.transform
    if outlines.region_offsets.size == 1:
        return np.empty(0, dtype=object)
    col, row = outlines.xy[:, 0], outlines.xy[:, 1]
    xy = np.empty((col.size, 2))
    xy[:, 0] = t.a * col + t.b * row + t.c if t.b else t.a * col + t.c
    xy[:, 1] = t.d * col + t.e * row + t.f if t.d else t.e * row + t.f
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, xy, (outlines.ring_offsets, outlines.region_offsets)
    )
    # The rings are traced for rows that run south; a grid with rows to the north mirrors them.
    return polygons if t.determinant < 0 else shapely.reverse(polygons)
