from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import BandError, UsageError
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.quality import obscuring
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene
from aisf_geo.segment.interpreter import ClassMap
from aisf_geo.segment.spectral import (
    BIN_EDGES,
    BINS,
    METHODS,
    Index,
    SpectralInterpreter,
    Threshold,
    automatic_threshold,
    count_index,
    fit,
    method,
    normalised_difference,
    supported_by_square,
)

INDEX = Index("X", "a", "b", 0.3, (0.0, 0.6), "by hand")


def raster_of(gsd: float = 10, **bands: object) -> Raster:
    layers = [np.atleast_2d(np.asarray(layer, np.float32)) for layer in bands.values()]
    values = np.stack(np.broadcast_arrays(*layers)).astype(np.float32)
    grid = Grid("EPSG:3035", Affine(gsd, 0, 4_321_000, 0, -gsd, 3_210_000), Shape(*values.shape[1:]))
    return Raster(values, np.isfinite(values).all(axis=0), grid, tuple(bands))


def interpreter_of(name: str, bands: tuple[str, ...], threshold: float | None = None) -> SpectralInterpreter:
    chosen, index, fixed = fit(name, bands, threshold)
    return SpectralInterpreter(chosen, index, fixed or Threshold(index.default, "default", "by hand"))


def decided(interpreter: SpectralInterpreter, raster: Raster, block_px: int = 4096) -> ClassMap:
    """All of a raster, block by block, each from the pixels the interpreter asks for and no others."""
    labels, confidence = (np.zeros(raster.valid.shape, np.uint8) for _ in range(2))
    for block in blocks(raster.grid, block_px):
        read = interpreter.read_window(block.core, raster.grid)
        part = interpreter.decide(raster.cut(read, interpreter.bands), read, block.core)
        labels[block.core.slices], confidence[block.core.slices] = part.labels, part.confidence
    return ClassMap(labels, confidence)


def read_all(scene: Scene) -> Raster:
    return read_window(scene, scene.band_names, scene.grid.full_window)


def interpreted(tile: Path, name: str, threshold: float | None = None) -> tuple[SpectralInterpreter, Raster, ClassMap]:
    raster = read_all(open_catalog(tile).scenes()[0])
    chosen, index, fixed = fit(name, raster.bands, threshold)
    interpreter = SpectralInterpreter(chosen, index, fixed or automatic_threshold(index, count_index(index, raster)))
    return interpreter, raster, decided(interpreter, raster)


class TestIndexByHand:
    @pytest.mark.parametrize(
        ("a", "b", "value"),
        [(3, 1, 0.5), (1, 3, -0.5), (5, 5, 0.0), (7, 0, 1.0), (0, 7, -1.0), (0.3, 0.1, 0.5)],
    )
    def test_it_is_difference_over_sum(self, a: float, b: float, value: float) -> None:
        assert INDEX(raster_of(a=a, b=b)).item() == pytest.approx(value)

    @pytest.mark.parametrize(("a", "b"), [(0, 0), (-0.02, 0.01), (-0.1, -0.2)])
    def test_where_the_sum_is_not_positive_there_is_no_index(self, a: float, b: float) -> None:
        assert np.isnan(INDEX(raster_of(a=a, b=b))).all()

    def test_a_slightly_negative_reflectance_cannot_leave_the_range(self) -> None:
        assert INDEX(raster_of(a=0.1, b=-0.01)).item() == 1.0

    @given(a=st.floats(-1, 2, width=32), b=st.floats(-1, 2, width=32))
    def test_it_lies_in_minus_one_to_one_and_swapping_the_bands_turns_its_sign(self, a: float, b: float) -> None:
        one, other = np.array([[a]], np.float32), np.array([[b]], np.float32)
        value = normalised_difference(one, other)
        assert np.isnan(value).all() or (np.abs(value) <= 1).all()
        assert np.array_equal(value, -normalised_difference(other, one), equal_nan=True)

    @pytest.mark.parametrize(
        ("name", "bands", "index"),
        [
            ("water", ("green", "nir", "swir16"), "MNDWI"),
            ("water", ("blue", "green", "red", "nir"), "NDWI"),
            ("vegetation", ("red", "nir"), "NDVI"),
            ("snow", ("green", "nir", "swir16"), "NDSI"),
            ("built-up", ("green", "red", "nir", "swir16"), "NDBI"),
            ("burn", ("green", "nir", "swir22"), "-NBR"),
        ],
    )
    def test_the_preferred_index_the_bands_allow_is_used(self, name: str, bands: tuple[str, ...], index: str) -> None:
        assert method(name).index_for(bands).name == index

    @pytest.mark.parametrize("name", METHODS)
    def test_every_default_lies_where_an_automatic_threshold_may(self, name: str) -> None:
        for index in METHODS[name].indices:
            assert index.window[0] <= index.default <= index.window[1]


