from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.legend import NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend, LegendClass
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import BandError, GridError
from aisf_geo.segment.blocks import Lattice, NetworkInterpreter
from aisf_geo.segment.card import BandScaling, Head, ModelCard, NetworkSpec
from aisf_geo.segment.decide import softmax
from aisf_geo.segment.interpreter import ClassMap, Decision
from aisf_geo.segment.network import load_network, seeded_model
from aisf_geo.segment.runtime import RuntimeIdentity, choose_runtime
from aisf_geo.segment.seam_metric import seam_metric
from cards import made_card

BANDS = ("red", "green", "blue")
LAND = Legend("land", tuple(LegendClass(code, f"c{code}", (0, 0, code)) for code in (2, 5, 9)))
ROAD = Legend("road", tuple(LegendClass(code, f"r{code}", (0, code, 0)) for code in (0, 1)))


class PositionRuntime:
    """Answers that depend on the pixel and on its place in the patch, so that any other cut shows."""

    identity = RuntimeIdentity("fake", "fp32", "cpu", "", (), 1, "0")

    def __init__(self, channels: int = 3, batch: int = 1, border_px: int | None = None) -> None:
        self.channels, self.batch, self.border_px = channels, batch, border_px
        self.seen: list[np.ndarray] = []

    def predict(self, batch: np.ndarray) -> np.ndarray:
        self.seen.extend(batch)
        side = batch.shape[-1]
        place = np.arange(side, dtype=np.float32)
        if self.border_px is None:
            pull = np.sin(place[:, None] * 0.7) + np.cos(place * 0.3)
        else:
            border = (np.minimum(place, side - 1 - place) < self.border_px).astype(np.float32)
            pull = np.maximum(border[:, None], border)
        first = batch.mean(axis=1) + pull
        return np.stack([first * (k + 1) % 3 for k in range(self.channels)], axis=1).astype(np.float32)


def make_card(**changes: Any) -> ModelCard:
    bands = tuple(BandScaling(name=name, mean=10.0 * i, std=1.0 + i) for i, name in enumerate(BANDS))
    return made_card(**{"bands": bands, "heads": (Head(name="land", legend=LAND),), **changes})


def make_raster(height: int, width: int, seed: int = 0, holes: bool = True) -> Raster:
    rng = np.random.default_rng(seed)
    values = rng.normal(10, 3, (3, height, width)).astype(np.float32)
    valid = np.ones((height, width), np.bool_)
    if holes:
        valid[rng.random((height, width)) < 0.02] = False
        valid[height // 3 : height // 2, : width // 2] = False
    values[:, ~valid] = np.nan
    return Raster(values, valid, Grid("EPSG:32631", Affine(1, 0, 5e5, 0, -1, 5e6), Shape(height, width)), BANDS)


def cut(raster: Raster, window: Window) -> Raster:
    rows, cols = window.slices
    return Raster(raster.values[:, rows, cols], raster.valid[rows, cols], raster.grid.crop(window), raster.bands)


def decide(interpreter: NetworkInterpreter, raster: Raster, core: Window) -> Decision:
    read = interpreter.read_window(core, raster.grid)
    return interpreter.decide(cut(raster, read), read, core)


def decide_all(interpreter: NetworkInterpreter, raster: Raster, block_px: int) -> ClassMap:
    labels, confidence = (np.zeros(tuple(raster.grid.shape), np.uint8) for _ in range(2))
    for block in blocks(raster.grid, block_px):
        decision = decide(interpreter, raster, block.core)
        labels[block.core.slices], confidence[block.core.slices] = decision.labels, decision.confidence
    return ClassMap(labels, confidence)


def same(one: ClassMap | Decision, other: ClassMap | Decision) -> bool:
    return np.array_equal(one.labels, other.labels) and np.array_equal(one.confidence, other.confidence)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Two threads that wait for each other on a busy machine are ten times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    spec = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})
    scaling = tuple(BandScaling(name=name, mean=10.0, std=3.0) for name in BANDS)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return seeded_model(folder, network=spec, bands=scaling, patch_px=96, margin_px=32)


# The lattice: laws that hold for every grid.


