"""How far two pictures of one place lie apart, to a fraction of a pixel, by phase correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from aisf_geo.errors import GridError

#: Shifts are refined to a fiftieth of a pixel.
UPSAMPLING = 50
#: A block has its say where the highest peak of its correlation stands out by this factor over the mean of its top
#: thousandth; two unrelated blocks of noise reach about 1.3.
MIN_PEAK_RATIO = 1.6
#: Blocks with fewer observed pixels than this share are left out.
MIN_OBSERVED = 0.6
#: Up to here a shift is corrected; beyond it pixels no longer show the same ground and the pair is refused.
LIMIT_PX = 5.0
#: Below this nothing is moved: interpolating costs more sharpness than it gains.
NEGLIGIBLE_PX = 0.15


@dataclass(frozen=True, slots=True)
class Shift:
    """Displacement of what is seen, in pixels: down and right are positive."""

    down: float
    right: float

    @property
    def length(self) -> float:
        """Euclidean length in pixels."""
        return float(np.hypot(self.down, self.right))


@dataclass(frozen=True)
class Registration:
    """What co-registration found for a pair.

    Attributes:
        shift: of the second date against the first, the median of the blocks; None where no block was conclusive.
        spread_px: 90th percentile of the blocks' distance from it: what a single shift cannot mend.
        blocks: blocks that had a say.
        asked: blocks that were looked at.
    """

    shift: Shift | None
    spread_px: float
    blocks: int
    asked: int

    @property
    def corrects(self) -> bool:
        """True where the second date is moved."""
        return self.shift is not None and self.shift.length > NEGLIGIBLE_PX

    def check(self, limit_px: float = LIMIT_PX) -> None:
        """Refuse a pair that lies too far apart.

        Raises:
            GridError: with the measured shift and what to do.
        """
        if self.shift is not None and self.shift.length > limit_px:
            raise GridError(
                f"change: the dates lie {self.shift.length:.1f} px apart ({self.shift.down:+.1f} down, "
                f"{self.shift.right:+.1f} right, {self.blocks} blocks agree within {self.spread_px:.1f} px); at most "
                f"{limit_px:g} px are corrected. Co-register the second image to the first and try again"
            )

    def as_json(self) -> dict[str, Any]:
        """For outputs."""
        found = None if self.shift is None else {"down": round(self.shift.down, 3), "right": round(self.shift.right, 3)}
        return {
            "shift_px": found,
            "corrected": self.corrects,
            "spread_px": round(self.spread_px, 3),
            "blocks_conclusive": self.blocks,
            "blocks_looked_at": self.asked,
        }


def consensus(shifts: list[Shift | None]) -> Registration:
    """The shift of a pair from those of its blocks."""
    known = np.array([(s.down, s.right) for s in shifts if s is not None])
    if not len(known):
        return Registration(None, 0.0, 0, len(shifts))
    middle = np.median(known, axis=0)
    spread = np.percentile(np.hypot(*(known - middle).T), 90)
    return Registration(Shift(float(middle[0]), float(middle[1])), float(spread), len(known), len(shifts))


def block_shift(before: NDArray[np.floating], after: NDArray[np.floating], valid: NDArray[np.bool_]) -> Shift | None:
    """How far ``after`` lies from ``before``, both ``(y, x)``; None where they do not tell.

    Phase correlation (Kuglin & Hines 1975) of the gradients' magnitudes, which a change of brightness leaves alone,
    refined by a discrete Fourier transform around the peak (Guizar-Sicairos et al. 2008, Optics Letters 33(2):156-158).
    """
    if min(before.shape) < 32 or valid.mean() < MIN_OBSERVED:
        return None
    pictures = [_edges(picture, valid) for picture in (before, after)]
    if min(picture.std() for picture in pictures) < 1e-9:
        return None
    one, two = (fft.fft2(picture) for picture in pictures)
    cross = two * one.conj()
    # Whitened only in part: noise at the frequencies that hold little picture must not decide.
    cross /= np.abs(cross) + 1e-3 * np.abs(cross).max() + 1e-12
    correlation = fft.ifft2(cross).real
    peak = np.unravel_index(np.argmax(correlation), correlation.shape)
    top = np.sort(correlation.ravel())[-max(correlation.size // 1000, 8) :]
    if top[-1] < MIN_PEAK_RATIO * top[: len(top) // 2].mean():
        return None
    coarse = [p if p <= n // 2 else p - n for p, n in zip(peak, correlation.shape, strict=True)]
    down, right = _refined(cross, np.array(coarse, np.float64))
    return Shift(down, right)


def _edges(picture: NDArray[np.floating], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Gradient magnitude, tapered to nothing at the border and around what was not observed."""
    filled = np.where(valid, picture, picture[valid].mean()).astype(np.float64)
    edges = ndimage.gaussian_gradient_magnitude(filled, 1.0)
    seen = ndimage.binary_erosion(valid, iterations=3, border_value=1)
    taper = np.outer(np.hanning(picture.shape[0]), np.hanning(picture.shape[1]))
    return np.where(seen, edges - edges[seen].mean(), 0.0) * taper if seen.any() else np.zeros(picture.shape)


def _refined(cross: NDArray[np.complexfloating], coarse: NDArray[np.float64]) -> tuple[float, float]:
    """The peak within 1.5 pixels of ``coarse``, to ``1 / UPSAMPLING`` of a pixel."""
    offsets = np.arange(-1.5, 1.5 + 1e-9, 1 / UPSAMPLING)
    kernels = [np.exp(2j * np.pi * np.outer(coarse[axis] + offsets, fft.fftfreq(cross.shape[axis]))) for axis in (0, 1)]
    fine = (kernels[0] @ cross @ kernels[1].T).real
    row, col = np.unravel_index(np.argmax(fine), fine.shape)
    return float(coarse[0] + offsets[row]), float(coarse[1] + offsets[col])