class TestMissingBands:
    @pytest.mark.parametrize(
        ("name", "needed"),
        [
            ("water", "green, swir16 or green, nir"),
            ("vegetation", "nir, red"),
            ("snow", "green, swir16, nir"),
            ("built-up", "swir16, nir, red, green"),
            ("burn", "swir22, nir, green"),
        ],
    )
    def test_the_error_names_what_is_needed_what_the_tile_has_and_the_remedy(
        self, sample_tiles: Path, name: str, needed: str
    ) -> None:
        scene = open_catalog(sample_tiles / "rotterdam/port_rgb.json").scenes()[0]
        with pytest.raises(BandError) as caught:
            fit(name, scene.band_names, None)
        assert f"method {name!r} needs the bands {needed}; found red, green, blue." in str(caught.value)
        assert "--bands" in str(caught.value)

    def test_a_method_nobody_knows_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(UsageError, match="asked for 'lava', known are water, vegetation"):
            method("lava")


#: Reflectances of plain ground, rounded from spectral libraries: green, red, nir, swir16, swir22.
SPECTRA = {
    "clear water": (0.06, 0.04, 0.02, 0.01, 0.005),
    "fresh snow": (0.90, 0.88, 0.80, 0.10, 0.08),
    "forest": (0.04, 0.02, 0.35, 0.17, 0.08),
    "crop": (0.08, 0.05, 0.45, 0.25, 0.12),
    "dry bare soil": (0.12, 0.16, 0.24, 0.33, 0.30),
    "concrete": (0.20, 0.22, 0.25, 0.30, 0.28),
    "fresh char": (0.05, 0.05, 0.08, 0.14, 0.20),
}
EXPECTED = {
    # Snow passes the preferred water index as well: the snow method is there to tell.
    "water": {"clear water", "fresh snow"},
    "vegetation": {"forest", "crop"},
    "snow": {"fresh snow"},
    # Zha's index cannot tell dry soil from roofs, nor Key and Benson's from char.
    "built-up": {"dry bare soil", "concrete"},
    "burn": {"fresh char", "dry bare soil"},
}


class TestPlainGround:
    @pytest.mark.parametrize("name", ["water", "vegetation", "snow", "built-up", "burn"])
    def test_a_method_finds_its_ground_by_the_published_threshold(self, name: str) -> None:
        layers = dict(zip(("green", "red", "nir", "swir16", "swir22"), np.transpose([*SPECTRA.values()]), strict=True))
        raster = raster_of(**layers)
        labels = decided(interpreter_of(name, raster.bands), raster).labels[0]
        found = {ground for ground, label in zip(SPECTRA, labels, strict=True) if label == 1}
        assert found == EXPECTED[name]
        assert set(labels.tolist()) == {0, 1}

    def test_water_is_not_called_snow_though_it_passes_the_snow_index(self) -> None:
        raster = raster_of(green=[0.06, 0.9], nir=[0.02, 0.8], swir16=[0.01, 0.1])
        interpreter = interpreter_of("snow", raster.bands)
        assert (interpreter.index(raster) > interpreter.threshold.value).all()
        assert decided(interpreter, raster).labels.tolist() == [[0, 1]]

    def test_a_red_tree_crown_is_not_called_built_up(self) -> None:
        raster = raster_of(green=[0.05], red=[0.05], nir=[0.20], swir16=[0.22])
        assert decided(interpreter_of("built-up", raster.bands), raster).labels.item() == 0


