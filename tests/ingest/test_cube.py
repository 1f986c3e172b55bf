from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from affine import Affine

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.cube import CubeSource, cube_of, median_over_time
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene

WriteTif = Callable[..., Path]
BANDS = ("blue", "green", "red", "nir", "swir16")


@pytest.fixture(scope="module")
def romania(sample_tiles: Path) -> tuple[Scene, ...]:
    return tuple(open_catalog(sample_tiles / "romania").scenes())


@pytest.fixture(scope="module")
def cube(romania: tuple[Scene, ...]) -> CubeSource:
    return cube_of(romania, 128)


def assert_same_pixels(cube: CubeSource, scene: Scene, bands: tuple[str, ...], window: Window) -> None:
    lazy, direct = cube.window(scene, bands, window), read_window(scene, bands, window, cube.grid)
    assert lazy.bands == direct.bands
    assert lazy.grid.same_pixels(direct.grid)
    assert np.array_equal(lazy.valid, direct.valid)
    assert np.array_equal(lazy.values, direct.values, equal_nan=True)
    if direct.obscured is None:
        assert lazy.obscured is None
    else:
        assert lazy.obscured is not None
        assert np.array_equal(lazy.obscured, direct.obscured)


class TestRomania:
    def test_every_date_equals_the_windowed_read_pixel_for_pixel(
        self, cube: CubeSource, romania: tuple[Scene, ...]
    ) -> None:
        for scene in romania:
            assert_same_pixels(cube, scene, BANDS, cube.grid.full_window)

    @pytest.mark.parametrize("window", [Window(0, 0, 1, 1), Window(31, 17, 40, 83), Window(99, 0, 1, 100)])
    @pytest.mark.parametrize("chunk_px", [16, 50])
    def test_neither_window_nor_chunk_changes_a_pixel(
        self, romania: tuple[Scene, ...], window: Window, chunk_px: int
    ) -> None:
        assert_same_pixels(cube_of(romania[8:11], chunk_px), romania[9], ("nir", "red"), window)

    def test_the_median_is_over_the_dates_on_which_a_pixel_was_seen(
        self, cube: CubeSource, romania: tuple[Scene, ...]
    ) -> None:
        window = Window(20, 30, 30, 30)
        stack = np.stack([read_window(scene, ("nir",), window).band("nir") for scene in romania])
        assert np.isnan(stack).any()
        expected = np.nanmedian(stack, axis=0).astype(np.float32)
        assert np.array_equal(median_over_time(cube, "nir", window), expected)


@pytest.fixture
def write_series(write_tif: WriteTif, tmp_path: Path) -> Callable[..., list[Scene]]:
    """Scenes of one tiny asset each, with the transform, numbers and quality band of every date."""

    def write(
        *numbers: np.ndarray[Any, Any],
        transforms: tuple[Affine, ...] = (),
        nodata: float | None = None,
        quality: tuple[str, np.ndarray[Any, Any]] | None = None,
    ) -> list[Scene]:
        scenes = []
        for i, layer in enumerate(numbers):
            place = {"transform": transforms[i]} if transforms else {}
            path = write_tif(f"{i}.tif", layer, nodata=nodata, names=("red",), **place)
            assets: dict[str, Any] = {"red": {"href": f"./{path.name}", "roles": ["data"]}}
            if quality:
                write_tif(f"{i}_quality.tif", quality[1], **place)
                assets[quality[0]] = {"href": f"./{i}_quality.tif", "roles": ["data-mask"]}
            grid = open_catalog(path).scenes()[0].grid
            item = {
                "type": "Feature", "stac_version": "1.1.0", "id": f"date-{i}", "links": [], "assets": assets,
                "geometry": {"type": "Polygon", "coordinates": [[[2, 51], [4, 51], [4, 52], [2, 52], [2, 51]]]},
                "bbox": [2, 51, 4, 52],
                "properties": {
                    "datetime": f"2020-01-0{i + 1}T00:00:00Z", "proj:code": grid.crs,
                    "proj:shape": list(grid.shape), "proj:transform": list(grid.transform)[:6],
                },
                "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
            }  # fmt: skip
            item_path = tmp_path / f"date-{i}.json"
            item_path.write_text(json.dumps(item))
            scenes += open_catalog(item_path).scenes()
        return scenes

    return write


