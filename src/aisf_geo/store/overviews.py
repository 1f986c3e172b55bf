"""The reduced-resolution levels of a map, computed in squares so that memory does not grow with the map.

GDAL can make them, but spends three times as long on it as on writing the map itself (decision 0010).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: How four pixels become one.
Reduction = str

#: Side of the squares that levels are computed in; a multiple of every reduction factor up to itself.
SQUARE_PX = 4096


def level_shapes(height: int, width: int, smallest_px: int) -> list[tuple[int, int]]:
    """Shapes of the levels below the full resolution, each half of the one before, until one fits ``smallest_px``."""
    shapes = []
    while max(height, width) > smallest_px:
        height, width = -(-height // 2), -(-width // 2)
        shapes.append((height, width))
    return shapes


def halved(pixels: NDArray[Any], nodata: float, reduction: Reduction) -> NDArray[Any]:
    """``(band, y, x)`` at half the resolution, an odd last row or column being reduced by itself.

    Nodata takes no part: a pixel is nodata only where all four below it are.

    Args:
        pixels: the level above.
        nodata: its number for "nothing here", which may be NaN.
        reduction: ``MODE`` the most frequent number, the first of equals; ``AVERAGE`` the mean, rounded half to even
            for whole numbers; ``NEAREST`` the upper left one.
    """
    if reduction == "NEAREST":
        return pixels[:, ::2, ::2]
    odd = [(0, length % 2) for length in pixels.shape[1:]]
    whole = np.pad(pixels, [(0, 0), *odd], constant_values=nodata) if any(map(any, odd)) else pixels
    half = np.empty((len(whole), whole.shape[1] // 2, whole.shape[2] // 2), whole.dtype)
    reduce = _mode if reduction == "MODE" else _mean
    reduce(np.ascontiguousarray(whole), whole.dtype.type(nodata), half)
    return half


# Without branches, so that the compiler makes vectors of the loops over x.


@njit(nogil=True, cache=True)
def _mode(pixels: NDArray[Any], absent: Any, half: NDArray[Any]) -> None:
    for band in range(half.shape[0]):
        for y in range(half.shape[1]):
            upper, lower, line = pixels[band, 2 * y], pixels[band, 2 * y + 1], half[band, y]
            for x in range(line.size):
                a, b, c, d = upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]
                first = c if c != absent else d
                first = b if b != absent else first
                first = a if a != absent else first
                # From the last to the first, so that of two pairs the first one's number stays.
                pair = c if (c == d) & (c != absent) else first
                pair = b if ((b == c) | (b == d)) & (b != absent) else pair
                line[x] = a if ((a == b) | (a == c) | (a == d)) & (a != absent) else pair


@njit(nogil=True, cache=True, error_model="numpy")
def _mean(pixels: NDArray[Any], absent: Any, half: NDArray[Any]) -> None:
    whole_numbers = half.dtype.type(0.5) == 0
    for band in range(half.shape[0]):
        for y in range(half.shape[1]):
            upper, lower, line = pixels[band, 2 * y], pixels[band, 2 * y + 1], half[band, y]
            for x in range(line.size):
                total, count = 0.0, 0.0
                for number in (upper[2 * x], upper[2 * x + 1], lower[2 * x], lower[2 * x + 1]):
                    # NaN is unequal to itself.
                    there = (number != absent) & (number == number)
                    total += number if there else 0.0
                    count += 1.0 if there else 0.0
                mean = total / count
                mean = np.rint(mean) if whole_numbers else mean
                line[x] = mean if count > 0 else absent


def squares(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Row, column, height and width of the squares that cover a map once."""
    for row in range(0, height, SQUARE_PX):
        for col in range(0, width, SQUARE_PX):
            yield row, col, min(SQUARE_PX, height - row), min(SQUARE_PX, width - col)
