"""Road mask to road graph: in blocks on one and two cores, in one piece, and what thinning alone takes elsewhere.

::

    python benchmarks/roads.py --size 8192

The mask is a town of curved streets 6 to 22 px wide, some 100 px apart, with ragged borders, gaps under trees and
speckles, as a network leaves it. Every contender reads it from the same memory-mapped file in a fresh process; compiled
code is warmed up on a corner first. Peak memory is the high-water mark of the process, with what the imports and the
touched pages of the file take. ``same`` compares all nodes, edges and lines with the graph made in one piece.
"""

from __future__ import annotations

import argparse
import hashlib
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
PIXEL_M = 0.5
CONTENDERS = ("whole-1", "blocks-1", "blocks-2", "skimage-skeletonize")


def town(size: int, seed: int = 1) -> np.ndarray:
    """uint8 ``(size, size)``, 1 = road."""
    from PIL import Image, ImageDraw
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    picture = Image.new("L", (size, size))
    pen = ImageDraw.Draw(picture)
    along = np.arange(-50, size + 50, 8.0)
    for number, middle in enumerate(np.arange(40, size, 100)):
        for turned in (False, True):
            width = random.integers(14, 23) if number % 6 == 0 else random.integers(6, 12)
            bend = 25 * np.sin(along / random.uniform(90, 300) + random.uniform(0, 6)) + random.uniform(-15, 15)
            points = np.column_stack([along, middle + bend])
            pen.line([tuple(p) for p in (points[:, ::-1] if turned else points)], fill=255, width=int(width))
    for col, row, radius in random.uniform((0, 0, 4), (size, size, 12), (size * size // 20_000, 3)):
        pen.ellipse((col - radius, row - radius, col + radius, row + radius), fill=0)
    likely = gaussian_filter(np.asarray(picture, np.float32) / 255, 1.5)
    noise = gaussian_filter(random.standard_normal((size, size), dtype=np.float32), 1.5)
    likely += noise * np.float32(0.1 / noise.std())
    return (likely > 0.45).astype(np.uint8)


def graph_of(mask: np.ndarray, block_px: int, workers: int) -> dict[str, Any]:
    from affine import Affine

    from aisf_geo.domain.grid import Grid, Shape
    from aisf_geo.vectorise.roads import RoadOptions, road_graph

    grid = Grid(CRS, Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_000_000), Shape(*mask.shape))
    graph = road_graph(lambda w: (mask[w.slices] > 0, None), grid, RoadOptions(), block_px, workers)
    return {
        "nodes": len(graph.node_id),
        "edges": len(graph.start),
        "length_km": float(graph.length_m.sum() / 1000),
        **{name: getattr(graph.tally, name) for name in ("spurs", "bridges", "fragments", "too_wide_px")},
        "digest": digest(graph),
    }


def digest(graph: Any) -> str:
    """Of everything but the tally."""
    import shapely

    whole = hashlib.sha256()
    for name in ("node_id", "node_xy", "degree", "wide", "start", "end", "length_m", "width_m", "bridge"):
        whole.update(np.ascontiguousarray(getattr(graph, name)).tobytes())
    whole.update(b"".join(shapely.to_wkb(graph.lines).tolist()))
    return whole.hexdigest()


def skeletonize(mask: np.ndarray) -> dict[str, Any]:
    from skimage.morphology import skeletonize

    return {"centre_px": int(np.count_nonzero(skeletonize(mask > 0)))}


def contender(name: str) -> Callable[[np.ndarray], dict[str, Any]]:
    """The function that a name stands for."""
    if name == "skimage-skeletonize":
        return skeletonize
    kind, workers = name.split("-")
    return lambda mask: graph_of(mask, max(mask.shape) if kind == "whole" else 1024, int(workers))


def peak_mb() -> float:
    """High-water mark of this process; unlike ``ru_maxrss`` it forgets the parent."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def measure(name: str, path: str) -> dict[str, Any]:
    """Time one contender in this process."""
    mask = np.load(path, mmap_mode="r")
    run = contender(name)
    run(np.ascontiguousarray(mask[:512, :512]))
    start_mb = peak_mb()
    started, cpu = time.perf_counter(), time.process_time()
    result = run(mask)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mb": peak_mb(), "start_mb": start_mb, **result}


def in_fresh_process(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def compare(size: int, repeats: int, names: list[str]) -> dict[str, Any]:
    """All contenders in turn, ``repeats`` times over, so that a noisy minute hits all of them."""
    said = about()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "mask.npy")
        made = in_fresh_process("--make", path, "--size", str(size))
        for _ in range(repeats):
            for name in names:
                runs[name].append(in_fresh_process("--one", name, path))
    timed = ("seconds", "cpu_seconds", "peak_mb", "start_mb")
    return {
        **said,
        "size": size,
        "repeats": repeats,
        **made,
        "results": {name: r[0] | {key: median(run[key] for run in r) for key in timed} for name, r in runs.items()},
    }


def table(report: dict[str, Any]) -> str:
    """The results as text."""
    head = f"{'':20} {'s':>7} {'cpu s':>7} {'peak MB':>8} {'nodes':>7} {'edges':>7} {'km':>8} {'same':>7}"
    lines = [f"{report['date']}  {report['machine']}  commit {report['commit']}", head]
    results = report["results"]
    whole = results.get("whole-1", {}).get("digest")
    for name, r in results.items():
        line = f"{name:20} {r['seconds']:7.2f} {r['cpu_seconds']:7.2f} {r['peak_mb']:8.0f}"
        if "digest" in r:
            same = "" if whole is None else "same" if r["digest"] == whole else "DIFFER"
            line += f" {r['nodes']:7d} {r['edges']:7d} {r['length_km']:8.1f} {same:>7}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=8192, help="side of the mask in pixels")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--keep", action="store_true", help="store the report in results/")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "MASK"), help=argparse.SUPPRESS)
    parser.add_argument("--make", metavar="MASK", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        mask = town(options.size)
        np.save(options.make, mask)
        print(json.dumps({"road_share": float(mask.mean())}))
    elif options.one:
        print(json.dumps(measure(*options.one)))
    else:
        report = compare(options.size, options.repeats, options.only)
        print(json.dumps(report, indent=1))
        if options.keep:
            keep("roads", report)
        print(table(report), file=sys.stderr)


if __name__ == "__main__":
    main()
