"""Label map to GeoDataFrame: our tracer against rasterio and xarray-spatial, each in a fresh process.

::

    python benchmarks/trace.py --size 8192 --repeats 3

The map has five classes of equal area from two octaves of smoothed noise, about 1,500 regions per Mpx. Every contender
reads it from the same memory-mapped file and ends with a GeoDataFrame of all polygons; compiled code is warmed up on a
small map first. Peak memory is the high-water mark of the process, with what the imports and the map itself take.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measured import about, keep

CRS = "EPSG:32633"
PIXEL_M = 10.0
CLASSES = 5
CONTENDERS = ("ours-1", "ours-2", "ours-1-confidence", "rasterio", "xarray-spatial")


def natural_map(size: int, seed: int = 1) -> np.ndarray:
    """uint8 ``(size, size)``: broad patches with ragged borders and islands."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    relief = np.zeros((size, size), dtype=np.float32)
    for sigma_px, weight in ((20.0, 1.0), (4.5, 0.6)):
        octave = gaussian_filter(random.standard_normal((size, size), dtype=np.float32), sigma_px)
        relief += octave * (weight / octave.std())
    steps = np.quantile(relief[::3, ::3], np.linspace(0, 1, CLASSES + 1)[1:-1]).astype(np.float32)
    return np.digitize(relief, steps).astype(np.uint8)


def trace_ours(labels: np.ndarray, workers: int, confidence: np.ndarray | None = None) -> Any:
    from affine import Affine
    from geopandas import GeoDataFrame

    from aisf_geo.domain.grid import Grid, Shape
    from aisf_geo.vectorise.polygons import concatenated
    from aisf_geo.vectorise.trace import trace

    grid = Grid(CRS, Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_000_000), Shape(*labels.shape))

    def read(window: Any) -> tuple[np.ndarray, np.ndarray | None]:
        return labels[window.slices], None if confidence is None else confidence[window.slices]

    columns = concatenated(list(trace(read, grid, workers=workers))).columns()
    return GeoDataFrame(columns, geometry="geometry", crs=CRS)


def trace_rasterio(labels: np.ndarray) -> Any:
    from geopandas import GeoDataFrame
    from rasterio.features import shapes
    from rasterio.transform import from_origin
    from shapely.geometry import shape

    transform = from_origin(500_000, 5_000_000, PIXEL_M, PIXEL_M)
    geometry, code = [], []
    for polygon, value in shapes(labels, connectivity=4, transform=transform):
        geometry.append(shape(polygon))
        code.append(int(value))
    return GeoDataFrame({"code": code}, geometry=geometry, crs=CRS)


def trace_xarray_spatial(labels: np.ndarray) -> Any:
    import xarray
    from xrspatial.experimental import polygonize

    transform = np.array([PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_000_000])
    # It has no kernel for uint8.
    raster = xarray.DataArray(labels.astype(np.int32), dims=("y", "x"))
    frame = polygonize(raster, connectivity=4, transform=transform, column_name="code", return_type="geopandas")
    return frame.set_crs(CRS)


def contender(name: str, labels: np.ndarray) -> Callable[[np.ndarray], Any]:
    """The function that a name stands for."""
    if name == "rasterio":
        return trace_rasterio
    if name == "xarray-spatial":
        return trace_xarray_spatial
    confidence = None
    if name.endswith("confidence"):
        # High inside and spread widely: many different values per region, the costly case.
        confidence = np.random.default_rng(2).integers(90, 255, labels.shape, dtype=np.uint8)
    return lambda array: trace_ours(
        array, int(name.split("-")[1]), None if confidence is None else confidence[: array.shape[0], : array.shape[1]]
    )


def peak_mb() -> float:
    """High-water mark of this process; unlike ``ru_maxrss`` it forgets the parent."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def measure(name: str, path: str) -> dict[str, Any]:
    """Time one contender in this process."""
    labels = np.load(path, mmap_mode="r")
    run = contender(name, labels)
    run(np.ascontiguousarray(labels[:64, :64]))
    before_mb = peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    frame = run(labels)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    result = {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb(), "start_mb": before_mb}
    areas = frame.geometry.area.groupby(frame["code"].astype(int)).sum()
    return {**result, "regions": len(frame), "area_m2": {str(c): float(a) for c, a in areas.items()}}


def in_fresh_process(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compare(size: int, repeats: int, names: list[str]) -> dict[str, Any]:
    """All contenders in turn, ``repeats`` times over, so that a noisy minute hits all of them."""
    said = about()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "labels.npy")
        in_fresh_process("--make", path, "--size", str(size))
        for _ in range(repeats):
            for name in names:
                try:
                    runs[name].append(in_fresh_process("--one", name, path))
                except subprocess.CalledProcessError as error:
                    print(f"{name}: failed with exit code {error.returncode}, left out", file=sys.stderr)
    keys = ("seconds", "cpu_seconds", "peak_mb", "start_mb")
    return {
        **said,
        "size": size,
        "repeats": repeats,
        "results": {
            name: {**{key: median(run[key] for run in made) for key in keys}, **final(made)}
            for name, made in runs.items()
            if made
        },
    }


def final(made: list[dict[str, Any]]) -> dict[str, Any]:
    """What does not vary between runs, and the times that do."""
    return {
        "all_seconds": [round(run["seconds"], 2) for run in made],
        **{key: made[0][key] for key in ("regions", "area_m2")},
    }


def table(report: dict[str, Any]) -> str:
    """The results as text; speed and memory against rasterio, where it ran."""
    columns = f"{'s':>8} {'best':>6} {'cpu s':>8} {'peak MB':>8} {'regions':>9} {'speed':>7} {'memory':>7} {'areas':>6}"
    lines = [f"{'':18} {columns}"]
    results = report["results"]
    reference = results.get("rasterio")
    for name, r in results.items():
        times = f"{r['seconds']:8.2f} {min(r['all_seconds']):6.2f} {r['cpu_seconds']:8.2f}"
        line = f"{name:18} {times} {r['peak_mb']:8.0f} {r['regions']:9d}"
        if reference:
            same = r["area_m2"] == reference["area_m2"] and r["regions"] == reference["regions"]
            speed, memory = reference["seconds"] / r["seconds"], r["peak_mb"] / reference["peak_mb"]
            line += f" {speed:6.1f}x {memory:6.2f}x {'same' if same else 'DIFFER':>6}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=8192, help="side of the map in pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--keep", action="store_true", help="store the report in results/")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "MAP"), help=argparse.SUPPRESS)
    parser.add_argument("--make", metavar="MAP", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        np.save(options.make, natural_map(options.size))
        print("{}")
    elif options.one:
        print(json.dumps(measure(*options.one)))
    else:
        report = compare(options.size, options.repeats, options.only)
        print(json.dumps(report, indent=1))
        if options.keep:
            keep("trace", report)
        print(table(report), file=sys.stderr)


if __name__ == "__main__":
    main()
