"""Maps, features and figures of when something was lost and when it came back."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.breaks import NEVER_SEEN
from aisf_geo.change.method import margin_confidence, min_mappable_m2
from aisf_geo.domain.grid import Window
from aisf_geo.domain.legend import NOT_OBSERVED
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.domain.tiling import blocks
from aisf_geo.ingest.area_of_interest import area_from_file
from aisf_geo.pipeline.blocks_on_disk import blocks_on_disk
from aisf_geo.pipeline.breaks import BLOCK_PX, INDICES, BreakSearch
from aisf_geo.pipeline.series_scenes import day_of
from aisf_geo.store.features import write_features
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import Layer, confidence_layer, read_pixels, thumbnail, write_cog, write_png
from aisf_geo.store.run import write_json
from aisf_geo.vectorise.polygons import concatenated
from aisf_geo.vectorise.trace import trace

#: The maps of dates and what a code in them means.
MEANING = {
    "lost": "first seen with the lower level",
    "recovered": "first seen risen again",
    "last_clear": "last clear date before the loss",
}


def write_breaks(found: BreakSearch, folder: Path, control: Path | None, min_area_m2: float | None) -> dict[str, Any]:
    """Write lost.tif, recovered.tif, last_clear.tif, confidence.tif, breaks.parquet, breaks.csv and control.json."""
    grid, days = found.series.grid, [day_of(scene) for scene in found.series.scenes]
    about = about_breaks(found)
    tags = {name.upper(): text for name, text in about.items()}
    colours = {k: (*c, 255) for k, c in date_colours(days).items()}
    with blocks_on_disk(folder, _answers(found)) as stored:
        for name, text in MEANING.items():
            nodata = NOT_OBSERVED if name == "lost" else 0
            names = {k: f"{text} {day}" for k, day in enumerate(days, start=1)} | {0: "none"}
            layer = Layer(text, "uint8", nodata, "NEAREST", colours, names, tags)
            write_cog(folder / f"{name}.tif", grid, layer, stored(name))
        write_cog(folder / "confidence.tif", grid, confidence_layer(tags), stored("confidence"))
    limit_m2 = min_mappable_m2(grid.gsd_m) if min_area_m2 is None else min_area_m2
    said = _control(found, control, limit_m2)
    table, too_small = _features(found, folder, days, limit_m2)
    rate = said["false_alarm_rate"]
    table = table.assign(false_alarm_rate=np.float64(np.nan if rate is None else rate), made_by=MADE_BY)
    write_features(folder / "breaks.parquet", table, about)
    rows = _by_date(found, folder, days)
    said_of_each = {key: about[key] for key in ("method_version", "made_by")}
    write_text(folder / "breaks.csv", _csv([row | said_of_each for row in rows]))
    write_json(folder / "control.json", said)
    write_png(folder / "lost.png", _picture(folder / "lost.tif", days))
    return {
        "method": f"breaks in {found.asked.index}",
        "formula": about["formula"],
        "noise": found.noise,
        "dates": rows,
        "features": len(table),
        "min_area_m2": limit_m2,
        "too_small": {"features": too_small[0], "area_m2": too_small[1]},
        "control": said,
    }


def _answers(found: BreakSearch) -> Iterator[tuple[Window, Mapping[str, NDArray[Any]]]]:
    """The layers of each block."""
    for block in blocks(found.series.grid, BLOCK_PX):
        dates = found.dates(block.core)
        is_lost = (dates.lost > 0) & (dates.lost != NEVER_SEEN)
        sure = margin_confidence(dates.confidence, is_lost)
        yield (
            block.core,
            {"lost": dates.lost, "recovered": dates.recovered, "last_clear": dates.last_before, "confidence": sure},
        )


def about_breaks(found: BreakSearch) -> dict[str, str]:
    """What made the outputs: the statement, the scenes, the rule, and what their licences ask for."""
    scenes, asked = found.series.scenes, found.asked
    a, b, *_ = INDICES[asked.index]
    rule = f"min_drop={asked.min_drop:g} clear={asked.clear_dates}"
    return {
        "made_by": MADE_BY,
        "method": "breaks",
        "method_version": f"{asked.index} {rule} noise={found.noise:.5f}",
        "formula": f"least-squares levels of ({a} - {b}) / ({a} + {b}) over the clear dates of each pixel (optimal "
        "partitioning, Jackson et al. 2005); lost where the level falls by min_drop or more",
        "scenes": " ".join(scene.id for scene in scenes),
        "attribution": "; ".join(dict.fromkeys(s.attribution for s in scenes if s.attribution)) or "not stated",
        "licence": "; ".join(dict.fromkeys(s.licence for s in scenes if s.licence)) or "not stated",
    }


def _areas(found: BreakSearch, folder: Path, name: str) -> NDArray[np.float64]:
    """Area of each code of a map, m2, ``(256,)``."""
    total = np.zeros(256)
    for block in blocks(found.series.grid):
        codes = np.asarray(read_pixels(folder / f"{name}.tif", block.core), np.uint8)
        area_m2 = found.series.grid.pixel_area_m2(block.core)
        total += np.bincount(codes.ravel(), weights=area_m2.ravel(), minlength=256)
    return total


def _control(found: BreakSearch, control: Path | None, min_area_m2: float) -> dict[str, Any]:
    if control is None:
        return {"false_alarm_rate": None, "reason": "no area known to be unchanged was given as a control"}
    grid, inside = found.series.grid, replace(found, area=area_from_file(control, found.series.grid))
    compared = lost = 0.0
    for block in blocks(grid, BLOCK_PX):
        codes, area_m2 = inside.dates(block.core).lost, grid.pixel_area_m2(block.core)
        compared += float(area_m2[codes != NEVER_SEEN].sum())
        lost += float(area_m2[(codes != NEVER_SEEN) & (codes > 0)].sum())
    if not compared:
        return {"false_alarm_rate": None, "reason": f"{control.name}: nothing was seen inside"}
    return {
        "false_alarm_rate": lost / compared,
        "false_alarm_rate_pixels": lost / compared,
        "kind": "area",
        "control": control.name,
        "compared_m2": compared,
        "changed_m2": lost,
        "min_area_m2": min_area_m2,
    }


def _by_date(found: BreakSearch, folder: Path, days: list[str]) -> list[dict[str, Any]]:
    """Area lost and recovered by the date it was first seen, and the sum of what was lost."""
    lost, back = (_areas(found, folder, name) for name in ("lost", "recovered"))
    sums = np.cumsum(lost[1 : len(days) + 1])
    return [
        {
            "date": day,
            "lost_m2": float(lost[k]),
            "lost_since_start_m2": float(sums[k - 1]),
            "recovered_m2": float(back[k]),
        }
        for k, day in enumerate(days, start=1)
    ]


def _csv(rows: list[dict[str, Any]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _features(
    found: BreakSearch, folder: Path, days: list[str], min_area_m2: float
) -> tuple[geopandas.GeoDataFrame, tuple[int, float]]:
    """Polygons of the losses by date; those below the minimum are left out and counted."""

    def read(window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        codes = np.asarray(read_pixels(folder / "lost.tif", window), np.uint8)
        codes[codes == 0] = NOT_OBSERVED
        return codes, np.asarray(read_pixels(folder / "confidence.tif", window), np.uint8)

    traced = concatenated(list(trace(read, found.series.grid)))
    *_, fall, _rise = INDICES[found.asked.index]
    columns: dict[str, Any] = {
        "id": [f"loss-{pixel}" for pixel in traced.first_pixel],
        "first_seen": [days[k - 1] for k in traced.code],
        "process": fall,
        "area_m2": traced.area_m2,
        "confidence": traced.confidence.round(4),
        "confidence_p10": traced.confidence_p10.round(4),
        "edge": traced.edge,
        "min_area_m2": min_area_m2,
    }
    table = geopandas.GeoDataFrame(columns, geometry=traced.geometry, crs=found.series.grid.pyproj_crs)
    small = table["area_m2"] < min_area_m2 * (1 - 1e-9)
    return table[~small].reset_index(drop=True), (int(small.sum()), float(table.loc[small, "area_m2"].sum()))


def date_colours(days: list[str]) -> dict[int, tuple[int, int, int]]:
    """Yellow for the first dates to dark purple for the last; dates of one year look alike."""
    ramp = np.array(
        [(255, 240, 120), (255, 190, 40), (245, 120, 40), (210, 40, 60), (140, 20, 120), (60, 10, 90)], float
    )
    years = sorted({day[:4] for day in days})
    colours = {}
    for k, day in enumerate(days, start=1):
        at = years.index(day[:4]) / max(len(years) - 1, 1) * (len(ramp) - 1)
        low = min(int(at), len(ramp) - 2)
        colours[k] = tuple(int(v) for v in ramp[low] + (at - low) * (ramp[low + 1] - ramp[low]))
    return {0: (226, 234, 226), **colours}  # type: ignore[dict-item] # three numbers each


def _picture(path: Path, days: list[str]) -> NDArray[np.uint8]:
    table = np.zeros((256, 4), np.uint8)
    for code, colour in date_colours(days).items():
        table[code] = (*colour, 255)
    return np.asarray(table[thumbnail(path)])
