from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import numpy as np
import pystac
import pytest
import shapely
from affine import Affine
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.store.raster import label_layer, write_cog
from aisf_geo.store.stac import ItemRecord, item_of, write_collection, write_item

LEGEND = Legend("land", (LegendClass(0, "rest", (1, 2, 3)), LegendClass(1, "snow or ice", (120, 200, 226), "snow")))
GRID = Grid("EPSG:32631", Affine(10, 0, 595_000, 0, -10, 5_751_000), Shape(20, 30))
RECORD = ItemRecord(
    id="ms2",
    collection="run-1",
    grid=GRID,
    period=Period.instant(datetime(2019, 8, 31, 10, 30, tzinfo=UTC)),
    heads={"water": LEGEND},
    method={"name": "snow", "version": "NDSI>0.400000"},
    coverage=2 / 3,
    obscured_share=0.1,
    attribution="SpaceNet 6",
    licence="CC-BY-SA-4.0",
    software={"aisf-geo": "0.1.0"},
    account={"features": {"features": 3, "moved_m2": {}, "isolated": 0}},
    audience="internal",
    raster_audience="internal",
)
WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """A run folder of one item or more, with their STAC files; returns its path."""

    def write(*records: ItemRecord) -> Path:
        items = []
        for record in records or (RECORD,):
            folder = tmp_path / "items" / record.id
            labels = np.ones(tuple(record.grid.shape), np.uint8)
            write_cog(folder / "labels.tif", record.grid, label_layer(LEGEND, {}), [(record.grid.full_window, labels)])
            (folder / "features.gpkg").write_bytes(b"features")
            (folder / "quicklook.png").write_bytes(b"picture")
            (folder / ".labels.12.partial.tif").write_bytes(b"left by a killed process")
            items.append(item_of(record, folder))
            write_item(items[-1], folder / "item.json")
        write_collection(tmp_path / "collection.json", "run-1", "A test", items, ["SpaceNet 6", "SpaceNet 6"])
        return tmp_path

    return write


def read_item(run: Path, item_id: str = "ms2") -> pystac.Item:
    return pystac.Item.from_file(str(run / "items" / item_id / "item.json"))


class TestItem:
    def test_pystac_finds_items_from_the_collection_and_the_collection_from_an_item(self, write_run: WriteRun) -> None:
        run = write_run()
        collection = pystac.Collection.from_file(str(run / "collection.json"))
        assert [item.id for item in collection.get_items()] == ["ms2"]
        found = read_item(run).get_collection()
        assert found is not None
        assert found.id == "run-1"

    def test_every_asset_exists_and_its_checksum_and_size_are_those_of_the_file(self, write_run: WriteRun) -> None:
        item = read_item(write_run())
        assert set(item.assets) == {"labels", "features_gpkg", "quicklook"}
        for asset in item.assets.values():
            content = Path(asset.get_absolute_href() or "").read_bytes()
            said = FileExtension.ext(asset)
            assert said.checksum == "1220" + hashlib.sha256(content).hexdigest()
            assert said.size == len(content)

    def test_links_are_relative_so_that_a_run_may_be_moved(self, write_run: WriteRun) -> None:
        run = write_run()
        for path in (run / "collection.json", run / "items/ms2/item.json"):
            assert str(run) not in path.read_text()

    def test_it_says_where_the_pixels_lie(self, write_run: WriteRun) -> None:
        item = read_item(write_run())
        said = ProjectionExtension.ext(item)
        assert (said.code, said.shape, said.transform) == ("EPSG:32631", [20, 30], [10, 0, 595_000, 0, -10, 5_751_000])
        box = geopandas.GeoSeries([shapely.box(*GRID.bounds)], crs=32631)
        footprint = geopandas.GeoSeries([shapely.geometry.shape(item.geometry)], crs=4326).to_crs(32631)
        assert footprint.symmetric_difference(box).area.item() < 1
        assert item.bbox == pytest.approx(list(shapely.geometry.shape(item.geometry).bounds))

    def test_a_crs_without_a_code_is_written_out(self, write_run: WriteRun) -> None:
        grid = replace(GRID, crs="+proj=laea +lat_0=50 +lon_0=4 +datum=WGS84 +units=m +type=crs")
        said = ProjectionExtension.ext(read_item(write_run(replace(RECORD, grid=grid))))
        assert said.code is None
        assert "Lambert Azimuthal Equal Area" in (said.wkt2 or "")

    def test_it_says_that_it_was_made_automatically_by_what_and_from_whose_imagery(self, write_run: WriteRun) -> None:
        properties = read_item(write_run()).properties
        assert properties["aisf:made_by"] == MADE_BY
        assert "AI" in MADE_BY
        assert "snow" in properties["processing:lineage"]
        assert "SpaceNet 6" in properties["processing:lineage"]
        assert properties["aisf:source_licence"] == "CC-BY-SA-4.0"
        assert properties["processing:software"] == {"aisf-geo": "0.1.0"}

    def test_labels_list_their_classes_with_colours(self, write_run: WriteRun) -> None:
        classes = ClassificationExtension.ext(read_item(write_run()).assets["labels"]).classes or []
        assert [(c.value, c.name, c.title, c.color_hint) for c in classes] == [
            (0, "rest", "rest", "010203"),
            (1, "snow-or-ice", "snow or ice", "78C8E2"),
        ]

    def test_it_is_cloud_optimised_by_media_type(self, write_run: WriteRun) -> None:
        assert read_item(write_run()).assets["labels"].media_type == pystac.MediaType.COG


