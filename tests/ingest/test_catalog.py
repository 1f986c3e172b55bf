from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from aisf_geo.domain.grid import Window
from aisf_geo.domain.period import Period
from aisf_geo.errors import AisfGeoError, BandError, DataError, NoDataError, UnreadableError, UsageError
from aisf_geo.ingest.catalog import FileCatalog, Hints, StacCatalog, open_catalog
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene

WriteTif = Callable[..., Path]
WriteItem = Callable[..., Path]
ROMANIA_BANDS = ("blue", "green", "red", "nir", "swir16")


class TestSampleCollections:
    @pytest.mark.parametrize(
        ("place", "items"),
        [("rotterdam", 4), ("romania", 14), ("great_salt_lake", 3), ("chile", 1), ("bigearthnet", 2)],
    )
    def test_a_folder_with_a_collection_gives_one_scene_for_each_item(
        self, sample_tiles: Path, place: str, items: int
    ) -> None:
        scenes = open_catalog(sample_tiles / place).scenes()
        assert len(scenes) == items
        assert len({scene.id for scene in scenes}) == items
        assert all(scene.attribution and scene.licence and scene.sensor for scene in scenes)

    def test_scenes_come_by_time(self, sample_tiles: Path) -> None:
        scenes = open_catalog(sample_tiles / "romania").scenes()
        assert [s.id for s in scenes] == sorted(s.id for s in scenes)
        assert [s.period.start for s in scenes if s.period] == sorted(s.period.start for s in scenes if s.period)

    def test_a_scene_says_what_the_item_says(self, sample_tiles: Path) -> None:
        scene = open_catalog(sample_tiles / "romania/2019-08-20.json").scenes()[0]
        assert scene.id == "2019-08-20"
        assert scene.band_names == ROMANIA_BANDS
        assert scene.period == Period(datetime(2019, 8, 20, tzinfo=UTC), datetime(2019, 8, 20, 23, 59, 59, tzinfo=UTC))
        assert scene.sensor == "sentinel-2-l2a"
        assert scene.reflectance
        assert scene.quality is not None
        assert scene.quality[0] == "scl"
        blue = scene.source("blue")
        assert (Path(blue.href).name, blue.index, blue.scale, blue.offset, blue.nodata) == (
            "2019-08-20.tif",
            1,
            1e-4,
            0,
            0,
        )

    def test_uncalibrated_numbers_are_not_called_reflectance(self, sample_tiles: Path) -> None:
        scenes = (
            open_catalog(sample_tiles / "rotterdam").scenes() + open_catalog(sample_tiles / "great_salt_lake").scenes()
        )
        assert not any(scene.reflectance for scene in scenes)

    def test_the_sixth_landsat_band_is_thermal(self, sample_tiles: Path) -> None:
        scene = open_catalog(sample_tiles / "great_salt_lake/west.json").scenes()[0]
        assert scene.band_names[5:] == ("lwir", "swir22")

    @pytest.mark.parametrize("tile", ["rotterdam/ms2", "romania/2016-06-16", "chile/scene"])
    def test_a_tile_named_alone_is_the_scene_of_the_item_beside_it(self, sample_tiles: Path, tile: str) -> None:
        by_tile = open_catalog(sample_tiles / f"{tile}.tif").scenes()
        assert by_tile == open_catalog(sample_tiles / f"{tile}.json").scenes()

    @pytest.mark.parametrize("tile", ["rotterdam/ms2", "romania/2016-06-16", "great_salt_lake/west", "chile/scene"])
    def test_a_tile_without_its_item_still_knows_its_bands_and_what_its_numbers_mean(
        self, sample_tiles: Path, tmp_path: Path, tile: str
    ) -> None:
        shutil.copy(sample_tiles / f"{tile}.tif", tmp_path / "alone.tif")
        alone = open_catalog(tmp_path / "alone.tif").scenes()[0]
        known = open_catalog(sample_tiles / f"{tile}.json").scenes()[0]
        assert alone.grid == known.grid
        assert (alone.band_names, alone.sensor, alone.reflectance) == (
            known.band_names,
            known.sensor,
            known.reflectance,
        )
        window = Window(20, 30, 40, 50)
        values = [read_window(scene, known.band_names, window).values for scene in (alone, known)]
        valid = np.isfinite(values[1])
        assert np.array_equal(values[0][valid], values[1][valid])


