"""Compiled kernels for all tests of the vectorising."""

from __future__ import annotations

import numpy as np
import pytest
from label_maps import traced


@pytest.fixture(scope="session", autouse=True)
def kernels() -> None:
    """Compile the kernels once, outside of any test's deadline."""
    ones = np.zeros((2, 2), dtype=np.uint8)
    traced(ones, (1, 1), ones)
