"""From-to codes and the matrix of areas that went from one class to another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import UNKNOWN, Legend
from aisf_geo.errors import LegendError

#: Code of a pixel that was not observed, or not decided, on either date.
NOT_COMPARED = 65535


def transition_codes(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """``from * 256 + to`` for each pixel, 65535 where either date is unknown or not observed; shape ``(y, x)``."""
    codes = before.astype(np.uint16) * 256 + after
    codes[(before >= UNKNOWN) | (after >= UNKNOWN)] = NOT_COMPARED
    return codes


def add_to_matrix(
    matrix: NDArray[np.float64], codes: NDArray[np.uint16], area_m2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """``matrix`` ``(from, to)`` of 256 x 256 areas in m2 with the compared pixels of ``codes`` added."""
    compared = codes != NOT_COMPARED
    added = np.bincount(codes[compared], weights=area_m2[compared], minlength=65536)[:65536]
    return np.asarray(matrix + added.reshape(256, 256))


def check_same_legend(before: Legend, after: Legend) -> None:
    """Classes must mean the same on both dates.

    Raises:
        LegendError: codes or names differ; the message names the first difference.
    """
    one, two = ({c.code: c.name for c in legend.classes} for legend in (before, after))
    different = sorted(code for code in one.keys() | two.keys() if one.get(code) != two.get(code))
    if different:
        code = different[0]
        raise LegendError(
            f"change: the legends differ: code {code} is {one.get(code, 'absent')!r} before and "
            f"{two.get(code, 'absent')!r} after; interpret both dates with one method"
        )
