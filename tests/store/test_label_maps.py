from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.tiling import blocks
from aisf_geo.store.raster import (
    Layer,
    confidence_layer,
    label_layer,
    read_pixels,
    thumbnail,
    write_cog,
    write_quicklook,
)

LEGEND = Legend("land", (LegendClass(0, "rest", (10, 20, 30)), LegendClass(7, "water & <ice>", (40, 50, 60), "water")))
CODES = np.array([0, 7, 254, 255], np.uint8)


def grid_of(height: int, width: int, crs: str = "EPSG:32631") -> Grid:
    step = 0.0003 if crs == "EPSG:4326" else 10
    return Grid(crs, Affine(step, 0, 3, 0, -step, 52), Shape(height, width))


def some_labels(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).choice(CODES, (height, width))


def write_whole(path: Path, labels: np.ndarray[Any, Any], layer: Layer | None = None, crs: str = "EPSG:32631") -> Grid:
    grid = grid_of(*labels.shape, crs)
    write_cog(path, grid, layer or label_layer(LEGEND, {}), [(grid.full_window, labels)])
    return grid


class TestPixels:
    @pytest.mark.parametrize("crs", ["EPSG:32631", "EPSG:4326", "EPSG:3035"])
    def test_what_was_written_is_read_on_the_grid_it_was_written_on(self, tmp_path: Path, crs: str) -> None:
        labels = some_labels(70, 90)
        grid = write_whole(tmp_path / "labels.tif", labels, crs=crs)
        with rasterio.open(tmp_path / "labels.tif") as dataset:
            assert np.array_equal(dataset.read(1), labels)
            assert dataset.transform == grid.transform
            assert dataset.crs == rasterio.CRS.from_string(crs)
            assert dataset.nodata == 255
            assert np.array_equal(dataset.read_masks(1) > 0, labels != 255)

    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(height=st.integers(1, 200), width=st.integers(1, 200), block_px=st.integers(16, 100))
    def test_blocks_in_any_order_give_the_same_file(
        self, tmp_path: Path, height: int, width: int, block_px: int
    ) -> None:
        labels, grid = some_labels(height, width), grid_of(height, width)
        write_whole(tmp_path / "whole.tif", labels)
        windows = [(block.core, labels[block.core.slices]) for block in blocks(grid, block_px)]
        write_cog(tmp_path / "blocks.tif", grid, label_layer(LEGEND, {}), reversed(windows))
        assert np.array_equal(read_pixels(tmp_path / "blocks.tif"), labels)
        assert (tmp_path / "blocks.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()

    def test_what_no_window_brings_stays_not_observed(self, tmp_path: Path) -> None:
        corner = Window(600, 600, 20, 30)
        write_cog(
            tmp_path / "labels.tif",
            grid_of(700, 700),
            label_layer(LEGEND, {}),
            [(corner, np.full((20, 30), 7, np.uint8))],
        )
        labels = read_pixels(tmp_path / "labels.tif")
        assert (labels[corner.slices] == 7).all()
        assert (labels == 255).sum() == 700 * 700 - 20 * 30

    def test_a_window_of_the_map_is_the_same_part_of_the_whole(self, tmp_path: Path) -> None:
        labels, window = some_labels(70, 90), Window(11, 22, 33, 44)
        write_whole(tmp_path / "labels.tif", labels)
        assert np.array_equal(read_pixels(tmp_path / "labels.tif", window), labels[window.slices])

    @pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 65535), ("float32", float("nan"))])
    def test_wider_numbers_and_their_nodata_are_kept(self, tmp_path: Path, dtype: str, nodata: float) -> None:
        numbers = np.array([[1, 300], [2, nodata]]).astype(dtype)
        write_whole(tmp_path / "m.tif", numbers, Layer("m", dtype, nodata))
        with rasterio.open(tmp_path / "m.tif") as dataset:
            assert np.array_equal(dataset.read(1), numbers, equal_nan=dtype == "float32")
            assert dataset.read_masks(1).tolist() == [[255, 255], [255, 0]]


