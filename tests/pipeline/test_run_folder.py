"""A finished run has every file, key and column that CONTRACT.md names, and other programs can read them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import geopandas
import numpy as np
import pyarrow.parquet
import pystac
import pytest
import rasterio
from PIL import Image
from rasterio.features import rasterize

DATES = (
    *("2016-06-16", "2016-08-05", "2017-06-06", "2017-07-06", "2018-05-22", "2018-07-01", "2018-08-15"),
    *("2019-06-16", "2019-07-06", "2019-08-05", "2019-08-20", "2020-05-16", "2020-06-30", "2020-09-03"),
)
COLUMNS = ["id", "class", "class_name", "area_m2", "confidence", "confidence_p10", "datetime", "scene", "edge"]
COLUMNS += ["perimeter_m", "open_border_share"]
TREES = "tree cover (dense vegetation)"
CODES = {0: f"not {TREES}", 1: TREES, 254: "unknown", 255: "not observed"}


def features(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


def test_the_demo_ends_with_the_indicators_and_the_report(demo) -> None:
    assert demo.ended.code == 0
    assert "Tree cover cleared since the baseline year" in demo.ended.out
    assert "none yet" in demo.ended.out
    assert str(demo.romania / "report.html") in demo.ended.out
    assert demo.ended.out.rstrip().splitlines()[-1].split(": ")[-1].startswith("aisf-geo explain"), demo.ended.out[
        -400:
    ]
    assert "Traceback" not in demo.ended.err


class TestFolder:
    @pytest.mark.parametrize(
        "name",
        [
            "run.json",
            "ledger.sqlite",
            "collection.json",
            "indicators.json",
            "indicators.csv",
            "report.html",
            "zones.geojson",
            "change/clearing/clearing.tif",
        ],
    )
    def test_a_file_of_the_run_is_there(self, romania: Path, name: str) -> None:
        assert (romania / name).stat().st_size > 0

    @pytest.mark.parametrize("date", DATES)
    def test_the_files_of_a_scene_are_there(self, romania: Path, date: str) -> None:
        names = {p.name for p in (romania / "items" / date).iterdir()}
        assert names == {
            "labels.tif",
            "labels.tif.aux.xml",
            "confidence.tif",
            "features.parquet",
            "features.gpkg",
            "features.geojson",
            "quicklook.png",
            "imagery.tif",
            "item.json",
        }

    def test_a_run_without_indicators_has_the_same_files(self, rotterdam: Path) -> None:
        assert json.loads((rotterdam / "indicators.json").read_text()) == []
        assert (rotterdam / "report.html").exists()
        assert not (rotterdam / "change").exists()

    def test_nothing_temporary_is_left(self, romania: Path, rotterdam: Path) -> None:
        assert [p for run in (romania, rotterdam) for p in run.rglob(".*")] == []


class TestRunJson:
    @pytest.fixture
    def said(self, romania: Path) -> dict:
        return json.loads((romania / "run.json").read_text())

    def test_it_tells_what_was_asked_and_what_carried_it_out(self, said: dict) -> None:
        assert said["state"] == "complete"
        assert said["start"] < said["end"]
        assert said["start"].endswith("Z")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", said["plan_digest"])
        assert {"runtime", "precision", "cpu", "cpu_features"} <= set(said["runtime"])
        assert any("threads" in key for key in said["runtime"])
        assert {"aisf-geo", "python", "numpy", "rasterio", "shapely"} <= set(said["versions"])

    def test_the_recipe_in_it_can_be_run_again(self, said: dict) -> None:
        from aisf_geo.recipe import parse_recipe

        assert parse_recipe(said["recipe"]).name == "romania_forest"
        assert said["recipe"]["min_coverage"] == 0.7, "defaults are written out"


class TestLedger:
    def test_there_is_a_row_for_every_block(self, romania: Path) -> None:
        with sqlite3.connect(romania / "ledger.sqlite") as ledger:
            ledger.row_factory = sqlite3.Row
            rows = [dict(row) for row in ledger.execute("SELECT * FROM block ORDER BY item")]
        assert {"item", "block", "state", "reason", "digest", "seconds"} <= set(rows[0])
        assert [row["item"] for row in rows] == list(DATES)
        assert {row["state"] for row in rows} == {"done", "cloudy"}
        assert [row["item"] for row in rows if row["state"] == "cloudy"] == ["2020-09-03"]
        assert all(row["reason"] for row in rows if row["state"] != "done")
        assert all(row["digest"].startswith("sha256:") for row in rows)


class TestStac:
    def test_pystac_reads_the_collection_and_every_item(self, romania: Path) -> None:
        collection = pystac.Collection.from_file(str(romania / "collection.json"))
        items = sorted(collection.get_items(), key=lambda item: item.id)
        assert [item.id for item in items] == list(DATES)
        assert all(item.get_collection().id == collection.id for item in items)
        assert collection.extent.temporal.intervals[0][0].date().isoformat() == DATES[0]

    def test_the_links_are_relative_so_that_a_run_can_be_moved(self, romania: Path) -> None:
        for path in (romania / "collection.json", *romania.glob("items/*/item.json")):
            for link in json.loads(path.read_text())["links"]:
                assert link["href"].startswith("."), path
                assert (path.parent / link["href"]).exists(), path

    @pytest.mark.parametrize("date", [DATES[0], DATES[-1]])
    def test_assets_are_there_with_their_checksums(self, romania: Path, date: str) -> None:
        item = pystac.Item.from_file(str(romania / "items" / date / "item.json"))
        assert {"labels", "confidence", "quicklook"} <= set(item.assets)
        assert sum(key.startswith("features") for key in item.assets) == 3
        for asset in item.assets.values():
            content = Path(asset.get_absolute_href()).read_bytes()
            assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
            assert asset.extra_fields["file:size"] == len(content)

    def test_an_item_says_what_made_it_and_when_and_where(self, romania: Path) -> None:
        item = pystac.Item.from_file(str(romania / "items" / "2019-06-16" / "item.json"))
        assert "automatic (AI) interpretation" in item.properties["aisf:made_by"]
        assert item.properties["processing:software"]["aisf-geo"]
        assert item.properties["aisf:source_attribution"].startswith("Contains modified Copernicus")
        assert item.properties["start_datetime"].startswith("2019-06-16")
        west, south, east, north = item.bbox
        assert 22.14 < west < east < 22.17
        assert 45.19 < south < north < 45.22
        titles = [c["title"] for c in item.assets["labels"].extra_fields["classification:classes"]]
        assert titles == [CODES[0], CODES[1]]


class TestMaps:
    @pytest.mark.parametrize("date", DATES)
    def test_labels_are_what_the_contract_says(self, romania: Path, date: str) -> None:
        with rasterio.open(romania / "items" / date / "labels.tif") as dataset:
            assert (dataset.count, dataset.dtypes[0], dataset.nodata) == (1, "uint8", 255)
            assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert dataset.crs.to_epsg() == 3035
            assert set(np.unique(dataset.read())) <= set(CODES)

    @pytest.mark.parametrize("date", DATES)
    def test_confidence_exists_exactly_where_there_is_a_label(self, romania: Path, date: str) -> None:
        with (
            rasterio.open(romania / "items" / date / "labels.tif") as labels,
            rasterio.open(romania / "items" / date / "confidence.tif") as confidence,
        ):
            assert (confidence.dtypes[0], confidence.nodata) == ("uint8", 255)
            assert confidence.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert confidence.transform == labels.transform
            assert np.array_equal(confidence.read(1) == 255, labels.read(1) == 255)

    def test_viewers_see_class_colours_and_names(
        self, romania: Path, category_names: Callable[[Path], list[str]]
    ) -> None:
        path = romania / "items" / DATES[0] / "labels.tif"
        with rasterio.open(path) as dataset:
            colours = dataset.colormap(1)
        assert colours[1] == (52, 132, 70, 255)
        assert colours[255][3] == 0, "what was not observed is clear"
        names = category_names(path)
        assert {code: names[code] for code in CODES} == CODES
        assert len(names) == 256

    def test_the_picture_shows_the_labels(self, romania: Path) -> None:
        folder = romania / "items" / DATES[2]
        picture = np.asarray(Image.open(folder / "quicklook.png").convert("RGBA"))
        with rasterio.open(folder / "labels.tif") as dataset:
            labels, colours = dataset.read(1), dataset.colormap(1)
        assert picture.shape[:2] == labels.shape
        for code in (0, 1):
            assert (picture[labels == code] == colours[code]).all()
        assert (picture[labels == 255][:, 3] == 0).all()


class TestFeatures:
    @pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
    def test_they_have_exactly_the_columns_of_the_contract(self, romania: Path, suffix: str) -> None:
        table = features(romania / "items" / "2019-06-16" / f"features{suffix}")
        assert list(table.columns) == [*COLUMNS, "geometry"]
        assert table["id"].is_unique
        assert set(table["class"]) == {0, 1}
        # GDAL reads a GeoJSON id of this kind as a date.
        assert {str(scene)[:10] for scene in table["scene"]} == {"2019-06-16"}
        assert {str(when)[:10] for when in table["datetime"]} == {"2019-06-16"}
        assert table["edge"].dtype == bool
        assert table["confidence"].between(0.5, 1).all()
        assert (table["confidence_p10"] <= table["confidence"]).all()
        assert table.geometry.is_valid.all()
        assert set(table.geom_type) == {"Polygon"}

    def test_the_three_formats_say_the_same(self, romania: Path) -> None:
        folder = romania / "items" / "2019-06-16"
        parquet, package, geojson = (
            features(folder / f"features{suffix}").set_index("id").sort_index()
            for suffix in (".parquet", ".gpkg", ".geojson")
        )
        for other in (package, geojson):
            assert other["area_m2"].to_dict() == pytest.approx(parquet["area_m2"].to_dict(), rel=1e-9)
            assert (other["class"] == parquet["class"]).all()
        assert parquet.geometry.geom_equals(package.geometry).all()
        shifted = geojson.to_crs(parquet.crs).geometry.distance(parquet.geometry.centroid)
        assert shifted.max() < 100
        assert geojson.to_crs(parquet.crs).area.sum() == pytest.approx(parquet.area.sum(), rel=1e-3)

    def test_drawn_again_they_give_the_map_back(self, romania: Path) -> None:
        folder = romania / "items" / "2019-06-16"
        table = features(folder / "features.gpkg")
        with rasterio.open(folder / "labels.tif") as dataset:
            drawn = rasterize(
                zip(table.geometry, table["class"], strict=True),
                dataset.shape,
                fill=255,
                transform=dataset.transform,
                dtype="uint8",
            )
            assert np.array_equal(drawn, dataset.read(1))

    def test_parquet_has_a_box_for_each_row(self, romania: Path) -> None:
        path = romania / "items" / "2019-06-16" / "features.parquet"
        geo = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])
        assert geo["version"] == "1.1.0"
        assert "bbox" in geo["columns"]["geometry"]["covering"]

    def test_geojson_follows_rfc_7946(self, romania: Path) -> None:
        content = json.loads((romania / "items" / "2019-06-16" / "features.geojson").read_text())
        assert content["type"] == "FeatureCollection"
        assert "crs" not in content
        for feature in content["features"]:
            outer = np.array(feature["geometry"]["coordinates"][0])
            assert np.all((outer[:, 0] > 22.1) & (outer[:, 0] < 22.2) & (outer[:, 1] > 45.1) & (outer[:, 1] < 45.3))
            x, y = (outer - outer[0]).T
            assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0, "outer rings run counter-clockwise"


class TestIndicatorFiles:
    KEYS = (
        *("indicator", "formula", "name", "zone", "zone_name", "period", "value", "unit", "interval", "coverage"),
        *("withheld_reason", "proxy", "caveat", "inputs", "provenance"),
    )

    def test_json_has_exactly_the_keys_of_the_contract(self, romania: Path) -> None:
        rows = json.loads((romania / "indicators.json").read_text())
        assert rows
        for row in rows:
            assert tuple(row) == self.KEYS
            assert set(row["period"]) == {"start", "end"}
            assert set(row["provenance"]) == {"items", "models", "run", "attribution", "made_by"}
            assert re.fullmatch(r"[\w.-]+@[\w.-]+", row["formula"])
            assert row["formula"].startswith(row["indicator"] + "@")
            assert 0 <= row["coverage"] <= 1
            assert row["caveat"]
            assert set(row["provenance"]["items"]) <= set(DATES)
            if row["indicator"] == "cleared-area":
                assert len(row["provenance"]["items"]) > 1, "a clearing comes from every date it was followed on"

    def test_csv_says_the_same(self, romania: Path) -> None:
        rows = json.loads((romania / "indicators.json").read_text())
        with (romania / "indicators.csv").open(newline="") as stream:
            table = list(csv.DictReader(stream))
        assert len(table) == len(rows)
        for line, row in zip(table, rows, strict=True):
            assert (line["formula"], line["zone"], line["start"]) == (
                row["formula"],
                row["zone"],
                row["period"]["start"],
            )
            assert (float(line["value"]) if line["value"] else None) == row["value"]
            assert (line["withheld_reason"] or None) == row["withheld_reason"]


class Loads(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]


class TestReport:
    @pytest.fixture(params=["romania", "rotterdam"])
    def page(self, request: pytest.FixtureRequest) -> str:
        return (request.getfixturevalue(request.param) / "report.html").read_text(encoding="utf-8")

    def test_it_loads_nothing_from_anywhere(self, page: str) -> None:
        loads = Loads()
        loads.feed(page)
        assert not {"script", "link", "iframe", "object", "embed", "base"} & set(loads.tags)
        assert loads.addresses
        assert all(address.startswith("data:image/png;base64,") for address in loads.addresses)
        assert "@import" not in page
        assert "url(" not in page

    def test_it_says_who_made_it_from_what(self, page: str) -> None:
        assert "automatic (AI) interpretation" in page
        assert "Licence:" in page
        assert "sha256:" in page

    def test_every_indicator_of_the_run_is_in_it(self, romania: Path) -> None:
        page = (romania / "report.html").read_text(encoding="utf-8")
        rows = json.loads((romania / "indicators.json").read_text())
        assert {row["formula"] for row in rows} == {"cleared-area@1", "cleared-share@1", "15.1.1@2023"}
        for row in rows:
            assert row["formula"] in page
            assert row["zone_name"] in page
            assert row["caveat"] in page
        assert "withheld" in page
        for date in DATES:
            assert date in page

    def test_every_picture_says_what_it_shows(self, page: str) -> None:
        pictures = re.findall(r"<img [^>]*>", page)
        assert len(pictures) >= 2
        assert all(re.search(r'alt="[^"]{8,}"', picture) for picture in pictures)