class TestPeriods:
    def test_only_scenes_acquired_in_the_period_are_found(self, sample_tiles: Path) -> None:
        scenes = open_catalog(sample_tiles / "romania").scenes(Period.year(2018))
        assert [s.id for s in scenes] == ["2018-05-22", "2018-07-01", "2018-08-15"]

    def test_the_end_of_a_period_is_not_in_it(self, sample_tiles: Path) -> None:
        period = Period(datetime(2018, 5, 22, tzinfo=UTC), datetime(2018, 7, 1, tzinfo=UTC))
        assert [s.id for s in open_catalog(sample_tiles / "romania").scenes(period)] == ["2018-05-22"]

    def test_a_period_without_scenes_says_when_there_are_some(self, sample_tiles: Path) -> None:
        with pytest.raises(
            NoDataError, match="between 2010-01-01 and 2011-01-01; scenes there run from 2016-06-16 to 2020"
        ):
            open_catalog(sample_tiles / "romania").scenes(Period.year(2010))

    def test_a_file_without_a_date_is_in_no_period(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3), np.uint8))
        assert open_catalog(path).scenes()[0].period is None
        with pytest.raises(NoDataError, match="no scene between"):
            open_catalog(path).scenes(Period.year(2020))

    def test_the_tiff_date_tag_is_the_acquisition_in_utc(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3), np.uint8), tags={"TIFFTAG_DATETIME": "2020:06:30 09:30:00"})
        scene = open_catalog(path).scenes(Period.year(2020))[0]
        assert scene.period == Period.instant(datetime(2020, 6, 30, 9, 30, tzinfo=UTC))

    def test_a_date_tag_that_is_no_date_is_no_date(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3), np.uint8), tags={"TIFFTAG_DATETIME": "last summer"})
        assert open_catalog(path).scenes()[0].period is None


