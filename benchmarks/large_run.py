"""Seconds until the map page of a run of 100,000 features stands still, from the first request to the idle map.

Once with vector tiles, which draw all of them, and once without, where the 2,000 largest are asked for; in turn. And
what writing the tiles took.

python benchmarks/large_run.py
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import urljoin

from measured import about, keep
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from aisf_geo.store.features import TILED, TILES, read_features, write_features
from aisf_geo.store.run import ItemFolder, RunFolder
from analyst_walk import IDLE
from serve import FEATURES, _fill, _ours
from served_run import make_run

REPEATS = 5
#: All features lie in this view.
VIEW = "#at=4.50,51.49,11&item=2020-06-30&show=labels,outlines&run="
DATE = "2020-06-30"


def main() -> None:
    before = about()
    with tempfile.TemporaryDirectory() as work, sync_playwright() as playwright:
        runs = [make_run(Path(work) / name, tiled=[DATE] if name == "tiled" else ()) for name in ("tiled", "town")]
        for run in runs:
            _fill(run)
        written = _tile(RunFolder(runs[0]).item(DATE))
        items, process = _ours([sys.executable, "-c", "from aisf_geo.cli.main import main; main()"], Path(work), [])
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        taken: dict[str, list[float]] = {run.name: [] for run in runs}
        try:
            for name in [run.name for run in runs] * REPEATS:
                # A context of its own has an empty cache: every time is that of a first visit.
                page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
                page.set_default_timeout(120_000)
                started = time.perf_counter()
                page.goto(f"{urljoin(items, '/')}{VIEW}{name}")
                page.evaluate(IDLE)
                # IDLE waits a tenth of a second after the map is idle, for pictures.
                taken[name].append(round(time.perf_counter() - started - 0.1, 2))
        finally:
            browser.close()
            process.terminate()
    report = {**before, "features": FEATURES, "tiles": written}
    for name, what in (("tiled", "with_tiles"), ("town", "without")):
        report[what] = {"seconds": taken[name], "median_s": median(taken[name])}
    print(json.dumps(report))
    keep("large_run", report)


def _tile(item: ItemFolder) -> dict[str, float]:
    """Replace the tiles of an item by those of its table; the seconds and bytes that took."""
    table = read_features(item.features(".gpkg"))
    cpu, started = _cpu_s(), time.perf_counter()
    write_features(item.features(TILES), table[[*TILED, "geometry"]])
    size = item.features(TILES).stat().st_size
    return {"s": round(time.perf_counter() - started, 1), "cpu_s": round(_cpu_s() - cpu, 1), "bytes": size}


def _cpu_s() -> float:
    """Of this process and those it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


if __name__ == "__main__":
    main()
