"""Two epochs to a change map, its features, the matrix of areas, and how much of it is noise."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.transition import NOT_COMPARED, add_to_matrix
from aisf_geo.domain.grid import Window
from aisf_geo.domain.legend import NOT_OBSERVED, Legend
from aisf_geo.domain.process import processes_of
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import LegendError
from aisf_geo.pipeline.blocks_on_disk import blocks_on_disk
from aisf_geo.pipeline.change_source import ChangeSource
from aisf_geo.pipeline.identity import versions
from aisf_geo.store.features import write_features
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import Layer, confidence_layer, read_pixels, write_cog
from aisf_geo.store.run import write_json
from aisf_geo.vectorise.polygons import concatenated
from aisf_geo.vectorise.trace import trace


@dataclass(frozen=True)
class WrittenChange:
    """What was found, as it lies in the folder of a pair.

    Attributes:
        matrix: 256 x 256 areas in m2, from and to.
        table: changes not smaller than ``min_area_m2``.
        too_small: changes left out for that, and their area in m2.
    """

    folder: Path
    legend: Legend
    matrix: NDArray[np.float64]
    table: geopandas.GeoDataFrame
    min_area_m2: float
    too_small: tuple[int, float]

    @property
    def compared_m2(self) -> float:
        """Area seen on both dates."""
        return float(self.matrix.sum())

    @property
    def changed_m2(self) -> float:
        """Area of all changed pixels."""
        return float(self.matrix.sum() - np.trace(self.matrix))

    @property
    def mappable_m2(self) -> float:
        """Area of the changes that are features."""
        return float(self.table["area_m2"].sum())

    def by_process(self) -> dict[str, float]:
        """Area of the features by process, m2; a feature with two processes counts in both."""
        areas: dict[str, float] = {}
        for process, area_m2 in zip(self.table["process"], self.table["area_m2"], strict=True):
            for name in process.split("; "):
                areas[name] = areas.get(name, 0.0) + float(area_m2)
        return dict(sorted(areas.items()))


def write_maps(source: ChangeSource, folder: Path, min_area_m2: float | None = None) -> WrittenChange:
    """Write change.tif, confidence.tif, score.tif where the method has one, change.parquet and matrix.csv."""
    matrix = np.zeros((256, 256))
    with blocks_on_disk(folder, _answers(source)) as stored:
        for window, codes in stored("labels"):
            matrix = add_to_matrix(matrix, codes, source.grid.pixel_area_m2(window))
        tags = _tags(source)
        names = {"TRANSITIONS": _transition_names(source.legend, matrix)}
        kinds = Layer("from * 256 + to", "uint16", NOT_COMPARED, tags=tags | names)
        write_cog(folder / "change.tif", source.grid, kinds, stored("labels"))
        write_cog(folder / "confidence.tif", source.grid, confidence_layer(tags), stored("confidence"))
        if "score" in source.facts:
            score = Layer(source.facts["score"], "float32", np.nan, "AVERAGE", tags=tags)
            write_cog(folder / "score.tif", source.grid, score, stored("score"))
    write_text(folder / "matrix.csv", _matrix_csv(matrix, source.legend))
    limit_m2 = source.min_area_m2 if min_area_m2 is None else min_area_m2
    table, too_small = _changed_features(source, folder, matrix, limit_m2)
    return WrittenChange(folder, source.legend, matrix, table, limit_m2, too_small)


def _answers(source: ChangeSource) -> Iterator[tuple[Window, Mapping[str, NDArray[Any]]]]:
    """The layers of each block."""
    for block in blocks(source.grid):
        found = source.detect(block.core)
        yield block.core, {"labels": found.labels, "confidence": found.confidence, "score": found.score}


def _transition_names(legend: Legend, matrix: NDArray[np.float64]) -> str:
    """What the codes that occur mean, as text for a tag."""
    kinds = [(int(a), int(b)) for a, b in np.argwhere(matrix > 0)]
    return "; ".join(f"{a * 256 + b} {legend.class_name(a)} -> {legend.class_name(b)}" for a, b in kinds)


def _tags(source: ChangeSource) -> dict[str, str]:
    facts = source.facts
    return {
        "MADE_BY": MADE_BY,
        "PAIR": source.id,
        "METHOD": facts["method"],
        "METHOD_VERSION": facts["version"],
        "ATTRIBUTION": "; ".join(facts["attribution"]) or "not stated",
        "LICENCE": "; ".join(facts["licence"]) or "not stated",
    }


def _matrix_csv(matrix: NDArray[np.float64], legend: Legend) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["from \\ to (m2)", *(c.name for c in legend.classes)])
    for row in legend.classes:
        writer.writerow([row.name, *(repr(float(matrix[row.code, c.code])) for c in legend.classes)])
    return stream.getvalue()


def _changed_features(
    source: ChangeSource, folder: Path, matrix: NDArray[np.float64], min_area_m2: float
) -> tuple[geopandas.GeoDataFrame, tuple[int, float]]:
    """Polygons of the changed pixels; unchanged and not compared ones are left out, and those below the minimum."""
    kinds = [(int(a), int(b)) for a, b in np.argwhere(matrix > 0) if a != b]
    if len(kinds) > NOT_OBSERVED:
        raise LegendError(
            f"change: {len(kinds)} kinds of transition, at most {NOT_OBSERVED} can be traced; merge classes"
        )
    number = np.full(65536, NOT_OBSERVED, np.uint8)
    for i, (a, b) in enumerate(kinds):
        number[a * 256 + b] = i

    def read(window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        codes = np.asarray(read_pixels(folder / "change.tif", window), np.uint16)
        return number[codes], np.asarray(read_pixels(folder / "confidence.tif", window), np.uint8)

    traced = concatenated(list(trace(read, source.grid)))
    legend = source.legend
    before, after = ([legend[kinds[i][side]] for i in traced.code] for side in (0, 1))
    columns: dict[str, Any] = {
        "id": [f"{source.id}-{pixel}" for pixel in traced.first_pixel],
        "from": [c.code for c in before],
        "to": [c.code for c in after],
        "from_name": [c.name for c in before],
        "to_name": [c.name for c in after],
        "process": ["; ".join(_processes(a.role, b.role)) for a, b in zip(before, after, strict=True)],
        "area_m2": traced.area_m2,
        "confidence": traced.confidence.round(4),
        "confidence_p10": traced.confidence_p10.round(4),
        "edge": traced.edge,
        "made_by": MADE_BY,
    }
    table = geopandas.GeoDataFrame(columns, geometry=traced.geometry, crs=source.grid.pyproj_crs)
    small = table["area_m2"] < min_area_m2 * (1 - 1e-9)
    return table[~small].reset_index(drop=True), (int(small.sum()), float(table.loc[small, "area_m2"].sum()))


def _processes(before: Any, after: Any) -> tuple[str, ...]:
    return processes_of(before, after) or ("other change",)


def write_change(
    source: ChangeSource, folder: Path, control: dict[str, Any], min_area_m2: float | None = None
) -> dict[str, Any]:
    """Everything of one pair: maps, features that carry the control, control.json and summary.json; the summary."""
    written = write_maps(source, folder, min_area_m2)
    table = written.table.assign(
        false_alarm_rate=np.float64(np.nan if control["false_alarm_rate"] is None else control["false_alarm_rate"]),
        min_area_m2=written.min_area_m2,
    )
    write_features(folder / "change.parquet", table, {key.lower(): text for key, text in _tags(source).items()})
    write_json(folder / "control.json", control)
    summary = {
        "change": str(folder),
        "pair": source.id,
        "made_by": MADE_BY,
        **source.facts,
        "software": versions(),
        "compared_m2": written.compared_m2,
        "changed_m2": written.changed_m2,
        "mappable_m2": written.mappable_m2,
        "min_area_m2": written.min_area_m2,
        "too_small": {"features": written.too_small[0], "area_m2": written.too_small[1]},
        "by_process_m2": written.by_process(),
        "features": len(table),
        "control": control,
    }
    write_json(folder / "summary.json", summary | {"change": "."})
    return summary
