from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import Resampling
from rasterio.warp import reproject
from rasterio.windows import Window as RasterioWindow

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.errors import BandError, DataError, UnreadableError
from aisf_geo.ingest import read as read_module
from aisf_geo.ingest.catalog import open_catalog, scene_of_file
from aisf_geo.ingest.read import LEFT_OPEN, opened, read_header, read_thumbnail, read_window
from aisf_geo.ingest.scene import BandSource, Scene

WriteTif = Callable[..., Path]

TILES = [
    "rotterdam/ms1",
    "rotterdam/ms2",
    "rotterdam/ms3",
    "rotterdam/port_rgb",
    "romania/2016-06-16",
    "romania/2018-08-15",
    "romania/2019-08-05",
    "great_salt_lake/west",
    "chile/scene",
    "bigearthnet/S2B_MSIL2A_20180204T94161_57_38",
]


def scene_at(path: Path) -> Scene:
    return open_catalog(path).scenes()[0]


class TestWindowsOfTheSampleTiles:
    @pytest.mark.parametrize("tile", TILES)
    @pytest.mark.parametrize("window", [Window(0, 0, 50, 60), Window(37, 41, 60, 57), Window(99, 0, 1, 100), None])
    def test_values_are_rasterios_numbers_times_scale_plus_offset(
        self, sample_tiles: Path, tile: str, window: Window | None
    ) -> None:
        scene = scene_at(sample_tiles / f"{tile}.json")
        window = window or scene.grid.full_window
        raster = read_window(scene, scene.band_names, window)
        with rasterio.open(sample_tiles / f"{tile}.tif") as dataset:
            numbers = dataset.read(window=RasterioWindow(window.col, window.row, window.width, window.height))
            scales, offsets, names = dataset.scales, dataset.offsets, dataset.descriptions
        assert raster.bands == names
        assert raster.values.dtype == np.float32
        for layer, number, scale, offset in zip(raster.values, numbers, scales, offsets, strict=True):
            expected = (number * scale + offset).astype(np.float32)
            assert np.array_equal(layer[raster.valid], expected[raster.valid])

    @pytest.mark.parametrize("tile", ["rotterdam/ms1", "rotterdam/ms2", "rotterdam/ms3"])
    def test_a_pixel_is_valid_where_any_band_differs_from_nodata(self, sample_tiles: Path, tile: str) -> None:
        scene = scene_at(sample_tiles / f"{tile}.json")
        raster = read_window(scene, scene.band_names, scene.grid.full_window)
        with rasterio.open(sample_tiles / f"{tile}.tif") as dataset:
            assert np.array_equal(raster.valid, dataset.read().any(axis=0))
        assert np.isnan(raster.values).all(axis=0).sum() == (~raster.valid).sum()
        assert raster.obscured is None

    def test_a_third_of_the_port_is_nodata_as_its_origin_says(self, sample_tiles: Path) -> None:
        scene = scene_at(sample_tiles / "rotterdam/ms2.json")
        raster = read_window(scene, scene.band_names, scene.grid.full_window)
        assert 100 * (1 - raster.valid.mean()) == pytest.approx(32.2, abs=0.05)

    @pytest.mark.parametrize("tile", ["great_salt_lake/west", "chile/scene", "rotterdam/port_rgb"])
    def test_a_tile_without_nodata_is_valid_everywhere_also_where_it_is_zero(
        self, sample_tiles: Path, tile: str
    ) -> None:
        scene = scene_at(sample_tiles / f"{tile}.json")
        assert read_window(scene, scene.band_names, scene.grid.full_window).valid.all()

    @pytest.mark.parametrize("date", ["2019-08-05", "2019-08-20", "2020-09-03"])
    def test_the_scene_classification_hides_cloud_shadow_and_cirrus(self, sample_tiles: Path, date: str) -> None:
        scene = scene_at(sample_tiles / f"romania/{date}.json")
        raster = read_window(scene, ("red",), scene.grid.full_window)
        with rasterio.open(sample_tiles / f"romania/{date}_scl.tif") as dataset:
            hidden = np.isin(dataset.read(1), [0, 1, 3, 8, 9, 10])
        assert raster.obscured is not None
        assert np.array_equal(raster.obscured, hidden)
        assert np.array_equal(raster.valid, ~hidden)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(row=st.integers(0, 99), col=st.integers(0, 99), height=st.integers(1, 100), width=st.integers(1, 100))
    def test_a_window_is_the_same_part_of_the_whole(
        self, sample_tiles: Path, row: int, col: int, height: int, width: int
    ) -> None:
        scene = scene_at(sample_tiles / "romania/2019-08-05.json")
        window = Window(row, col, min(height, 100 - row), min(width, 100 - col))
        part = read_window(scene, ("nir", "blue"), window)
        whole = read_window(scene, ("nir", "blue"), scene.grid.full_window).cut(window, ("nir", "blue"))
        assert np.array_equal(part.values, whole.values, equal_nan=True)
        assert np.array_equal(part.valid, whole.valid)
        assert part.obscured is not None
        assert np.array_equal(part.obscured, whole.obscured)
        assert part.grid.same_pixels(whole.grid)