class TestFiles:
    def test_a_folder_of_tiles_gives_one_scene_for_each_and_leaves_other_files_alone(self, write_tif: WriteTif) -> None:
        for name in ("b.tif", "a.TIF", "c.tiff"):
            folder = write_tif(f"tiles/{name}", np.ones((3, 3), np.uint8)).parent
        (folder / "notes.txt").write_text("not a tile")
        assert sorted(s.id for s in open_catalog(folder).scenes()) == ["a", "b", "c"]

    def test_a_folder_without_tiles_says_what_was_expected(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("not a tile")
        with pytest.raises(NoDataError, match=r"no tiles found; expected files ending in .*\.tif"):
            open_catalog(tmp_path)

    def test_a_place_that_is_not_there_is_said_not_to_be_there(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableError, match="no such file or folder"):
            open_catalog(tmp_path / "gone")

    def test_bands_without_names_are_numbered(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3, 3), np.uint8), names=("red", "", ""))
        assert open_catalog(path).scenes()[0].band_names == ("red", "band2", "band3")

    def test_named_bands_are_in_file_order(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((2, 3, 3), np.uint8) * np.array([5, 9], np.uint8)[:, None, None])
        scene = open_catalog(path, Hints(bands=("green", "nir"))).scenes()[0]
        assert read_window(scene, ("nir",), Window(0, 0, 1, 1)).values.item() == 9

    @pytest.mark.parametrize(
        "bands", [("green",), ("green", "nir", "red"), ("green", "green")], ids=["too few", "too many", "one twice"]
    )
    def test_names_that_do_not_name_each_band_once_are_refused(
        self, write_tif: WriteTif, bands: tuple[str, ...]
    ) -> None:
        path = write_tif("t.tif", np.ones((2, 3, 3), np.uint8))
        with pytest.raises(BandError, match=rf"--bands names {len(bands)} bands .*the file has 2"):
            open_catalog(path, Hints(bands=bands)).scenes()

    def test_a_sensor_names_and_scales_the_bands_of_its_product(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.full((7, 2, 2), 18_000, np.uint16))
        scene = open_catalog(path, Hints(sensor="landsat-c2-l2")).scenes()[0]
        assert scene.band_names == ("coastal", "blue", "green", "red", "nir", "swir16", "swir22")
        assert scene.reflectance
        assert read_window(scene, ("nir",), Window(0, 0, 1, 1)).values.item() == pytest.approx(18_000 * 2.75e-5 - 0.2)
        assert scene.source("nir").nodata == 0

    def test_product_names_of_bands_become_common_names(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((2, 3, 3), np.uint16), names=("B08", "B11"))
        assert open_catalog(path, Hints(sensor="sentinel-2-l2a")).scenes()[0].band_names == ("nir", "swir16")

    def test_a_file_that_carries_its_own_scale_knows_best(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.full((1, 2, 2), 500, np.uint16), names=("red",), scales=(0.01,))
        scene = open_catalog(path, Hints(sensor="sentinel-2-l2a")).scenes()[0]
        assert read_window(scene, ("red",), Window(0, 0, 1, 1)).values.item() == pytest.approx(5)

    def test_the_files_own_nodata_comes_before_the_sensors(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((1, 2, 2), np.uint16), names=("red",), nodata=9)
        assert open_catalog(path, Hints(sensor="sentinel-2-l2a")).scenes()[0].source("red").nodata == 9

    def test_a_sensor_nobody_knows_is_refused_from_a_user_and_ignored_in_a_tag(self, write_tif: WriteTif) -> None:
        path = write_tif("t.tif", np.ones((3, 3), np.uint8), tags={"SENSOR": "my-drone"})
        assert open_catalog(path).scenes()[0].sensor is None
        with pytest.raises(UsageError, match="my-drone"):
            open_catalog(path, Hints(sensor="my-drone")).scenes()

    def test_hints_outrank_the_item_beside_a_tile(self, sample_tiles: Path) -> None:
        scene = open_catalog(sample_tiles / "rotterdam/ms2.tif", Hints(bands=("a", "b", "c", "d"))).scenes()[0]
        assert scene.band_names == ("a", "b", "c", "d")

    def test_catalogues_of_files_and_items_are_told_apart(self, sample_tiles: Path, write_tif: WriteTif) -> None:
        assert isinstance(open_catalog(write_tif("t.tif", np.ones((3, 3), np.uint8))), FileCatalog)
        assert isinstance(open_catalog(sample_tiles / "rotterdam"), StacCatalog)
        assert isinstance(open_catalog(sample_tiles / "rotterdam/collection.json"), StacCatalog)


@pytest.fixture
def write_item(sample_tiles: Path, tmp_path: Path) -> WriteItem:
    """A copy of the item of 2019-08-20, changed by a function, beside its files."""

    def write(change: Callable[[dict[str, Any]], None]) -> Path:
        for name in ("2019-08-20.tif", "2019-08-20_scl.tif"):
            shutil.copy(sample_tiles / "romania" / name, tmp_path / name)
        item = json.loads((sample_tiles / "romania/2019-08-20.json").read_text())
        item["links"], _ = [], item.pop("collection")
        change(item)
        path = tmp_path / "item.json"
        path.write_text(json.dumps(item))
        return path

    return write


def only_scene(path: Path) -> Scene:
    (scene,) = open_catalog(path).scenes()
    return scene


