"""Pixels in memory: values, which of them were observed, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.errors import BandError


@dataclass(frozen=True)
class Raster:
    """A window of imagery.

    Attributes:
        values: float32 ``(band, y, x)`` in physical units (scale and offset applied); NaN only where not valid.
        valid: bool ``(y, x)``, True = observed.
        grid: where the pixels lie; its shape is that of ``valid``.
        bands: STAC common names, one for each entry of the first axis.
        obscured: bool ``(y, x)``, True where there is data but cloud, shadow or haze hides the ground; such a pixel
            is never valid. None where nothing was tested.
    """

    values: NDArray[np.float32]
    valid: NDArray[np.bool_]
    grid: Grid
    bands: tuple[str, ...]
    obscured: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.bands), *self.grid.shape)
        if self.values.shape != expected or self.valid.shape != expected[1:]:
            raise BandError(f"raster: values {self.values.shape} and valid {self.valid.shape} for a grid of {expected}")

    def band(self, name: str) -> NDArray[np.float32]:
        """One band, shape ``(y, x)``.

        Raises:
            BandError: there is no such band; the message names those there are.
        """
        if name not in self.bands:
            raise BandError(f"band {name!r} is needed, found {', '.join(self.bands)}")
        return np.asarray(self.values[self.bands.index(name)])

    def cut(self, window: Window, bands: tuple[str, ...]) -> Raster:
        """The pixels of ``window``, counted from this raster's corner, in the given bands; may share its memory."""
        rows, cols = window.slices
        if window == self.grid.full_window and bands == self.bands:
            return self
        return Raster(
            np.stack([self.band(name)[rows, cols] for name in bands]),
            self.valid[rows, cols],
            self.grid.crop(window),
            bands,
            None if self.obscured is None else self.obscured[rows, cols],
        )
