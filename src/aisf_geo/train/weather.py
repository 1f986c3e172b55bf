"""Clouds and their shadows drawn over clear reflectance: labelled ones are rare, and no two look alike.

A field of noise with the power of natural clouds at all sizes gives the opacity; clouds are bright in the visible and
darker in the short-wave infrared, as ice and thick water clouds are; what is opaque hides the ground from other heads.
"""

from __future__ import annotations

import torch
from torch.nn.functional import interpolate

from aisf_geo.evaluate.archives import CLEAR, CLOUD, SHADOW
from aisf_geo.evaluate.metrics import UNLABELLED

Tensor = torch.Tensor
#: Opacity from which a pixel is cloud, and below which it is not; between the two nobody could say.
OPAQUE, THIN = 0.35, 0.08
#: Part of the direct light that a shadow takes, from which on it is labelled.
DARK = 0.4
HEAD = "cloud"
SWIR_BANDS = frozenset({"swir16", "swir22"})


def clouded(image: Tensor, bands: tuple[str, ...], truth: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Reflectance ``(band, y, x)`` and truth by head under a sky that was clear before; random by torch's generator."""
    height, width = image.shape[1:]
    cover, hardness, thickest = torch.rand(3).tolist()
    field = _field(height, width)
    edge = torch.quantile(field, 1 - 0.05 - 0.55 * cover)
    opacity = torch.sigmoid((field - edge) * (3 + 12 * hardness)) * (0.5 + 0.5 * thickest)
    opacity = opacity * (opacity > 0.03)
    down, right = (int(v) for v in torch.randint(-width // 4, width // 4 + 1, (2,)))
    shade = torch.roll(opacity, (down, right), (0, 1)) * (0.4 + 0.5 * float(torch.rand(())))
    swir = torch.tensor([1.0 if name in SWIR_BANDS else 0.0 for name in bands])[:, None, None]
    cloud = (0.3 + 0.6 * float(torch.rand(()))) * (1 + 0.08 * _field(height, width)) * (1 - swir * _share(0.05, 0.5))
    # Shadows are lit by the sky alone, whose light is blue: the longer the wavelength, the darker.
    depth = torch.linspace(0.6, 1.0, len(bands))[:, None, None]
    image = image * (1 - shade * depth)
    image = image * (1 - opacity) + cloud * opacity
    unclear = (opacity >= THIN) & (opacity < OPAQUE)
    sky = truth[HEAD].clone()
    clear = sky == CLEAR
    sky[clear & (shade >= DARK)] = SHADOW
    sky[clear & (shade > 0.1) & (shade < DARK)] = UNLABELLED
    sky[unclear] = UNLABELLED
    sky[opacity >= OPAQUE] = CLOUD
    hidden = opacity >= OPAQUE
    return image, {name: sky if name == HEAD else mask.masked_fill(hidden, UNLABELLED) for name, mask in truth.items()}


def _field(height: int, width: int) -> Tensor:
    """Noise ``(y, x)`` of deviation 1 whose amplitude halves with the size of its features."""
    total = torch.zeros(height, width)
    octaves = [n for n in (2, 4, 8, 16, 32, 64) if n <= min(height, width)]
    for k, cells in enumerate(octaves):
        coarse = torch.randn(1, 1, cells, cells)
        total += 0.55**k * interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0, 0]
    return (total - total.mean()) / total.std().clamp_min(1e-6)


def _share(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))