class TestItems:
    def test_an_item_without_its_collection_is_enough(self, write_item: WriteItem) -> None:
        scene = only_scene(write_item(lambda item: None))
        assert scene.band_names == ROMANIA_BANDS
        assert scene.licence is None

    def test_a_single_datetime_is_an_instant(self, write_item: WriteItem) -> None:
        scene = only_scene(write_item(lambda item: item["properties"].update(datetime="2019-08-20T09:30:00Z")))
        assert scene.period == Period.instant(datetime(2019, 8, 20, 9, 30, tzinfo=UTC))

    def test_a_datetime_without_a_zone_is_utc_wherever_the_machine_stands(self, write_item: WriteItem) -> None:
        scene = only_scene(write_item(lambda item: item["properties"].update(datetime="2019-08-20T09:30:00")))
        assert scene.period == Period.instant(datetime(2019, 8, 20, 9, 30, tzinfo=UTC))

    def test_a_range_that_ends_where_it_starts_is_an_instant(self, write_item: WriteItem) -> None:
        moment = "2019-08-20T09:30:00Z"
        scene = only_scene(write_item(lambda i: i["properties"].update(start_datetime=moment, end_datetime=moment)))
        assert scene.period == Period.instant(datetime(2019, 8, 20, 9, 30, tzinfo=UTC))

    @pytest.mark.parametrize(
        ("baseline", "applied", "shift"), [("02.08", False, 0.0), ("05.09", False, -0.1), ("05.09", True, 0.0)]
    )
    def test_the_offset_of_new_sentinel_2_baselines_is_applied_where_nothing_states_one(
        self, write_item: WriteItem, baseline: str, applied: bool, shift: float
    ) -> None:
        def change(item: dict[str, Any]) -> None:
            item["properties"] |= {"s2:processing_baseline": baseline, "earthsearch:boa_offset_applied": applied}
            for band in item["assets"]["image"]["bands"]:
                del band["raster:offset"]

        path = write_item(change)
        shifted, plain = only_scene(path), only_scene(path.with_name("2019-08-20.tif"))
        values = [read_window(scene, ("red",), Window(50, 50, 2, 2)).values for scene in (shifted, plain)]
        np.testing.assert_allclose(values[0] - values[1], shift, atol=1e-6)

    def test_a_stated_offset_is_the_whole_truth(self, write_item: WriteItem) -> None:
        scene = only_scene(write_item(lambda item: item["properties"].update({"s2:processing_baseline": "05.09"})))
        assert scene.source("red").offset == 0.0

    def test_an_item_that_states_no_scale_means_the_numbers_of_its_product(
        self, write_item: WriteItem, write_tif: WriteTif
    ) -> None:
        """Items of STAC 1.0 keep scales elsewhere; 900 must not become a reflectance of 899.9."""

        def change(item: dict[str, Any]) -> None:
            item["collection"] = "sentinel-2-l2a"
            item["properties"]["s2:processing_baseline"] = "05.09"
            item["assets"] = {
                "red": {"href": "./B04.tif", "roles": ["data"], "type": "image/tiff; application=geotiff"}
            }

        write_tif("B04.tif", np.full((3, 3), 1900, np.uint16), nodata=0)
        scene = only_scene(write_item(change))
        assert scene.reflectance
        assert read_window(scene, ("red",), Window(0, 0, 1, 1)).values.item() == pytest.approx(0.09)

    def test_where_neither_item_nor_file_states_nodata_it_is_that_of_the_product(
        self, write_item: WriteItem, write_tif: WriteTif
    ) -> None:
        def change(item: dict[str, Any]) -> None:
            item["collection"] = "sentinel-2-l2a"
            item["assets"] = {"red": {"href": "./B04.tif", "roles": ["data"]}}

        write_tif("B04.tif", np.array([[0, 900]], np.uint16))
        raster = read_window(only_scene(write_item(change)), ("red",), Window(0, 0, 1, 2))
        assert raster.valid.tolist() == [[False, True]]

    def test_assets_named_like_the_product_get_common_names(self, write_item: WriteItem, write_tif: WriteTif) -> None:
        def change(item: dict[str, Any]) -> None:
            item["collection"] = "sentinel-2-l2a"
            item["assets"] = {name: {"href": f"./{name}.tif", "roles": ["data"]} for name in ("B04", "B08")}

        for name in ("B04", "B08"):
            write_tif(f"{name}.tif", np.full((3, 3), 1900, np.uint16), nodata=0)
        assert set(only_scene(write_item(change)).band_names) == {"red", "nir"}

    def test_nodata_may_be_written_as_the_text_nan_as_stac_does(self, write_item: WriteItem) -> None:
        def change(item: dict[str, Any]) -> None:
            item["assets"]["image"]["bands"][0]["nodata"] = "nan"

        nodata = only_scene(write_item(change)).source("blue").nodata
        assert isinstance(nodata, float)
        assert np.isnan(nodata)

    def test_pictures_for_people_are_not_taken_for_data(self, write_item: WriteItem) -> None:
        def change(item: dict[str, Any]) -> None:
            item["assets"]["preview"] = {"href": "./gone.png", "roles": ["data", "overview"]}

        assert only_scene(write_item(change)).band_names == ROMANIA_BANDS

    def test_the_finest_asset_gives_the_grid(self, write_item: WriteItem, write_tif: WriteTif) -> None:
        def change(item: dict[str, Any]) -> None:
            item["assets"] = {name: {"href": f"./{name}.tif", "roles": ["data"]} for name in ("coarse", "fine")}

        write_tif("fine.tif", np.ones((4, 4), np.uint16))
        write_tif("coarse.tif", np.ones((2, 2), np.uint16), transform=Affine(20, 0, 500_000, 0, -20, 5_700_000))
        assert only_scene(write_item(change)).grid.gsd_m == pytest.approx(10, rel=1e-3)


