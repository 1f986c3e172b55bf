"""Cumulative clearing over a series of label maps: tree cover in a baseline year, later clear of trees, confirmed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import GridError, UsageError
from aisf_geo.indicators.series import ClearedArea
from aisf_geo.indicators.zonal import Zone, ZoneAreas, add_window, start_zones
from aisf_geo.pipeline.mapped import MappedItem, legend_of
from aisf_geo.recipe import Clearing
from aisf_geo.store.raster import Layer, read_pixels, thumbnail, write_cog, write_png
from aisf_geo.store.run import RunFolder

#: Codes of the clearing map beside the index of a date in the series: 1 is the first date after the baseline.
STANDING = 0
NO_BASELINE_TREES = 253
UNCONFIRMED = 254


@dataclass(frozen=True)
class ClearingDates:
    """The items of a series by the part they play.

    Attributes:
        baseline: items of the baseline year.
        later: items after it, in order of time; number ``k`` of the map is ``later[k - 1]``.
    """

    baseline: tuple[MappedItem, ...]
    later: tuple[MappedItem, ...]


def dates_of(items: Sequence[MappedItem], asked: Clearing) -> ClearingDates:
    """The dates clear enough to take part, as those of the baseline year and those after it."""
    clear = [item for item in items if item.obscured_share <= asked.max_obscured and item.coverage > 0]
    dated = [(item, item.period.start.year) for item in clear]
    return ClearingDates(
        baseline=tuple(item for item, year in dated if year == asked.baseline_year),
        later=tuple(item for item, year in dated if year > asked.baseline_year),
    )


def first_cleared(
    baseline: NDArray[np.uint8], later: NDArray[np.uint8], tree_codes: Sequence[int], clear_dates: int
) -> NDArray[np.uint8]:
    """When each pixel was first seen without the trees that the baseline year had.

    Args:
        baseline: uint8 ``(date, y, x)`` labels of the baseline year.
        later: uint8 ``(date, y, x)`` labels of the dates after it, in order of time.
        tree_codes: the codes that count as tree cover.
        clear_dates: observations without trees that confirm a clearing.

    Returns:
        uint8 ``(y, x)``: ``k`` first seen cleared on ``later[k - 1]``, with at least ``clear_dates`` observations
        without trees in all; 0 trees in the baseline and no confirmed clearing; 253 no trees on some baseline date;
        254 trees, but too few later observations to confirm anything; 255 not observed in the baseline.

    Raises:
        UsageError: more later dates than the map has codes for.
    """
    if len(later) >= NO_BASELINE_TREES:
        raise UsageError(
            f"clearing: {len(later)} dates after the baseline, the map has codes for {NO_BASELINE_TREES - 1}"
        )
    seen_before, trees_before = _seen(baseline), np.isin(baseline, tree_codes)
    had_trees = seen_before.any(axis=0) & (trees_before == seen_before).all(axis=0)
    seen = _seen(later)
    without = seen & ~np.isin(later, tree_codes)
    confirmed = had_trees & (without.sum(axis=0) >= clear_dates)
    first = (np.argmax(without, axis=0) + 1).astype(np.uint8)
    result = np.where(confirmed, first, np.uint8(STANDING))
    result[had_trees & (seen.sum(axis=0) < clear_dates)] = UNCONFIRMED
    result[~had_trees] = NO_BASELINE_TREES
    result[~seen_before.any(axis=0)] = NOT_OBSERVED
    return result


def _seen(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((labels != NOT_OBSERVED) & (labels != UNKNOWN))


def write_clearing(folder: RunFolder, dates: ClearingDates, clear_dates: int) -> Path:
    """Write the map of first clearing dates from the label maps of a run, and a picture of it.

    Raises:
        GridError: the label maps do not lie on one grid, or there is no date before or after the baseline's end.
    """
    path = folder.change / "clearing" / "clearing.tif"
    if not dates.baseline or not dates.later:
        raise GridError(
            f"clearing: {len(dates.baseline)} clear dates in the baseline year and {len(dates.later)} after it; "
            "at least one of each is needed"
        )
    colours = {code: (*colour, 255) for code, colour in clearing_colours(len(dates.later)).items()}
    names = clearing_names(dates)
    layer = Layer("first cleared", "uint8", NOT_OBSERVED, "NEAREST", colours, names, {"MADE_BY": MADE_BY})
    grid = dates.baseline[0].grid
    write_cog(path, grid, layer, _windows(dates, clear_dates))
    table = np.zeros((256, 4), np.uint8)
    for code, colour in colours.items():
        table[code] = (*colour[:3], 0 if code == NOT_OBSERVED else 255)
    write_png(path.with_suffix(".png"), table[thumbnail(path)])
    return path


def _windows(dates: ClearingDates, clear_dates: int) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    grid = dates.baseline[0].grid
    off_grid = [i.id for i in dates.baseline + dates.later if not i.grid.same_pixels(grid)]
    if off_grid:
        raise GridError(
            f"clearing: {', '.join(off_grid)} lie on another grid than {dates.baseline[0].id}; warp them to one grid"
        )
    trees = legend_of(dates.baseline[0].labels).codes_with_role("tree-cover")
    for block in blocks(grid):
        stacks = [
            np.stack([np.asarray(read_pixels(i.labels, block.core), np.uint8) for i in items])
            for items in (dates.baseline, dates.later)
        ]
        yield block.core, first_cleared(stacks[0], stacks[1], trees, clear_dates)


def clearing_names(dates: ClearingDates) -> dict[int, str]:
    """What the codes of the clearing map mean."""
    return {
        STANDING: "tree cover, not cleared",
        **{k: f"cleared, first seen {item.id}" for k, item in enumerate(dates.later, start=1)},
        NO_BASELINE_TREES: "no tree cover in the baseline year",
        UNCONFIRMED: "too few clear dates",
        NOT_OBSERVED: "not observed in the baseline year",
    }


def clearing_colours(later: int) -> dict[int, tuple[int, int, int]]:
    """Colours of the clearing map: yellow for the first dates to dark red for the last."""
    shares = np.linspace(0, 1, max(later, 1))
    ramp = {k: (int(255 - 130 * s), int(215 - 200 * s), int(60 - 20 * s)) for k, s in enumerate(shares, start=1)}
    return {
        STANDING: (52, 132, 70),
        **ramp,
        NO_BASELINE_TREES: (232, 230, 222),
        UNCONFIRMED: (160, 160, 160),
        NOT_OBSERVED: (0, 0, 0),
    }


def clearing_accounts(clearing: Path, grid: Grid, zones: Sequence[Zone]) -> list[ZoneAreas]:
    """Area of each code of the clearing map in each zone."""
    areas = start_zones(zones, grid)
    for block in blocks(grid):
        add_window(areas, zones, grid, block.core, read_pixels(clearing, block.core))
    return areas


def cumulative(account: ZoneAreas, dates: ClearingDates) -> tuple[ClearedArea, ...]:
    """The cumulative cleared area of a zone on each date after the baseline year."""
    by_date = [account.by_code.get(k, 0.0) for k in range(1, len(dates.later) + 1)]
    baseline_m2 = account.by_code.get(STANDING, 0.0) + account.by_code.get(UNCONFIRMED, 0.0) + sum(by_date)
    followed_m2 = account.observed_m2 - account.by_code.get(UNCONFIRMED, 0.0)
    ids = tuple(item.id for item in dates.baseline + dates.later)
    points, total = [], 0.0
    for item, area in zip(dates.later, by_date, strict=True):
        total += area
        points.append(ClearedArea(ids, item.period, total, baseline_m2, followed_m2, account.zone_m2))
    return tuple(points)
