"""How one place looks on another day: light, season, haze, blur, compression, and a sensor that stands elsewhere."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage
from torch.nn import functional

Image = NDArray[np.floating]
Random = np.random.Generator


def another_day(rng: Random, image: Image) -> Image:
    """``image`` ``(y, x, 3)`` in 0..1 as another acquisition would show it; geometry unchanged."""
    image = _season(rng, image) if rng.random() < 0.5 else image
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * rng.uniform(0.4, 1.35)
    image = image * rng.uniform(0.88, 1.12, 3).astype(np.float32) * rng.uniform(0.7, 1.35)
    image = np.clip(image, 0, 1) ** rng.uniform(0.7, 1.4)
    middle = image.mean()
    image = middle + (image - middle) * rng.uniform(0.6, 1.4)
    if rng.random() < 0.3:
        haze = rng.uniform(0.03, 0.2)
        image = image * (1 - haze) + haze * rng.uniform(0.5, 0.9)
    if rng.random() < 0.25:
        image = image * _cloud_shadow(rng, image.shape[0])[..., None]
    image = _blurred(rng, image)
    if rng.random() < 0.5:
        image = image + rng.normal(0, rng.uniform(0.003, 0.03), image.shape)
    image = np.clip(image, 0, 1).astype(np.float32)
    return _compressed(image, int(rng.integers(40, 92))) if rng.random() < 0.5 else image


def _season(rng: Random, image: Image) -> Image:
    """Vegetation turned dry, lush or bare: pixels move by how green they are (excess green, Woebbecke et al. 1995)."""
    total = image.sum(axis=2) + 1e-3
    green = np.clip(((2 * image[..., 1] - image[..., 0] - image[..., 2]) / total) * 6, 0, 1)
    green = ndimage.gaussian_filter(green, 1.0)[..., None]
    tint = np.array([(1.35, 1.1, 0.85), (0.75, 1.1, 0.8), (1.15, 0.95, 0.95), (1.5, 1.25, 1.0)], np.float32)
    turned = image * tint[rng.integers(len(tint))] * rng.uniform(0.8, 1.2)
    return np.asarray(image * (1 - green) + turned * green, np.float32)


def _cloud_shadow(rng: Random, size: int) -> Image:
    """A soft patch of shade, factors in 0.5..1."""
    coarse = ndimage.zoom(rng.random((5, 5)), size / 5, order=1)[:size, :size]
    return np.asarray(1 - rng.uniform(0.15, 0.5) * np.clip((coarse - 0.5) * 4, 0, 1), np.float32)


def _blurred(rng: Random, image: Image) -> Image:
    chance = rng.random()
    if chance < 0.35:
        sigma = rng.uniform(0.3, 1.2)
        return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0)))
    if chance < 0.5:
        # A coarser sensor.
        side = image.shape[0]
        small = Pillow.fromarray((np.clip(image, 0, 1) * 255).astype(np.uint8)).resize(
            (int(side / rng.uniform(1.2, 2.0)),) * 2, Pillow.Resampling.BILINEAR
        )
        return np.asarray(small.resize((side, side), Pillow.Resampling.BICUBIC), np.float32) / 255
    if chance < 0.7:
        soft = ndimage.gaussian_filter(image, (1, 1, 0))
        return np.asarray(image + (image - soft) * rng.uniform(0.3, 1.2))
    return image


def _compressed(image: Image, quality: int) -> Image:
    stream = io.BytesIO()
    Pillow.fromarray((image * 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return np.asarray(Pillow.open(stream), np.float32) / 255


def another_stand(
    rng: Random, image: Image, mask: NDArray[np.uint8], raised: NDArray[np.bool_]
) -> tuple[Image, NDArray[np.uint8]]:
    """Picture and mask as a sensor at another angle would see them: misplaced, slightly bent; what is raised leans.

    Args:
        rng: where chance comes from.
        image: ``(y, x, 3)``, square.
        mask: uint8 ``(y, x)``.
        raised: bool ``(y, x)``, what stands above the ground and so moves by its parallax.
    """
    size = image.shape[0]
    y, x = torch.meshgrid(*(2 * [torch.arange(size) + 0.5 - size / 2]), indexing="ij")
    turn, stretch, shift = float(rng.normal(0, 0.004)), 1 + float(rng.normal(0, 0.004)), rng.normal(0, 1.1, 2)
    bend = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.8), (1, 2, 6, 6)).astype(np.float32))
    bend = functional.interpolate(bend, size=(size, size), mode="bicubic")[0]
    lean = rng.normal(0, rng.uniform(0, 2.2), 2)
    high = torch.from_numpy(ndimage.gaussian_filter(raised.astype(np.float32), 1.5))
    to_y = stretch * (y - turn * x) + shift[0] + bend[0] + lean[0] * high
    to_x = stretch * (x + turn * y) + shift[1] + bend[1] + lean[1] * high
    places = (torch.stack([to_x, to_y], -1) * 2 / size)[None].float()
    layers = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None].float()
    moved = functional.grid_sample(layers, places, padding_mode="reflection", align_corners=False)[0]
    masks = torch.from_numpy(mask.astype(np.float32))[None, None]
    bent = functional.grid_sample(masks, places, mode="nearest", padding_mode="reflection", align_corners=False)[0, 0]
    return moved.numpy().transpose(1, 2, 0), bent.numpy().astype(np.uint8)
