"""From the first to the last map of a run: the area each process took in each zone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.transition import NOT_COMPARED, transition_codes
from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import NOT_OBSERVED, Legend
from aisf_geo.domain.period import Period
from aisf_geo.domain.process import Process, processes_of
from aisf_geo.domain.tiling import blocks
from aisf_geo.indicators.series import Transitions
from aisf_geo.indicators.zonal import Zone, add_window, on_grid, start_zones
from aisf_geo.pipeline.change_source import pair_of
from aisf_geo.pipeline.mapped import MappedItem
from aisf_geo.store.raster import read_pixels


def transitions_in_zones(
    items: Sequence[MappedItem], zones: Sequence[Zone], known: Grid, min_coverage: float
) -> list[Transitions] | None:
    """For each zone what happened between the first and the last item of which ``min_coverage`` was seen.

    The zones are given in the CRS of ``known``. None where fewer than two items show that much.

    Raises:
        GridError: the two maps lie on different grids.
        LegendError: their classes differ, or different methods or model versions made them.
    """
    clear = [item for item in items if item.coverage >= min_coverage]
    if len(clear) < 2:
        return None
    first, last = clear[0], clear[-1]
    pair = pair_of(first.labels, last.labels)
    number, names = process_numbers(pair.legend)
    placed = on_grid(zones, known, pair.grid)
    areas = start_zones(placed, pair.grid)
    for block in blocks(pair.grid):
        before, after = (np.asarray(read_pixels(i.labels, block.core), np.uint8) for i in (first, last))
        add_window(areas, placed, pair.grid, block.core, number[transition_codes(before, after)])
    period = Period(first.period.start, last.period.end)
    possible = sorted({process for together in names for process in together})
    return [
        Transitions(
            items=(first.id, last.id),
            period=period,
            by_process={p: sum(m2 for k, m2 in zone.by_code.items() if p in names[k]) for p in possible},
            compared_m2=zone.observed_m2,
            zone_m2=zone.zone_m2,
            notes=tuple(pair.facts["warnings"]),
        )
        for zone in areas
    ]


def process_numbers(legend: Legend) -> tuple[NDArray[np.uint8], list[tuple[Process, ...]]]:
    """A number for each ``from * 256 + to`` code ``(65536,)``, 255 where not compared, and what each number means.

    Number 0 is no process.
    """
    number = np.zeros(65536, np.uint8)
    names: list[tuple[Process, ...]] = [()]
    number[NOT_COMPARED] = NOT_OBSERVED
    for before in legend.classes:
        for after in legend.classes:
            together = processes_of(before.role, after.role)
            if together not in names:
                names.append(together)
            number[before.code * 256 + after.code] = names.index(together)
    return number, names
