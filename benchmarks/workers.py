"""The same bytes for any block size, number of workers and restart; and how much each worker adds.

::

    python benchmarks/workers.py --size 4096 --precision bf16

The scene and the network of `benchmarks/engine.py`, the segment stage of a run, a fresh process for each line.
``killed`` is a run that is killed with all its workers when a third of its blocks are done, and then resumed; in
``worker killed`` one of two workers is. The pace is that of the second half of the blocks, when every worker has its
network; workers share the cores (a worker on its own uses all of them), so that on one machine more of them are not to
be faster. Writes `benchmarks/results/workers.json`; ends with 1 if any two lines differ in a pixel.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from engine import BANDS, MODEL, make_model, make_scene
from measured import about, keep

#: Block size, workers, and what happens.
LINES = ((512, 1, ""), (1024, 1, ""), (2048, 1, ""), (512, 2, ""), (512, 4, ""), (512, 2, "killed"))
LINES += ((512, 2, "worker killed"),)
#: Blocks after which a worker is killed.
KILL_AFTER = 8
#: Blocks in the second half from which on a pace is told: the first of them are written at a time.
FEWEST = 8


def one(place: Path, out: Path, block_px: int, workers: int, precision: str, happens: str) -> dict[str, Any]:
    """One run, or what is left of one, in this process."""
    import rasterio

    from aisf_geo.pipeline import choice
    from aisf_geo.pipeline.choice import Means
    from aisf_geo.pipeline.mapper import block_map
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.pipeline.run import begin, segment_stage
    from aisf_geo.pipeline.single import tile_recipe

    choice.shipped = lambda _: place / "models"  # type: ignore[attr-defined] # the models of the benchmark are not shipped
    recipe = tile_recipe(place / "scene.tif", None, MODEL, bands=BANDS, block_px=block_px)
    plan = plan_run(recipe, means=Means("openvino", precision, workers))
    ended: list[tuple[float, int]] = []
    with block_map(workers) as mapper:
        victim = min(mapper._client.run(os.getpid).values()) if happens == "worker killed" else None  # type: ignore[attr-defined] # is a DaskMap

        def on_block(record: Any) -> None:
            ended.append((time.perf_counter(), record.pixels))
            if victim and len(ended) == KILL_AFTER:
                os.kill(victim, signal.SIGKILL)

        folder = begin(plan, out, "resume" if out.exists() else "refuse")
        started = time.perf_counter()
        outcome = segment_stage(plan, plan.items[0], folder, mapper, on_block)
        seconds = time.perf_counter() - started
    with rasterio.open(folder.item(plan.items[0].id).labels) as dataset:
        labels = dataset.read(1)
    late = ended[len(ended) // 2 :]
    pace = sum(pixels for _, pixels in late[1:]) / 1e6 / (late[-1][0] - late[0][0]) if len(late) >= FEWEST else None
    return {
        "blocks": outcome.blocks,
        "computed": outcome.computed,
        "coverage": outcome.coverage,
        "seconds": round(seconds, 2),
        "mpx_per_s": pace and round(pace, 2),
        "sha256": hashlib.sha256(labels.tobytes()).hexdigest(),
    }


def line(place: Path, block_px: int, workers: int, precision: str, happens: str) -> dict[str, Any]:
    """One run in a fresh process, killed and begun again if that is what happens."""
    out = place / f"{block_px}-{workers}-{happens}".replace(" ", "-")
    arguments = [str(place), str(out), str(block_px), str(workers), precision, happens]
    command = [sys.executable, __file__, "--one", *arguments]
    if happens == "killed":
        _kill_at_a_third(command, out)
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    said = {"block_px": block_px, "workers": workers, "happens": happens} | json.loads(done.stdout.splitlines()[-1])
    print(said, file=sys.stderr)
    return said


def _kill_at_a_third(command: list[str], out: Path) -> None:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    whole = 0
    while process.poll() is None and not (whole and _ended(out) >= whole / 3):
        time.sleep(0.05)
        if not whole and (out / "run.json").exists():
            whole = sum(json.loads((out / "run.json").read_text())["blocks"].values())
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _ended(out: Path) -> int:
    try:
        with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True) as ledger:
            return int(ledger.execute("SELECT count(*) FROM block").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the scene in pixels")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--one", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        place, out, block_px, workers, precision, happens = options.one
        print(json.dumps(one(Path(place), Path(out), int(block_px), int(workers), precision, happens)))
        return
    report = about() | {"size": options.size, "precision": options.precision}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_scene(place / "scene.tif", options.size)
        make_model(place / "models", place / "scene.tif", int8=options.precision == "int8")
        report["lines"] = [line(place, block_px, n, options.precision, what) for block_px, n, what in LINES]
    report["same"] = len({said["sha256"] for said in report["lines"]}) == 1
    keep("workers", report)
    print(json.dumps(report, indent=1))
    sys.exit(not report["same"])


if __name__ == "__main__":
    main()
