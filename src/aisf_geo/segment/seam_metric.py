"""How much the cuts between patches show: the same raster with the lattice where it is and half a stride further."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import GridError
from aisf_geo.segment.blocks import NetworkInterpreter
from aisf_geo.segment.card import GRAIN_PX
from aisf_geo.segment.decide import softmax

#: How far from a cut a difference counts as the seam's.
NEAR_SEAM_PX = 8


@dataclass(frozen=True, slots=True)
class SeamMetric:
    """Mean |dP| of the main head between a run and one whose lattice is shifted by half a stride.

    Attributes:
        near_seam: up to :data:`NEAR_SEAM_PX` from a cut of the first run, where the second looks at both sides.
        interior: midway between the cuts of either run: what the shift changes by itself.
        overlap_factor: network-input pixels per output pixel of the first run.
    """

    near_seam: float
    interior: float
    overlap_factor: float


def seam_metric(interpreter: NetworkInterpreter, raster: Raster) -> SeamMetric:
    """How much the cuts show, measured on ``raster`` (a whole grid, a scene or a part of one).

    Raises:
        GridError: the raster is too small to hold patches that do not touch its edge, or holds nothing there.
    """
    lattice = interpreter.lattice
    shift = max(lattice.stride_px // 2 // GRAIN_PX, 1) * GRAIN_PX
    edge, smallest = lattice.patch_px, 2 * lattice.patch_px + lattice.stride_px
    height, width = raster.grid.shape
    if min(height, width) < smallest or lattice.stride_px < 2 * GRAIN_PX:
        raise GridError(f"seam metric: {width} x {height} px hold no inner seam, give at least {smallest} px a side")
    straight = _probabilities(interpreter, raster)
    shifted_window = Window(shift, shift, height - shift, width - shift)
    rows, cols = shifted_window.slices
    shifted = _probabilities(
        interpreter,
        Raster(raster.values[:, rows, cols], raster.valid[rows, cols], raster.grid.crop(shifted_window), raster.bands),
    )
    difference = np.abs(straight[:, rows, cols] - shifted).mean(axis=0)[:-edge, :-edge]
    difference, observed = difference[edge - shift :, edge - shift :], raster.valid[edge:-edge, edge:-edge]
    row, col = (_distances(np.arange(edge, length - edge), lattice.stride_px, shift) for length in (height, width))
    # The other run's cuts are half a stride away: near one's cut and far from the other's along both axes.
    clear = (row[1] > lattice.stride_px // 8)[:, None] & (col[1] > lattice.stride_px // 8)
    near = ((row[0] < NEAR_SEAM_PX)[:, None] | (col[0] < NEAR_SEAM_PX)) & clear & observed
    amid = [np.minimum(*distance) > lattice.stride_px // 8 for distance in (row, col)]
    interior = amid[0][:, None] & amid[1] & observed
    if not (near.any() and interior.any()):
        raise GridError("seam metric: nothing was observed near an inner seam or away from it; give another raster")
    network_px = interpreter.network_px(raster.grid.full_window, raster.grid)
    return SeamMetric(float(difference[near].mean()), float(difference[interior].mean()), network_px / (height * width))


def _probabilities(interpreter: NetworkInterpreter, raster: Raster) -> NDArray[np.float32]:
    main = interpreter.card.heads[0]
    everything = raster.grid.full_window
    scores = interpreter.scores(raster, everything, everything)[: len(main.legend.classes)]
    return softmax(scores, main.temperature)


def _distances(pixels: NDArray[np.int64], stride_px: int, shift_px: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distance of pixels from the nearest cut of the straight and of the shifted lattice."""
    straight, shifted = pixels % stride_px, (pixels - shift_px) % stride_px
    return np.minimum(straight, stride_px - 1 - straight), np.minimum(shifted, stride_px - 1 - shifted)