class TestBrokenItems:
    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="empty"),
            pytest.param("{", id="cut off"),
            pytest.param("[]", id="a list"),
            pytest.param('"item"', id="a text"),
            pytest.param("{}", id="an empty object"),
            pytest.param('{"type": "Feature"}', id="a bare feature"),
            pytest.param('{"type": "FeatureCollection", "features": []}', id="plain GeoJSON"),
            pytest.param("\ufffd\0", id="bytes"),
        ],
    )
    def test_json_that_is_no_stac_is_unreadable(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "item.json"
        path.write_text(text)
        with pytest.raises(UnreadableError, match=r"item\.json: not a STAC item or collection"):
            open_catalog(path).scenes()

    def test_an_item_whose_date_is_no_date_is_unreadable(self, write_item: WriteItem) -> None:
        path = write_item(lambda item: item["properties"].update(datetime="yesterday"))
        with pytest.raises(UnreadableError, match=r"item\.json"):
            open_catalog(path).scenes()

    def test_an_item_whose_bands_are_no_list_of_bands_is_unreadable(self, write_item: WriteItem) -> None:
        path = write_item(lambda item: item["assets"]["image"].update(bands="rgb"))
        with pytest.raises(UnreadableError, match=r"item\.json"):
            open_catalog(path).scenes()

    def test_a_range_that_ends_before_it_starts_is_refused(self, write_item: WriteItem) -> None:
        """Silently undated, the scene would vanish from every series."""
        path = write_item(lambda item: item["properties"].update(end_datetime="2018-08-20T00:00:00Z"))
        with pytest.raises(AisfGeoError, match="2018-08-20"):
            open_catalog(path).scenes()

    def test_an_item_whose_file_is_gone_names_the_file(self, write_item: WriteItem) -> None:
        path = write_item(lambda item: item["assets"]["image"].update(href="./gone.tif"))
        with pytest.raises(UnreadableError, match=r"gone\.tif: there is no such file"):
            open_catalog(path).scenes()

    def test_an_item_without_data_names_the_assets_it_has(self, write_item: WriteItem) -> None:
        path = write_item(lambda item: item["assets"]["image"].update(roles=["metadata"]))
        with pytest.raises(DataError, match="no asset with the role 'data'; it has image, scl"):
            open_catalog(path).scenes()

    def test_a_collection_whose_item_is_gone_is_unreadable(self, sample_tiles: Path, tmp_path: Path) -> None:
        shutil.copy(sample_tiles / "chile/collection.json", tmp_path / "collection.json")
        with pytest.raises(UnreadableError, match=r"collection\.json"):
            open_catalog(tmp_path).scenes()

    def test_a_collection_without_items_has_no_scene(self, sample_tiles: Path, tmp_path: Path) -> None:
        collection = json.loads((sample_tiles / "chile/collection.json").read_text())
        collection["links"] = []
        (tmp_path / "collection.json").write_text(json.dumps(collection))
        with pytest.raises(NoDataError, match="no scene"):
            open_catalog(tmp_path).scenes()
