"""What is known of every region besides its outline, in sums that do not depend on how the raster was cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.vectorise.confidence import ConfidenceCounts, count_confidence, stacked_counts
from aisf_geo.vectorise.scan import AREA_FRACTION_BITS, Borders, Int32Array, Int64Array, Runs, UInt8Array, compiled

#: Rows whose pixel areas are held at a time.
AREA_STRIPE_PX = 256


@dataclass(frozen=True)
class RegionTable:
    """Columns of 4-connected regions of equal code, all of one length.

    Attributes:
        code: uint8, the label.
        pixels: int64.
        first_pixel: int64, row-major index in the grid of the first pixel: the identity of a region.
        last_row: int32, row in the grid of the lowest pixel.
        area_whole_m2: int64, and ``area_fraction`` int64 in units of ``2**-AREA_FRACTION_BITS`` m2: the exact sum of
            the pixel areas, each rounded to that unit (1e-12 m2).
        border_px: int64, pixel edges on the outline; ``open_px``: those on the image edge or nodata.
        counts: confidences by region.
    """

    code: UInt8Array
    pixels: Int64Array
    first_pixel: Int64Array
    last_row: Int32Array
    area_whole_m2: Int64Array
    area_fraction: Int64Array
    border_px: Int64Array
    open_px: Int64Array
    counts: ConfidenceCounts

    @classmethod
    def empty(cls) -> RegionTable:
        """A table without regions."""
        none = np.zeros(0, dtype=np.int64)
        return cls(
            none.astype(np.uint8), none, none, none.astype(np.int32), none, none, none, none, ConfidenceCounts.none(0)
        )

    def __len__(self) -> int:
        return self.code.size

    @property
    def area_m2(self) -> NDArray[np.float64]:
        """Sum of the pixel areas in m2."""
        return self.area_whole_m2 + self.area_fraction / float(1 << AREA_FRACTION_BITS)

    def take(self, index: NDArray[np.integer]) -> RegionTable:
        """The regions ``index``, in that order."""
        return RegionTable(
            self.code[index],
            self.pixels[index],
            self.first_pixel[index],
            self.last_row[index],
            self.area_whole_m2[index],
            self.area_fraction[index],
            self.border_px[index],
            self.open_px[index],
            self.counts.take(index),
        )

    def merged(self, number: Int32Array) -> RegionTable:
        """The table in which the regions of equal ``number`` (0, 1, .. without gaps) are one."""
        groups = int(number.max(initial=-1)) + 1

        def total(column: Int64Array) -> Int64Array:
            out = np.zeros(groups, dtype=np.int64)
            np.add.at(out, number, column)
            return out

        code, last_row = np.zeros(groups, dtype=np.uint8), np.zeros(groups, dtype=np.int32)
        code[number] = self.code
        np.maximum.at(last_row, number, self.last_row)
        first_pixel = np.full(groups, np.iinfo(np.int64).max)
        np.minimum.at(first_pixel, number, self.first_pixel)
        fraction = total(self.area_fraction)
        return RegionTable(
            code,
            total(self.pixels),
            first_pixel,
            last_row,
            total(self.area_whole_m2) + (fraction >> AREA_FRACTION_BITS),
            fraction & ((1 << AREA_FRACTION_BITS) - 1),
            total(self.border_px),
            total(self.open_px),
            self.counts.merged(number, groups),
        )


def stacked(tables: Sequence[RegionTable]) -> RegionTable:
    """The tables one below the other."""
    return RegionTable(
        np.concatenate([t.code for t in tables]),
        np.concatenate([t.pixels for t in tables]),
        np.concatenate([t.first_pixel for t in tables]),
        np.concatenate([t.last_row for t in tables]),
        np.concatenate([t.area_whole_m2 for t in tables]),
        np.concatenate([t.area_fraction for t in tables]),
        np.concatenate([t.border_px for t in tables]),
        np.concatenate([t.open_px for t in tables]),
        stacked_counts([t.counts for t in tables]),
    )


def measure(runs: Runs, borders: Borders, confidence: UInt8Array | None, grid: Grid, window: Window) -> RegionTable:
    """The regions of one block, in the order of their first pixels."""
    regions = borders.total.size
    code, pixels, first_pixel, last_row = _extent(runs, regions, window.width)
    whole, fraction = np.zeros(regions, dtype=np.int64), np.zeros(regions, dtype=np.int64)
    for row in range(0, window.height, AREA_STRIPE_PX):
        stripe = Window(window.row + row, window.col, min(AREA_STRIPE_PX, window.height - row), window.width)
        _add_areas(runs, grid.pixel_area_m2(stripe), row, whole, fraction)
    rows, cols = np.divmod(first_pixel, window.width)
    return RegionTable(
        code,
        pixels,
        (rows + window.row) * grid.shape.width + cols + window.col,
        (last_row + window.row).astype(np.int32),
        whole,
        fraction,
        borders.total,
        borders.open,
        count_confidence(runs, pixels, confidence),
    )


@compiled
def _extent(runs: Runs, regions: int, width: int) -> tuple[UInt8Array, Int64Array, Int64Array, Int32Array]:
    """Code, pixel count, first pixel (row-major in the block) and last row of every region."""
    code, pixels = np.empty(regions, np.uint8), np.zeros(regions, np.int64)
    first_pixel, last_row = np.full(regions, -1, np.int64), np.zeros(regions, np.int32)
    for i in range(runs.start.size):
        r = runs.region[i]
        if r < 0:
            continue
        if first_pixel[r] < 0:
            code[r], first_pixel[r] = runs.code[i], np.int64(runs.row[i]) * width + runs.start[i]
        pixels[r] += runs.end[i] - runs.start[i]
        last_row[r] = runs.row[i]
    return code, pixels, first_pixel, last_row


@compiled
def _add_areas(runs: Runs, area_m2: NDArray[np.float64], row: int, whole: Int64Array, fraction: Int64Array) -> None:
    """Add the pixel areas of the rows from ``row`` on to their regions."""
    unit = float(1 << AREA_FRACTION_BITS)
    for i in range(runs.row_first[row], runs.row_first[row + area_m2.shape[0]]):
        r = runs.region[i]
        if r < 0:
            continue
        y = runs.row[i] - row
        whole_sum, fraction_sum = np.int64(0), fraction[r]
        for x in range(runs.start[i], runs.end[i]):
            whole_part = np.int64(area_m2[y, x])
            whole_sum += whole_part
            fraction_sum += np.int64((area_m2[y, x] - whole_part) * unit + 0.5)
        whole[r] += whole_sum + (fraction_sum >> AREA_FRACTION_BITS)
        fraction[r] = fraction_sum & ((1 << AREA_FRACTION_BITS) - 1)
