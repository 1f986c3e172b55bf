"""Buildings drawn from nothing: footprints, hipped, gabled and flat roofs lit by the sun, and the shadows they throw.

Real labelled roofs of a few towns are too few to learn "building" in another country from; drawn ones vary without end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]
Random = np.random.Generator

#: RGB of roofs in 0..1: asphalt shingle, slate, concrete, white membrane, tile, rust, blue and green metal.
ROOF_COLOURS = np.array(
    [
        (0.42, 0.40, 0.38),
        (0.33, 0.31, 0.30),
        (0.52, 0.48, 0.44),
        (0.47, 0.40, 0.34),
        (0.62, 0.60, 0.57),
        (0.80, 0.80, 0.79),
        (0.90, 0.90, 0.90),
        (0.60, 0.38, 0.30),
        (0.52, 0.33, 0.26),
        (0.35, 0.45, 0.58),
        (0.36, 0.46, 0.40),
        (0.70, 0.64, 0.54),
    ],
    np.float32,
)


@dataclass(frozen=True)
class Sun:
    """Where the light comes from in the picture: azimuth in radians, and shadow length per unit of height."""

    azimuth: float
    shadow_per_height: float

    @classmethod
    def random(cls, rng: Random) -> Sun:
        """Any direction, from a high summer sun to a low winter one."""
        return cls(float(rng.uniform(0, 2 * np.pi)), float(rng.uniform(0.3, 1.8)))

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector ``(dy, dx)`` that points to the sun."""
        return float(np.sin(self.azimuth)), float(np.cos(self.azimuth))


@dataclass(frozen=True)
class Style:
    """What the buildings of one estate share: sides in px, roof, colour."""

    length: float
    width: float
    roof: str
    colour: NDArray[np.float32]

    @classmethod
    def random(cls, rng: Random, gsd_m: float) -> Style:
        """A house, a row house, or one time in five a hall with a flat roof."""
        colour = ROOF_COLOURS[rng.integers(len(ROOF_COLOURS))] * rng.uniform(0.8, 1.2)
        if rng.random() < 0.2:
            sides = rng.uniform(18, 70, 2)
            return cls(float(max(sides)) / gsd_m, float(min(sides)) / gsd_m, "flat", colour)
        length, width = rng.uniform(9, 24), rng.uniform(7, 15)
        roof = str(rng.choice(["hip", "gable", "flat"], p=[0.5, 0.3, 0.2]))
        return cls(length / gsd_m, width / gsd_m, roof, colour)


@dataclass(frozen=True)
class Drawn:
    """A building in the picture: its pixels and how much of each is roof, ``(y, x, 3)`` and ``(y, x)``, 0..1."""

    pixels: Image
    alpha: Image
    height_px: float


def draw(rng: Random, shape: tuple[int, int], at: tuple[float, float], turn: float, style: Style, sun: Sun) -> Drawn:
    """One building of ``style`` centred at ``at`` and turned by ``turn`` radians."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y, x = y - at[0], x - at[1]
    u, v = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    jitter = rng.uniform(0.85, 1.15, 2)
    length, width = style.length * jitter[0], style.width * jitter[1]
    parts = [_box(u, v, length, width)]
    if rng.random() < 0.45:
        # A wing makes an L or a T.
        side = rng.uniform(-0.3, 0.3) * length
        parts.append(_box(u - side, v - width * rng.choice([-0.5, 0.5]), width * rng.uniform(0.5, 0.9), width))
    inside = np.maximum.reduce([p[0] for p in parts])
    alpha = np.clip(inside + 0.5, 0, 1)
    shade = np.ones(shape, np.float32)
    for depth, du, dv in parts:
        here = depth >= inside - 1e-6
        shade = np.where(here, _lit(du, dv, turn, style.roof, sun), shade)
    colour = style.colour * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    grain = ndimage.gaussian_filter(rng.normal(0, 1, shape).astype(np.float32), rng.uniform(0, 1.2))
    texture = 1 + rng.uniform(0.02, 0.10) * grain
    if rng.random() < 0.25:
        texture += rng.uniform(0.03, 0.10) * np.sign(np.sin(u * rng.uniform(0.8, 2.5)))
    pixels = (shade * texture)[..., None] * colour
    if style.roof == "flat":
        pixels = _furnished(rng, pixels, inside, u, v, length, width)
    return Drawn(
        np.clip(pixels, 0, 1).astype(np.float32), alpha.astype(np.float32), float(rng.uniform(0.3, 0.8) * width)
    )


def _box(u: Image, v: Image, length: float, width: float) -> tuple[Image, Image, Image]:
    """Distance into a box from its border, and the direction ``(du, dv)`` down the roof plane of each pixel."""
    to_u, to_v = length / 2 - np.abs(u), width / 2 - np.abs(v)
    along_u = to_u < to_v
    return np.minimum(to_u, to_v), np.where(along_u, np.sign(u), 0), np.where(along_u, 0, np.sign(v))


def _lit(du: Image, dv: Image, turn: float, roof: str, sun: Sun) -> Image:
    """Brightness of each roof plane: more where it leans towards the sun."""
    if roof == "flat":
        return np.ones_like(du)
    if roof == "gable":
        du, dv = np.zeros_like(du), np.where(dv == 0, 1, dv)
    to_y, to_x = sun.towards
    x, y = du * np.cos(turn) - dv * np.sin(turn), du * np.sin(turn) + dv * np.cos(turn)
    return np.asarray(1 + 0.28 * (x * to_x + y * to_y), np.float32)


def _furnished(rng: Random, pixels: Image, inside: Image, u: Image, v: Image, length: float, width: float) -> Image:
    """A parapet and boxes on a flat roof."""
    pixels = np.where((inside < 1.5)[..., None], pixels * rng.uniform(0.8, 1.2), pixels)
    for _ in range(rng.integers(0, 6)):
        cu, cv = rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.4, 0.4) * width
        box = (np.abs(u - cu) < rng.uniform(1, 4)) & (np.abs(v - cv) < rng.uniform(1, 4))
        pixels = np.where(box[..., None], pixels * rng.uniform(0.6, 1.4), pixels)
    return np.asarray(pixels)


def shaded(image: Image, alpha: Image, height_px: float, sun: Sun, depth: float) -> Image:
    """``image`` darkened where a building of footprint ``alpha`` keeps the sun away."""
    length = min(height_px * sun.shadow_per_height, 24.0)
    to_y, to_x = sun.towards
    dark = np.zeros_like(alpha)
    for step in np.linspace(0, length, max(2, int(length / 2) + 1))[1:]:
        dy, dx = round(-to_y * step), round(-to_x * step)
        dark = np.maximum(dark, _moved(alpha, dy, dx))
    dark = ndimage.uniform_filter(dark, 3)
    return np.asarray(image * (1 - depth * dark)[..., None])


def _moved(alpha: Image, dy: int, dx: int) -> Image:
    out = np.zeros_like(alpha)
    h, w = alpha.shape
    out[max(dy, 0) : h + min(dy, 0), max(dx, 0) : w + min(dx, 0)] = alpha[
        max(-dy, 0) : h + min(-dy, 0), max(-dx, 0) : w + min(-dx, 0)
    ]
    return out


def over(image: Image, drawn: Drawn) -> Image:
    """``image`` with a building on it."""
    alpha = drawn.alpha[..., None]
    return image * (1 - alpha) + drawn.pixels * alpha
