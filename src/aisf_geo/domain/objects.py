"""Objects that were found: boxes with a class, on a grid; what a detector yields in the place of regions to trace."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

#: One row per object. Centre and size are pixels of the item's grid, the centre of its first pixel is (0.5, 0.5);
#: ``code`` is that of the main head's legend, ``confidence`` 0..1.
OBJECT: Final = np.dtype(
    [
        ("row", np.float64),
        ("col", np.float64),
        ("height_px", np.float32),
        ("width_px", np.float32),
        ("code", np.uint8),
        ("confidence", np.float32),
    ]
)

#: A table of :data:`OBJECT`, shape ``(n,)``.
Objects = NDArray[np.void]


def no_objects() -> Objects:
    """A table without rows."""
    return np.empty(0, OBJECT)