class TestCodes:
    def test_unobserved_is_255_undecided_254_and_the_rest_0_or_1(self) -> None:
        raster = raster_of(nir=[np.nan, 0.0, 0.5, 0.1], red=[0.1, 0.0, 0.1, 0.5])
        decision = decided(interpreter_of("vegetation", raster.bands), raster)
        assert decision.labels.tolist() == [[255, 254, 1, 0]]
        assert decision.confidence[0, 0] == 255
        assert decision.confidence[0, 1] == 0

    def test_an_obscured_pixel_is_not_observed_though_it_has_numbers(self) -> None:
        raster = obscuring(raster_of(nir=[0.5, 0.5], red=[0.1, 0.1]), np.array([[True, False]]))
        assert decided(interpreter_of("vegetation", raster.bands), raster).labels.tolist() == [[255, 1]]

    def test_confidence_is_a_half_at_the_threshold_and_grows_with_the_distance(self) -> None:
        nir = np.array([0.4, 0.45, 0.5, 0.6, 1.0]) * 0.5 + 0.5
        raster = raster_of(nir=nir, red=1 - nir)
        confidence = decided(interpreter_of("vegetation", raster.bands, 0.4), raster).confidence[0].astype(int)
        assert confidence[0] == pytest.approx(127, abs=1)
        assert confidence[1] == pytest.approx(254 / (1 + np.exp(-1)), abs=1)
        assert (np.diff(confidence) >= 0).all()
        assert confidence[-1] == 254

    def test_the_confidence_is_the_same_on_both_sides_of_the_threshold(self) -> None:
        nir = np.array([0.3, 0.5]) * 0.5 + 0.5
        raster = raster_of(nir=nir, red=1 - nir)
        decision = decided(interpreter_of("vegetation", raster.bands, 0.4), raster)
        assert decision.labels.tolist() == [[0, 1]]
        assert decision.confidence[0, 0] == decision.confidence[0, 1]

    def test_the_index_must_lie_above_the_threshold_not_on_it(self) -> None:
        raster = raster_of(nir=[3.0], red=[1.0])
        assert decided(interpreter_of("vegetation", raster.bands, 0.5), raster).labels.item() == 0

    def test_the_version_tells_index_and_threshold(self) -> None:
        assert interpreter_of("water", ("green", "nir"), 0.25).version == "NDWI>0.250000"


def histogram(*modes: tuple[float, float, int]) -> np.ndarray:
    rng = np.random.default_rng(7)
    values = np.concatenate([rng.normal(mean, width, count) for mean, width, count in modes])
    return np.histogram(np.clip(values, -1, 1), BIN_EDGES)[0].astype(np.int64)