@given(st.integers(1, 3000), st.sampled_from([(128, 32), (128, 0), (96, 32), (512, 64)]))
def test_every_pixel_is_owned_by_one_patch_that_sees_it_with_a_margin(length: int, sizes: tuple[int, int]) -> None:
    lattice = Lattice(*sizes)
    spans = lattice.spans(0, length, length)

    assert [span.first for span in spans] + [length] == [0] + [span.end for span in spans]
    assert len(spans) == lattice.count(length)
    for span in spans:
        assert span.start % 32 == 0
        assert span.start <= max(span.first - lattice.margin_px, 0)
        assert span.start + lattice.patch_px >= min(span.end + lattice.margin_px, length)
        assert span.start + lattice.patch_px < max(length, lattice.patch_px) + 32


@given(st.integers(1, 2000), st.data())
def test_the_end_of_what_was_read_serves_as_well_as_the_end_of_the_grid(length: int, data: st.DataObject) -> None:
    lattice = Lattice(128, 32)
    first = data.draw(st.integers(0, length - 1))
    end = data.draw(st.integers(first + 1, length))
    spans = lattice.spans(first, end, length)
    read_end = min(spans[-1].start + 128, length)

    seen_from_the_block = lattice.spans(first, end, read_end)

    assert [span.start for span in seen_from_the_block] == [span.start for span in spans]
    assert [min(span.end, end) for span in seen_from_the_block] == [min(span.end, end) for span in spans]


# Blocks: the answer does not depend on them.


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 420), st.integers(1, 420), st.integers(16, 500), st.integers(1, 5))
def test_labels_do_not_depend_on_block_size_or_batch(height: int, width: int, block_px: int, batch: int) -> None:
    raster = make_raster(height, width)
    whole = decide_all(NetworkInterpreter(make_card(), PositionRuntime()), raster, 10_000)
    blockwise = decide_all(NetworkInterpreter(make_card(), PositionRuntime(batch=batch)), raster, block_px)

    assert same(whole, blockwise)


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_networks_labels_are_byte_identical_for_any_block_size(model: ModelCard, runtime: str) -> None:
    raster = make_raster(250, 173)
    interpreter = NetworkInterpreter(model, choose_runtime(model, runtime, "fp32", threads=1))
    whole = decide_all(interpreter, raster, 512)

    assert len(np.unique(whole.labels)) > 3
    for block_px in (64, 96, 150):
        assert same(whole, decide_all(interpreter, raster, block_px))


def test_one_patch_is_the_plain_forward_pass_and_softmax(model: ModelCard) -> None:
    raster = make_raster(96, 96, holes=False)
    with torch.inference_mode():
        logits = load_network(model)(torch.from_numpy((raster.values - 10) / 3)[None])
    probability, best = torch.softmax(logits[0], 0).max(0)

    decision = decide(
        NetworkInterpreter(model, choose_runtime(model, "torch", threads=1)), raster, raster.grid.full_window
    )

    assert np.array_equal(decision.labels, best.numpy())
    assert np.abs(decision.confidence - probability.numpy() * 254).max() <= 0.51


def test_network_and_reading_grow_by_whole_patches_only(model: ModelCard) -> None:
    interpreter = NetworkInterpreter(make_card(), PositionRuntime())
    grid = make_raster(1000, 700).grid

    assert interpreter.read_window(Window(128, 64, 64, 64), grid) == Window(96, 32, 128, 128)
    assert interpreter.read_window(Window(130, 64, 64, 64), grid) == Window(96, 32, 192, 128)
    assert interpreter.network_px(Window(130, 64, 64, 64), grid) == 2 * 128**2


def test_blocks_of_the_preferred_size_share_no_patch() -> None:
    interpreter = NetworkInterpreter(make_card(patch_px=512, margin_px=64), PositionRuntime())
    grid = make_raster(2500, 1900, holes=False).grid
    block_px = interpreter.preferred_block_px(1024)

    assert block_px == 1152
    assert interpreter.preferred_block_px(10) == 384
    assert sum(interpreter.network_px(block.core, grid) for block in blocks(grid, block_px)) == interpreter.network_px(
        grid.full_window, grid
    )


# What the network is given.


