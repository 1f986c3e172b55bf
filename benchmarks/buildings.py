"""Squared outlines against labels: ours and the package buildingregulariser, on masks made from the labels' own roofs.

::

    python benchmarks/buildings.py --data DIR [--regulariser PYTHON]

``DIR`` holds folders ``TOWN/masks/*-X-Y-Z.png`` (0/1, Web Mercator tiles of zoom 19) and ``TOWN/labels.geojson``.
``PYTHON`` is an interpreter with buildingregulariser, which is no dependency of this project; its row shows the best of
four settings by mean IoU. IoU: each label inside the tiles with the outline that fits it best, 0 if there is none, on
all labels; vertices: of the outlines that are the best for some label.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from affine import Affine
from measured import about, keep
from PIL import Image

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.vectorise.buildings import SquaringRules, square
from aisf_geo.vectorise.roofs import split_roofs
from aisf_geo.vectorise.trace import trace_array

ZOOM = 19
HALF_M = 20037508.342789244
SPEED_FOOTPRINTS = 10_000
REGULARISE = """
import sys, time, warnings, geopandas
from buildingregulariser import regularize_geodataframe
warnings.simplefilter("ignore")
source, target, px = sys.argv[1], sys.argv[2], float(sys.argv[3])
frame = geopandas.read_file(source)
options = eval(sys.argv[4])
started = time.perf_counter()
made = regularize_geodataframe(frame, num_cores=1, include_metadata=False, **options)
print(time.perf_counter() - started)
made.to_file(target, driver="GPKG")
"""


def town(folder: Path) -> tuple[np.ndarray, Grid, np.ndarray]:
    """The mosaic of the masks (255 between tiles), its grid, and the labels inside the tiles."""
    tiles = {}
    for path in folder.glob(f"masks/*-{ZOOM}.png"):
        x, y = map(int, re.search(r"-(\d+)-(\d+)-\d+\.png$", path.name).groups())
        tiles[x, y] = np.asarray(Image.open(path)) > 0
    px = next(iter(tiles.values())).shape[0]
    west, north = min(x for x, _ in tiles), min(y for _, y in tiles)
    east, south = max(x for x, _ in tiles) + 1, max(y for _, y in tiles) + 1
    mask = np.full(((south - north) * px, (east - west) * px), 255, np.uint8)
    size_m = 2 * HALF_M / 2**ZOOM
    boxes = []
    for (x, y), tile in tiles.items():
        mask[(y - north) * px : (y - north + 1) * px, (x - west) * px : (x - west + 1) * px] = tile
        boxes.append(
            shapely.box(x * size_m - HALF_M, HALF_M - (y + 1) * size_m, (x + 1) * size_m - HALF_M, HALF_M - y * size_m)
        )
    res = size_m / px
    grid = Grid(
        "EPSG:3857", Affine(res, 0, west * size_m - HALF_M, 0, -res, HALF_M - north * size_m), Shape(*mask.shape)
    )
    labels = geopandas.read_file(folder / "labels.geojson").to_crs(3857).geometry.make_valid()
    return mask, grid, labels[labels.within(shapely.union_all(boxes).buffer(-res))].to_numpy()


def best_iou(labels: np.ndarray, outlines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every label the IoU of the outline that fits it best, and which that is (-1: none)."""
    a, b = shapely.STRtree(outlines).query(labels, predicate="intersects")
    common = shapely.area(shapely.intersection(labels[a], outlines[b]))
    iou = common / (shapely.area(labels[a]) + shapely.area(outlines[b]) - common)
    best, which = np.zeros(len(labels)), np.full(len(labels), -1)
    for i, j, value in zip(a, b, iou, strict=True):
        if value > best[i]:
            best[i], which[i] = value, j
    return best, which


def row(labels: np.ndarray, outlines: np.ndarray, seconds: float) -> dict[str, float]:
    iou, which = best_iou(labels, outlines)
    chosen = outlines[which[which >= 0]]
    return {
        "outlines": len(outlines),
        "mean_iou": round(float(iou.mean()), 4),
        "found_pct": round(100 * float((iou > 0.5).mean()), 1),
        "vertices": round(float(shapely.get_num_coordinates(chosen).mean()), 1),
        "label_vertices": round(float(shapely.get_num_coordinates(labels[which >= 0]).mean()), 1),
        "seconds": round(seconds, 2),
    }


