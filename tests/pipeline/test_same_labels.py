"""Labels do not depend on how the work was cut or who did it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from aisf_geo.pipeline.mapper import block_map, map_here
from aisf_geo.pipeline.plan import Where, plan_run
from aisf_geo.pipeline.run import begin, run, segment_stage
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.recipe import read_recipe
from variants import recipe_variant

#: Single tiles with a minimum width (halo), without, and with a cloud test (halo of its own).
TILES = [("rotterdam/ms2.tif", "water"), ("rotterdam/ms3.tif", "water"), ("chile/scene.tif", "built-up")]
TILES += [("bigearthnet/S2B_MSIL2A_20180204T94161_57_38.tif", "snow")]


def pixels(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Every label and confidence map of a run."""
    maps = {}
    for path in sorted(folder.glob("items/*/*.tif")):
        with rasterio.open(path) as dataset:
            maps[f"{path.parent.name}/{path.name}"] = dataset.read(1)
    return maps


def assert_same(one: Path, other: Path) -> None:
    first, second = pixels(one), pixels(other)
    assert first.keys() == second.keys() != set()
    assert [name for name in first if not np.array_equal(first[name], second[name])] == []


@pytest.mark.parametrize(("tile", "method"), TILES)
def test_a_tile_gives_the_same_labels_for_any_block_size(
    sample_tiles: Path, tmp_path: Path, tile: str, method: str
) -> None:
    for block_px in (64, 100, 1024):
        recipe = tile_recipe(sample_tiles / tile, method, block_px=block_px)
        outcome = run(plan_run(recipe), tmp_path / str(block_px), "refuse")
        assert (outcome.items[0].blocks > 1) == (block_px < 1024)
    assert_same(tmp_path / "64", tmp_path / "1024")
    assert_same(tmp_path / "100", tmp_path / "1024")


def hard_dates(block_px: int) -> Callable[[dict[str, Any]], None]:
    """A clear date, one of cloud and shadow that the quality band misses, and a clear one a year later."""

    def change(recipe: dict[str, Any]) -> None:
        recipe["period"] = {"start": "2018-07-01", "end": "2019-07-01"}
        recipe["clearing"] = {"baseline_year": 2018, "clear_dates": 1}
        recipe["segment"]["block_px"] = block_px

    return change


def test_a_series_with_clouds_and_shadows_gives_the_same_labels_for_any_block_size(tmp_path: Path) -> None:
    for block_px in (64, 1024):
        plan = plan_run(read_recipe(recipe_variant(tmp_path, hard_dates(block_px))))
        assert plan.shadow_cube is not None
        outcome = run(plan, tmp_path / str(block_px), "refuse")
        assert max(item.obscured_share for item in outcome.items) > 0.5
    assert_same(tmp_path / "64", tmp_path / "1024")
    one, other = (tmp_path / size / "change" / "clearing" / "clearing.tif" for size in ("64", "1024"))
    with rasterio.open(one) as first, rasterio.open(other) as second:
        assert np.array_equal(first.read(), second.read())


def test_the_same_run_twice_gives_the_same_files(sample_tiles: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        plan = plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water"))
        run(plan, tmp_path / name, "refuse")
    files = ("labels.tif", "confidence.tif", "features.parquet", "features.geojson", "quicklook.png")
    for file in files:
        one, other = (tmp_path / name / "items" / "ms2" / file for name in ("one", "other"))
        assert one.read_bytes() == other.read_bytes(), file


@pytest.fixture
def port_of_dask_taken() -> Iterator[None]:
    """Another program, perhaps another run, listens where Dask would show its dashboard."""
    with socket.socket() as other:
        with suppress(OSError):
            other.bind(("127.0.0.1", 8787))
            other.listen()
        yield


@pytest.mark.usefixtures("port_of_dask_taken")
def test_two_workers_give_the_labels_of_one(sample_tiles: Path, tmp_path: Path) -> None:
    plan = plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128))
    run(plan, tmp_path / "one", "refuse")
    with block_map(workers=2) as mapper:
        outcome = run(plan, tmp_path / "two", "refuse", mapper)
    assert outcome.items[0].computed == outcome.items[0].blocks == 9
    assert_same(tmp_path / "one", tmp_path / "two")


def test_two_windows_of_a_scene_give_the_labels_of_the_whole(sample_tiles: Path, tmp_path: Path) -> None:
    """At one threshold, wherever both observe; the overlap is therefore the same in both."""
    place = sample_tiles / "great_salt_lake"
    for name in ("scene", "west", "east"):
        plan = plan_run(tile_recipe(place / f"{name}.tif", "water", threshold=0.3))
        segment_stage(plan, plan.items[0], begin(plan, tmp_path / name, "refuse"), map_here, lambda _: None)
    whole = pixels(tmp_path / "scene")
    for name in ("west", "east"):
        with rasterio.open(place / "scene.tif") as scene, rasterio.open(place / f"{name}.tif") as part:
            window = scene.window(*part.bounds).round_offsets().round_lengths()
        cut = pixels(tmp_path / name)
        for file in ("labels.tif", "confidence.tif"):
            assert np.array_equal(whole[f"scene/{file}"][window.toslices()], cut[f"{name}/{file}"])


def test_an_area_gives_the_labels_of_the_whole_inside_it(sample_tiles: Path, tmp_path: Path) -> None:
    """What lies around the area is still looked at: its edge is not an edge of the image."""
    tile = sample_tiles / "rotterdam" / "ms2.tif"
    recipe = tile_recipe(tile, "water", threshold=0.3, block_px=128)
    with rasterio.open(tile) as dataset:
        west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, 4326, *dataset.bounds)
    box = (west + 0.3 * (east - west), south + 0.3 * (north - south), east - 0.2 * (east - west), north)
    run(plan_run(recipe), tmp_path / "whole", "refuse")
    outcome = run(plan_run(recipe, Where(bbox=box)), tmp_path / "part", "refuse")
    with (
        rasterio.open(tmp_path / "whole/items/ms2/labels.tif") as whole,
        rasterio.open(tmp_path / "part/items/ms2/labels.tif") as part,
    ):
        window = whole.window(*part.bounds).round_offsets().round_lengths()
        outside, inside = whole.read(1, window=window), part.read(1)
    assert inside.shape < whole.shape
    assert np.array_equal(inside[inside != 255], outside[inside != 255])
    assert (inside == 1).any()
    assert 0 < outcome.items[0].coverage < 1
