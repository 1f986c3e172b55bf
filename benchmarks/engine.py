"""The engine beside the loops people write: same scene, same weights, same lattice, overlap and crop, interleaved.

::

    python benchmarks/engine.py --minutes 10 --out benchmarks/results/engine.json
    python benchmarks/engine.py --peers .bench-env     # also torchgeo and geoai-py, in an environment of their own

Contenders, each in a fresh process, imports and building the network not counted:

- ``alone-*``: the network by itself on as many patches as the scene needs, from memory: the roofline.
- ``plain``: what everyone writes first. Windows by rasterio, torch eager, softmax and arg max in numpy, labels and
  confidence of the whole scene in two arrays, two tiled TIFFs.
- ``ours-*``: the segment stage of a run: ledger, digests, two COGs with overviews, picture.
- ``torchgeo``: its grid sampler with the same patch and stride, torch eager, centres kept and put in place.
- ``geoai``: `predict_geotiff` with the same patch and overlap, blended as it does by default.

All but ``alone`` leave labels and confidence on disk. They take turns until the rounds or the minutes are used up.

The network is that of vhr-city (a U-Net on EfficientNet-Lite0) with its land-cover head alone, because the loops
write one map; the scene is Great Salt Lake mirrored until it is large enough. The int8 network is quantised here from
four patches of that scene, so that it says how fast int8 is; how good the shipped one is says the model's card. Rates
are in millions of pixels a second, of the output and of what the network was given. ``cpu`` is the time of all threads:
on a machine that others use it is the steadier figure. ``labels`` is the share equal to ``plain``'s. torchgeo's lattice
begins at another corner, so that its patches see other margins.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from measured import about

if TYPE_CHECKING:
    from aisf_geo.segment.card import ModelCard

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "sample_tiles" / "great_salt_lake" / "scene.tif"
BANDS = ("red", "green", "blue")
SHIPPED = ROOT / "models" / "vhr-city"
MODEL = "bench-unet"
OURS = ("openvino-fp32", "openvino-bf16", "openvino-int8")
CONTENDERS = ("plain", "alone-torch-fp32", *(f"{kind}-{how}" for how in OURS for kind in ("alone", "ours")))
#: Patches that the network alone gets at once.
BIG_BATCH = 16
PEERS = ("torchgeo", "geoai")


def make_scene(path: Path, size: int) -> None:
    """Great Salt Lake and its mirror images in three bands, ``size`` px on a side."""
    import rasterio
    from rasterio.shutil import copy

    with rasterio.open(SOURCE) as dataset:
        tile = dataset.read([dataset.descriptions.index(name) + 1 for name in BANDS])
        crs, transform = dataset.crs, dataset.transform
    both = np.concatenate([tile, tile[:, ::-1]], axis=1)
    quilt = np.concatenate([both, both[:, :, ::-1]], axis=2)
    times = -(-size // min(quilt.shape[1:]))
    scene = np.maximum(np.tile(quilt, (1, times, times))[:, :size, :size], 1)
    draft = path.with_suffix(".draft.tif")
    profile = {"count": len(BANDS), "height": size, "width": size, "dtype": "uint8", "crs": crs, "transform": transform}
    with rasterio.open(draft, "w", driver="GTiff", tiled=True, photometric="minisblack", **profile) as dataset:
        dataset.write(scene)
        dataset.descriptions = BANDS
    copy(draft, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=512, INTERLEAVE="PIXEL")
    draft.unlink()


def make_model(folder: Path, scene: Path, int8: bool = True) -> None:
    """The first head of the shipped model, and the int8 network that post-training quantisation makes of it."""
    import rasterio

    from aisf_geo.segment.card import load_card, write_card
    from aisf_geo.segment.network import build_network, load_network, save_weights

    whole = load_card(SHIPPED)
    # Without doubt: the loops know no class "unknown".
    heads = (whole.heads[0].model_copy(update={"unknown_below": 0.0}),)
    said = {"name": MODEL, "heads": heads, "patch_px": 640, "margin_px": 64, "int8": None, "figures": ()}
    card = whole.model_copy(update=said)
    network, weights = build_network(card), load_network(whole).state_dict()
    for name in ("segmentation_head.0.weight", "segmentation_head.0.bias"):
        weights[name] = weights[name][: card.output_channels]
    network.load_state_dict(weights)
    card = write_card(card.model_copy(update={"weights": save_weights(network, folder / MODEL)}), folder / MODEL)
    if int8:
        with rasterio.open(scene) as dataset:
            _add_int8(card, dataset.read().astype(np.float32))


def _add_int8(card: ModelCard, sample: np.ndarray) -> None:
    """Where it cannot be built, the int8 contender is left out, and the output says so."""
    from aisf_geo.errors import AisfGeoError
    from aisf_geo.segment.card import write_card
    from aisf_geo.segment.int8 import build_int8

    mean, std = statistics(card)
    side = card.patch_px
    starts = range(0, sample.shape[1] - side, side // 2)
    patches = [((sample[:, i : i + side, i : i + side] - mean) / std)[None].astype(np.float32) for i in starts]
    try:
        write_card(card.model_copy(update={"int8": build_int8(card, patches[:4], card.folder)}), card.folder)
    except AisfGeoError as error:
        print(f"int8 left out: {error}", file=sys.stderr)


def statistics(card: ModelCard) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each band, to be applied to ``(band, y, x)``."""
    mean, std = ([getattr(band, what) for band in card.bands] for what in ("mean", "std"))
    return np.array(mean, np.float32)[:, None, None], np.array(std, np.float32)[:, None, None]


