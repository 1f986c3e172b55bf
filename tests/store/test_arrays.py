from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aisf_geo.errors import UnreadableError
from aisf_geo.store.arrays import SUFFIX, array_names, read_arrays, read_part, write_arrays


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / f"block{SUFFIX}"
    write_arrays(path, {"maps": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "none": np.empty((0, 29), np.uint8)})
    return path


def test_arrays_come_back_whole_and_in_parts(stored: Path) -> None:
    assert array_names(stored) == {"maps", "none"}
    whole = read_arrays(stored)
    assert whole["none"].shape == (0, 29)
    for part in [(1,), (0, 2), (slice(1, 2), 1), (1, slice(None), slice(1, 3))]:
        np.testing.assert_array_equal(read_part(stored, "maps", part), whole["maps"][part])


def test_what_is_no_longer_in_order_in_memory_is_stored_as_it_reads(tmp_path: Path) -> None:
    turned = np.arange(12.0, dtype=np.float32).reshape(3, 4).T[::-1]
    write_arrays(tmp_path / "a.safetensors", {"turned": turned})
    np.testing.assert_array_equal(read_part(tmp_path / "a.safetensors", "turned"), turned)


@pytest.mark.parametrize("left", [0, 3, 40, -1])
def test_a_file_that_breaks_off_is_refused(stored: Path, left: int) -> None:
    stored.write_bytes(stored.read_bytes()[:left])
    with pytest.raises(UnreadableError, match="remove the file, it is made again"):
        read_arrays(stored)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        read_part(tmp_path / "gone.safetensors", "maps")