class TestAutomaticThreshold:
    @pytest.mark.parametrize(
        "modes",
        [
            pytest.param([(-0.5, 0.1, 50_000)], id="one mode below the window"),
            pytest.param([(0.3, 0.1, 50_000)], id="one mode inside the window"),
            pytest.param([(-0.1, 0.3, 50_000)], id="one broad mode whose flank lies in the window"),
            pytest.param([(0.8, 0.05, 50_000)], id="one mode above the window"),
            pytest.param([(-0.5, 0.1, 50_000), (0.8, 0.05, 200)], id="a second mode of less than half a percent"),
            pytest.param([(-0.5, 0.1, 200), (0.8, 0.05, 50_000)], id="a first mode of less than half a percent"),
            pytest.param([(-0.5, 0.1, 50_000), (-0.1, 0.03, 20_000)], id="two modes below the window"),
        ],
    )
    def test_a_scene_without_two_modes_around_the_window_gets_the_published_default(
        self, modes: list[tuple[float, float, int]]
    ) -> None:
        threshold = automatic_threshold(INDEX, histogram(*modes))
        assert (threshold.value, threshold.rule) == (INDEX.default, "default")
        assert "by hand" in threshold.reason

    @pytest.mark.parametrize(
        ("low", "high"),
        [((-0.4, 0.12, 50_000), (0.6, 0.12, 20_000)), ((-0.2, 0.1, 9_000), (0.5, 0.1, 40_000))],
    )
    def test_between_two_modes_it_is_the_valley(
        self, low: tuple[float, float, int], high: tuple[float, float, int]
    ) -> None:
        threshold = automatic_threshold(INDEX, histogram(low, high))
        assert threshold.rule == "valley"
        assert INDEX.window[0] <= threshold.value <= INDEX.window[1]
        assert low[0] + 2 * low[1] < threshold.value < high[0] - 2 * high[1] + 0.1

    @given(
        low=st.floats(-0.9, -0.1), high=st.floats(0.4, 0.9), width=st.floats(0.02, 0.08),
        shares=st.tuples(st.integers(500, 50_000), st.integers(500, 50_000)),
    )  # fmt: skip
    def test_whatever_the_scene_it_lies_in_the_window_or_is_the_default(
        self, low: float, high: float, width: float, shares: tuple[int, int]
    ) -> None:
        threshold = automatic_threshold(INDEX, histogram((low, width, shares[0]), (high, width, shares[1])))
        assert threshold.rule == "default" or INDEX.window[0] <= threshold.value <= INDEX.window[1]

    def test_two_modes_far_apart_are_cut_clear_of_both(self) -> None:
        threshold = automatic_threshold(INDEX, histogram((-0.3, 0.03, 30_000), (0.7, 0.03, 10_000)))
        assert threshold.rule == "valley"
        assert -0.15 < threshold.value < 0.55

    def test_a_scene_without_any_pixel_gets_the_default(self) -> None:
        assert automatic_threshold(INDEX, np.zeros(BINS, np.int64)).rule == "default"

    def test_a_scene_ten_times_as_large_gets_the_same_threshold(self) -> None:
        counts = histogram((-0.4, 0.12, 50_000), (0.6, 0.12, 20_000))
        assert automatic_threshold(INDEX, counts) == automatic_threshold(INDEX, counts * 10)

    def test_a_threshold_the_user_fixed_is_taken_as_it_is(self) -> None:
        _, _, threshold = fit("water", ("green", "nir"), 0.123)
        assert threshold is not None
        assert (threshold.value, threshold.rule) == (0.123, "fixed")


class TestHistogram:
    def test_only_valid_pixels_with_an_index_are_counted(self) -> None:
        raster = obscuring(
            raster_of(a=[3.0, 0.0, 3.0, np.nan], b=[1.0, 0.0, 1.0, 1.0]), np.array([[True, False, False, False]])
        )
        counts = count_index(INDEX, raster)
        assert counts.sum() == 1
        assert BIN_EDGES[np.argmax(counts)] <= 0.5 < BIN_EDGES[np.argmax(counts) + 1]

    def test_the_extremes_are_counted(self) -> None:
        assert count_index(INDEX, raster_of(a=[1.0, 0.0], b=[0.0, 1.0]))[[0, -1]].tolist() == [1, 1]

    @pytest.mark.parametrize("tile", ["rotterdam/ms2", "romania/2019-08-05"])
    @settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(block_px=st.integers(16, 310))
    def test_histograms_of_blocks_add_up_to_that_of_the_whole(
        self, sample_tiles: Path, tile: str, block_px: int
    ) -> None:
        raster = read_all(open_catalog(sample_tiles / f"{tile}.json").scenes()[0])
        index = method("water").index_for(raster.bands)
        parts = [count_index(index, raster.cut(b.core, raster.bands)) for b in blocks(raster.grid, block_px)]
        assert np.array_equal(np.sum(parts, axis=0), count_index(index, raster))


