"""Two dates of imagery on one grid: warped once, co-registered, valid only where both saw the ground."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from aisf_geo.change.registration import Registration, block_shift, consensus
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import BandError, GridError
from aisf_geo.ingest.quality import SNOW_BAND, VISIBLE, CloudScreen
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene

#: Side of the blocks whose shift is measured, and how many of them at most.
REGISTRATION_BLOCK_PX, MAX_REGISTRATION_BLOCKS = 256, 36
#: Pixels that thresholds and normalisation are fitted on, at most.
SAMPLE_PX = 400_000
#: A band in which more of the pixels than this are at the top of the number range tells no change.
MAX_SATURATED = 0.01


@dataclass(frozen=True)
class Epochs:
    """A window of both dates on one grid with the same bands.

    Attributes:
        before: valid where the first date was observed and clear.
        after: the same of the second date.
    """

    before: Raster
    after: Raster

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Bool ``(y, x)``: seen on both dates; cloud or shadow on either is unknown, never change."""
        return self.before.valid & self.after.valid


@dataclass(frozen=True)
class ScenePair:
    """Two scenes looked at on the grid of the first.

    The first is read as it is. The second is warped once, bilinearly, with the measured shift taken out in the same
    step; where it already lies on the grid and needs no shift its numbers stay untouched.

    Attributes:
        registration: None until it was measured.
    """

    before: Scene
    after: Scene
    registration: Registration | None = None

    @property
    def id(self) -> str:
        """Names of both epochs."""
        return f"{self.before.id}_{self.after.id}"

    @property
    def grid(self) -> Grid:
        """The grid of the first scene, which outputs lie on."""
        return self.before.grid

    @property
    def resampling(self) -> str:
        """What was done to the second date's numbers, in one sentence."""
        moved = self._after_grid
        if self.after.grid.same_pixels(moved):
            return "none: both dates lie on one grid"
        return "the second date was warped to the grid of the first in one bilinear step"

    @property
    def _after_grid(self) -> Grid:
        if self.registration is None or self.registration.shift is None or not self.registration.corrects:
            return self.grid
        shift = self.registration.shift
        return replace(self.grid, transform=self.grid.transform @ Affine.translation(shift.right, shift.down))

    def read(self, bands: Sequence[str], window: Window) -> Epochs:
        """Both dates in ``window``.

        Raises:
            UnreadableError: pixels cannot be decoded.
        """
        before = _screened(self.before, bands, window, self.grid)
        moved = _screened(self.after, bands, window, self._after_grid)
        # The ground of the second date, taken out its shift, lies on the grid of the first.
        return Epochs(before, Raster(moved.values, moved.valid, before.grid, moved.bands, moved.obscured))

    def shared_bands(self) -> tuple[str, ...]:
        """Bands both dates have, in the order of the first.

        Raises:
            BandError: there is none.
        """
        shared = tuple(name for name in self.before.band_names if name in self.after.band_names)
        if not shared:
            raise BandError(
                f"change: no band in common: {', '.join(self.before.band_names)} before, "
                f"{', '.join(self.after.band_names)} after. If bands are named differently, pass --bands in file order"
            )
        return shared


def _screened(scene: Scene, bands: Sequence[str], window: Window, grid: Grid) -> Raster:
    """The bands of one date after the tests for cloud; validity does not depend on the window."""
    screen = _screen(scene)
    if screen is None:
        return read_window(scene, bands, window, grid)
    padded = window.padded(screen.halo_px(grid), grid.shape)
    raster = screen.apply(read_window(scene, tuple(dict.fromkeys((*bands, *screen.bands))), padded, grid))
    return raster.cut(window.relative_to(padded), tuple(bands))


def _screen(scene: Scene) -> CloudScreen | None:
    if not (scene.surface and set(VISIBLE) <= set(scene.band_names)):
        return None
    return CloudScreen(tells_snow=SNOW_BAND in scene.band_names)


