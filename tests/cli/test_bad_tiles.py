"""Tiles and arguments that cannot work: one clear sentence, the contract's exit code, and nothing left behind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from command_line import CommandLine

WriteTif = Callable[..., Path]
BANDS = ("blue", "green", "red", "nir")
NUMBERS = np.random.default_rng(0).integers(1, 3000, (4, 64, 64), dtype=np.uint16)


@pytest.fixture
def tile(write_tif: WriteTif) -> Path:
    return write_tif("tile.tif", NUMBERS, names=BANDS, nodata=0)


class TestTilesThatCannotBeRead:
    @pytest.mark.parametrize("command", [("info",), ("segment", "--method", "water", "--out", "out")])
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"not a raster\n", "not a raster"),
            (b"II*\0", "not a raster"),
            (b"", "it is empty, fetch it again"),
            (b"PK\3\4 and so on", "a ZIP archive, unpack it"),
            (None, "no such file"),
        ],
        ids=["text", "a header cut off", "empty", "an archive", "missing"],
    )
    def test_a_file_that_is_no_raster(
        self,
        aisf_geo: CommandLine,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        command: tuple[str, ...],
        content: bytes | None,
        said: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "tile.tif"
        if content is not None:
            path.write_bytes(content)
        ended = aisf_geo(command[0], path, *command[1:])
        assert ended.code == 1
        assert str(path) in ended.error
        assert said in ended.error
        assert not (tmp_path / "out").exists()

    def test_a_truncated_tile_fails_its_blocks_and_says_how_to_go_on(
        self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path
    ) -> None:
        whole = (sample_tiles / "rotterdam" / "ms2.tif").read_bytes()
        cut = tmp_path / "cut.tif"
        cut.write_bytes(whole[: len(whole) // 2])
        out = tmp_path / "out"
        ended = aisf_geo("segment", cut, "--method", "water", "--out", out)
        assert ended.code == 1
        assert "--resume" in ended.error
        with sqlite3.connect(out / "ledger.sqlite") as ledger:
            states = {state for (state,) in ledger.execute("SELECT state FROM block")}
        assert "failed" in states

    @pytest.mark.parametrize(
        ("profile", "said"),
        [({"crs": None}, "no coordinate system"), ({"transform": Affine.identity()}, "no geotransform")],
        ids=["crs", "transform"],
    )
    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_a_tile_without_a_place_on_earth(
        self, aisf_geo: CommandLine, write_tif: WriteTif, tmp_path: Path, profile: dict[str, object], said: str
    ) -> None:
        path = write_tif("lost.tif", NUMBERS, names=BANDS, **profile)
        ended = aisf_geo("segment", path, "--method", "water", "--out", tmp_path / "out")
        assert ended.code == 1
        assert said in ended.error

    def test_a_tile_without_a_single_observed_pixel_keeps_its_empty_maps(
        self, aisf_geo: CommandLine, write_tif: WriteTif, tmp_path: Path
    ) -> None:
        path = write_tif("night.tif", np.zeros_like(NUMBERS), names=BANDS, nodata=0)
        ended = aisf_geo("segment", path, "--method", "water", "--out", tmp_path / "out")
        assert ended.code == 1
        assert "nothing was observed" in ended.error
        with rasterio.open(tmp_path / "out" / "items" / "night" / "labels.tif") as labels:
            assert np.unique(labels.read()).tolist() == [255]
        assert (tmp_path / "out" / "report.html").exists()
        assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "incomplete"


class TestTilesThatDoNotFit:
    @pytest.mark.parametrize(
        ("bands", "arguments", "said"),
        [
            (BANDS[:3], (), "needs the bands green, swir16 or green, nir; found blue, green, red"),
            (BANDS[:1], (), "found blue"),
            ((), (), "found band1, band2, band3, band4"),
            (BANDS, ("--bands", "green,nir"), "names 2 bands (green, nir), the file has 4"),
            (BANDS, ("--bands", "green,green,red,nir"), "the file has 4"),
        ],
        ids=["RGB only", "one band", "no names", "too few names", "a name twice"],
    )
    def test_bands_that_are_missing_are_named_with_those_there_are(
        self,
        aisf_geo: CommandLine,
        write_tif: WriteTif,
        tmp_path: Path,
        bands: tuple[str, ...],
        arguments: tuple[str, ...],
        said: str,
    ) -> None:
        path = write_tif("tile.tif", NUMBERS[: len(bands) or 4], names=bands)
        ended = aisf_geo("segment", path, "--method", "water", "--out", tmp_path / "out", *arguments)
        assert ended.code == 2
        assert said in ended.error
        assert not (tmp_path / "out").exists()

    def test_names_given_in_file_order_help(self, aisf_geo: CommandLine, write_tif: WriteTif, tmp_path: Path) -> None:
        path = write_tif("tile.tif", NUMBERS)
        ended = aisf_geo("info", path, "--bands", ",".join(BANDS), "--json")
        assert ended.document[0]["bands"] == list(BANDS)
        assert "water" in ended.document[0]["methods"]

    @pytest.mark.parametrize(
        "arguments", [(), ("--bands", ",".join(BANDS))], ids=["named in the file", "named by the user"]
    )
    def test_a_named_fourth_band_of_8_bit_numbers_is_no_alpha_channel(
        self, aisf_geo: CommandLine, write_tif: WriteTif, arguments: tuple[str, ...]
    ) -> None:
        """GDAL marks the fourth band of an 8-bit file as alpha where nobody says otherwise."""
        path = write_tif("tile.tif", (NUMBERS % 200).astype(np.uint8), names=BANDS)
        ended = aisf_geo("info", path, "--json", *arguments)
        assert ended.code == 0
        assert ended.document[0]["bands"] == list(BANDS)


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--method", "watr"), "asked for 'watr', known are water, vegetation, snow, built-up, burn"),
            (("--sensor", "sentinel-9"), "asked for 'sentinel-9', known are sentinel-2-l2a"),
            (("--bbox", "3,46,3.01"), "expected four numbers W,S,E,N in degrees, found '3,46,3.01'"),
            (("--bbox", "3,46,east,47"), "expected four numbers W,S,E,N in degrees, found '3,46,east,47'"),
            (("--bbox", "4,46,3,47"), "expected west < east and south < north"),
            (("--bbox", "3,46,3.01,200"), "expected west < east and south < north"),
            (("--bbox", "nan,46,3.01,47"), "expected west < east and south < north"),
            (("--bbox", "4,46,5,47"), "lies outside the image"),
            (("--bbox", "100,2,101,4"), "lies outside the image"),
            (("--bbox", "-177,-52,-176,-51"), "lies outside the image"),
            (("--block-px", "3"), "greater than or equal to 16, found 3"),
            (("--threshold", "1.5"), "less than 1, found 1.5"),
            (("--workers", "0"), "0 is not in the range"),
            (("--precision", "int8"), "are of a model, method 'water' runs none"),
            (("--runtime", "torch"), "are of a model, method 'water' runs none"),
            (("--no-such-option",), "--no-such-option"),
            (("--resume", "--overwrite"), "--resume and --overwrite contradict each other"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
    )
    def test_what_is_wrong_is_said_in_one_sentence(
        self, aisf_geo: CommandLine, tile: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
    ) -> None:
        method = () if "--method" in arguments else ("--method", "water")
        ended = aisf_geo("segment", tile, *method, "--out", tmp_path / "out", *arguments)
        assert ended.code == 2
        assert said in ended.error
        assert not (tmp_path / "out").exists()

    def test_an_unknown_model_is_answered_with_methods_and_models(self, aisf_geo: CommandLine) -> None:
        assert "known are water, " in (told := aisf_geo("models", "show", "unet").error)
        assert "vhr-city" in told

    @pytest.mark.parametrize("arguments", [("segment",), ("no-such-command",), ("models", "show", "unet"), ("run",)])
    def test_a_command_that_makes_no_sense_is_wrong_use(
        self, aisf_geo: CommandLine, arguments: tuple[str, ...]
    ) -> None:
        ended = aisf_geo(*arguments)
        assert ended.code == 2
        assert ended.error
        assert ended.out == ""

    def test_a_sensor_said_of_a_stac_collection_is_checked_too(
        self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path
    ) -> None:
        what = "segment", sample_tiles / "chile", "--method", "water"
        ended = aisf_geo(*what, "--out", tmp_path, "--sensor", "sentinel-9", "--dry-run")
        assert ended.code == 2
        assert "sentinel-9" in ended.error


class TestAreas:
    def segment(self, aisf_geo: CommandLine, tile: Path, folder: Path, area: Path) -> tuple[int, str]:
        ended = aisf_geo("segment", tile, "--method", "water", "--out", folder / "out", "--aoi", area)
        assert not (folder / "out").exists()
        return ended.code, ended.error

    def polygon(self, folder: Path, *rings: list[list[float]]) -> Path:
        features = [
            {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
            for ring in rings
        ]
        path = folder / "area.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    @pytest.mark.parametrize("count", [1, 2])
    def test_an_area_that_crosses_itself_is_refused(
        self, aisf_geo: CommandLine, tile: Path, tmp_path: Path, count: int
    ) -> None:
        with rasterio.open(tile) as dataset:
            west, south, east, north = rasterio.warp.transform_bounds(dataset.crs, 4326, *dataset.bounds)
        bow = [[west, south], [east, north], [east, south], [west, north], [west, south]]
        bows = [[[x + i * 0.0002, y + i * 0.0001] for x, y in bow] for i in range(count)]
        code, error = self.segment(aisf_geo, tile, tmp_path, self.polygon(tmp_path, *bows))
        assert code == 2
        assert "invalid" in error

    def test_an_area_elsewhere_is_refused(self, aisf_geo: CommandLine, tile: Path, tmp_path: Path) -> None:
        area = self.polygon(tmp_path, [[13, 52], [14, 52], [14, 53], [13, 52]])
        code, error = self.segment(aisf_geo, tile, tmp_path, area)
        assert (code, "lies outside the image" in error) == (2, True)

    def test_an_area_without_a_polygon_is_refused(self, aisf_geo: CommandLine, tile: Path, tmp_path: Path) -> None:
        code, error = self.segment(aisf_geo, tile, tmp_path, self.polygon(tmp_path))
        assert (code, "no features" in error) == (2, True)

    def test_an_area_file_that_is_no_vector_file_is_unreadable(
        self, aisf_geo: CommandLine, tile: Path, tmp_path: Path
    ) -> None:
        area = tmp_path / "area.geojson"
        area.write_text("not polygons")
        code, error = self.segment(aisf_geo, tile, tmp_path, area)
        assert (code, "not a vector file" in error) == (1, True)

    def test_a_file_and_a_box_at_once_are_refused(self, aisf_geo: CommandLine, tile: Path, tmp_path: Path) -> None:
        area = self.polygon(tmp_path, [[3, 51], [4, 51], [4, 52], [3, 51]])
        ended = aisf_geo(
            "segment", tile, "--method", "water", "--out", tmp_path / "out", "--aoi", area, "--bbox", "3,51,4,52"
        )
        assert (ended.code, "--aoi and --bbox" in ended.error) == (2, True)
