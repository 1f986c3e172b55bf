from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.tiling import Block, blocks
from aisf_geo.errors import UsageError


def grid_of(height: int, width: int) -> Grid:
    return Grid("EPSG:32631", Affine(10, 0, 500_000, 0, -10, 5_700_000), Shape(height, width))


@given(height=st.integers(1, 150), width=st.integers(1, 150), block_px=st.integers(16, 160))
def test_blocks_cover_every_pixel_exactly_once(height: int, width: int, block_px: int) -> None:
    times = np.zeros((height, width), int)
    for block in blocks(grid_of(height, width), block_px):
        assert block.core.row + block.core.height <= height
        assert block.core.col + block.core.width <= width
        times[block.core.slices] += 1
    assert (times == 1).all()


@given(height=st.integers(1, 150), width=st.integers(1, 150), block_px=st.integers(16, 160))
def test_ids_differ_and_blocks_come_in_row_major_order(height: int, width: int, block_px: int) -> None:
    lattice = list(blocks(grid_of(height, width), block_px))
    assert len({block.id for block in lattice}) == len(lattice)
    places = [(block.core.row, block.core.col) for block in lattice]
    assert places == sorted(places)
    assert [block.id for block in lattice] == sorted(block.id for block in lattice)


def test_blocks_at_the_far_edges_are_cut() -> None:
    assert list(blocks(grid_of(20, 40), 32)) == [
        Block("r0000c0000", Window(0, 0, 20, 32)),
        Block("r0000c0001", Window(0, 32, 20, 8)),
    ]


@pytest.mark.parametrize("block_px", [15, 1, 0, -512])
def test_blocks_too_small_to_make_sense_are_refused(block_px: int) -> None:
    with pytest.raises(UsageError, match=rf"asked for {block_px} px"):
        next(blocks(grid_of(9, 9), block_px))
