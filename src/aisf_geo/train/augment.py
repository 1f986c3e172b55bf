"""What sensors, air and storage do to an image, on tensors ``(band, y, x)`` in the recipe's scale.

Random numbers come from torch's generator, which the training loop seeds anew for every step.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from aisf_geo.train.recipe import Augment

Tensor = torch.Tensor
#: Full scale of the numbers that :class:`~aisf_geo.segment.card.ModelCard` allows.
FULL_SCALE = {"8-bit": 255.0, "reflectance": 1.0}


def changed(image: Tensor, settings: Augment, full_scale: float) -> Tensor:
    """The image as another sensor on another day might have taken it; may leave 0..``full_scale``."""
    bands = image.shape[0]
    if _happens(settings.gain):
        together = 1 + settings.gain_range * _between(-1, 1)
        each = 1 + settings.gain_range / 3 * (2 * torch.rand(bands, 1, 1) - 1)
        image = image * (together * each)
    if _happens(settings.gamma):
        image = full_scale * (image.clamp_min(0) / full_scale) ** float(torch.exp(_between(-0.35, 0.35)))
    if _happens(settings.haze):
        # Rayleigh and aerosol scattering fall with the wavelength; bands are in its order, RGB in the reverse.
        amount = torch.linspace(1.0, 0.3, bands) if bands > 3 else torch.linspace(0.6, 1.0, bands)
        amount = (_between(0, 0.3) * amount)[:, None, None]
        image = image * (1 - amount) + full_scale * 0.6 * amount
    if bands == 3 and _happens(settings.colour):
        image = _COLOUR((image / full_scale).clamp(0, 1)) * full_scale
    if _happens(settings.blur):
        image = v2.functional.gaussian_blur(image, [5, 5], [float(_between(0.3, 1.5))])
    if _happens(settings.noise):
        image = image + torch.randn_like(image) * (_between(0, 0.02) * full_scale)
    if _happens(settings.jpeg):
        image = _through_jpeg(image.clamp(0, full_scale), int(_between(30, 95)))
    return image


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    """An image of three bands, 0..255, as it comes back from a JPEG file."""
    stored = BytesIO()
    Image.fromarray(image.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()).save(stored, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(stored))).permute(2, 0, 1).float()


def kept_bands(names: tuple[str, ...], settings: Augment) -> Tensor:
    """Bool ``(band,)``, False for those that are taken away this time."""
    kept = torch.ones(len(names), dtype=torch.bool)
    if settings.drop_bands and _happens(0.5):
        dropped = settings.drop_bands[int(torch.randint(len(settings.drop_bands), (1,)))]
        kept[[names.index(name) for name in dropped]] = False
    return kept


_COLOUR = v2.ColorJitter(saturation=0.4, hue=0.05)


def _happens(probability: float) -> bool:
    return bool(torch.rand(1) < probability)


def _between(low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(())