class TestSupport:
    """At 1 m a water body must nearly fill a square of 9 m somewhere."""

    @pytest.mark.parametrize(
        ("gsd", "side_px"), [(1, 9), (1.00005, 9), (0.5, 17), (2, 5), (3, 3), (4.5, 1), (9, 1), (10, 1), (30, 1)]
    )
    def test_the_square_is_odd_and_at_most_a_pixel_wider_than_the_narrowest_body(
        self, gsd: float, side_px: int
    ) -> None:
        grid = raster_of(gsd=gsd, green=0.1).grid
        interpreter = interpreter_of("water", ("green", "nir"))
        core = Window(0, 0, 1, 1)
        wide = Grid(grid.crs, grid.transform, Shape(200, 200))
        assert interpreter.read_window(core, wide) == core.padded(side_px - 1, wide.shape)

    def test_a_pond_stays_and_a_ditch_goes(self) -> None:
        passed = np.zeros((30, 30), bool)
        passed[2:14, 2:14] = True
        passed[20:23, :] = True
        kept = supported_by_square(passed, np.ones_like(passed), 9)
        assert kept[2:14, 2:14].all()
        assert not kept[20:23].any()

    def test_a_boat_on_the_pond_does_not_drain_it_and_is_no_water(self) -> None:
        passed = np.ones((20, 20), bool)
        passed[9:11, 9:12] = False
        assert np.array_equal(supported_by_square(passed, np.ones_like(passed), 9), passed)

    def test_a_pond_cut_by_the_edge_of_the_image_or_by_nodata_stays(self) -> None:
        passed = np.zeros((20, 20), bool)
        passed[:12, :12] = True
        valid = np.ones_like(passed)
        valid[:, :3] = False
        passed &= valid
        assert supported_by_square(passed, valid, 9)[:12, 3:12].all()

    def test_what_is_not_observed_counts_neither_way_even_where_it_has_numbers(self) -> None:
        """Under cloud the numbers stay in the raster: they must not help a ditch to look like a pond."""
        green = np.full((30, 30), 0.02)
        green[14:17, :] = 0.30
        hidden = np.zeros((30, 30), bool)
        hidden[5:14, :], green[5:14, :] = True, 0.30
        known = raster_of(gsd=1, green=green, nir=0.05)
        clouded = obscuring(known, hidden)
        blank = Raster(np.where(hidden, np.nan, known.values), clouded.valid, known.grid, known.bands, clouded.obscured)
        interpreter = interpreter_of("water", known.bands)
        assert np.array_equal(decided(interpreter, clouded).labels, decided(interpreter, blank).labels)

    def test_what_the_surroundings_overrule_is_as_sure_as_a_coin(self) -> None:
        green = np.full((30, 30), 0.02)
        green[14:17, :] = 0.50
        decision = decided(interpreter_of("water", ("green", "nir")), raster_of(gsd=1, green=green, nir=0.05))
        assert set(decision.labels[15].tolist()) == {0}
        assert set(decision.confidence[15].tolist()) == {127}

    @given(
        seed=st.integers(0, 99), side_px=st.sampled_from([3, 5, 9]),
        row=st.integers(0, 39), col=st.integers(0, 39), height=st.integers(1, 40), width=st.integers(1, 40),
    )  # fmt: skip
    def test_a_window_with_its_margin_is_the_same_part_of_the_whole(
        self, seed: int, side_px: int, row: int, col: int, height: int, width: int
    ) -> None:
        rng = np.random.default_rng(seed)
        valid = rng.random((40, 40)) > 0.1
        passed = (rng.random((40, 40)) > 0.25) & valid
        core = Window(row, col, min(height, 40 - row), min(width, 40 - col))
        read = core.padded(side_px - 1, Shape(40, 40))
        part = supported_by_square(passed[read.slices], valid[read.slices], side_px)[core.relative_to(read).slices]
        assert np.array_equal(part, supported_by_square(passed, valid, side_px)[core.slices])


class TestStitchedEqualsWhole:
    @pytest.mark.parametrize(
        ("tile", "name"),
        [
            ("rotterdam/ms2", "water"),
            ("rotterdam/ms3", "water"),
            ("rotterdam/ms1", "vegetation"),
            ("romania/2019-08-05", "vegetation"),
            ("chile/scene", "built-up"),
            ("bigearthnet/S2B_MSIL2A_20180204T94161_57_38", "snow"),
        ],
    )
    @settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(block_px=st.integers(24, 200))
    def test_labels_and_confidence_do_not_depend_on_the_block(
        self, sample_tiles: Path, tile: str, name: str, block_px: int
    ) -> None:
        interpreter, raster, whole = interpreted(sample_tiles / f"{tile}.json", name)
        stitched = decided(interpreter, raster, block_px)
        assert np.array_equal(stitched.labels, whole.labels)
        assert np.array_equal(stitched.confidence, whole.confidence)

    def test_the_two_halves_of_great_salt_lake_mosaicked_are_the_whole(self, sample_tiles: Path) -> None:
        place = sample_tiles / "great_salt_lake"
        maps = {n: interpreted(place / f"{n}.json", "water", 0.0)[2] for n in ("scene", "west", "east")}
        scene, west, east = (maps[name].labels for name in ("scene", "west", "east"))
        assert np.array_equal(scene[:, :576], west)
        assert np.array_equal(scene[:, 448:], east)
        mosaic = np.full_like(scene, 255)
        mosaic[:, :576] = west
        mosaic[:, 448:] = np.where(mosaic[:, 448:] == 255, east, mosaic[:, 448:])
        assert np.array_equal(mosaic, scene)


