from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.cube import cube_of, median_over_time
from aisf_geo.ingest.quality import SHADOW_BANDS, CloudScreen, clear, obscuring, without_shadow
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.recipe import parse_recipe

CLEAR_DATES = [
    "2016-06-16", "2016-08-05", "2017-06-06", "2017-07-06", "2018-05-22", "2018-07-01", "2019-06-16", "2019-07-06",
    "2020-05-16", "2020-06-30",
]  # fmt: skip
BANDS = ("blue", "green", "red", "nir", "swir16")
Medians = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def scenes(sample_tiles: Path) -> dict[str, Scene]:
    return {scene.id: scene for scene in open_catalog(sample_tiles / "romania").scenes()}


@pytest.fixture(scope="module")
def usual(scenes: dict[str, Scene]) -> Medians:
    cube = cube_of(list(scenes.values()), 128)
    return {band: median_over_time(cube, band, cube.grid.full_window) for band in SHADOW_BANDS}


def screened(scene: Scene, usual: Medians | None = None) -> Raster:
    raster = CloudScreen().apply(read_window(scene, BANDS, scene.grid.full_window))
    return without_shadow(raster, usual) if usual else raster


def flat(shape: tuple[int, int] = (3, 3), gsd: float = 10, **bands: float) -> Raster:
    grid = Grid("EPSG:3035", Affine(gsd, 0, 4_321_000, 0, -gsd, 3_210_000), Shape(*shape))
    values = np.stack([np.full(shape, value, np.float32) for value in bands.values()])
    return Raster(values, np.ones(shape, bool), grid, tuple(bands))


class TestRealDates:
    @pytest.mark.parametrize("date", CLEAR_DATES)
    def test_a_clear_date_is_left_almost_untouched(self, scenes: dict[str, Scene], usual: Medians, date: str) -> None:
        raster = screened(scenes[date], usual)
        assert raster.valid.mean() > 0.95

    @pytest.mark.parametrize("date", CLEAR_DATES)
    def test_no_clearing_road_or_meadow_is_taken_for_a_cloud(self, scenes: dict[str, Scene], date: str) -> None:
        assert screened(scenes[date]).valid.all()

    def test_the_cloud_of_2019_08_20_that_the_classification_missed_is_hidden_with_its_margin(
        self, scenes: dict[str, Scene], usual: Medians
    ) -> None:
        raster = screened(scenes["2019-08-20"], usual)
        assert raster.obscured is not None
        assert raster.obscured[29:46, :16].mean() > 0.95
        assert raster.valid.mean() > 0.85

    def test_the_shadow_of_that_cloud_is_found_in_the_south_east(
        self, scenes: dict[str, Scene], usual: Medians
    ) -> None:
        before, after = screened(scenes["2019-08-20"]), screened(scenes["2019-08-20"], usual)
        found = before.valid & ~after.valid
        assert found[72:96, 76:98].sum() > 30
        assert found.mean() < 0.03

    def test_the_cloud_and_shadow_of_2018_08_15_leave_little(self, scenes: dict[str, Scene], usual: Medians) -> None:
        assert read_window(scenes["2018-08-15"], BANDS, scenes["2018-08-15"].grid.full_window).valid.mean() > 0.99
        assert screened(scenes["2018-08-15"], usual).valid.mean() < 0.2

    def test_the_haze_of_2020_09_03_leaves_nothing(self, scenes: dict[str, Scene], usual: Medians) -> None:
        assert not screened(scenes["2020-09-03"], usual).valid.any()

    @pytest.mark.parametrize("date", ["2018-08-15", "2019-08-20", "2019-08-05"])
    @settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(row=st.integers(0, 99), col=st.integers(0, 99), height=st.integers(1, 60), width=st.integers(1, 60))
    def test_what_is_hidden_does_not_depend_on_the_window(
        self, scenes: dict[str, Scene], usual: Medians, date: str, row: int, col: int, height: int, width: int
    ) -> None:
        scene, screen = scenes[date], CloudScreen()
        core = Window(row, col, min(height, 100 - row), min(width, 100 - col))
        read = core.padded(screen.halo_px(scene.grid), scene.grid.shape)
        raster = screen.apply(read_window(scene, BANDS, read))
        raster = without_shadow(raster, {band: layer[read.slices] for band, layer in usual.items()})
        part, whole = raster.cut(core.relative_to(read), BANDS), screened(scene, usual)
        assert np.array_equal(part.valid, whole.valid[core.slices])
        assert part.obscured is not None
        assert whole.obscured is not None
        assert np.array_equal(part.obscured, whole.obscured[core.slices])

    @pytest.mark.parametrize(
        ("item", "method"),
        [
            pytest.param("bigearthnet/S2B_MSIL2A_20170924T93020_69_24", "water", id="autumn forest"),
            pytest.param(
                "bigearthnet/S2B_MSIL2A_20180204T94161_57_38", "snow", id="snow, which is as bright and white"
            ),
            pytest.param("chile/scene", "vegetation", id="steppe under an uncorrected atmosphere"),
        ],
    )
    def test_a_clear_scene_of_another_place_is_not_called_cloud_by_a_run_with_default_settings(
        self, sample_tiles: Path, item: str, method: str
    ) -> None:
        source = {"path": str(sample_tiles / f"{item}.json"), "licence": "x", "attribution": "x"}
        recipe = parse_recipe({"name": "one", "title": "one", "sources": [source], "segment": {"method": method}})
        (planned,) = plan_run(recipe).items
        assert planned.view.load(("red",), planned.grid.full_window).valid.mean() > 0.95