def card_of(models: Path) -> ModelCard:
    from aisf_geo.segment.card import load_card

    return load_card(models / MODEL)


def alone(models: Path, scene: Path, runtime: str, precision: str) -> dict[str, Any]:
    """The network on every patch of the scene, from memory."""
    from aisf_geo.segment.blocks import Lattice
    from aisf_geo.segment.runtime import choose_runtime

    card = card_of(models)
    session = choose_runtime(card, runtime, precision)
    patches = np.random.default_rng(0).standard_normal((BIG_BATCH, len(BANDS), card.patch_px, card.patch_px))
    batch = patches.astype(np.float32)
    session.predict(batch[: session.batch])
    count = Lattice(card.patch_px, card.margin_px).count(_size(scene)) ** 2
    with Clock() as clock:
        for first in range(0, count, BIG_BATCH):
            session.predict(batch[: count - first])
    return clock.said | {"network_mpx": count * card.patch_px**2 / 1e6}


def plain(models: Path, scene: Path, folder: Path) -> dict[str, Any]:
    """The loop everyone writes: one window, one forward pass, one slice of a whole-scene array at a time."""
    import rasterio
    import torch
    from rasterio.windows import Window

    from aisf_geo.segment.blocks import Lattice
    from aisf_geo.segment.network import load_network

    card = card_of(models)
    network = load_network(card)
    mean, std = statistics(card)
    lattice, side, stages = Lattice(card.patch_px, card.margin_px), card.patch_px, dict.fromkeys(STAGES, 0.0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with torch.inference_mode():
        network(torch.zeros(1, len(BANDS), side, side))
    with Clock() as clock, rasterio.open(scene) as source, torch.inference_mode():
        labels = np.zeros((source.height, source.width), np.uint8)
        confidence = np.zeros((source.height, source.width), np.uint8)
        spans = lattice.spans(0, source.height, source.height)
        for rows in spans:
            for cols in spans:
                started = time.perf_counter()
                pixels = source.read(window=Window(cols.start, rows.start, side, side)).astype(np.float32)
                pixels = (pixels - mean) / std
                missing = [(0, side - length) for length in pixels.shape[1:]]
                pixels = np.pad(pixels, [(0, 0), *missing], mode="reflect")
                started = _add(stages, "read", started)
                logits = network(torch.from_numpy(pixels[None]))[0].numpy()
                started = _add(stages, "network", started)
                inside = logits[
                    :, rows.first - rows.start : rows.end - rows.start, cols.first - cols.start : cols.end - cols.start
                ]
                powers = np.exp(inside - inside.max(axis=0))
                place = (slice(rows.first, rows.end), slice(cols.first, cols.end))
                labels[place] = inside.argmax(axis=0)
                confidence[place] = np.rint(powers.max(axis=0) / powers.sum(axis=0) * 254)
                _add(stages, "decide", started)
        started = time.perf_counter()
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 255, "compress": "deflate", "tiled": True}
        profile |= {"height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform}
        for name, array in (("labels", labels), ("confidence", confidence)):
            with rasterio.open(folder / f"{name}.tif", "w", **profile) as target:
                target.write(array, 1)
        _add(stages, "write", started)
    return clock.said | {
        "stages": stages,
        "labels": str(folder / "labels.tif"),
        "network_mpx": _network_mpx(spans, side),
    }


STAGES = ("read", "network", "decide", "write")


def _add(stages: dict[str, float], name: str, started: float) -> float:
    now = time.perf_counter()
    stages[name] += now - started
    return now


def ours(models: Path, scene: Path, folder: Path, runtime: str, precision: str) -> dict[str, Any]:
    """The segment stage of a run, with a clock around the calls of each stage."""
    from aisf_geo.pipeline import choice, segment, work
    from aisf_geo.pipeline.choice import Means
    from aisf_geo.pipeline.mapper import map_here
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.pipeline.run import begin, segment_stage
    from aisf_geo.pipeline.single import tile_recipe
    from aisf_geo.segment import resident

    choice.shipped = lambda _: models  # type: ignore[attr-defined] # the models of the benchmark are not shipped
    plan = plan_run(tile_recipe(scene, None, MODEL, bands=BANDS), means=Means(runtime, precision))
    item = plan.items[0]
    network = resident._network(item.choice.resident)  # type: ignore[attr-defined] # a model was chosen
    side = network.card.patch_px
    network.runtime.predict(np.zeros((network.runtime.batch, len(BANDS), side, side), np.float32))
    _warm_up(network)
    stages = dict.fromkeys(STAGES, 0.0)
    _timed(work.View, "load", stages, "read")
    _timed(type(network.runtime), "predict", stages, "network")
    _timed(type(network), "decide", stages, "decide")
    _timed(segment, "_assemble", stages, "write")
    run_folder = begin(plan, folder / "run", "refuse")
    with Clock() as clock:
        outcome = segment_stage(plan, item, run_folder, map_here, lambda _: None)
    # Deciding holds the calls of the network; blocks are worked on two at a time, so that stages overlap.
    stages["decide"] -= stages["network"]
    spans = network.lattice.spans(0, _size(scene), _size(scene))
    return clock.said | {
        "stages": stages,
        "labels": str(run_folder.item(item.id).labels),
        "network_mpx": _network_mpx(spans, side),
        "coverage": outcome.coverage,
    }


def _warm_up(network: Any) -> None:
    """Loads the compiled loops."""
    from affine import Affine

    from aisf_geo.domain.grid import Grid, Shape, Window
    from aisf_geo.domain.raster import Raster
    from aisf_geo.store.overviews import halved

    side = network.card.patch_px
    grid = Grid("EPSG:32631", Affine(1, 0, 0, 0, -1, 0), Shape(side, side))
    blank = Raster(np.ones((len(BANDS), side, side), np.float32), np.ones((side, side), np.bool_), grid, BANDS)
    network.decide(blank, Window(0, 0, side, side), Window(0, 0, side, side))
    for reduction in ("MODE", "AVERAGE"):
        halved(np.zeros((1, 2, 2), np.uint8), 255, reduction)


def _timed(owner: Any, name: str, stages: dict[str, float], stage: str) -> None:
    """Puts a clock around a function."""
    function = getattr(owner, name)

    def clocked(*arguments: Any, **named: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            stages[stage] += time.perf_counter() - started

    setattr(owner, name, clocked)


class Clock:
    """Seconds by the wall and of all threads, and the peak memory, of what happens inside."""

    said: dict[str, Any]

    def __enter__(self) -> Clock:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
        self.said = {
            "seconds": time.perf_counter() - self._wall,
            "cpu": time.process_time() - self._cpu,
            "peak_mb": int(found[1]) / 1024 if found else 0.0,
        }


def _size(scene: Path) -> int:
    import rasterio

    with rasterio.open(scene) as dataset:
        return int(dataset.height)


def _network_mpx(spans: list[Any], side: int) -> float:
    return len(spans) ** 2 * side**2 / 1e6


def seams(models: Path, scene: Path, runtime: str, precision: str) -> dict[str, float]:
    """Mean |dP| near seams and in the interior against a lattice shifted by half a stride, on a part of the scene."""
    from aisf_geo.domain.grid import Window
    from aisf_geo.ingest.catalog import Hints, open_catalog
    from aisf_geo.ingest.read import read_window
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.runtime import choose_runtime
    from aisf_geo.segment.seam_metric import seam_metric

    card = card_of(models)
    side = 2 * card.patch_px + card.stride_px
    read = read_window(open_catalog(scene, Hints(BANDS)).scenes()[0], BANDS, Window(0, 0, side, side))
    found = seam_metric(NetworkInterpreter(card, choose_runtime(card, runtime, precision)), read)
    return {"near_seam": found.near_seam, "interior": found.interior, "overlap_factor": found.overlap_factor}


def measure(name: str, models: Path, scene: Path) -> dict[str, Any]:
    """One contender, in this process."""
    import rasterio

    kind, _, how = name.partition("-")
    with tempfile.TemporaryDirectory(dir=scene.parent) as folder:
        if kind == "alone":
            return alone(models, scene, *how.split("-"))
        if kind == "seams":
            return dict(seams(models, scene, *how.split("-")))
        if kind == "plain":
            said = plain(models, scene, Path(folder))
        else:
            said = ours(models, scene, Path(folder), *how.split("-"))
        with rasterio.open(said["labels"]) as dataset:
            labels = dataset.read(1)
        kept = scene.parent / f"{name}.npy"
        np.save(kept, labels)
        said |= {"labels": str(kept), "sha256": hashlib.sha256(labels.tobytes()).hexdigest()[:16]}
    return said


def one(name: str, models: Path, scene: Path, python: str = sys.executable) -> dict[str, Any]:
    """One contender in a fresh process; what went wrong in the place of figures."""
    script = str(ROOT / "benchmarks" / "engine_peers.py") if name in PEERS else __file__
    done = subprocess.run([python, script, "--one", name, str(models), str(scene)], capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(size: int, repeats: int, minutes: float, names: list[str], peers: Path | None) -> dict[str, Any]:
    """All contenders in turn, so that a noisy minute hits all of them, as often as asked or the minutes allow."""
    started, rounds = time.perf_counter(), 0
    where = about()
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        scene, models = Path(folder) / "scene.tif", Path(folder) / "models"
        make_scene(scene, size)
        make_model(models, scene, int8=any("int8" in name for name in names))
        if not card_of(models).int8:
            runs = {name: [] for name in names if "int8" not in name}
        python = str(peers / "bin" / "python") if peers else sys.executable
        while rounds < repeats and (time.perf_counter() - started) * (1 + 1 / max(rounds, 1)) < 60 * minutes:
            rounds += 1
            for name, made in runs.items():
                made.append(one(name, models, scene, python if name in PEERS else sys.executable))
                print(f"{name}: {made[-1].get('seconds', made[-1])}", file=sys.stderr)
        reference = Path(folder) / "plain.npy"
        results = {name: _summary(made, size, reference) for name, made in runs.items()}
        metric = {name: one(f"seams-{name.partition('-')[2]}", models, scene) for name in runs if "ours-" in name}
    return where | {"size": size, "rounds": rounds, "results": results, "seams": metric}


def _summary(made: list[dict[str, Any]], size: int, reference: Path) -> dict[str, Any]:
    good = [run for run in made if "failed" not in run]
    if not good:
        return made[0]
    said = {key: round(median(run[key] for run in good), 3) for key in ("seconds", "cpu", "peak_mb", "network_mpx")}
    said["output_mpx_per_s"] = round(size * size / 1e6 / said["seconds"], 3)
    said["network_mpx_per_s"] = round(said["network_mpx"] / said["seconds"], 3)
    if "stages" in good[0]:
        said["stages"] = {stage: round(median(run["stages"][stage] for run in good), 2) for stage in STAGES}
    if "labels" in good[0] and reference.exists():
        said["labels_equal"] = round(float((np.load(good[-1]["labels"]) == np.load(reference)).mean()), 6)
        said["sha256"] = sorted({run["sha256"] for run in good})
    return said


def table(report: dict[str, Any]) -> str:
    """The results as text: rates, what everything but the network adds, and the ratio to the plain loop.

    The network alone is compared with torch eager alone.
    """
    results = report["results"]
    base = results.get("plain", {})
    heads = ("s", "cpu s", "out Mpx/s", "net Mpx/s", "peak MB", "labels %", "x plain", "x cpu", "adds %", "adds cpu %")
    lines = [f"{report['rounds']} rounds, load per core before: {report['load_per_core']}"]
    lines.append(f"{'':20}" + "".join(f"{head:>11}" for head in heads))
    for name, r in results.items():
        if "failed" in r:
            lines.append(f"{name:20} {r['failed']}")
            continue
        network = results.get(name.replace("ours", "alone"), {}) if name.startswith("ours") else {}
        figures = [r["seconds"], r["cpu"], r["output_mpx_per_s"], r["network_mpx_per_s"], r["peak_mb"]]
        figures.append(100 * r["labels_equal"] if "labels_equal" in r else None)
        against = results.get("alone-torch-fp32", {}) if "alone" in name else base
        figures += [against[key] / r[key] if key in against else None for key in ("seconds", "cpu")]
        figures += [100 * (r[key] / network[key] - 1) if key in network else None for key in ("seconds", "cpu")]
        lines.append(f"{name:20}" + "".join(f"{'' if f is None else format(f, '.2f'):>11}" for f in figures))
    for name, metric in report["seams"].items():
        lines.append(f"seams of {name}: " + ", ".join(f"{key} {value}" for key, value in metric.items()))
    return "\n".join(lines)


def make_environment(folder: Path) -> None:
    """An environment for the peers that sees this one's packages, so that torch is not installed twice."""
    if (folder / "bin" / "python").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(next(p for p in sys.path if p.endswith("site-packages")) + "\n")
    # Named because geoai-py imports them whatever it asks for.
    for package in ("torchgeo", "geoai-py", "leafmap", "rioxarray"):
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", package]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{package} cannot be installed here: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4608, help="side of the scene in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="rounds at most")
    parser.add_argument("--minutes", type=float, default=60, help="begin no round that would end later than this")
    parser.add_argument("--only", nargs="+", default=list(CONTENDERS))
    parser.add_argument(
        "--peers", type=Path, help="folder of an environment with torchgeo and geoai-py; made if missing"
    )
    parser.add_argument("--out", type=Path, help="also write the report here")
    parser.add_argument("--one", nargs=3, metavar=("NAME", "MODELS", "SCENE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one[0], Path(options.one[1]), Path(options.one[2]))))
        return
    if options.peers:
        make_environment(options.peers)
    names = options.only + (list(PEERS) if options.peers else [])
    report = compare(options.size, options.repeats, options.minutes, names, options.peers)
    text = json.dumps(report, indent=1)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    print(text)
    print(table(report), file=sys.stderr)


if __name__ == "__main__":
    main()