class TestDates:
    def test_a_moment_is_a_datetime(self, write_run: WriteRun) -> None:
        assert read_item(write_run()).datetime == datetime(2019, 8, 31, 10, 30, tzinfo=UTC)

    def test_a_day_is_a_range_without_a_datetime(self, write_run: WriteRun) -> None:
        day = Period(datetime(2019, 8, 31, tzinfo=UTC), datetime(2019, 8, 31, 23, 59, 59, tzinfo=UTC))
        item = read_item(write_run(replace(RECORD, period=day)))
        assert item.datetime is None
        said = (item.common_metadata.start_datetime, item.common_metadata.end_datetime)
        assert said == (day.start, day.end)

    def test_an_unknown_date_is_a_wide_range_and_says_so(self, write_run: WriteRun) -> None:
        item = read_item(write_run(replace(RECORD, period=None)))
        assert item.datetime is None
        assert item.common_metadata.start_datetime is not None
        assert "no acquisition date" in item.properties["aisf:datetime_note"]


class TestCollection:
    def test_its_extent_holds_all_items(self, write_run: WriteRun) -> None:
        east = replace(GRID, transform=GRID.transform @ Affine.translation(500, 0))
        later = Period.instant(datetime(2021, 1, 1, tzinfo=UTC))
        run = write_run(RECORD, replace(RECORD, id="ms3", grid=east, period=later))
        collection = pystac.Collection.from_file(str(run / "collection.json"))
        boxes = [read_item(run, item).bbox or [] for item in ("ms2", "ms3")]
        assert collection.extent.spatial.bboxes == [
            [boxes[0][0], min(b[1] for b in boxes), boxes[1][2], max(b[3] for b in boxes)]
        ]
        assert collection.extent.temporal.intervals == [
            [datetime(2019, 8, 31, 10, 30, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)]
        ]

    def test_it_names_each_source_once_and_that_it_was_made_automatically(self, write_run: WriteRun) -> None:
        collection = pystac.Collection.from_file(str(write_run() / "collection.json"))
        assert collection.extra_fields["aisf:sources"] == ["SpaceNet 6"]
        assert MADE_BY in collection.description


@pytest.mark.parametrize("name", ["labels", "labels_building", "confidence", "probabilities", "quicklook"])
def test_what_shows_single_homes_is_marked_internal_in_a_public_item(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.tif").write_bytes(b"raster")
    (tmp_path / "imagery.tif").write_bytes(b"raster")
    assets = item_of(replace(RECORD, audience="public"), tmp_path).assets
    assert assets[name].extra_fields["aisf:audience"] == "internal"
    assert "aisf:audience" not in assets["imagery"].extra_fields
