"""What a public run shows of homes: figures in cells, no outline of a single one."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Legend
from aisf_geo.recipe import Recipe
from aisf_geo.vectorise.polygons import Features

#: Pixels of this size and more show no single roof: most homes are smaller than four of them.
SINGLE_ROOFS_BELOW_M = 5.0
#: In maps of such pixels, regions up to this size may still be one farm; larger ones are settlements.
SETTLEMENT_M2 = 10_000.0


@dataclass(frozen=True)
class Homes:
    """The classes of a map that homes are mapped in, and the smallest region that may be shown as it is.

    Attributes:
        codes: legend codes; empty where nothing has to be hidden.
        least_m2: infinite where the map shows single roofs.
        min_count: fewest homes of which a total may be told.
    """

    codes: tuple[int, ...] = ()
    least_m2: float = 0.0
    min_count: int = 0

    @property
    def in_pixels(self) -> bool:
        """Whether the maps themselves show single homes."""
        return bool(self.codes) and math.isinf(self.least_m2)

    def hidden(self, features: Features) -> NDArray[np.bool_]:
        """Which features may not be shown."""
        return np.isin(features.code, self.codes) & (features.area_m2 < self.least_m2)


def homes_to_hide(recipe: Recipe, legend: Legend, grid: Grid) -> Homes:
    """What a recipe's audience must not see of a map."""
    if recipe.audience == "internal" or recipe.cells is None:
        return Homes()
    least_m2 = math.inf if grid.gsd_m < SINGLE_ROOFS_BELOW_M else SETTLEMENT_M2
    return Homes(legend.codes_with_role("built-up"), least_m2, recipe.cells.min_count)