def test_the_network_sees_normalised_pixels_and_the_mean_where_nothing_was_observed() -> None:
    raster = make_raster(128, 128)
    runtime = PositionRuntime()
    decide(NetworkInterpreter(make_card(), runtime), raster, raster.grid.full_window)
    (patch,) = runtime.seen

    assert not patch[:, ~raster.valid].any()
    np.testing.assert_allclose(patch[1, raster.valid], (raster.values[1, raster.valid] - 10) / 2, rtol=1e-5, atol=1e-6)


def test_a_grid_smaller_than_a_patch_is_mirrored() -> None:
    raster = make_raster(3, 128, holes=False)
    runtime = PositionRuntime()
    decide(NetworkInterpreter(make_card(), runtime), raster, raster.grid.full_window)
    (patch,) = runtime.seen

    assert np.array_equal(patch[:, 3], patch[:, 1])
    assert np.array_equal(patch[:, 4], patch[:, 0])
    assert np.array_equal(patch[:, 5], patch[:, 1])


def test_patches_without_a_valid_pixel_to_answer_are_skipped() -> None:
    raster = make_raster(256, 256, holes=False)
    raster.valid[:130] = False
    runtime = PositionRuntime()
    decision = decide(NetworkInterpreter(make_card(), runtime), raster, raster.grid.full_window)

    assert len(runtime.seen) == 2 * 4  # rows 128-191 and 192-255; four pieces of 64 px across
    assert (decision.labels[:130] == NOT_OBSERVED).all()


def test_bands_are_taken_by_name_and_a_missing_one_is_refused() -> None:
    raster = make_raster(150, 150)
    interpreter = NetworkInterpreter(make_card(), PositionRuntime())
    swapped = Raster(raster.values[::-1], raster.valid, raster.grid, BANDS[::-1])
    window = raster.grid.full_window

    assert same(interpreter.decide(raster, window, window), interpreter.decide(swapped, window, window))
    with pytest.raises(BandError, match="'blue' is needed, found red, green"):
        interpreter.decide(Raster(raster.values[:2], raster.valid, raster.grid, BANDS[:2]), window, window)


def test_a_window_that_does_not_hold_the_patches_is_refused() -> None:
    raster = make_raster(300, 300)
    core = Window(128, 128, 64, 64)
    with pytest.raises(GridError, match="read_window"):
        NetworkInterpreter(make_card(), PositionRuntime()).decide(cut(raster, core), core, core)


# What is made of its answer.


def test_not_observed_is_255_in_both_and_nowhere_else() -> None:
    raster = make_raster(200, 170)
    decision = decide(NetworkInterpreter(make_card(), PositionRuntime()), raster, raster.grid.full_window)

    assert np.array_equal(decision.labels == NOT_OBSERVED, ~raster.valid)
    assert np.array_equal(decision.confidence == NO_CONFIDENCE, ~raster.valid)
    assert set(np.unique(decision.labels)) == {2, 5, 9, NOT_OBSERVED}


def test_below_the_level_a_pixel_is_unknown_and_keeps_its_confidence() -> None:
    raster = make_raster(128, 128, holes=False)
    window = raster.grid.full_window
    sure = decide(NetworkInterpreter(make_card(), PositionRuntime()), raster, window)
    head = Head(name="land", legend=LAND, unknown_below=0.6)
    doubting = decide(NetworkInterpreter(make_card(heads=(head,)), PositionRuntime()), raster, window)

    assert np.array_equal(sure.confidence, doubting.confidence)
    unknown = doubting.labels == UNKNOWN
    assert 0 < unknown.mean() < 1
    assert sure.confidence[unknown].max() <= 0.6 * 254 + 0.5 <= sure.confidence[~unknown].min() + 1
    assert np.array_equal(sure.labels[~unknown], doubting.labels[~unknown])


def test_temperature_changes_confidence_and_not_labels() -> None:
    raster = make_raster(128, 128)
    window = raster.grid.full_window
    warm = make_card(heads=(Head(name="land", legend=LAND, temperature=2.0),))
    plain, calibrated = (
        decide(NetworkInterpreter(card, PositionRuntime()), raster, window) for card in (make_card(), warm)
    )

    assert np.array_equal(plain.labels, calibrated.labels)
    assert calibrated.confidence[raster.valid].mean() < plain.confidence[raster.valid].mean()


