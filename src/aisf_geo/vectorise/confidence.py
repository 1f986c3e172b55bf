"""Exact confidence statistics of regions that come together piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE
from aisf_geo.vectorise.rings import offsets_of
from aisf_geo.vectorise.scan import Int32Array, Int64Array, Runs, UInt8Array, compiled


@dataclass(frozen=True)
class ConfidenceCounts:
    """How many pixels of each region have which confidence; an entry for each that occurs, ascending.

    Attributes:
        offsets: int64 ``(regions + 1,)``, where the entries of each region start.
        value: uint8 ``(entries,)``, 0..254 = 0..1; pixels without a confidence are not counted.
        pixels: int64 ``(entries,)``.
    """

    offsets: Int64Array
    value: UInt8Array
    pixels: Int64Array

    @classmethod
    def none(cls, regions: int) -> ConfidenceCounts:
        """No confidences for ``regions`` regions."""
        return cls(np.zeros(regions + 1, np.int64), np.zeros(0, np.uint8), np.zeros(0, np.int64))

    def take(self, index: NDArray[np.integer]) -> ConfidenceCounts:
        """The counts of the regions ``index``, in that order."""
        if not self.value.size:
            return ConfidenceCounts.none(index.size)
        return ConfidenceCounts(*_grouped(self.offsets, self.value, self.pixels, index, np.arange(index.size + 1)))

    def merged(self, number: Int32Array, groups: int) -> ConfidenceCounts:
        """The counts in which the regions of equal ``number`` (0 .. ``groups - 1``) are added up."""
        if not self.value.size:
            return ConfidenceCounts.none(groups)
        by_group = np.argsort(number, kind="stable")
        first = np.searchsorted(number[by_group], np.arange(groups + 1))
        return ConfidenceCounts(*_grouped(self.offsets, self.value, self.pixels, by_group, first))

    def restricted(self, kept: NDArray[np.bool_]) -> ConfidenceCounts:
        """The same regions, those that are not ``kept`` without any counts."""
        lengths = np.diff(self.offsets)
        entry = np.repeat(kept, lengths)
        return ConfidenceCounts(offsets_of(lengths * kept), self.value[entry], self.pixels[entry])

    def mean_and_p10(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and tenth percentile (0..1) of every region; NaN where no pixel has a confidence.

        The percentile is the smallest confidence that at least a tenth of the pixels do not exceed.
        """
        running = np.concatenate([[0], np.cumsum(self.pixels)])
        weighted = np.concatenate([[0], np.cumsum(self.pixels * self.value)])
        pixels = np.diff(running[self.offsets])
        some = pixels > 0
        mean, p10 = np.full(pixels.size, np.nan), np.full(pixels.size, np.nan)
        mean[some] = np.diff(weighted[self.offsets])[some] / pixels[some] / CONFIDENCE_STEPS
        needed = running[self.offsets[:-1]][some] + (pixels[some] + 9) // 10
        p10[some] = self.value[np.searchsorted(running, needed) - 1] / CONFIDENCE_STEPS
        return mean, p10


@compiled
def _grouped(
    offsets: Int64Array, value: UInt8Array, pixels: Int64Array, order: NDArray[np.integer], first: Int64Array
) -> tuple[Int64Array, UInt8Array, Int64Array]:
    """Counts of groups of regions: group ``g`` is ``order[first[g]:first[g + 1]]``."""
    capacity = 0
    for region in order:
        capacity += offsets[region + 1] - offsets[region]
    new_offsets = np.zeros(first.size, np.int64)
    new_value, new_pixels = np.empty(capacity, np.uint8), np.empty(capacity, np.int64)
    histogram = np.zeros(256, np.int64)
    n = 0
    for g in range(first.size - 1):
        if first[g + 1] - first[g] == 1:
            for i in range(offsets[order[first[g]]], offsets[order[first[g]] + 1]):
                new_value[n], new_pixels[n] = value[i], pixels[i]
                n += 1
        else:
            for region in order[first[g] : first[g + 1]]:
                for i in range(offsets[region], offsets[region + 1]):
                    histogram[value[i]] += pixels[i]
            n = _emit(histogram, new_value, new_pixels, n)
        new_offsets[g + 1] = n
    return new_offsets, new_value[:n].copy(), new_pixels[:n].copy()


@compiled
def _emit(histogram: Int64Array, value: UInt8Array, pixels: Int64Array, n: int) -> int:
    """Write a histogram's confidences from entry ``n`` on and clear it; the number of entries then."""
    for c in range(NO_CONFIDENCE):
        if histogram[c]:
            value[n], pixels[n] = c, histogram[c]
            n += 1
    histogram[:] = 0
    return n


def stacked_counts(parts: Sequence[ConfidenceCounts]) -> ConfidenceCounts:
    """The counts of several tables, one below the other."""
    return ConfidenceCounts(
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.pixels for part in parts]),
    )


def count_confidence(runs: Runs, pixels: Int64Array, confidence: UInt8Array | None) -> ConfidenceCounts:
    """The confidences of a block by region; none at all where the map has none."""
    if confidence is None:
        return ConfidenceCounts.none(pixels.size)
    by_region = np.argsort(runs.region, kind="stable")
    capacity = int(np.minimum(pixels, CONFIDENCE_STEPS + 1).sum())
    return ConfidenceCounts(*_histograms(runs, by_region, confidence, pixels.size, capacity))


@compiled
def _histograms(
    runs: Runs, by_region: Int64Array, confidence: UInt8Array, regions: int, capacity: int
) -> tuple[Int64Array, UInt8Array, Int64Array]:
    """Sparse histograms of one region after the other; ``by_region`` holds its runs together."""
    offsets = np.zeros(regions + 1, np.int64)
    value, count = np.empty(capacity, np.uint8), np.empty(capacity, np.int64)
    histogram = np.zeros(256, np.int64)
    n = 0
    for p in range(by_region.size):
        i = by_region[p]
        r = runs.region[i]
        if r < 0:
            continue
        for x in range(runs.start[i], runs.end[i]):
            histogram[confidence[runs.row[i], x]] += 1
        if p + 1 == by_region.size or runs.region[by_region[p + 1]] != r:
            n = _emit(histogram, value, count, n)
            offsets[r + 1] = n
    return offsets, value[:n].copy(), count[:n].copy()
