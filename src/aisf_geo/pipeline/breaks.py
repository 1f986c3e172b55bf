"""A series of dates to maps of when something was lost and when it came back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.breaks import BreakDates, break_dates, noise_of
from aisf_geo.domain.grid import Window
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import UsageError
from aisf_geo.ingest.area_of_interest import AreaOfInterest
from aisf_geo.pipeline.series_scenes import Series
from aisf_geo.recipe_series import Breaks
from aisf_geo.segment.spectral import normalised_difference

#: The two bands of each index, ``(a - b) / (a + b)``, what a fall of it means and what a rise after that means.
INDICES = {
    "ndmi": ("nir", "swir16", "forest loss", "recovery"),
    "ndvi": ("nir", "red", "vegetation loss", "recovery"),
    "nbr": ("nir", "swir22", "burn", "recovery"),
    "mndwi": ("green", "swir16", "water loss", "water gain"),
}
#: A whole stack of dates is in memory for one block.
BLOCK_PX = 512
#: More dates than this have no code in the map.
MAX_DATES = 253


@dataclass(frozen=True)
class BreakSearch:
    """What is looked for, where, in which series."""

    series: Series
    asked: Breaks
    area: AreaOfInterest | None
    noise: float

    def stack(self, window: Window) -> NDArray[np.float64]:
        """The index by date ``(t, y, x)``, NaN where not seen or not asked for."""
        a, b, *_ = INDICES[self.asked.index]
        layers = []
        for raster in self.series.read((a, b), window):
            value = normalised_difference(raster.band(a), raster.band(b)).astype(np.float64)
            layers.append(np.where(raster.valid, value, np.nan))
        stack = np.stack(layers)
        if self.area is not None:
            stack[:, ~self.area.covers(self.series.grid, window)] = np.nan
        return stack

    def dates(self, window: Window) -> BreakDates:
        """The answer for a window."""
        return break_dates(self.stack(window), self.noise, self.asked.min_drop, self.asked.clear_dates)


def search(series: Series, asked: Breaks, area: AreaOfInterest | None) -> tuple[BreakSearch, list[str]]:
    """The search with dates that show too little left out and the noise measured.

    Raises:
        UsageError: too few dates are left, or too many.
        BandError: a scene lacks a band of the index.
    """
    a, b, *_ = INDICES[asked.index]
    for scene in series.scenes:
        scene.require((a, b), f"index {asked.index!r}")
    first = BreakSearch(series, asked, area, 0.0)
    seen, sample = _look(first)
    kept = [share >= 1 - asked.max_obscured for share in seen]
    left_out = [s.id for s, keep in zip(series.scenes, kept, strict=True) if not keep]
    notes = [f"left out, too little was seen: {', '.join(left_out)}"] if left_out else []
    if not 2 * asked.clear_dates <= sum(kept) <= MAX_DATES:
        raise UsageError(
            f"change-series: {sum(kept)} dates are clear enough; {2 * asked.clear_dates} to {MAX_DATES} are needed. "
            "Raise breaks.max_obscured or add dates"
        )
    scenes = tuple(scene for scene, keep in zip(series.scenes, kept, strict=True) if keep)
    pairs = tuple(pair for pair, keep in zip(series.pairs, kept, strict=True) if keep)
    noise = noise_of(sample[np.array(kept)])
    return BreakSearch(Series(scenes, pairs), asked, area, noise), notes


def _look(first: BreakSearch) -> tuple[list[float], NDArray[np.float64]]:
    """Share of the wanted pixels that each date shows, and a thinned stack to measure noise on."""
    wanted, shown, thin = 0, np.zeros(len(first.series.scenes)), []
    cut = list(blocks(first.series.grid, BLOCK_PX))
    step = max(1, int(np.sqrt(len(cut) * BLOCK_PX**2 / 250_000)))
    for block in cut:
        stack = first.stack(block.core)
        inside = np.ones(stack.shape[1:], np.bool_)
        if first.area is not None:
            inside = first.area.covers(first.series.grid, block.core)
        wanted += int(inside.sum())
        shown += np.isfinite(stack).sum(axis=(1, 2))
        thin.append(stack[:, ::step, ::step].reshape(len(stack), -1))
    return list(shown / max(wanted, 1)), np.concatenate(thin, axis=1)[..., None]
