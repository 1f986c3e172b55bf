from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from scipy.ndimage import gaussian_filter

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.domain.raster import Raster
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.read import read_window
from aisf_geo.segment.card import ModelCard
from aisf_geo.segment.domain import Look, domain_of, doubts, look_at, windows
from aisf_geo.shipped import shipped
from cards import made_card

BANDS = ("blue", "green", "red", "nir")


@pytest.fixture(scope="module")
def lake() -> Raster:
    scene = open_catalog(shipped("sample_tiles") / "great_salt_lake" / "scene.json").scenes()[0]
    return read_window(scene, BANDS, scene.grid.full_window)


def looks(raster: Raster) -> list[Look]:
    return [look for w in windows(raster.grid) if (look := look_at(raster.cut(w, BANDS), BANDS))]


def changed(raster: Raster, values: np.ndarray) -> Raster:
    return Raster(values.astype(np.float32), raster.valid, raster.grid, raster.bands)


@pytest.fixture(scope="module")
def card(lake: Raster) -> ModelCard:
    """A model trained on imagery like the lake's: its windows, brighter and darker, sharper and softer."""
    rng = np.random.default_rng(0)
    seen = [
        Look(k.means * rng.uniform(0.9, 1.1), (k.sharpness or 0) * rng.uniform(0.7, 1.3))
        for k in looks(lake)
        for _ in range(20)
    ]
    return made_card(BANDS, domain=domain_of(seen), gsd_m=(5.0, 30.0))


def test_a_scene_like_the_training_imagery_raises_no_doubt(card: ModelCard, lake: Raster) -> None:
    assert doubts(card, looks(lake), BANDS, 10.0) == []


def test_exchanged_bands_are_noticed_though_each_lies_in_range(card: ModelCard, lake: Raster) -> None:
    (said,) = doubts(card, looks(changed(lake, lake.values[[3, 1, 2, 0]])), BANDS, 10.0)
    assert "check band order" in said


def test_values_of_another_scale_are_noticed(card: ModelCard, lake: Raster) -> None:
    (said,) = doubts(card, looks(changed(lake, lake.values / 10)), BANDS, 10.0)
    assert "band values unlike the training imagery of model fake in 100 % of" in said


def test_a_blurred_scene_is_called_blurrier(card: ModelCard, lake: Raster) -> None:
    blurred = np.stack([gaussian_filter(np.nan_to_num(band), 4) for band in lake.values])
    assert any("blurrier" in said for said in doubts(card, looks(changed(lake, blurred)), BANDS, 10.0))


def test_pixels_of_another_size_are_noticed_even_without_a_measured_domain(lake: Raster) -> None:
    (said,) = doubts(made_card(gsd_m=(5.0, 30.0)), looks(lake), BANDS, 1.0)
    assert "pixels of 1 m, but model fake was trained on 5 to 30 m" in said


def test_a_window_that_was_hardly_observed_has_no_look() -> None:
    grid = Grid("EPSG:32631", Affine(1, 0, 0, 0, -1, 0), Shape(4, 4))
    raster = Raster(np.ones((4, 4, 4), np.float32), np.eye(4, dtype=np.bool_), grid, BANDS)
    assert look_at(raster, BANDS) is None