class TestValidityByHand:
    def test_nodata_in_some_bands_is_a_value_and_in_all_a_gap(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.array([[[0, 0, 5]], [[0, 7, 5]]], np.uint16), nodata=0, names=("red", "nir"))
        raster = read_window(scene_of_file(path), ("red", "nir"), Window(0, 0, 1, 3))
        assert raster.valid.tolist() == [[False, True, True]]
        assert raster.band("red").tolist()[0][1:] == [0, 5]

    def test_nan_in_any_band_is_a_gap(self, write_tif: WriteTif) -> None:
        numbers = np.array([[[1.5, np.nan, 5]], [[np.nan, 7, 5]]], np.float32)
        raster = read_window(scene_of_file(write_tif("t.tif", numbers)), ("band1", "band2"), Window(0, 0, 1, 3))
        assert raster.valid.tolist() == [[False, False, True]]
        assert np.isnan(raster.values[:, ~raster.valid]).all()

    def test_a_nan_nodata_tag_is_a_gap(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.array([[1.5, np.nan]], np.float32), nodata=np.nan)
        assert read_window(scene_of_file(path), ("band1",), Window(0, 0, 1, 2)).valid.tolist() == [[True, False]]

    def test_the_files_own_mask_says_what_is_observed(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.array([[1, 2, 3]], np.uint8))
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(np.array([[True, False, True]]))
        assert read_window(scene_of_file(path), ("band1",), Window(0, 0, 1, 3)).valid.tolist() == [[True, False, True]]

    def test_an_alpha_band_says_what_is_observed(self, write_tif: WriteTif) -> None:
        numbers = np.array([[[1, 2]], [[3, 4]], [[5, 6]], [[255, 0]]], np.uint8)
        path = write_tif("t.tif", numbers, photometric="RGB", alpha="YES")
        assert read_window(scene_of_file(path), ("band1",), Window(0, 0, 1, 2)).valid.tolist() == [[True, False]]

    def test_scale_and_offset_of_each_band_are_applied_in_the_order_the_bands_were_asked_for(
        self, write_tif: WriteTif
    ) -> None:
        path = write_tif(
            "t.tif", np.array([[[10]], [[20]]], np.uint16), names=("red", "nir"), scales=(0.5, 2.0), offsets=(1.0, -3.0)
        )
        raster = read_window(scene_of_file(path), ("nir", "red"), Window(0, 0, 1, 1))
        assert raster.bands == ("nir", "red")
        assert raster.values.ravel().tolist() == [37.0, 6.0]

    def test_bands_of_several_files_are_put_together_and_valid_where_all_files_are(self, write_tif: WriteTif) -> None:
        red = scene_of_file(write_tif("red.tif", np.array([[1, 0, 3]], np.uint16), nodata=0, names=("red",)))
        nir = scene_of_file(write_tif("nir.tif", np.array([[4, 5, 0]], np.uint16), nodata=0, names=("nir",)))
        both = replace(red, bands=(*nir.bands, *red.bands))
        raster = read_window(both, ("red", "nir"), Window(0, 0, 1, 3))
        assert raster.valid.tolist() == [[True, False, False]]
        assert raster.values[:, 0, 0].tolist() == [1, 4]

    @pytest.mark.parametrize(
        ("code", "seen"),
        [
            pytest.param(21824, True, id="clear land"),
            pytest.param(21952, True, id="clear water"),
            pytest.param(30048, True, id="snow"),
            pytest.param(1, False, id="fill"),
            pytest.param(22280, False, id="cloud"),
            pytest.param(23888, False, id="cloud shadow"),
            pytest.param(21826, False, id="dilated cloud"),
            pytest.param(54596, False, id="cirrus"),
        ],
    )
    def test_landsat_quality_bits_hide_what_the_product_guide_says(
        self, write_tif: WriteTif, code: int, seen: bool
    ) -> None:
        scene = scene_of_file(write_tif("sr.tif", np.array([[9000]], np.uint16), names=("red",)))
        quality = write_tif("qa.tif", np.array([[code]], np.uint16))
        scene = replace(scene, quality=("qa_pixel", BandSource(str(quality), 1, nodata=0)))
        raster = read_window(scene, ("red",), Window(0, 0, 1, 1))
        assert raster.valid.all() == seen
        assert raster.obscured is not None
        assert raster.obscured.all() != seen

    def test_a_pixel_without_data_is_not_called_cloudy(self, write_tif: WriteTif) -> None:
        scene = scene_of_file(write_tif("b.tif", np.array([[0, 9]], np.uint16), nodata=0, names=("red",)))
        scl = write_tif("scl.tif", np.array([[9, 9]], np.uint8))
        raster = read_window(
            replace(scene, quality=("scl", BandSource(str(scl), 1, nodata=0))), ("red",), Window(0, 0, 1, 2)
        )
        assert raster.obscured is not None
        assert raster.obscured.tolist() == [[False, True]]
        assert not raster.valid.any()