def test_several_heads_answer_from_one_pass_whatever_their_order() -> None:
    raster = make_raster(300, 260)
    window = raster.grid.full_window
    land, road = Head(name="land", legend=LAND), Head(name="road", legend=ROAD)

    class Swapped(PositionRuntime):
        def predict(self, batch: np.ndarray) -> np.ndarray:
            return super().predict(batch)[:, [3, 4, 0, 1, 2]]

    first, second = PositionRuntime(5), Swapped(5)
    interpreter = NetworkInterpreter(make_card(heads=(land, road)), first)
    found = interpreter.decide(raster, window, window).heads
    swapped = NetworkInterpreter(make_card(heads=(road, land)), second).decide(raster, window, window).heads

    assert list(found) == ["land", "road"]
    assert all(same(found[name], swapped[name]) for name in found)
    assert set(np.unique(found["road"].labels)) <= {0, 1, NOT_OBSERVED}
    assert len(first.seen) == len(interpreter.lattice.spans(0, 300, 300)) * len(interpreter.lattice.spans(0, 260, 260))
    assert same(interpreter.decide(raster, window, window), found["land"])  # the main one


def test_probabilities_are_quantised_sum_to_one_and_agree_with_the_decision() -> None:
    raster = make_raster(200, 170)
    window = raster.grid.full_window
    decision = NetworkInterpreter(make_card(), PositionRuntime(), probabilities=True).decide(raster, window, window)
    assert decision.probabilities is not None
    probabilities = decision.probabilities["land"]

    assert (probabilities[:, ~raster.valid] == NO_CONFIDENCE).all()
    observed = probabilities[:, raster.valid].astype(int)
    assert np.abs(observed.sum(axis=0) - 254).max() <= 2
    assert np.abs(observed.max(axis=0) - decision.confidence[raster.valid]).max() <= 1


def test_softmax_is_stable_for_large_scores() -> None:
    assert softmax(np.array([1e4, 1e4, -1e4], np.float32), 1.0) == pytest.approx([0.5, 0.5, 0])


# The seam metric.


@pytest.mark.parametrize(("margin_px", "shows"), [(0, True), (32, False)])
def test_seams_show_where_the_margin_is_narrower_than_what_the_border_spoils(margin_px: int, shows: bool) -> None:
    card = make_card(patch_px=192, margin_px=margin_px)
    metric = seam_metric(NetworkInterpreter(card, PositionRuntime(border_px=8)), make_raster(700, 760))

    assert metric.interior == 0
    assert (metric.near_seam > 0.05) == shows
    assert metric.overlap_factor > (192 / (192 - 2 * margin_px)) ** 2


def test_a_raster_too_small_for_inner_seams_is_refused() -> None:
    with pytest.raises(GridError, match="give at least 320 px"):
        seam_metric(NetworkInterpreter(make_card(), PositionRuntime()), make_raster(300, 400))


def test_the_mean_takes_the_place_of_an_optional_band_that_a_scene_lacks() -> None:
    scaling = tuple(BandScaling(name=name, mean=10.0, std=2.0, optional=name == "green") for name in BANDS)
    runtime, raster = PositionRuntime(), make_raster(128, 128, holes=False)
    without = NetworkInterpreter(make_card(bands=scaling), runtime, ("red", "blue"))
    window = raster.grid.full_window
    without.decide(raster.cut(window, ("red", "blue")), window, window)
    filled = raster.values.copy()
    filled[1] = 10.0
    NetworkInterpreter(make_card(bands=scaling), runtime).decide(
        Raster(filled, raster.valid, raster.grid, BANDS), window, window
    )
    assert np.array_equal(runtime.seen[0], runtime.seen[1])


def test_a_band_that_is_not_optional_must_be_there() -> None:
    scaling = tuple(BandScaling(name=name, mean=0, std=1, optional=name == "green") for name in BANDS)
    card = make_card(bands=scaling)
    assert card.usable_bands(("blue", "red", "nir"), "it") == ("red", "blue")
    with pytest.raises(BandError, match=r"it needs the bands red, green, blue \(optional: green\).*lack blue"):
        card.usable_bands(("red",), "it")
