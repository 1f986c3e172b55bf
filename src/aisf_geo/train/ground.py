"""Ground that changes without a building: roads, streets of an estate, trees, cars and pools.

On real pairs these are what a change of buildings is confused with: concrete is as bright as a roof, a planted tree
throws a shadow as a wall does, and a new estate gets its streets and driveways together with its houses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.train.roofs import Sun, shaded

Image = NDArray[np.floating]
Mask = NDArray[np.bool_]
Random = np.random.Generator


@dataclass(frozen=True)
class Rows:
    """Plots in rows along streets: direction in radians, and distances in px from house to house and row to row."""

    turn: float
    along: float
    across: float

    def at(self, size: int, i: float, j: float) -> tuple[float, float]:
        """Row and column in a square of ``size`` px of a place ``i`` px along and ``j`` px across from its middle."""
        return (
            size / 2 + i * np.sin(self.turn) + j * np.cos(self.turn),
            size / 2 + i * np.cos(self.turn) - j * np.sin(self.turn),
        )


def _pavement(rng: Random) -> NDArray[np.float64]:
    return np.asarray(rng.uniform(0.25, 0.8) * np.array([1, rng.uniform(0.9, 1.02), rng.uniform(0.8, 1.02)]))


def _paved(rng: Random, image: Image, mark: Mask) -> Image:
    image = image.copy()
    image[mark] = _pavement(rng) + rng.normal(0, 0.015, (int(mark.sum()), 1))
    return image


def with_road(rng: Random, image: Image, free: Mask) -> Image:
    """A winding road."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    turn, offset = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8) * size
    curve = rng.normal(0, 12) * np.sin(y / rng.uniform(20, 80))
    across = (x - offset + curve) * np.cos(turn) + (y - size / 2) * np.sin(turn)
    return _paved(rng, image, (np.abs(across) < rng.uniform(4, 14)) & free)


def with_streets(rng: Random, image: Image, free: Mask, rows: Rows, gsd_m: float) -> Image:
    """A street between every other two rows of plots, and a driveway to each plot."""
    size = len(image)
    y, x = (v.astype(np.float32) - size / 2 for v in np.mgrid[:size, :size])
    i, j = x * np.cos(rows.turn) + y * np.sin(rows.turn), y * np.cos(rows.turn) - x * np.sin(rows.turn)
    phase = (j / rows.across - 0.5) % 2
    from_street = np.minimum(phase, 2 - phase) * rows.across
    image = _paved(rng, image, (from_street < rng.uniform(2.5, 5) / gsd_m) & free)
    width = rng.uniform(2.5, 6) / gsd_m
    drive = ((i + size - rng.uniform(0, rows.along)) % rows.along < width) & (from_street < 0.4 * rows.across)
    return _paved(rng, image, drive & free) if rng.random() < 0.7 else image


def with_small_things(rng: Random, image: Image, free: Mask) -> Image:
    """Cars, pools, containers: too small or too flat for a building."""
    size = len(image)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    image = image.copy()
    for _ in range(rng.integers(3, 40)):
        at, half = rng.uniform(0, size, 2), rng.uniform(1.5, 5.0, 2)
        turn = rng.uniform(0, np.pi)
        u = (x - at[1]) * np.cos(turn) + (y - at[0]) * np.sin(turn)
        v = -(x - at[1]) * np.sin(turn) + (y - at[0]) * np.cos(turn)
        image[(np.abs(u) < half[0]) & (np.abs(v) < half[1] / 2) & free] = rng.uniform(0.1, 1.0, 3)
    return image


def with_trees(rng: Random, image: Image, free: Mask, sun: Sun) -> Image:
    """Crowns with their shadows; they stand on free ground and may hang over a roof."""
    size = len(image)
    crown, lit = np.zeros((size, size), np.float32), np.zeros((size, size), np.float32)
    to_y, to_x = sun.towards
    for _ in range(rng.integers(4, 60)):
        row, col, radius = int(rng.integers(size)), int(rng.integers(size)), float(rng.uniform(2, 10))
        if not free[row, col]:
            continue
        reach = int(radius) + 2
        rows, cols = (slice(max(0, c - reach), min(size, c + reach + 1)) for c in (row, col))
        y, x = np.mgrid[rows, cols].astype(np.float32)
        inside = np.clip(radius - np.hypot(y - row, x - col), 0, 1)
        crown[rows, cols] = np.maximum(crown[rows, cols], inside)
        slope = ((y - row) * to_y + (x - col) * to_x) / radius
        lit[rows, cols] = np.where(inside > 0, slope, lit[rows, cols])
    texture = ndimage.gaussian_filter(rng.normal(0, 1, (size, size)), 1.0)
    green = np.array([rng.uniform(0.12, 0.35), rng.uniform(0.22, 0.4), rng.uniform(0.1, 0.25)])
    leaves = np.clip(green * (1 + 0.35 * lit + 0.4 * texture)[..., None], 0, 1)
    ground = shaded(image, crown, float(rng.uniform(4, 14)), sun, float(rng.uniform(0.3, 0.65)))
    cover = (crown * (ndimage.gaussian_filter(texture, 0.5) > -0.5))[..., None]
    return np.asarray(ground * (1 - cover) + leaves * cover)