class TestCloudScreenByHand:
    @pytest.mark.parametrize(
        ("blue", "green", "red", "cloud"),
        [
            pytest.param(0.5, 0.5, 0.5, True, id="thick cloud"),
            pytest.param(0.13, 0.14, 0.12, True, id="haze"),
            pytest.param(0.02, 0.04, 0.02, False, id="forest"),
            pytest.param(0.05, 0.08, 0.10, False, id="bare soil"),
            pytest.param(0.22, 0.32, 0.45, False, id="bright sand"),
            pytest.param(0.12, 0.06, 0.02, False, id="blue roof or clear water"),
            pytest.param(0.0, 0.0, 0.0, False, id="black"),
        ],
    )
    def test_a_cloud_is_bright_and_white(self, blue: float, green: float, red: float, cloud: bool) -> None:
        raster = CloudScreen().apply(flat(blue=blue, green=green, red=red))
        assert (not raster.valid.any()) == cloud

    @pytest.mark.parametrize(("white", "cloud"), [(5, False), (6, True)])
    def test_fewer_than_six_of_nine_white_pixels_are_a_roof_or_a_road(self, white: int, cloud: bool) -> None:
        raster = flat((9, 9), blue=0.02, green=0.02, red=0.02)
        places = [(4, 4), (4, 3), (4, 5), (3, 4), (5, 4), (3, 3)][:white]
        for row, col in places:
            raster.values[:, row, col] = 0.5
        assert (not CloudScreen().apply(raster).valid.all()) == cloud

    def test_a_cloud_is_grown_by_the_distance_asked_for(self) -> None:
        raster = flat((41, 41), blue=0.02, green=0.02, red=0.02)
        raster.values[:, 19:22, 19:22] = 0.5
        # Of the 3 x 3 only the centre and the middles of the sides have six white neighbours: a cross.
        expected = np.zeros((41, 41), bool)
        for row, col in ((20, 20), (19, 20), (21, 20), (20, 19), (20, 21)):
            expected[row - 3 : row + 4, col - 3 : col + 4] = True
        after = CloudScreen(grow_m=30).apply(raster)
        assert after.obscured is not None
        assert np.array_equal(after.obscured, expected)
        assert np.array_equal(after.valid, ~expected)

    @pytest.mark.parametrize(("gsd", "halo_px"), [(10, 9), (20, 5), (30, 4), (200, 1)])
    def test_the_halo_is_the_growth_and_one_pixel_more(self, gsd: float, halo_px: int) -> None:
        assert CloudScreen().halo_px(flat(gsd=gsd, blue=0.1).grid) == halo_px

    def test_unobserved_pixels_make_no_cloud_and_are_not_called_one(self) -> None:
        raster = flat((5, 5), blue=0.5, green=0.5, red=0.5)
        unseen = Raster(raster.values * np.nan, np.zeros((5, 5), bool), raster.grid, raster.bands)
        after = CloudScreen().apply(unseen)
        assert after.obscured is not None
        assert not after.obscured.any()


class TestShadowByHand:
    USUAL = {"nir": np.full((3, 3), 0.30, np.float32), "swir16": np.full((3, 3), 0.16, np.float32)}  # noqa: RUF012

    @pytest.mark.parametrize(
        ("nir", "swir16", "shadow"),
        [
            pytest.param(0.15, 0.08, True, id="shadow: both dark"),
            pytest.param(0.25, 0.29, False, id="felled: bright in the short-wave infrared"),
            pytest.param(0.15, 0.20, False, id="burned: dark in the near infrared only"),
            pytest.param(0.32, 0.09, False, id="wet: dark in the short-wave infrared only"),
            pytest.param(0.30, 0.16, False, id="as usual"),
        ],
    )
    def test_a_shadow_is_dark_in_both_bands(self, nir: float, swir16: float, shadow: bool) -> None:
        raster = without_shadow(flat(nir=nir, swir16=swir16), self.USUAL)
        assert (not raster.valid.any()) == shadow

    def test_where_nothing_is_usual_nothing_is_a_shadow(self) -> None:
        nowhere = {band: np.full((3, 3), np.nan, np.float32) for band in SHADOW_BANDS}
        assert without_shadow(flat(nir=0.01, swir16=0.01), nowhere).valid.all()


def test_hidden_pixels_join_those_hidden_before() -> None:
    raster = flat((1, 3), red=1.0)
    raster = Raster(
        raster.values, np.array([[False, True, True]]), raster.grid, raster.bands, np.array([[True, False, False]])
    )
    after = obscuring(raster, np.array([[False, True, False]]))
    assert after.valid.tolist() == [[False, False, True]]
    assert after.obscured is not None
    assert after.obscured.tolist() == [[True, True, False]]


@pytest.mark.parametrize("scheme", ["scl", "qa_pixel"])
def test_clear_has_the_shape_of_its_codes(scheme: str) -> None:
    assert clear(np.zeros((2, 5), np.uint16), scheme).shape == (2, 5)  # type: ignore[arg-type]
