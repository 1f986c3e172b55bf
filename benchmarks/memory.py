"""Peak memory of the segment stage in one process, for a network of one convolution over a raster of any size.

::

    python benchmarks/memory.py --size 10980 40000

Four bands of 16-bit noise in, nine classes out. The network is nearly nothing, so that what is measured is everything
else: reading, deciding, blocks, ledger, maps with overviews. A fresh process for each size; 40,000 px a side take some
five minutes of one core and 25 GB of disk. Writes `benchmarks/results/memory.json`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from measured import about, keep

if TYPE_CHECKING:
    from aisf_geo.pipeline.plan import RunPlan
    from aisf_geo.segment.blocks import NetworkInterpreter

BANDS = ("blue", "green", "red", "nir")
CLASSES = 9


def make_raster(path: Path, size: int) -> None:
    """Noise, repeated every 2,048 px; a tiled TIFF of ``size`` px a side."""
    import rasterio
    from rasterio.windows import Window

    piece = np.random.default_rng(0).integers(200, 4000, (len(BANDS), 2048, 2048), np.uint16)
    profile = {"count": len(BANDS), "height": size, "width": size, "dtype": "uint16", "crs": "EPSG:32631"}
    profile |= {"transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5.8e6), "interleave": "band", "BIGTIFF": "IF_SAFER"}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, blockxsize=512, blockysize=512, **profile) as dataset:
        for row in range(0, size, 2048):
            for col in range(0, size, 2048):
                height, width = min(2048, size - row), min(2048, size - col)
                dataset.write(piece[:, :height, :width], window=Window(col, row, width, height))
        dataset.descriptions = BANDS


class OneConvolution:
    """A network of one 1 x 1 convolution with fixed weights."""

    batch = 1

    def __init__(self) -> None:
        from aisf_geo.segment.runtime import RuntimeIdentity

        self.identity = RuntimeIdentity("one-convolution", "fp32", "cpu", "", (), 1, "0")
        self._weights = np.random.default_rng(1).standard_normal((CLASSES, len(BANDS))).astype(np.float32)

    def predict(self, batch: np.ndarray) -> np.ndarray:
        """Logits of each patch."""
        count, bands, height, width = batch.shape
        logits = self._weights @ batch.reshape(count, bands, height * width)
        return logits.reshape(count, CLASSES, height, width)


def interpreter() -> NetworkInterpreter:
    """The network in the engine: patches of 640 px with a margin of 64."""
    from aisf_geo.domain.legend import Legend, LegendClass
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.card import BandScaling, Head, ModelCard, ModelFile, NetworkSpec

    classes = tuple(LegendClass(code, f"class-{code}", (20 * code, 0, 0)) for code in range(CLASSES))
    card = ModelCard(
        name="one-convolution",
        description="For measuring memory.",
        created=datetime(2026, 1, 1, tzinfo=UTC),
        licence="CC0-1.0",
        network=NetworkSpec(arch="none", encoder="none"),
        bands=tuple(BandScaling(name=name, mean=2000.0, std=1000.0) for name in BANDS),
        scale="8-bit",
        gsd_m=(1.0, 30.0),
        patch_px=640,
        margin_px=64,
        heads=(Head(name="classes", legend=Legend("nine", classes)),),
        weights=ModelFile(path="none", sha256="sha256:" + 64 * "0"),
    )
    return NetworkInterpreter(card, OneConvolution())


def plan_with(network: NetworkInterpreter, raster: Path) -> RunPlan:
    """A run over ``raster`` whose scene is interpreted by ``network``."""
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.pipeline.single import tile_recipe

    class Chosen:
        name, source, bands, heads = network.name, "", network.bands, network.heads
        seconds_per_mpx = None

        def block_px(self, requested: int) -> int:
            return network.preferred_block_px(requested)

        def overlap_factor(self, *_: object) -> None:
            return None

        def identity(self) -> dict[str, Any]:
            return network.runtime.identity.as_json()

        def settle(self, _scene: object, /) -> tuple[NetworkInterpreter, str]:
            return network, "{}"

        def doubts(self, *_: object) -> list[str]:
            return []

    plan = plan_run(tile_recipe(raster, "vegetation"))
    return replace(plan, items=(replace(plan.items[0], choice=Chosen()),))


def measure(size: int, folder: Path) -> dict[str, Any]:
    """Peak memory and seconds of the segment stage over a raster of ``size`` px a side."""
    from aisf_geo.pipeline.mapper import block_map
    from aisf_geo.pipeline.run import begin, segment_stage

    raster = folder / "raster.tif"
    make_raster(raster, size)
    plan = plan_with(interpreter(), raster)
    started, cpu = time.perf_counter(), time.process_time()
    with block_map() as mapper:
        outcome = segment_stage(plan, plan.items[0], begin(plan, folder / "run", "refuse"), mapper, lambda _: None)
    return {
        "size": size,
        "classes": CLASSES,
        "blocks": outcome.blocks,
        "coverage": outcome.coverage,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "peak_mb": round(peak_mb()),
    }


def peak_mb() -> float:
    """High-water mark of this process; unlike ``ru_maxrss`` it forgets the parent."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs="+", default=[10980], help="sides of the rasters in pixels")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(options.size[0], Path(folder))))
        return
    report = about() | {"results": []}
    for size in options.size:
        command = [sys.executable, __file__, "--one", "--size", str(size)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        report["results"].append(json.loads(done.stdout.splitlines()[-1]))
        print(report["results"][-1], file=sys.stderr)
    keep("memory", report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
