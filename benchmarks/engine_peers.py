"""torchgeo and geoai-py on the scene and weights of `benchmarks/engine.py`; run by it in their own environment.

Both do the whole job as ours does: read, infer, decide, and write labels and confidence to a tiled TIFF.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from engine import BANDS, Clock, card_of, statistics  # noqa: E402 - after the path that leads to it


def torchgeo(models: Path, scene: Path, out: Path) -> dict[str, Any]:
    """The grid sampler of torchgeo with our patch and stride; centres are kept as we keep them, and put in place."""
    import rasterio
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    card = card_of(models)
    network, seen = counted_network(models)
    side, margin = card.patch_px, card.margin_px
    mean, std = (torch.from_numpy(array)[None] for array in statistics(card))
    dataset = RasterDataset(str(scene))
    sampler = GridGeoSampler(dataset, size=side, stride=side - 2 * margin)
    loader = DataLoader(dataset, batch_size=1, sampler=sampler, collate_fn=stack_samples)
    with Clock() as clock, torch.inference_mode(), rasterio.open(scene) as source:
        maps = np.full((2, source.height, source.width), 255, np.uint8)
        for sample in loader:
            share, best = network((sample["image"] - mean) / std).softmax(1).max(1)
            answer = np.stack([best[0].byte().numpy(), (share[0] * 254).round().byte().numpy()])
            # The sampler goes from the lower left corner up and may reach over the edges.
            x, y, _ = sample["bounds"][0]
            row, col = (round(float(n)) for n in (~source.transform * (float(x.start), float(y.stop)))[::-1])
            top, bottom = kept(row, side, margin, source.height)
            left, right = kept(col, side, margin, source.width)
            maps[:, top:bottom, left:right] = answer[:, top - row : bottom - row, left - col : right - col]
        profile = {"driver": "GTiff", "count": 2, "dtype": "uint8", "nodata": 255, "compress": "deflate", "tiled": True}
        profile |= {"height": source.height, "width": source.width, "crs": source.crs, "transform": source.transform}
        with rasterio.open(out, "w", **profile) as target:
            target.write(maps)
    return clock.said | {"network_mpx": sum(seen) / 1e6}


def kept(first: int, side: int, margin: int, length: int) -> tuple[int, int]:
    """Where the part of a patch that is kept begins and ends: without its margins, but up to the edges of the scene."""
    begin = 0 if first <= 0 else first + margin
    return begin, length if first + side >= length else first + side - margin


def geoai(models: Path, scene: Path, out: Path) -> dict[str, Any]:
    """`predict_geotiff` with our patch, an overlap of two margins, our normalisation, and labels as its output."""
    import torch
    from geoai.inference import predict_geotiff

    card = card_of(models)
    network, seen = counted_network(models)
    mean, std = statistics(card)

    def decided(logits: np.ndarray) -> np.ndarray:
        powers = np.exp(logits - logits.max(axis=0))
        return np.stack([logits.argmax(axis=0), np.rint(powers.max(axis=0) / powers.sum(axis=0) * 254)])

    with Clock() as clock:
        predict_geotiff(
            model=network,
            input_raster=str(scene),
            output_raster=str(out),
            tile_size=card.patch_px,
            overlap=2 * card.margin_px,
            batch_size=1,
            input_bands=[1, 2, 3],
            num_classes=card.output_channels,
            preprocess_fn=lambda pixels: ((pixels - mean) / std).astype(np.float32),
            postprocess_fn=decided,
            output_dtype="uint8",
            output_nodata=255,
            device=torch.device("cpu"),
            compress="deflate",
            verbose=False,
        )
    return clock.said | {"network_mpx": sum(seen) / 1e6}


def counted_network(models: Path) -> tuple[nn.Module, list[int]]:
    """The network, warm, and the number of pixels that each later pass of it is given."""
    import torch

    from aisf_geo.segment.network import load_network

    card = card_of(models)
    network, seen = load_network(card), []
    with torch.inference_mode():
        network(torch.zeros(1, len(BANDS), card.patch_px, card.patch_px))
    network.register_forward_hook(lambda _, given, __: seen.append(given[0].shape[0] * given[0][0, 0].numel()))
    return network, seen


def main() -> None:
    import rasterio

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=3, required=True)
    name, models, scene = parser.parse_args().one
    logging.disable()
    out = Path(scene).parent / f"{name}.tif"
    said = {"torchgeo": torchgeo, "geoai": geoai}[name](Path(models), Path(scene), out)
    with rasterio.open(out) as dataset:
        labels = dataset.read(1)
    kept_as = out.with_suffix(".npy")
    np.save(kept_as, labels)
    print(json.dumps(said | {"labels": str(kept_as), "sha256": hashlib.sha256(labels.tobytes()).hexdigest()[:16]}))


if __name__ == "__main__":
    main()
