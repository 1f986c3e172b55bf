"""Recipes and zones that cannot work, and those that work with something to mind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine
from variants import box, recipe_variant, write_zones

WEST = box(22.146, 45.201, 22.151, 45.207)
EAST = box(22.1505, 45.201, 22.157, 45.206)
APART = box(22.152, 45.201, 22.157, 45.206)
FAR = box(10, 50, 10.1, 50.1)
ANTIPODE = box(-158, -46, -157, -45)
BOW = [(22.146, 45.201), (22.151, 45.207), (22.151, 45.201), (22.146, 45.207), (22.146, 45.201)]

Change = Callable[[dict[str, Any]], object]


def put(*keys: str | int, value: object) -> Change:
    """Sets a value deep inside a recipe."""

    def change(recipe: Any) -> None:
        for key in keys[:-1]:
            recipe = recipe[key]
        recipe[keys[-1]] = value

    return change


def drop(*keys: str) -> Change:
    def change(recipe: dict[str, Any]) -> None:
        for key in keys:
            recipe.pop(key)

    return change


class TestRecipesThatAreRefused:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (put("indicatorz", value=[]), "unknown key 'indicatorz'; did you mean 'indicators'?"),
            (put("segment", "treshold", value=0.1), "unknown key 'segment.treshold'; did you mean 'threshold'?"),
            (put("clearing", "baseline", value=1), "unknown key 'clearing.baseline'; did you mean 'baseline_year'?"),
            (put("sources", 0, "license", value="x"), "did you mean 'licence'?"),
            (put("xyzzy", value=1), "unknown key 'xyzzy'; allowed are name, title"),
            (put("folder", value="/"), "unknown key 'folder'"),
            (drop("sources"), "key 'sources' is missing"),
            (put("segment", "method", value="watr"), "segment.method: Input should be 'water'"),
            (put("segment", "counts_as", value="trees"), "segment.counts_as"),
            (put("segment", "threshold", value="high"), "segment.threshold"),
            (put("min_coverage", value=70), "min_coverage: Input should be less than or equal to 1, found 70"),
            (put("name", value="Two words"), "name: String should match pattern"),
            (put("period", "end", value="2015-01-01"), "must lie after the start"),
            (put("period", "end", value="yesterday"), "period.end"),
            (put("indicators", value=["15.9.9"]), "asked for '15.9.9', known are"),
            (put("indicators", value=["6.6.1"]), "needs a class that counts as 'water'"),
            (drop("clearing"), "needs the section 'clearing'"),
            (put("clearing", "baseline_year", value=2010), "no scene in 2010; there are scenes in [2016"),
            (put("clearing", "baseline_year", value=2020), "2020"),
            (put("zones", "id", value="code"), "no column 'code'; there are zone_id, zone_name"),
        ],
        ids=lambda value: value[:40] if isinstance(value, str) else "",
    )
    def test_a_wrong_recipe_is_wrong_use_and_says_what_is_allowed(
        self, aisf_geo: CommandLine, tmp_path: Path, change: Change, said: str
    ) -> None:
        ended = aisf_geo("run", recipe_variant(tmp_path, change), "--out", tmp_path / "out")
        assert ended.code == 2
        assert said in ended.error
        assert not (tmp_path / "out").exists()

    def test_a_wrong_key_in_a_list_is_the_only_complaint(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        recipe = recipe_variant(tmp_path, put("sources", 0, "license", value="x"))
        assert aisf_geo("run", recipe, "--out", tmp_path / "out").error.endswith("did you mean 'licence'?")

    @pytest.mark.parametrize(
        "content",
        [b"name: [unclosed\nb: 2\n", b"- a\n- b\n", b"", b"just text", b"\xff\xfe\x00", b"{a: 1, a: 2", b"1: 2"],
        ids=["unclosed", "a list", "empty", "a sentence", "not UTF-8", "a brace open", "a number as key"],
    )
    def test_a_file_that_is_no_recipe_is_said_in_one_sentence(
        self, aisf_geo: CommandLine, tmp_path: Path, content: bytes
    ) -> None:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(content)
        ended = aisf_geo("run", path, "--out", tmp_path / "out")
        assert ended.code == 2
        assert str(path) in ended.error

    @pytest.mark.parametrize(("recipe", "said"), [("no_such", "shipped are city_vhr"), ("no_such.yaml", "no_such")])
    def test_a_recipe_that_is_not_there(self, aisf_geo: CommandLine, recipe: str, said: str) -> None:
        ended = aisf_geo("run", recipe)
        assert (ended.code, said in ended.error) == (2, True)

    def test_a_shipped_recipe_is_found_beside_a_folder_of_its_name(
        self, aisf_geo: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "rotterdam_water").mkdir()
        assert aisf_geo("run", "rotterdam_water", "--dry-run").code == 0

    @pytest.mark.parametrize(
        "change",
        [
            put("zones", "path", value="missing.geojson"),
            put("area", value="missing.geojson"),
            put("sources", 0, "path", value="missing"),
            put("reference_sample", value="missing.geojson"),
        ],
        ids=["zones", "area", "source", "reference sample"],
    )
    def test_a_file_that_a_recipe_names_must_be_there(
        self, aisf_geo: CommandLine, tmp_path: Path, change: Change
    ) -> None:
        ended = aisf_geo("run", recipe_variant(tmp_path, change), "--out", tmp_path / "out")
        assert ended.code in (1, 2)
        assert str(tmp_path / "missing") in ended.error

    def test_a_period_without_a_scene_says_when_there_are_scenes(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        recipe = recipe_variant(tmp_path, put("period", value={"start": "2030-01-01", "end": "2031-01-01"}))
        ended = aisf_geo("run", recipe, "--out", tmp_path / "out")
        assert ended.code == 1
        assert (
            "no scene between 2030-01-01 and 2031-01-01; scenes there run from 2016-06-16 to 2020-09-03" in ended.error
        )

    def test_two_sources_with_the_same_scenes_are_refused(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        recipe = recipe_variant(tmp_path, lambda r: r["sources"].append(dict(r["sources"][0])))
        ended = aisf_geo("run", recipe, "--out", tmp_path / "out")
        assert (ended.code, "2016-06-16" in ended.error) == (2, True)


class TestZones:
    def recipe(self, folder: Path, **rings: list[tuple[float, float]]) -> Path:
        zones = write_zones(folder / "zones.geojson", **rings)
        return recipe_variant(folder, put("zones", "path", value=str(zones)))

    @pytest.mark.parametrize(
        ("rings", "said"),
        [
            ({"a": FAR, "b": ANTIPODE}, "none of 2 zones touches the imagery"),
            ({"a": BOW}, "(Self-intersection"),
            ({"a": WEST, "a_": APART}, "repeats ['a']"),
            ({}, "holds no features"),
        ],
        ids=["outside", "invalid", "repeated ids", "none"],
    )
    def test_zones_that_cannot_be_reported_are_refused(
        self, aisf_geo: CommandLine, tmp_path: Path, rings: dict[str, list[tuple[float, float]]], said: str
    ) -> None:
        ended = aisf_geo("run", self.recipe(tmp_path, **rings), "--out", tmp_path / "out")
        assert ended.code == 2
        assert said in ended.error
        assert not (tmp_path / "out").exists()

    def test_overlapping_zones_are_warned_of(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        ended = aisf_geo("run", self.recipe(tmp_path, a=WEST, b=EAST), "--dry-run")
        assert ended.code == 0
        (warning,) = ended.document["warnings"]
        assert warning.startswith("zones a and b overlap by ")
        assert warning.endswith("do not add them up")

    def test_zones_that_only_touch_are_not(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        ended = aisf_geo("run", self.recipe(tmp_path, a=WEST, b=box(22.151, 45.201, 22.157, 45.206)), "--dry-run")
        assert ended.document["warnings"] == []

    @pytest.mark.parametrize("elsewhere", [FAR, ANTIPODE], ids=["far away", "where the projection ends"])
    def test_zones_partly_outside_are_reported_and_withheld(
        self, aisf_geo: CommandLine, tmp_path: Path, elsewhere: list[tuple[float, float]]
    ) -> None:
        zones = write_zones(tmp_path / "zones.geojson", here=WEST, elsewhere=elsewhere)

        def two_dates(recipe: dict[str, Any]) -> None:
            del recipe["clearing"]
            recipe["indicators"] = ["15.1.1"]
            recipe["period"] = {"start": "2016-01-01", "end": "2017-01-01"}
            recipe["zones"]["path"] = str(zones)

        ended = aisf_geo("run", recipe_variant(tmp_path, two_dates), "--out", tmp_path / "out", "--json")
        assert ended.code == 0
        assert "zones outside the imagery, withheld: elsewhere" in ended.notes
        again = aisf_geo("indicators", tmp_path / "out", "--zones", zones, "--zone-id", "zone_id", "--json")
        values = {(row["zone"], row["value"] is None, row["withheld_reason"]) for row in again.document}
        assert values == {("here", False, None), ("elsewhere", True, "the zone lies outside the imagery")}


class TestDryRuns:
    def test_nothing_is_read_and_nothing_is_written(
        self, aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path
    ) -> None:
        """A tile whose pixels cannot be decoded can still be planned."""
        whole = (sample_tiles / "rotterdam" / "ms2.tif").read_bytes()
        cut = tmp_path / "cut.tif"
        cut.write_bytes(whole[: len(whole) // 2])
        ended = aisf_geo(
            "segment", cut, "--method", "water", "--out", tmp_path / "out", "--block-px", "256", "--dry-run"
        )
        assert ended.code == 0
        assert sorted(tmp_path.iterdir()) == [cut]
        plan = ended.document
        assert plan["blocks"] == sum(item["blocks"] for item in plan["items"]) == 4
        assert plan["pixels"] == 300 * 300
        assert plan["estimated_bytes_read"] > 0
        assert plan["estimated_seconds_one_worker"] > 0

    def test_only_blocks_in_the_area_count(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        west = write_zones(tmp_path / "west.geojson", west=WEST)

        def one_date(recipe: dict[str, Any]) -> None:
            recipe["period"] = {"start": "2016-06-01", "end": "2016-07-01"}
            recipe["segment"]["block_px"] = 16
            del recipe["clearing"], recipe["indicators"]

        def in_the_west(recipe: dict[str, Any]) -> None:
            one_date(recipe)
            recipe["area"] = str(west)

        whole, part = (
            aisf_geo("run", recipe_variant(tmp_path, change), "--dry-run").document
            for change in (one_date, in_the_west)
        )
        assert 0 < part["blocks"] < whole["blocks"]