class TestSmallSeries:
    def test_a_scene_on_another_grid_is_observed_only_inside_its_footprint(
        self, write_series: Callable[..., list[Scene]]
    ) -> None:
        here = Affine(10, 0, 500_000, 0, -10, 5_700_000)
        numbers = np.full((8, 8), 700, np.uint16)
        scenes = write_series(numbers, numbers, transforms=(here, here @ Affine.translation(4, 0)), nodata=0)
        raster = cube_of(scenes, 64).window(scenes[1], ("red",), scenes[0].grid.full_window)
        assert raster.valid[:, 4:].all()
        assert not raster.valid[:, :4].any()

    def test_without_nodata_too_nothing_is_observed_outside_the_footprint(
        self, write_series: Callable[..., list[Scene]]
    ) -> None:
        here = Affine(10, 0, 500_000, 0, -10, 5_700_000)
        numbers = np.full((8, 8), 700, np.uint16)
        scenes = write_series(numbers, numbers, transforms=(here, here @ Affine.translation(4, 0)))
        raster = cube_of(scenes, 64).window(scenes[1], ("red",), scenes[0].grid.full_window)
        assert raster.valid[:, 4:].all()
        assert not raster.valid[:, :4].any()

    def test_landsat_quality_hides_cloud_as_a_windowed_read_does(
        self, write_series: Callable[..., list[Scene]]
    ) -> None:
        codes = np.full((4, 4), 21824, np.uint16)
        codes[0] = 22280
        scenes = write_series(np.full((4, 4), 9000, np.uint16), quality=("qa_pixel", codes))
        assert_same_pixels(cube_of(scenes, 64), scenes[0], ("red",), scenes[0].grid.full_window)

    def test_quality_codes_are_never_interpolated(self, write_series: Callable[..., list[Scene]]) -> None:
        """Between water (6) and snow (11) interpolation would invent cloud (8)."""
        here = Affine(10, 0, 500_000, 0, -10, 5_700_000)
        numbers, codes = np.full((8, 8), 700, np.uint16), np.full((8, 8), 6, np.uint8)
        codes[:, 4:] = 11
        moved = here @ Affine.translation(-0.4, -0.4)
        scenes = write_series(numbers, numbers, transforms=(here, moved), quality=("scl", codes))
        raster = cube_of(scenes, 64).window(scenes[1], ("red",), Window(0, 0, 6, 6))
        assert raster.valid.all()

    def test_nodata_and_zeros_are_told_apart(self, write_series: Callable[..., list[Scene]]) -> None:
        scenes = write_series(np.array([[0, 5], [9, 0]], np.uint16), nodata=9)
        assert_same_pixels(cube_of(scenes, 64), scenes[0], ("red",), scenes[0].grid.full_window)

    def test_where_no_date_was_seen_nothing_is_usual(self, write_series: Callable[..., list[Scene]]) -> None:
        scenes = write_series(np.array([[9, 5]], np.uint16), np.array([[9, 7]], np.uint16), nodata=9)
        median = median_over_time(cube_of(scenes, 64), "red", Window(0, 0, 1, 2))
        assert np.isnan(median[0, 0])
        assert median[0, 1] == 6

    def test_a_broken_file_is_unreadable_and_names_the_scene(self, write_series: Callable[..., list[Scene]]) -> None:
        numbers = np.random.default_rng(0).integers(1, 9999, (100, 100), dtype=np.uint16)
        scenes = write_series(numbers)
        path = Path(scenes[0].source("red").href)
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(UnreadableError, match=r"date-0.*fetch its files again"):
            cube_of(scenes, 64).window(scenes[0], ("red",), Window(90, 90, 10, 10))


class TestRefusedSeries:
    def test_scenes_without_items_cannot_be_a_series(self, write_tif: WriteTif) -> None:
        scenes = open_catalog(write_tif("t.tif", np.ones((3, 3), np.uint8))).scenes()
        with pytest.raises(UsageError, match="scene t: a series needs STAC items with a datetime"):
            cube_of(scenes, 64)

    def test_an_undated_scene_cannot_be_in_a_series(self, romania: tuple[Scene, ...]) -> None:
        with pytest.raises(UsageError, match="2016-06-16"):
            cube_of([replace(romania[0], period=None)], 64)

    def test_two_scenes_of_one_moment_are_refused(self, romania: tuple[Scene, ...]) -> None:
        with pytest.raises(UsageError, match="two scenes were acquired at 2016-06-16"):
            cube_of([romania[0], replace(romania[1], period=romania[0].period)], 64)


def test_a_cube_is_small_and_hashable_so_that_it_travels_to_workers(cube: CubeSource) -> None:
    import pickle

    copy = pickle.loads(pickle.dumps(cube))  # noqa: S301 - our own bytes
    assert copy == cube
    assert hash(copy) == hash(cube)


def test_the_item_of_a_scene_still_leads_to_its_files_wherever_it_is_read(romania: tuple[Scene, ...]) -> None:
    item = pystac.Item.from_dict(json.loads(romania[0].stac_item or ""))
    assert {Path(a.get_absolute_href() or "").exists() for a in item.assets.values()} == {True}
    assert isinstance(romania[0].grid, Grid)