def regularised(python: str, outlines: np.ndarray, px: float, labels: np.ndarray) -> dict[str, float]:
    """The best of the package's settings: its own, and three that are scaled to the pixel."""
    settings: list[dict[str, Any]] = [{}]
    settings += [{"simplify_tolerance": k * px, "parallel_threshold": 2 * px} for k in (1.0, 1.5)]
    settings += [{**settings[2], "allow_circles": False, "allow_45_degree": False}]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.gpkg", Path(folder) / "out.gpkg"
        geopandas.GeoDataFrame(geometry=outlines, crs=3857).to_file(source)
        for options in settings:
            target.unlink(missing_ok=True)
            command = [python, "-c", REGULARISE, str(source), str(target), str(px), repr(options)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            made = geopandas.read_file(target).geometry.to_numpy()
            rows.append(row(labels, made, float(done.stdout.split()[-1])))
    return max(rows, key=lambda r: r["mean_iou"])


def compare(folder: Path, python: str | None) -> dict[str, Any]:
    mask, grid, labels = town(folder)
    px = grid.transform.a

    def read(window: Window) -> tuple[np.ndarray, None]:
        return mask[window.slices], None

    traced = trace_array(mask, grid)
    started = time.perf_counter()
    parted = split_roofs(traced, read, grid, 1).features
    split_seconds = time.perf_counter() - started
    result: dict[str, Any] = {"labels": len(labels)}
    for name, features, before in (("traced", traced, 0.0), ("split", parted, split_seconds)):
        outlines = features.take(np.flatnonzero(features.code == 1))
        result[name] = row(labels, outlines.geometry, before)
        started = time.perf_counter()
        made = square(outlines.geometry, grid.pyproj_crs, SquaringRules.for_grid(grid), outlines.area_m2)
        result[f"{name}, squared"] = row(labels, made.geometry, time.perf_counter() - started)
        result[f"{name}, squared"]["summary"] = made.summary.as_json()
        if python:
            result[f"{name}, buildingregulariser"] = regularised(python, outlines.geometry, px, labels)
    return result


def speed(folder: Path) -> dict[str, float]:
    """Seconds for 10,000 traced and split footprints: those of one town again and again, side by side."""
    mask, grid, _ = town(folder)
    features = split_roofs(trace_array(mask, grid), lambda w: (mask[w.slices], None), grid, 1).features
    outlines = features.geometry[features.code == 1]
    copies = -(-SPEED_FOOTPRINTS // len(outlines))
    width = grid.bounds.east - grid.bounds.west
    steps = [np.array([k * width, 0.0]) for k in range(copies)]
    many = np.concatenate([shapely.transform(outlines, lambda xy, step=step: xy + step) for step in steps])
    many = many[:SPEED_FOOTPRINTS]
    started, cpu = time.perf_counter(), time.process_time()
    square(many, grid.pyproj_crs, SquaringRules.for_grid(grid))
    return {
        "footprints": len(many),
        "vertices": round(float(shapely.get_num_coordinates(many).mean()), 1),
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--regulariser", metavar="PYTHON", help="interpreter that has buildingregulariser")
    parser.add_argument("--keep", action="store_true", help="store the report in results/")
    options = parser.parse_args()
    said = about()
    towns = sorted(path for path in options.data.iterdir() if (path / "labels.geojson").exists())
    square(
        np.array([shapely.box(0, 0, 9, 9)]),
        Grid("EPSG:3857", Affine.identity(), Shape(1, 1)).pyproj_crs,
        SquaringRules(1.0),
    )
    report = {
        **said,
        "towns": {path.name: compare(path, options.regulariser) for path in towns},
        "speed": {path.name: speed(path) for path in towns if path.name in ("banepa_drone", "zanzibar")},
    }
    print(json.dumps(report, indent=1))
    if options.keep:
        keep("buildings", report)


if __name__ == "__main__":
    main()
