"""Two label maps to a change map, its features and the matrix of areas."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.transition import NOT_COMPARED, add_to_matrix, check_same_legend, transition_codes
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NOT_OBSERVED, Legend
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import GridError, LegendError
from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.mapped import legend_of
from aisf_geo.store.features import write_features
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import Layer, read_pixels, write_cog
from aisf_geo.store.run import RunFolder, write_json
from aisf_geo.vectorise.polygons import concatenated
from aisf_geo.vectorise.trace import trace


@dataclass(frozen=True)
class LabelPair:
    """Two label maps on one grid with one legend."""

    before: Path
    after: Path
    grid: Grid
    legend: Legend

    @property
    def id(self) -> str:
        """Names of both epochs."""
        return f"{_epoch(self.before)}_{_epoch(self.after)}"

    def codes(self, window: Window) -> NDArray[np.uint16]:
        """The transition codes of a window, ``(y, x)``."""
        before, after = (np.asarray(read_pixels(p, window), np.uint8) for p in (self.before, self.after))
        return transition_codes(before, after)


def _epoch(labels: Path) -> str:
    return labels.resolve().parent.name if labels.stem == "labels" else labels.stem


def pair_of(before: Path, after: Path) -> LabelPair:
    """Two label maps, or two item folders, as a pair.

    Raises:
        GridError: they do not lie on one grid.
        LegendError: their classes differ.
    """
    before, after = (path / "labels.tif" if path.is_dir() else path for path in (before, after))
    grid, other = read_header(str(before)).grid, read_header(str(after)).grid
    legend = legend_of(before)
    check_same_legend(legend, legend_of(after))
    if not grid.same_pixels(other):
        raise GridError(
            f"change: the maps lie on different grids: {_short(grid)} before, {_short(other)} after; "
            "interpret both on one grid"
        )
    return LabelPair(before, after, grid, legend)


def _short(grid: Grid) -> str:
    west, _, _, north = grid.bounds
    code = grid.pyproj_crs.to_string()[:24]
    return f"{code}, {grid.shape.width} x {grid.shape.height} px of {grid.gsd_m:.4g} m from {west:.6g}, {north:.6g}"


def write_change(pair: LabelPair, out: Path) -> dict[str, Any]:
    """Write change.tif, change.parquet, matrix.csv and control.json; returns the summary that is printed."""
    folder = RunFolder(out).change / pair.id
    matrix = np.zeros((256, 256))

    def windows() -> Iterator[tuple[Window, NDArray[np.uint16]]]:
        nonlocal matrix
        for block in blocks(pair.grid):
            codes = pair.codes(block.core)
            matrix = add_to_matrix(matrix, codes, pair.grid.pixel_area_m2(block.core))
            yield block.core, codes

    layer = Layer("from * 256 + to", "uint16", NOT_COMPARED, tags={"MADE_BY": MADE_BY, "PAIR": pair.id})
    write_cog(folder / "change.tif", pair.grid, layer, windows())
    write_text(folder / "matrix.csv", _matrix_csv(matrix, pair.legend))
    table = _changed_features(pair, matrix)
    write_features(folder / "change.parquet", table)
    control = {"false_alarm_rate": None, "reason": "no pair of dates known to be unchanged was given as a control"}
    write_json(folder / "control.json", control)
    changed_m2 = float(matrix.sum() - np.trace(matrix))
    return {
        "change": str(folder),
        "compared_m2": float(matrix.sum()),
        "changed_m2": changed_m2,
        "features": len(table),
        "control": control,
    }


def _matrix_csv(matrix: NDArray[np.float64], legend: Legend) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["from \\ to (m2)", *(c.name for c in legend.classes)])
    for row in legend.classes:
        writer.writerow([row.name, *(repr(float(matrix[row.code, c.code])) for c in legend.classes)])
    return stream.getvalue()


def _changed_features(pair: LabelPair, matrix: NDArray[np.float64]) -> geopandas.GeoDataFrame:
    """Polygons of the changed pixels; unchanged and not compared ones are left out."""
    kinds = [(int(a), int(b)) for a, b in np.argwhere(matrix > 0) if a != b]
    if len(kinds) > NOT_OBSERVED:
        raise LegendError(
            f"change: {len(kinds)} kinds of transition, at most {NOT_OBSERVED} can be traced; merge classes"
        )
    number = np.full(65536, NOT_OBSERVED, np.uint8)
    for i, (a, b) in enumerate(kinds):
        number[a * 256 + b] = i

    def read(window: Window) -> tuple[NDArray[np.uint8], None]:
        return number[pair.codes(window)], None

    traced = concatenated(list(trace(read, pair.grid)))
    columns = {
        "id": [f"{pair.id}-{pixel}" for pixel in traced.first_pixel],
        "from": [kinds[i][0] for i in traced.code],
        "to": [kinds[i][1] for i in traced.code],
        "from_name": [pair.legend.class_name(kinds[i][0]) for i in traced.code],
        "to_name": [pair.legend.class_name(kinds[i][1]) for i in traced.code],
        "area_m2": traced.area_m2,
        "edge": traced.edge,
    }
    return geopandas.GeoDataFrame(columns, geometry=traced.geometry, crs=pair.grid.pyproj_crs)