class TestAnotherGrid:
    @pytest.mark.parametrize("tile", ["romania/2017-06-06", "chile/scene"])
    def test_values_are_rasterios_bilinear_warp(self, sample_tiles: Path, tile: str) -> None:
        scene = scene_at(sample_tiles / f"{tile}.json")
        turned = scene.grid.transform @ Affine.translation(10.3, 12.6) @ Affine.scale(0.7)
        grid = Grid(scene.grid.crs, turned, Shape(80, 90))
        raster = read_window(scene, ("red",), grid.full_window, grid)
        with rasterio.open(sample_tiles / f"{tile}.tif") as dataset:
            numbers = dataset.read(3).astype(np.float32)
        expected = np.zeros((80, 90), np.float32)
        reproject(
            numbers, expected, src_transform=scene.grid.transform, src_crs=scene.grid.crs,
            dst_transform=turned, dst_crs=grid.crs, resampling=Resampling.bilinear,
        )  # fmt: skip
        assert raster.valid.all()
        # The warp rounds to the file's whole numbers.
        np.testing.assert_allclose(raster.band("red"), expected * 1e-4, atol=0.51e-4)

    @pytest.mark.parametrize("nodata", [None, 0])
    def test_outside_the_footprint_nothing_is_observed(self, write_tif: WriteTif, nodata: int | None) -> None:
        scene = scene_of_file(write_tif("t.tif", np.full((6, 6), 700, np.uint16), nodata=nodata))
        wide = Grid(scene.grid.crs, scene.grid.transform @ Affine.translation(-4, 2), Shape(6, 12))
        raster = read_window(scene, ("band1",), wide.full_window, wide)
        expected = np.zeros((6, 12), bool)
        expected[:4, 4:10] = True
        assert np.array_equal(raster.valid, expected)
        assert (raster.values[0][expected] == 700).all()

    def test_nodata_does_not_bleed_into_the_values_beside_it(self, write_tif: WriteTif) -> None:
        numbers = np.full((8, 8), 1000, np.uint16)
        numbers[:, :4] = 0
        scene = scene_of_file(write_tif("t.tif", numbers, nodata=0))
        finer = Grid(scene.grid.crs, scene.grid.transform @ Affine.scale(0.5), Shape(16, 16))
        raster = read_window(scene, ("band1",), finer.full_window, finer)
        assert set(np.unique(raster.values[0][raster.valid])) == {1000.0}
        assert raster.valid[:, 10:].all()
        assert not raster.valid[:, :6].any()

    def test_quality_codes_are_never_interpolated(self, write_tif: WriteTif) -> None:
        """Between water (6) and thin cirrus (10) interpolation would invent cloud (8)."""
        scene = scene_of_file(write_tif("t.tif", np.full((6, 6), 700, np.uint16)))
        codes = np.full((6, 6), 6, np.uint8)
        codes[:, 3:] = 11
        scl = write_tif("scl.tif", codes)
        scene = replace(scene, quality=("scl", BandSource(str(scl), 1, nodata=0)))
        finer = Grid(scene.grid.crs, scene.grid.transform @ Affine.scale(0.3), Shape(20, 20))
        raster = read_window(scene, ("band1",), finer.full_window, finer)
        assert raster.obscured is not None
        assert not raster.obscured.any()

    def test_an_alpha_band_is_warped_with_the_image(self, write_tif: WriteTif) -> None:
        numbers = np.full((4, 8, 8), 9, np.uint8)
        numbers[3, :4], numbers[3, 4:] = 0, 255
        scene = scene_of_file(write_tif("t.tif", numbers, photometric="RGB", alpha="YES"))
        moved = Grid(scene.grid.crs, scene.grid.transform @ Affine.translation(0, 2), Shape(8, 8))
        valid = read_window(scene, ("band1",), moved.full_window, moved).valid
        assert valid.all(axis=1).tolist() == [False, False, True, True, True, True, False, False]

    def test_one_band_at_nodata_does_not_hide_the_others(self, write_tif: WriteTif) -> None:
        """The rule of the file's own grid holds on another: a gap is where all bands are nodata."""
        numbers = np.full((2, 8, 8), 500, np.uint16)
        numbers[0] = 0
        scene = scene_of_file(write_tif("t.tif", numbers, nodata=0, names=("red", "nir")))
        moved = Grid(scene.grid.crs, scene.grid.transform @ Affine.translation(1, 1), Shape(6, 6))
        raster = read_window(scene, ("red", "nir"), moved.full_window, moved)
        assert raster.valid.all()
        assert (raster.band("nir") == 500).all()

    def test_a_scene_with_a_coarser_band_is_read_on_its_finest_grid(self, write_tif: WriteTif) -> None:
        fine = scene_of_file(write_tif("fine.tif", np.full((4, 4), 100, np.uint16), names=("red",)))
        half = fine.grid.transform @ Affine.scale(2)
        coarse = scene_of_file(
            write_tif("coarse.tif", np.full((2, 2), 300, np.uint16), transform=half, names=("swir16",))
        )
        scene = replace(fine, bands=fine.bands + coarse.bands)
        raster = read_window(scene, ("red", "swir16"), Window(1, 1, 3, 3))
        assert raster.valid.all()
        assert (raster.band("swir16") == 300).all()