class TestRealTiles:
    def test_the_water_of_the_port_is_found_and_its_nodata_wedge_is_not_observed(self, sample_tiles: Path) -> None:
        interpreter, raster, decision = interpreted(sample_tiles / "rotterdam/ms2.json", "water")
        assert interpreter.threshold.rule == "valley"
        assert np.array_equal(decision.labels == 255, ~raster.valid)
        assert np.array_equal(decision.confidence == 255, ~raster.valid)
        with rasterio.open(sample_tiles / "rotterdam/ms2.tif") as dataset:
            nir = dataset.read(4)
        water = decision.labels == 1
        assert 0.6 < water[raster.valid].mean() < 0.7
        assert water[110:170, 10:290].all(), "the open basin"
        assert not water[245:, :80].any(), "the halls on the quay"
        # Its origin says: water has very low NIR, about 14.
        assert np.median(nir[water]) < 20
        assert np.median(nir[decision.labels == 0]) > 100

    @pytest.mark.parametrize(
        ("tile", "largest_share"), [("rotterdam/ms1", 0.001), ("rotterdam/ms3", 0.02), ("chile/scene", 0.001)]
    )
    def test_where_there_is_no_water_the_answer_is_none_here(
        self, sample_tiles: Path, tile: str, largest_share: float
    ) -> None:
        _, raster, decision = interpreted(sample_tiles / f"{tile}.json", "water")
        assert (decision.labels == 1).sum() / raster.valid.sum() < largest_share

    def test_shadows_of_the_houses_pass_the_index_and_are_left_out_for_being_narrow(self, sample_tiles: Path) -> None:
        interpreter, raster, decision = interpreted(sample_tiles / "rotterdam/ms1.json", "water")
        assert (interpreter.index(raster) > interpreter.threshold.value).mean() > 0.005
        assert (decision.labels == 1).mean() < 0.001

    def test_a_forest_is_vegetation_before_and_a_clearing_is_not_after(self, sample_tiles: Path) -> None:
        tiles = [sample_tiles / f"romania/{date}.json" for date in ("2016-06-16", "2019-06-16")]
        before, after = (interpreted(tile, "vegetation", 0.82)[2].labels for tile in tiles)
        assert (before == 1).mean() > 0.85
        assert ((before == 1) & (after == 0)).mean() > 0.05

    def test_ground_under_snow_is_snow_and_the_same_land_in_autumn_is_not(self, sample_tiles: Path) -> None:
        tiles = ["S2B_MSIL2A_20180204T94161_57_38", "S2B_MSIL2A_20170924T93020_69_24"]
        winter, autumn = (interpreted(sample_tiles / f"bigearthnet/{t}.json", "snow")[2].labels for t in tiles)
        assert (winter == 1).mean() > 0.95
        assert (autumn == 1).mean() < 0.01

    def test_the_lake_in_the_autumn_forest_is_water(self, sample_tiles: Path) -> None:
        tile = sample_tiles / "bigearthnet/S2B_MSIL2A_20170924T93020_69_24.json"
        _, raster, decision = interpreted(tile, "water")
        water = decision.labels == 1
        assert 0.02 < water.mean() < 0.9
        assert raster.band("nir")[water].mean() < 0.05 < raster.band("nir")[decision.labels == 0].mean()


def test_an_interpreter_is_a_value_that_travels_to_workers() -> None:
    import pickle

    interpreter = interpreter_of("snow", ("green", "nir", "swir16"))
    assert pickle.loads(pickle.dumps(interpreter)) == interpreter  # noqa: S301 - our own bytes
    assert replace(interpreter, threshold=Threshold(0.1, "fixed", "")) != interpreter