def paired(before: Scene, after: Scene) -> ScenePair:
    """The pair with its shift measured.

    Raises:
        GridError: the scenes do not overlap, or lie further apart than is corrected.
        BandError: they have no band in common, or one is reflectance and the other is not.
    """
    pair = ScenePair(before, after)
    pair.shared_bands()
    if before.reflectance != after.reflectance:
        kinds = ["reflectances" if s.reflectance else "uncalibrated numbers" for s in (before, after)]
        raise BandError(
            f"change: the dates are of different kinds: {kinds[0]} before, {kinds[1]} after; use products of one level"
        )
    registration = measured(pair)
    registration.check()
    return replace(pair, registration=registration)


def measured(pair: ScenePair) -> Registration:
    """The shift between both dates, by blocks spread over their grid.

    Raises:
        GridError: no pixel is observed on both dates.
    """
    bands = pair.shared_bands()[:4]
    shifts, seen = [], False
    for window in _spread(pair.grid, REGISTRATION_BLOCK_PX, MAX_REGISTRATION_BLOCKS):
        epochs = pair.read(bands, window)
        seen |= bool(epochs.valid.any())
        one, two = (np.nanmean(np.where(epochs.valid, r.values, 0), axis=0) for r in (epochs.before, epochs.after))
        shifts.append(block_shift(one, two, epochs.valid))
    if not seen:
        raise GridError(
            f"change: no pixel of {pair.before.id} and {pair.after.id} was seen on both dates; "
            "check that they overlap, and their clouds and nodata"
        )
    return consensus(shifts)


def _spread(grid: Grid, side_px: int, most: int) -> Iterator[Window]:
    """At most ``most`` windows, evenly spread; each of ``side_px`` or the grid's own side where that is less."""
    height, width = (min(side_px, n) for n in grid.shape)
    rows, cols = grid.shape.height // height, grid.shape.width // width
    thin = int(np.ceil(np.sqrt(rows * cols / most)))
    for i in range(0, rows, thin):
        for j in range(0, cols, thin):
            yield Window(i * height, j * width, height, width)


@dataclass(frozen=True)
class Sample:
    """Pixels of both dates that a method is fitted on.

    Attributes:
        before: float64 ``(n, band)``.
        after: the same pixels on the second date.
        bands: those that can be compared.
        saturated: share of the pixels at the top of the number range, by band left out.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    bands: tuple[str, ...]
    saturated: dict[str, float]

    @property
    def warnings(self) -> list[str]:
        """What the reader must know."""
        return [
            f"band {band} was left out: {100 * share:.0f} % of its pixels are saturated on one of the dates"
            for band, share in self.saturated.items()
        ]


def sample(pair: ScenePair, bands: Sequence[str]) -> Sample:
    """Pixels evenly spread over the pair, seen on both dates; saturated bands are left out.

    Raises:
        GridError: fewer than 1,000 pixels were seen on both dates.
        BandError: every band is saturated.
    """
    side = 512
    windows = list(_spread(pair.grid, side, 4 * MAX_REGISTRATION_BLOCKS))
    thin = max(1, int(np.ceil(np.sqrt(len(windows) * side * side / SAMPLE_PX))))
    both: list[NDArray[np.float64]] = []
    for window in windows:
        epochs = pair.read(bands, window)
        chosen = np.zeros_like(epochs.valid)
        chosen[::thin, ::thin] = True
        chosen &= epochs.valid
        both.append(np.stack([r.values[:, chosen].T for r in (epochs.before, epochs.after)]).astype(np.float64))
    pixels = np.concatenate(both, axis=1)
    if pixels.shape[1] < 1000:
        raise GridError(
            f"change: only {pixels.shape[1]} sampled pixels were seen on both dates, 1,000 are needed to fit a method"
        )
    share = np.max([_at_top(pixels[i]) for i in (0, 1)], axis=0)
    kept = share <= MAX_SATURATED
    if not kept.any():
        raise BandError(f"change: every band is saturated on one of the dates ({dict(zip(bands, share, strict=True))})")
    left_out = {name: float(s) for name, s, keep in zip(bands, share, kept, strict=True) if not keep}
    names = tuple(name for name, keep in zip(bands, kept, strict=True) if keep)
    return Sample(pixels[0][:, kept], pixels[1][:, kept], names, left_out)


def _at_top(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each band's pixels at its highest value: next to nothing unless the sensor or the product clips."""
    return np.asarray((pixels == pixels.max(axis=0)).mean(axis=0))