class TestBrokenFiles:
    @pytest.mark.parametrize("content", [b"", b"this is a letter, not a raster", b"II*\0\x08\0\0\0"])
    def test_what_only_calls_itself_a_tiff_is_unreadable(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "tile.tif"
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match=r"tile\.tif.*not a raster that can be read"):
            read_header(str(path))

    def test_a_file_that_is_not_there_is_said_not_to_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match="no such file"):
            read_header(str(tmp_path / "gone.tif"))

    @pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
    def test_a_truncated_tiff_is_unreadable_where_it_breaks_off(self, write_tif: WriteTif, share: float) -> None:
        numbers = np.random.default_rng(0).integers(1, 9999, (200, 200), dtype=np.uint16)
        path = write_tif("t.tif", numbers)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        scene = scene_of_file(path)
        with pytest.raises(
            UnreadableError, match=r"rows 190-199, columns 0-199 cannot be decoded.*fetch the file again"
        ):
            read_window(scene, ("band1",), Window(190, 0, 10, 200))

    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_a_truncated_tiff_whose_directory_comes_last_is_refused(self, write_tif: WriteTif, share: float) -> None:
        path = write_tif("t.tif", np.random.default_rng(0).integers(1, 9999, (200, 200), dtype=np.uint16))
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(NOTE="written later, so that GDAL moves the directory to the end")
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DataError, match=r"t\.tif"):
            read_header(str(path))

    def test_a_tiff_without_a_crs_is_refused_with_the_remedy(self, write_tif: WriteTif) -> None:
        with pytest.raises(DataError, match="no coordinate system found; assign one"):
            read_header(str(write_tif("t.tif", np.ones((3, 3), np.uint8), crs=None)))

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_a_tiff_without_a_geotransform_is_refused_with_the_remedy(self, write_tif: WriteTif) -> None:
        with pytest.raises(DataError, match=r"no geotransform found.*georeference it first"):
            read_header(str(write_tif("t.tif", np.ones((3, 3), np.uint8), transform=None)))

    def test_a_picture_without_a_place_gives_one_sentence_and_no_warning_beside_it(self, tmp_path: Path) -> None:
        path = tmp_path / "picture.png"
        Image.fromarray(np.ones((3, 3), np.uint8)).save(path)
        with pytest.raises(DataError):
            read_header(str(path))

    def test_a_tiff_on_a_drawing_board_is_refused(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3), np.uint8), crs='LOCAL_CS["drawing board",UNIT["metre",1]]')
        with pytest.raises(DataError, match=r"t\.tif.*geographic or projected"):
            read_header(str(path))

    @pytest.mark.parametrize("name", ["mosaic.vrt", "innocent.tif"])
    @pytest.mark.parametrize("source", ["secret.tif", "gone.tif"])
    def test_a_vrt_is_refused_whatever_its_name_and_whether_what_it_points_at_exists(
        self, write_tif: WriteTif, name: str, source: str
    ) -> None:
        path = write_tif("secret.tif", np.ones((3, 3), np.uint8)).with_name(name)
        path.write_text(
            '<VRTDataset rasterXSize="3" rasterYSize="3"><SRS>EPSG:32631</SRS>'
            "<GeoTransform>500000,10,0,5700000,0,-10</GeoTransform>"
            '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
            f'<SourceFilename relativeToVRT="1">{source}</SourceFilename><SourceBand>1</SourceBand>'
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        with pytest.raises(UnreadableError, match="its bytes begin like none of GTiff"), opened(str(path)):
            pass

    def test_a_missing_band_is_named_with_those_there_are(self, write_tif: WriteTif) -> None:
        scene = scene_of_file(write_tif("t.tif", np.ones((2, 3, 3), np.uint8), names=("red", "green")))
        with pytest.raises(BandError, match="'nir' is needed, it has red, green"):
            read_window(scene, ("red", "nir"), Window(0, 0, 1, 1))


class TestRastersLeftOpen:
    def test_a_file_that_was_written_anew_is_read_anew(self, write_tif: WriteTif) -> None:
        for number in (1, 2):
            path = write_tif("t.tif", np.full((40, 40), number, np.uint8))
            for window in (Window(0, 0, 40, 40), Window(5, 5, 3, 3)):
                assert np.unique(read_window(scene_of_file(path), ("band1",), window).values).tolist() == [number]

    def test_few_are_left_open_and_none_that_failed(self, write_tif: WriteTif) -> None:
        left = read_module._LEFT_OPEN
        for number in range(LEFT_OPEN + 3):
            path = write_tif(f"{number}.tif", np.full((40, 40), number, np.uint8))
            read_window(scene_of_file(path), ("band1",), Window(0, 0, 1, 1))
        assert [Path(key[0]).name for key in left] == [f"{3 + i}.tif" for i in range(LEFT_OPEN)]

        scene = scene_of_file(path)
        path.write_bytes(path.read_bytes()[:-800])
        with pytest.raises(UnreadableError):
            read_window(scene, ("band1",), Window(30, 0, 10, 40))
        assert len(left) == LEFT_OPEN


class TestThumbnails:
    def test_a_small_tile_is_shown_pixel_by_pixel_with_gaps_where_all_bands_are_nodata(
        self, sample_tiles: Path
    ) -> None:
        scene = scene_at(sample_tiles / "rotterdam/ms2.json")
        picture = read_thumbnail(scene, ("red", "green", "blue"), scene.grid, scene.grid.full_window, 1000)
        with rasterio.open(sample_tiles / "rotterdam/ms2.tif") as dataset:
            numbers = dataset.read([3, 2, 1])
        assert np.array_equal(picture, np.where(numbers.any(axis=0), numbers, np.nan), equal_nan=True)

    def test_a_large_tile_is_thinned_to_its_longest_side(self, sample_tiles: Path) -> None:
        scene = scene_at(sample_tiles / "great_salt_lake/west.json")
        picture = read_thumbnail(scene, ("red",), scene.grid, scene.grid.full_window, 128)
        assert picture.shape == (1, 128, 72)
        assert not np.isnan(picture).any()

    def test_clouds_are_shown(self, sample_tiles: Path) -> None:
        scene = scene_at(sample_tiles / "romania/2019-08-05.json")
        assert not np.isnan(read_thumbnail(scene, ("red",), scene.grid, scene.grid.full_window, 100)).any()
