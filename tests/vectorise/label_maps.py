"""Label maps small enough to see, and ways to trace them in any blocks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely
from affine import Affine
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.vectorise.polygons import Features, concatenated
from aisf_geo.vectorise.trace import join, trace_block

#: A north-up grid with 10 m pixels, one with rows that run north, a rotated one, and one in degrees.
TRANSFORMS = {
    "EPSG:32633": Affine(10, 0, 500_000, 0, -10, 5_000_000),
    "EPSG:3035": Affine(10, 0, 4_000_000, 0, 10, 3_000_000),
    "EPSG:3857": Affine(8, 2, 1_000_000, 2, -8, 6_000_000),
    "EPSG:4326": Affine(1e-4, 0, 15, 0, -1e-4, 45),
}


def grid_of(labels: np.ndarray, crs: str = "EPSG:32633") -> Grid:
    return Grid(crs, TRANSFORMS[crs], Shape(*labels.shape))


def windows(shape: tuple[int, int], height: int, width: int) -> Iterator[Window]:
    """Windows far smaller than the lattice of the program allows, so that a small map has many seams."""
    for row in range(0, shape[0], height):
        for col in range(0, shape[1], width):
            yield Window(row, col, min(height, shape[0] - row), min(width, shape[1] - col))


def traced(
    labels: np.ndarray,
    block: tuple[int, int] | None = None,
    confidence: np.ndarray | None = None,
    grid: Grid | None = None,
) -> Features:
    grid = grid or grid_of(labels)
    parts = (
        trace_block(labels[w.slices], None if confidence is None else confidence[w.slices], grid, w)
        for w in windows(labels.shape, *(block or labels.shape))
    )
    return concatenated(list(join(parts, grid)))


def drawn(text: str) -> np.ndarray:
    """A map drawn with digits; ``.`` is not observed."""
    rows = text.split()
    return np.array([[255 if c == "." else int(c) for c in row] for row in rows], dtype=np.uint8)


def assert_same(a: Features, b: Features) -> None:
    """Equal to the last bit, including start, direction and order of all rings."""
    assert shapely.to_wkb(a.geometry).tolist() == shapely.to_wkb(b.geometry).tolist()
    for name, column in a.columns().items():
        if name != "geometry":
            np.testing.assert_array_equal(column, b.columns()[name], err_msg=name)
    for name in ("offsets", "value", "pixels"):
        np.testing.assert_array_equal(getattr(a.counts, name), getattr(b.counts, name), err_msg=name)


@st.composite
def label_maps(draw: st.DrawFn, side: int = 10) -> np.ndarray:
    """Maps of one to four codes with unobserved holes: few codes make large regions, many make junctions."""
    shape = (draw(st.integers(1, side)), draw(st.integers(1, side)))
    codes = draw(st.sampled_from([[0], [0, 1], [0, 255], [0, 1, 255], [0, 1, 2, 254, 255]]))
    values = draw(st.lists(st.sampled_from(codes), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    return np.array(values, dtype=np.uint8).reshape(shape)
