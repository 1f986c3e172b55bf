from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.objects import OBJECT
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import blocks
from aisf_geo.segment.card import Detection, Head
from aisf_geo.segment.detect import PEAK_RADIUS_PX, ObjectInterpreter, find_objects, halo_px, strongest
from aisf_geo.segment.resident import interpreter_of
from aisf_geo.segment.runtime import RuntimeIdentity
from cards import made_card

RED = (255, 0, 0)
VEHICLES = Legend("v", (LegendClass(0, "none", RED), LegendClass(1, "car", RED), LegendClass(4, "bus", RED)))
CODES = np.array([0, 1, 4], np.uint8)
DETECTION = Detection(score_above=0.5, overlap=0.3, largest_px=40)


class PixelRuntime:
    """Channels of the image come out as the network's output, so that the whole image is the oracle."""

    identity = RuntimeIdentity("fake", "fp32", "cpu", "", (), 1, "0")
    batch = 1

    def predict(self, batch: np.ndarray) -> np.ndarray:
        return batch.astype(np.float32)


def interpreter() -> ObjectInterpreter:
    bands = ("b0", "b1", "b2", "b3")
    card = made_card(bands, heads=(Head(name="vehicle", legend=VEHICLES),), detection=DETECTION)
    found = interpreter_of(card, PixelRuntime())
    assert isinstance(found, ObjectInterpreter)
    return found


def scene(seed: int, height: int = 260, width: int = 230, crowd: int = 150) -> Raster:
    """Many bumps close together, some at seams, some of equal height, with holes where nothing was observed."""
    rng = np.random.default_rng(seed)
    values = rng.normal(-6, 0.5, (4, height, width)).astype(np.float32)
    values[2:] = np.log(rng.uniform(4, 60, (2, height, width)))
    for row, col in rng.integers(0, (height, width), (crowd, 2)):
        values[rng.integers(0, 2), row, col] = rng.choice([0.4, 1.0, 2.5, rng.uniform(0, 4)])
    valid = np.ones((height, width), np.bool_)
    valid[rng.integers(0, height, 50), rng.integers(0, width, 50)] = False
    return Raster(
        values, valid, Grid("EPSG:32631", Affine(0.1, 0, 0, 0, -0.1, 0), Shape(height, width)), ("b0", "b1", "b2", "b3")
    )


def detect(raster: Raster, block_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Objects in order, and the map of centres, block by block."""
    each, found, labels = interpreter(), [], np.zeros(tuple(raster.grid.shape), np.uint8)
    for block in blocks(raster.grid, block_px):
        read = each.read_window(block.core, raster.grid)
        decision = each.decide(raster.cut(read, raster.bands), read, block.core)
        assert decision.objects is not None
        found.append(decision.objects)
        labels[block.core.slices] = decision.labels
    return np.sort(np.concatenate(found), order=["row", "col"]), labels


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([64, 100, 192]))
def test_blocks_find_exactly_the_objects_of_the_whole(seed: int, block_px: int) -> None:
    raster = scene(seed)
    whole, whole_labels = detect(raster, 1024)
    blocked, labels = detect(raster, block_px)
    assert len(whole) > 20
    assert np.array_equal(whole, blocked)
    assert np.array_equal(whole_labels, labels)


def test_the_whole_is_what_a_plain_reading_of_the_heatmap_gives() -> None:
    raster = scene(3)
    objects, _ = detect(raster, 64)
    plain = find_objects(raster.values[:2], raster.values[2:], raster.valid, CODES, DETECTION)
    assert np.array_equal(np.sort(plain, order=["row", "col"]), objects)


def heat(*centres: tuple[int, int, float]) -> np.ndarray:
    found = np.full((2, 40, 40), -9, np.float32)
    for row, col, score in centres:
        found[0, row, col] = score
    return found


def sizes(side: float) -> np.ndarray:
    return np.full((2, 40, 40), np.log(side), np.float32)


def found(heat: np.ndarray, size: np.ndarray, valid: np.ndarray | None = None) -> list[tuple[float, float]]:
    valid = np.ones((40, 40), np.bool_) if valid is None else valid
    return [(o["row"], o["col"]) for o in find_objects(heat, size, valid, CODES, DETECTION)]


def test_a_centre_has_the_class_and_size_of_its_pixel_and_a_probability() -> None:
    two = heat()
    two[1, 7, 9] = 2.0
    (it,) = find_objects(two, sizes(12), np.ones((40, 40), np.bool_), CODES, DETECTION)
    assert (it["row"], it["col"], it["code"]) == (7.5, 9.5, 4)
    assert it["height_px"] == pytest.approx(12, rel=1e-5)
    assert it["confidence"] == pytest.approx(1 / (1 + np.exp(-2)), rel=1e-5)


def test_of_two_boxes_on_one_thing_the_surer_stays_and_of_equals_the_first() -> None:
    assert found(heat((10, 10, 1.0), (10, 15, 2.0)), sizes(20)) == [(10.5, 15.5)]
    assert found(heat((10, 10, 2.0), (10, 15, 2.0)), sizes(20)) == [(10.5, 10.5)]
    assert len(found(heat((10, 10, 1.0), (10, 15, 2.0)), sizes(5))) == 2


def test_what_was_not_observed_or_is_too_weak_holds_no_object() -> None:
    assert found(heat((10, 10, -0.1)), sizes(5)) == []
    valid = np.ones((40, 40), np.bool_)
    valid[10, 10] = False
    assert found(heat((10, 10, 3.0)), sizes(5), valid) == []
    assert found(heat(), sizes(5)) == []


def test_a_size_beyond_the_largest_is_cut() -> None:
    (it,) = find_objects(heat((5, 5, 1.0)), sizes(500), np.ones((40, 40), np.bool_), CODES, DETECTION)
    assert it["width_px"] == pytest.approx(40)


@given(st.floats(1, 40), st.floats(1, 40), st.floats(0, 60))
def test_boxes_further_apart_than_the_halo_never_drop_each_other(one: float, two: float, apart: float) -> None:
    pair = np.array([(50.5, 50.5, 40, one, 1, 0.9), (50.5, 50.5 + apart, 40, two, 1, 0.8)], OBJECT)
    dropped = not strongest(pair, np.array([2, 1], np.float32), DETECTION.overlap).all()
    assert not dropped or apart <= halo_px(DETECTION) - PEAK_RADIUS_PX


def test_the_halo_is_read_but_its_objects_belong_to_other_blocks() -> None:
    raster = scene(5)
    each, core = interpreter(), Window(0, 0, 100, 100)
    read = each.read_window(core, raster.grid)
    decision = each.decide(raster.cut(read, raster.bands), read, core)
    assert read.height >= core.height + halo_px(DETECTION)
    assert decision.objects is not None
    assert (decision.objects["row"] < 100).all()
    assert (decision.objects["col"] < 100).all()
