from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import BandError

GRID = Grid("EPSG:32631", Affine(10, 0, 500_000, 0, -10, 5_700_000), Shape(3, 4))


def raster() -> Raster:
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    valid = values[0] != 5
    return Raster(values, valid, GRID, ("red", "nir"), obscured=~valid)


def test_a_band_is_found_by_name() -> None:
    assert raster().band("nir")[0, 0] == 12


def test_a_band_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(BandError, match="'swir16' is needed, found red, nir"):
        raster().band("swir16")


def test_a_cut_takes_bands_in_the_order_asked_and_keeps_their_place_on_earth() -> None:
    cut = raster().cut(Window(1, 1, 2, 3), ("nir", "red"))
    assert cut.bands == ("nir", "red")
    assert cut.values[:, 0, 0].tolist() == [17, 5]
    assert not cut.valid[0, 0]
    assert cut.obscured is not None
    assert cut.obscured[0, 0]
    assert tuple(cut.grid.bounds) == (500_010, 5_699_970, 500_040, 5_699_990)


@pytest.mark.parametrize(
    ("values", "valid"),
    [((1, 3, 4), (3, 4)), ((2, 4, 3), (3, 4)), ((2, 3, 4), (4, 3))],
)
def test_arrays_that_do_not_fit_the_grid_and_bands_are_refused(values: tuple[int, ...], valid: tuple[int, ...]) -> None:
    with pytest.raises(BandError, match="for a grid of"):
        Raster(np.zeros(values, np.float32), np.ones(valid, bool), GRID, ("red", "nir"))
