"""Commands that tell, and commands that work on label maps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio

from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.recipe import read_recipe
from aisf_geo.segment.spectral import METHODS
from command_line import CommandLine
from variants import box, recipe_variant, write_zones


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tree cover on the two dates of 2016 and the two of 2017, without clearing."""
    folder = tmp_path_factory.mktemp("trees")

    def four_dates(recipe: dict[str, object]) -> None:
        del recipe["clearing"]
        recipe["indicators"] = ["15.1.1"]
        recipe["period"] = {"start": "2016-01-01", "end": "2018-01-01"}

    run(plan_run(read_recipe(recipe_variant(folder, four_dates))), folder / "out", "refuse")
    return folder / "out"


@pytest.fixture
def trees(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run for each test."""
    return Path(shutil.copytree(finished, tmp_path / "trees"))


class TestJson:
    """``--json``: one document on stdout and nothing else there; ``Ended.document`` fails on a second one."""

    def test_run(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        ended = aisf_geo("run", "rotterdam_water", "--out", tmp_path / "out", "--json")
        assert ended.code == 0
        assert ended.document == {
            "run": str(tmp_path / "out"),
            "report": str(tmp_path / "out" / "report.html"),
            "items": [
                {"id": "ms2", "blocks": 1, "computed": 1, "failed": 0, "coverage": pytest.approx(0.677556, abs=1e-5)}
            ],
            "indicators": 0,
        }

    def test_segment_and_its_notes(self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path) -> None:
        tile = sample_tiles / "bigearthnet" / "S2B_MSIL2A_20170924T93020_69_24.tif"
        ended = aisf_geo("segment", tile, "--method", "water", "--out", tmp_path / "out", "--json")
        assert ended.code == 0
        assert [item["id"] for item in ended.document["items"]] == [tile.stem]

    @pytest.mark.parametrize("arguments", [("version",), ("models", "list"), ("models", "show", "water"), ("schema",)])
    def test_what_the_program_knows(self, aisf_geo: CommandLine, arguments: tuple[str, ...]) -> None:
        ended = aisf_geo(*arguments, *([] if arguments == ("schema",) else ["--json"]))
        assert (ended.code, ended.err) == (0, "")
        assert ended.document

    @pytest.mark.parametrize("name", METHODS)
    def test_every_method_can_be_listed_and_shown(self, aisf_geo: CommandLine, name: str) -> None:
        assert name in [method["name"] for method in aisf_geo("models", "list", "--json").document]
        assert aisf_geo("models", "show", name, "--json").document["name"] == name
        assert name in aisf_geo("models", "show", name).out

    def test_info_of_a_collection(self, aisf_geo: CommandLine, sample_tiles: Path) -> None:
        ended = aisf_geo("info", sample_tiles / "romania", "--json")
        scenes = ended.document
        assert len(scenes) == 14
        assert scenes[0]["id"] == "2016-06-16"
        assert scenes[0]["shape"] == [100, 100]
        assert scenes[0]["gsd_m"] == pytest.approx(10, abs=0.05)
        assert scenes[0]["quality_band"] == "scl"
        assert scenes[0]["methods"] == ["water", "vegetation", "snow", "built-up"]

    def test_vectorise(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        labels = trees / "items" / "2017-06-06" / "labels.tif"
        ended = aisf_geo("vectorise", labels, "-o", tmp_path / "trees.gpkg", "--json")
        table = geopandas.read_file(tmp_path / "trees.gpkg")
        assert ended.document["features"] == len(table) > 10
        assert sum(ended.document["area_m2"].values()) == pytest.approx(table["area_m2"].sum())

    def test_change(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        before, after = trees / "items" / "2016-06-16", trees / "items" / "2017-06-06" / "labels.tif"
        ended = aisf_geo("change", before, after, "--out", tmp_path / "change", "--json")
        assert ended.code == 0
        assert 0 < ended.document["changed_m2"] < 0.2 * ended.document["compared_m2"]

    def test_indicators_for_other_zones(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        zones = write_zones(tmp_path / "zones.geojson", small=box(22.147, 45.202, 22.15, 45.205))
        ended = aisf_geo("indicators", trees, "--zones", zones, "--zone-id", "zone_id", "--json")
        assert ended.document == json.loads((trees / "indicators.json").read_text())
        assert {row["zone"] for row in ended.document} == {"small"}
        assert len(ended.document) == 4


class TestTables:
    def test_a_run_ends_with_its_indicators_and_the_report(
        self, aisf_geo: CommandLine, trees: Path, tmp_path: Path
    ) -> None:
        zones = write_zones(tmp_path / "zones.geojson", small=box(22.147, 45.202, 22.15, 45.205))
        ended = aisf_geo("indicators", trees, "--zones", zones, "--zone-name", "zone_name")
        assert "Zone small" in ended.out
        assert "2017-07-06" in ended.out
        assert "none yet" in ended.out
        assert "still shows" not in ended.err
        assert "Zone small" in (trees / "report.html").read_text(), "the report shows what indicators.json says"

    def test_versions_are_those_installed(self, aisf_geo: CommandLine) -> None:
        lines = dict(line.split() for line in aisf_geo("version").out.splitlines())
        assert lines["numpy"] == np.__version__
        assert lines["rasterio"] == rasterio.__version__

    def test_info_says_what_is_not_stated(self, aisf_geo: CommandLine, sample_tiles: Path) -> None:
        assert "nodata" in aisf_geo("info", sample_tiles / "great_salt_lake" / "west.tif").out


class TestVectorise:
    def labels(self, trees: Path) -> Path:
        return trees / "items" / "2017-06-06" / "labels.tif"

    @pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
    def test_an_existing_file_is_replaced_only_when_asked(
        self, aisf_geo: CommandLine, trees: Path, tmp_path: Path, suffix: str
    ) -> None:
        output = tmp_path / f"features{suffix}"
        output.write_bytes(b"precious")
        refused = aisf_geo("vectorise", self.labels(trees), "-o", output)
        assert (refused.code, output.read_bytes()) == (2, b"precious")
        assert "--overwrite" in refused.error
        assert aisf_geo("vectorise", self.labels(trees), "-o", output, "--overwrite").code == 0
        read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
        assert len(read(output)) > 10

    @pytest.mark.parametrize(("name", "said"), [("a.shp", "found .shp"), ("a", "found no suffix")])
    def test_a_format_that_is_not_written(
        self, aisf_geo: CommandLine, trees: Path, tmp_path: Path, name: str, said: str
    ) -> None:
        ended = aisf_geo("vectorise", self.labels(trees), "-o", tmp_path / name)
        assert (ended.code, said in ended.error) == (2, True)

    def test_an_output_below_a_file_is_wrong_use(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        ended = aisf_geo("vectorise", self.labels(trees), "-o", tmp_path / "file" / "a.gpkg")
        assert ended.code == 2
        assert str(tmp_path / "file") in ended.error

    def test_small_features_go_and_the_area_stays(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        fine = aisf_geo("vectorise", self.labels(trees), "-o", tmp_path / "fine.gpkg", "--json").document
        coarse = aisf_geo(
            "vectorise", self.labels(trees), "-o", tmp_path / "coarse.gpkg", "--min-area-m2", "2000", "--json"
        ).document
        assert coarse["features"] < fine["features"]
        assert sum(coarse["area_m2"].values()) == pytest.approx(sum(fine["area_m2"].values()), rel=1e-9)
        assert coarse["moved_m2"]

    def test_simplified_features_say_what_it_did_to_their_area(
        self, aisf_geo: CommandLine, trees: Path, tmp_path: Path
    ) -> None:
        fine, smooth = tmp_path / "fine.parquet", tmp_path / "smooth.parquet"
        aisf_geo("vectorise", self.labels(trees), "-o", fine)
        aisf_geo("vectorise", self.labels(trees), "-o", smooth, "--simplify-m", "12")
        before, after = (geopandas.read_parquet(p).set_index("id").sort_index() for p in (fine, smooth))
        change = after["area_m2"] - before["area_m2"]
        assert np.allclose(after["area_change_m2"], change, atol=1e-6)
        assert (change != 0).any()

    def test_a_raster_of_another_program_is_wrong_use(
        self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path
    ) -> None:
        ended = aisf_geo("vectorise", sample_tiles / "chile" / "scene.tif", "-o", tmp_path / "a.gpkg")
        assert (ended.code, "carries no legend" in ended.error) == (2, True)


class TestChange:
    def test_swapping_the_dates_transposes_the_matrix(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        one, two = trees / "items" / "2016-06-16", trees / "items" / "2017-06-06"
        aisf_geo("change", one, two, "--out", tmp_path)
        aisf_geo("change", two, one, "--out", tmp_path)
        there, back = (
            np.loadtxt(tmp_path / "change" / pair / "matrix.csv", delimiter=",", skiprows=1, usecols=(1, 2))
            for pair in ("2016-06-16_2017-06-06", "2017-06-06_2016-06-16")
        )
        assert np.array_equal(there, back.T)
        assert there[1, 0] > there[0, 1], "more forest is lost than won"

    def test_every_file_of_the_contract_is_written(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        one, two = trees / "items" / "2016-06-16", trees / "items" / "2017-06-06"
        aisf_geo("change", one, two, "--out", tmp_path)
        folder = tmp_path / "change" / "2016-06-16_2017-06-06"
        assert sorted(p.name for p in folder.iterdir()) == [
            "change.parquet",
            "change.tif",
            "confidence.tif",
            "control.json",
            "matrix.csv",
            "report.html",
            "summary.json",
        ]
        with (
            rasterio.open(folder / "change.tif") as change,
            rasterio.open(one / "labels.tif") as before,
            rasterio.open(two / "labels.tif") as after,
        ):
            assert (change.dtypes[0], change.nodata) == ("uint16", 65535)
            codes, a, b = change.read(1), before.read(1).astype(int), after.read(1)
        assert np.array_equal(codes, np.where((a > 253) | (b > 253), 65535, a * 256 + b))
        features = geopandas.read_parquet(folder / "change.parquet")
        matrix = np.loadtxt(folder / "matrix.csv", delimiter=",", skiprows=1, usecols=(1, 2))
        too_small = json.loads((folder / "summary.json").read_text())["too_small"]["area_m2"]
        assert features["area_m2"].sum() + too_small == pytest.approx(matrix[0, 1] + matrix[1, 0])
        assert json.loads((folder / "control.json").read_text())["false_alarm_rate"] is None

    def test_maps_on_different_grids_are_refused(
        self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path
    ) -> None:
        places = []
        for tile in sorted((sample_tiles / "bigearthnet").glob("*.tif")):
            run(plan_run(tile_recipe(tile, "snow")), tmp_path / tile.stem, "refuse")
            places.append(tmp_path / tile.stem / "items" / tile.stem)
        ended = aisf_geo("change", *places, "--out", tmp_path / "change")
        assert ended.code == 2
        assert "different grids" in ended.error
        assert not (tmp_path / "change").exists()

    def test_maps_with_different_legends_are_refused(
        self, aisf_geo: CommandLine, trees: Path, sample_tiles: Path, tmp_path: Path
    ) -> None:
        run(plan_run(tile_recipe(sample_tiles / "romania" / "2016-06-16.tif", "water")), tmp_path / "water", "refuse")
        ended = aisf_geo(
            "change", tmp_path / "water/items/2016-06-16", trees / "items/2017-06-06", "--out", tmp_path / "change"
        )
        assert ended.code == 2
        assert "legends differ: code 0 is 'not water' before" in ended.error

    def test_a_map_that_is_not_there_is_unreadable(self, aisf_geo: CommandLine, trees: Path, tmp_path: Path) -> None:
        ended = aisf_geo("change", trees / "items/2016-06-16", tmp_path / "missing.tif", "--out", tmp_path / "change")
        assert (ended.code, "no such file" in ended.error) == (1, True)


class TestIndicators:
    def test_a_folder_that_is_no_run_is_unreadable(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        zones = write_zones(tmp_path / "zones.geojson", small=box(22.147, 45.202, 22.15, 45.205))
        ended = aisf_geo("indicators", tmp_path, "--zones", zones)
        assert (ended.code, "not a run folder" in ended.error) == (1, True)

    def test_a_run_without_indicators_says_so(self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path) -> None:
        zones = write_zones(tmp_path / "zones.geojson", small=box(22.147, 45.202, 22.15, 45.205))
        plan = plan_run(tile_recipe(sample_tiles / "romania" / "2016-06-16.tif", "vegetation"))
        run(plan, tmp_path / "out", "refuse")
        ended = aisf_geo("indicators", tmp_path / "out", "--zones", zones)
        assert (ended.code, "asks for no indicators" in ended.error) == (2, True)

    def test_zones_outside_are_refused_and_the_values_stay(
        self, aisf_geo: CommandLine, trees: Path, tmp_path: Path
    ) -> None:
        before = (trees / "indicators.json").read_bytes()
        zones = write_zones(tmp_path / "zones.geojson", far=box(10, 50, 10.1, 50.1))
        ended = aisf_geo("indicators", trees, "--zones", zones)
        assert (ended.code, "touches the imagery" in ended.error) == (2, True)
        assert (trees / "indicators.json").read_bytes() == before
