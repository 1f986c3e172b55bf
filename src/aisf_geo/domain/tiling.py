"""The fixed lattice of blocks on a grid: the unit of work, retry, resume and memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.errors import UsageError

#: Side of a block where nobody asks for another: 1 Mpx keeps one block of a few bands well under 100 MB.
DEFAULT_BLOCK_PX = 1024


@dataclass(frozen=True, slots=True)
class Block:
    """One cell of the lattice.

    Attributes:
        id: ``r<block row>c<block column>``, stable for a grid and block size.
        core: the pixels this block decides; the cores of a lattice cover the grid once. What must be read around
            them is the interpreter's to say.
    """

    id: str
    core: Window


def blocks(grid: Grid, block_px: int = DEFAULT_BLOCK_PX) -> Iterator[Block]:
    """The blocks of ``grid`` in row-major order; their cores cover every pixel exactly once.

    Raises:
        UsageError: ``block_px`` is not at least 16.
    """
    if block_px < 16:
        raise UsageError(f"block size: asked for {block_px} px, the smallest that makes sense is 16; use 512 to 2048")
    height, width = grid.shape
    for i, row in enumerate(range(0, height, block_px)):
        for j, col in enumerate(range(0, width, block_px)):
            core = Window(row, col, min(block_px, height - row), min(block_px, width - col))
            yield Block(f"r{i:04d}c{j:04d}", core)
