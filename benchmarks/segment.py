"""Scene to label map: our blocks on one and two workers against a plain loop over rasterio windows.

::

    python benchmarks/segment.py --size 4096 --repeats 1

The scene is Great Salt Lake, mirrored until it is large enough, four of its bands in one COG. Everyone answers the same
question, water where MNDWI exceeds a fixed threshold, in a fresh process; imports are not counted, but those of workers
are: they import with their first block; ``cpu`` leaves workers out. Ours ends with what a run keeps of a scene: labels
and confidence as COGs with overviews, picture, ledger, digests. The plain loop ends with a tiled TIFF of labels and
nothing else: it is the floor. ``ours-auto`` looks for the threshold itself, which costs a second pass. ``around s``:
starting and ending workers. Peak memory is the high-water mark of the process, and for two workers that of the largest
worker as well. Writes `benchmarks/results/segment.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from measured import about, keep

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "sample_tiles" / "great_salt_lake" / "scene.tif"
BANDS = ("blue", "green", "nir", "swir16")
THRESHOLD = 0.3
PLAIN_WINDOW_PX = 1024
CONTENDERS = (
    *("plain", "ours-1-512", "ours-1-1024", "ours-1-2048", "ours-auto-1-1024"),
    *("ours-2-512", "ours-2-1024", "ours-2-2048"),
)


def make_scene(path: Path, size: int) -> None:
    """Great Salt Lake and its mirror images, ``size`` px on a side."""
    import rasterio
    from rasterio.shutil import copy

    with rasterio.open(SOURCE) as dataset:
        tile = dataset.read([dataset.descriptions.index(name) + 1 for name in BANDS])
        crs, transform = dataset.crs, dataset.transform
    both = np.concatenate([tile, tile[:, ::-1]], axis=1)
    quilt = np.concatenate([both, both[:, :, ::-1]], axis=2)
    times = -(-size // quilt.shape[1])
    scene = np.tile(quilt, (1, times, times))[:, :size, :size]
    draft = path.with_suffix(".draft.tif")
    profile = {"count": len(BANDS), "height": size, "width": size, "dtype": "uint8", "crs": crs, "transform": transform}
    with rasterio.open(draft, "w", driver="GTiff", tiled=True, photometric="minisblack", **profile) as dataset:
        dataset.write(scene)
        dataset.descriptions = BANDS
        dataset.update_tags(SENSOR="landsat-7-dn")
    copy(draft, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=512, INTERLEAVE="PIXEL")
    draft.unlink()


def plain(scene: Path, folder: Path) -> Path:
    """The loop anyone would write first."""
    import rasterio
    from rasterio.windows import Window

    out = folder / "labels.tif"
    with rasterio.open(scene) as source:
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255, "compress": "deflate", "tiled": True}
        profile |= {"height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform}
        green, swir = (source.descriptions.index(name) + 1 for name in ("green", "swir16"))
        with rasterio.open(out, "w", blockxsize=512, blockysize=512, **profile) as target:
            for row in range(0, source.height, PLAIN_WINDOW_PX):
                for col in range(0, source.width, PLAIN_WINDOW_PX):
                    height, width = min(PLAIN_WINDOW_PX, source.height - row), min(PLAIN_WINDOW_PX, source.width - col)
                    window = Window(col, row, width, height)
                    a, b = source.read([green, swir], window=window).astype(np.float32)
                    with np.errstate(invalid="ignore"):
                        index = (a - b) / (a + b)
                    labels = np.where(np.isfinite(index), index > THRESHOLD, 254).astype(np.uint8)
                    target.write(labels, 1, window=window)
    return out


def ours(scene: Path, folder: Path, workers: int, block_px: int, threshold: float | None) -> tuple[Path, float]:
    """One scene through the pipeline's segment stage; returns the labels and the seconds it took with workers up."""
    from aisf_geo.pipeline.mapper import block_map
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.pipeline.run import begin, segment_stage
    from aisf_geo.pipeline.single import tile_recipe

    with block_map(workers) as mapper:
        started = time.perf_counter()
        plan = plan_run(tile_recipe(scene, "water", threshold=threshold, block_px=block_px))
        run_folder = begin(plan, folder / "run", "refuse")
        segment_stage(plan, plan.items[0], run_folder, mapper, lambda _: None)
        seconds = time.perf_counter() - started
    return run_folder.item(plan.items[0].id).labels, seconds


def measure(name: str, scene: Path) -> dict[str, Any]:
    """Time one contender in this process."""
    import rasterio

    import aisf_geo.pipeline.run  # noqa: F401 - imports are not counted

    with tempfile.TemporaryDirectory(dir=scene.parent) as folder:
        before_mb, started, cpu, workers = peak_mb(), time.perf_counter(), time.process_time(), "1"
        if name == "plain":
            labels = plain(scene, Path(folder))
            seconds = time.perf_counter() - started
        else:
            *kind, workers, block_px = name.split("-")
            threshold = None if "auto" in kind else THRESHOLD
            labels, seconds = ours(scene, Path(folder), int(workers), int(block_px), threshold)
        around_s, cpu = time.perf_counter() - started - seconds, time.process_time() - cpu
        with rasterio.open(labels) as dataset:
            water = int((dataset.read(1) == 1).sum())
    worker_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 if workers != "1" else 0.0
    return {
        "seconds": seconds,
        "around_s": around_s,
        "cpu": cpu,
        "peak_mb": peak_mb(),
        "imports_mb": before_mb,
        "worker_mb": worker_mb,
        "water_px": water,
    }


def peak_mb() -> float:
    """High-water mark of this process; unlike ``ru_maxrss`` it forgets the parent."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def compare(size: int, repeats: int, names: list[str]) -> dict[str, Any]:
    """All contenders in turn, ``repeats`` times over, so that a noisy minute hits all of them."""
    where, runs = about(), {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        make_scene(scene, size)
        scene_mb = scene.stat().st_size / 1e6
        for _ in range(repeats):
            for name in names:
                command = [sys.executable, __file__, "--one", name, str(scene)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                runs[name].append(json.loads(done.stdout))
    mpx = size * size / 1e6
    return where | {
        "size": size,
        "scene_mb": round(scene_mb, 1),
        "repeats": repeats,
        "results": {
            name: {key: round(median(run[key] for run in made), 3) for key in made[0]}
            | {"mpx_per_s": round(mpx / median(run["seconds"] for run in made), 2)}
            for name, made in runs.items()
        },
    }


def table(report: dict[str, Any]) -> str:
    """The results as text; ``water`` says whether the map is that of the plain loop."""
    heads = f"{'imports':>8} {'worker':>7} {'around s':>8} {'water':>7}"
    lines = [f"{'':18} {'s':>7} {'cpu s':>7} {'Mpx/s':>7} {'peak MB':>8} {heads}"]
    reference = report["results"].get("plain", {}).get("water_px")
    for name, r in report["results"].items():
        same = "" if reference is None or "auto" in name else "same" if r["water_px"] == reference else "DIFFERS"
        lines.append(
            f"{name:18} {r['seconds']:7.2f} {r['cpu']:7.2f} {r['mpx_per_s']:7.2f} {r['peak_mb']:8.0f} "
            f"{r['imports_mb']:8.0f} {r['worker_mb']:7.0f} {r['around_s']:8.2f} {same:>7}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the scene in pixels")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--one", nargs=2, metavar=("NAME", "SCENE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]))))
        return
    report = compare(options.size, options.repeats, options.only)
    keep("segment", report)
    print(json.dumps(report, indent=1))
    print(table(report), file=sys.stderr)


if __name__ == "__main__":
    main()
