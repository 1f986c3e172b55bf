"""A small run folder made by hand through the program's own writers: two scenes of ten squares each, two zones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import shapely
from affine import Affine

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.period import Period
from aisf_geo.store.features import write_features, write_table
from aisf_geo.store.raster import confidence_layer, label_layer, write_cog, write_picture, write_quicklook
from aisf_geo.store.run import PROGRAM, RunFolder, write_json
from aisf_geo.store.stac import ItemRecord, item_of, write_collection, write_item

LEGEND = Legend("test", (LegendClass(0, "land", (232, 230, 222)), LegendClass(1, "water", (40, 90, 200), "water")))
DATES = {"2020-06-30": "2020-06-30T00:00:00Z", "2021-06-30": "2021-06-30T00:00:00Z"}
#: 40 x 25 pixels of 10 m in UTM 31N, near Rotterdam.
GRID = Grid("EPSG:32631", Affine(10, 0, 600_000, 0, -10, 5_750_000), Shape(25, 40))


def labels_of(scene: str) -> np.ndarray:
    """Water in the left half, more of it in the later scene; the last column is not observed."""
    pixels = np.zeros((25, 40), np.uint8)
    pixels[:, : 20 if scene == "2020-06-30" else 25] = 1
    pixels[:, -1] = 255
    return pixels


def squares(scene: str) -> geopandas.GeoDataFrame:
    """Ten squares of 20 m in a row, 30 m apart; areas tie in pairs, the last confidence is missing."""
    x = 600_010 + 30 * np.arange(10)
    shift = 0 if scene == "2020-06-30" else 100
    boxes = shapely.box(x, 5_749_900 - shift, x + 20, 5_749_920 - shift)
    return geopandas.GeoDataFrame(
        {
            "id": [f"{scene}-{n}" for n in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1)],
            "class": np.array([1, 0] * 5, np.uint8),
            "class_name": ["water", "land"] * 5,
            "area_m2": [100.0, 100.0, 200.0, 200.0, 300.0, 300.0, 400.0, 400.0, 500.0, 500.0],
            "confidence": [0.5, 0.6, 0.7, 0.8, 0.9, 0.55, 0.65, 0.75, 0.85, np.nan],
            "confidence_p10": 0.4,
            "datetime": DATES[scene],
            "scene": scene,
            "edge": [True] + [False] * 9,
        },
        geometry=boxes,
        crs=32631,
    )


def make_run(path: Path, title: str = "A run made by hand", tiled: Sequence[str] = ()) -> Path:
    """Write the run, with vector tiles of the ``tiled`` dates, and return its folder."""
    folder = RunFolder(path)
    items = [_write_item(folder, scene, scene in tiled) for scene in DATES]
    write_collection(folder.collection, path.name, title, items, ["Imagery by hand (CC0)"])
    zones = geopandas.GeoDataFrame(
        {"zone": ["west", "east"], "zone_name": ["West side", "East side"]},
        geometry=[
            shapely.box(600_000, 5_749_750, 600_200, 5_750_000),
            shapely.box(600_200, 5_749_750, 600_400, 5_750_000),
        ],
        crs=32631,
    )
    write_features(folder.zones, zones)
    write_json(folder.indicators, _values())
    folder.report.write_text("<!doctype html><title>Report</title><h1>Report</h1>", encoding="utf-8")
    about = {"program": PROGRAM, "state": "complete", "recipe": {"name": path.name, "title": title}, "warnings": []}
    folder.write_run(about)
    return path


def _write_item(folder: RunFolder, scene: str, tiles: bool):
    out = folder.item(scene)
    out.path.mkdir(parents=True)
    window = Window(0, 0, 25, 40)
    labels = labels_of(scene)
    write_cog(out.labels, GRID, label_layer(LEGEND, {"SCENE": scene}), [(window, labels)])
    write_cog(
        out.confidence, GRID, confidence_layer({}), [(window, np.where(labels == 255, 255, 200).astype(np.uint8))]
    )
    write_quicklook(out.quicklook, out.labels, LEGEND)
    rgba = np.zeros((25, 40, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 180, 255
    write_picture(out.imagery, GRID, rgba, {})
    write_table(out.features, squares(scene), {}, tiles)
    day = datetime.fromisoformat(DATES[scene]).astimezone(UTC)
    method = {"name": "water", "version": "1", "settled": {}, "source": "by hand"}
    record = ItemRecord(
        id=scene, collection=folder.path.name, grid=GRID, period=Period(day, day.replace(hour=23)),
        heads={"classes": LEGEND}, method=method, coverage=0.975, obscured_share=0.0, attribution="Imagery by hand",
        licence="CC0", software={"aisf-geo": "0"}, account={}, audience="public", raster_audience="public",
    )  # fmt: skip
    item = item_of(record, out.path)
    write_item(item, out.stac)
    return item


def _values() -> list[dict]:
    rows = []
    for zone, name, first, second in (("west", "West side", 5.0, 8.0), ("east", "East side", 0.0, None)):
        for scene, value in zip(DATES, (first, second), strict=True):
            rows.append(
                {
                    "indicator": "6.6.1",
                    "formula": "6.6.1@2020",
                    "name": "Water extent",
                    "zone": zone,
                    "zone_name": name,
                    "period": {"start": DATES[scene], "end": DATES[scene].replace("00:00:00", "23:59:59")},
                    "value": value,
                    "unit": "ha",
                    "interval": None
                    if value is None
                    else {"low": value - 1, "high": value + 1, "level": 0.95, "method": "by hand"},
                    "coverage": 0.97 if value is not None else 0.2,
                    "withheld_reason": None if value is not None else "only 20 % of the zone was observed",
                    "proxy": True,
                    "caveat": "Made up for a test.",
                    "inputs": {"water_m2": 50_000.0, "areas_m2": {"water": 50_000.0, "tree-cover": None}},
                    "provenance": {"items": [scene], "models": ["by hand"], "run": "sha256:0"},
                }
            )
    return json.loads(json.dumps(rows))