class TestWhatAMapSaysOfItself:
    def test_it_is_a_cloud_optimised_geotiff_with_overviews(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(1100, 1300))
        with rasterio.open(tmp_path / "labels.tif") as dataset:
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.block_shapes == [(512, 512)]
            assert dataset.overviews(1) == [2, 4]

    def test_an_overview_of_labels_holds_classes_that_lie_there_and_never_one_in_between(self, tmp_path: Path) -> None:
        """The mean of the colours of 0 and 9 is that of 3, which occurs nowhere."""
        codes = ((0, (0, 0, 0)), (3, (50, 50, 50)), (9, (100, 100, 100)))
        legend = Legend("grey", tuple(LegendClass(code, f"class {code}", colour) for code, colour in codes))
        labels = np.where(np.arange(1100)[:, None] % 2 + np.arange(1100) % 2 == 1, 0, 9).astype(np.uint8)
        write_whole(tmp_path / "labels.tif", labels, label_layer(legend, {}))
        with rasterio.open(tmp_path / "labels.tif", overview_level=0) as dataset:
            assert set(np.unique(dataset.read(1)).tolist()) <= {0, 9}

    def test_readers_see_the_colours_of_the_legend_and_not_observed_as_clear(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(9, 9))
        with rasterio.open(tmp_path / "labels.tif") as dataset:
            colours = dataset.colormap(1)
            assert dataset.colorinterp[0].name == "palette"
        assert (colours[0], colours[7]) == ((10, 20, 30, 255), (40, 50, 60, 255))
        assert colours[254][3] == 255
        # TIFF colour tables have no opacity: the nodata tag makes 255 clear.
        assert colours[255][:3] == (0, 0, 0)

    def test_class_names_lie_beside_it_where_gdal_looks_for_them(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(9, 9))
        tree = ElementTree.parse(tmp_path / "labels.tif.aux.xml")  # noqa: S314 - our own file
        names = [e.text or "" for e in tree.findall("./PAMRasterBand[@band='1']/CategoryNames/Category")]
        assert len(names) == 256
        assert {i: n for i, n in enumerate(names) if n} == {
            0: "rest", 7: "water & <ice>", 254: "unknown", 255: "not observed",
        }  # fmt: skip

    def test_tags_and_description_are_kept(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "c.tif", some_labels(9, 9), confidence_layer({"SCENE": "ms2", "MADE_BY": "a ü test"}))
        with rasterio.open(tmp_path / "c.tif") as dataset:
            assert dataset.descriptions == ("confidence",)
            assert dataset.tags()["SCENE"] == "ms2"
            assert dataset.tags()["MADE_BY"] == "a ü test"

    def test_a_map_without_classes_has_no_file_of_names_beside_it(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "c.tif", some_labels(9, 9), confidence_layer({}))
        assert [p.name for p in tmp_path.iterdir()] == ["c.tif"]


class TestAtomicity:
    def test_only_the_map_and_its_names_are_left_behind(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(9, 9))
        assert sorted(p.name for p in tmp_path.iterdir()) == ["labels.tif", "labels.tif.aux.xml"]

    def test_a_writer_that_breaks_off_leaves_the_old_map_and_nothing_else(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(9, 9, seed=1))
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

        def breaking() -> Any:
            yield Window(0, 0, 9, 9), some_labels(9, 9, seed=2)
            raise RuntimeError("the disk is full")

        with pytest.raises(RuntimeError, match="the disk is full"):
            write_cog(tmp_path / "labels.tif", grid_of(9, 9), label_layer(LEGEND, {}), breaking())
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


class TestPictures:
    def test_a_quicklook_shows_the_legends_colours_and_nothing_where_not_observed(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "labels.tif", np.array([[0, 7], [254, 255]], np.uint8))
        write_quicklook(tmp_path / "q.png", tmp_path / "labels.tif", LEGEND)
        with Image.open(tmp_path / "q.png") as image:
            pixels = np.asarray(image.convert("RGBA"))
        assert pixels[0].tolist() == [[10, 20, 30, 255], [40, 50, 60, 255]]
        assert pixels[1, 0, 3] == 255
        assert pixels[1, 1].tolist() == [0, 0, 0, 0]

    @pytest.mark.parametrize(("shape", "longest_px", "expected"), [((50, 100), 25, (12, 25)), ((3, 100), 10, (1, 10))])
    def test_a_thumbnail_is_thinned_to_its_longest_side_and_invents_no_class(
        self, tmp_path: Path, shape: tuple[int, int], longest_px: int, expected: tuple[int, int]
    ) -> None:
        write_whole(tmp_path / "labels.tif", some_labels(*shape))
        small = thumbnail(tmp_path / "labels.tif", longest_px)
        assert small.shape == expected
        assert set(np.unique(small)) <= set(CODES)

    def test_a_small_map_is_not_blown_up(self, tmp_path: Path) -> None:
        labels = some_labels(5, 7)
        write_whole(tmp_path / "labels.tif", labels)
        assert np.array_equal(thumbnail(tmp_path / "labels.tif"), labels)
