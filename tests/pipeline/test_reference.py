"""Samples of a run, their labels, and what these do to its indicators."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.indicators.area import Z95, wilson
from aisf_geo.pipeline.assess import read_reference, summarise
from aisf_geo.pipeline.reference import draw_sample, sampled_map, strata_at
from aisf_geo.store.run import RunFolder
from aisf_geo.store.sample import as_geojson, read_sample
from variants import CONFIGS

LABELLED = CONFIGS / "samples" / "romania_clearing.geojson"


@pytest.fixture(scope="module")
def rows(romania: Path) -> list[dict]:
    return json.loads((romania / "indicators.json").read_text())


class TestShippedSample:
    def test_it_is_of_the_map_the_recipe_makes(self, romania: Path) -> None:
        reference = read_reference(RunFolder(romania), LABELLED)
        assert reference.moved == 0
        assert (len(reference.units), reference.left_out) == (138, 12)
        assert "labelled by looking at the 2016-2020 chips" in reference.note

    def test_the_last_date_has_intervals_and_earlier_ones_say_why_not(self, rows: list[dict]) -> None:
        for code in ("cleared-area", "cleared-share"):
            for zone in ("forest-west", "forest-east"):
                mine = [r for r in rows if r["indicator"] == code and r["zone"] == zone]
                last = mine[-1]
                assert last["interval"]["low"] < last["value"] < last["interval"]["high"]
                assert "138 units" in last["interval"]["method"]
                assert all(r["interval"] is None for r in mine[:-1])
                assert all("last date" in r["inputs"]["interval_note"] for r in mine[:-1])

    def test_the_share_is_the_hand_count(self, romania: Path, rows: list[dict]) -> None:
        """Areas of the strata in the zone times the shares of the labels, by hand."""
        row = [r for r in rows if r["indicator"] == "cleared-share" and r["zone"] == "forest-west"][-1]
        (areas,) = row["inputs"]["estimated_areas_m2"]
        assert row["value"] == pytest.approx(100 * areas["cleared"] / (areas["cleared"] + areas["standing"]))
        assert row["inputs"]["mapped_value"] != row["value"]

    def test_an_assessment_is_beside_it(self, romania: Path) -> None:
        said = json.loads((romania / "reference" / "clearing.json").read_text())
        strata = {s["name"]: s for s in said["strata"]}
        cleared = strata["cleared"]["counts"]
        users = said["accuracy"]["users"]["cleared"]
        share = cleared["cleared"] / sum(cleared.values())
        assert users["value"] == pytest.approx(share)
        assert said["estimator"] == "Olofsson et al. 2014"
        assert users["ci95"] == pytest.approx(Z95 * np.sqrt(share * (1 - share) / (sum(cleared.values()) - 1)))
        low, high = wilson(np.array([float(cleared["cleared"])]), np.array([float(sum(cleared.values()))]))
        assert (users["interval"]["low"], users["interval"]["high"]) == pytest.approx((low[0], high[0]), rel=1e-6)
        producers = said["accuracy"]["producers"]["cleared"]["interval"]
        assert producers["low"] < 0.8, "a large stratum of which 48 units hold nothing cleared may hold some"
        assert said["accuracy"]["producers"]["cleared"]["value"] <= producers["high"] <= 1


@pytest.fixture(scope="module")
def drawn(romania: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("sample") / "s"
    return out, dict(draw_sample(romania, "2020-06-30", 4, 7, out))


class TestDrawing:
    def test_each_stratum_has_its_units_and_they_lie_in_it(self, romania: Path, drawn: tuple[Path, dict]) -> None:
        sample = read_sample(drawn[0] / "sample.geojson")
        assert set(Counter(u.stratum for u in sample.units).values()) == {4}
        population = sampled_map(RunFolder(romania), "2020-06-30")
        assert strata_at(population, sample.units) == [u.stratum for u in sample.units]

    def test_the_design_is_in_the_file_and_in_the_geopackage(self, drawn: tuple[Path, dict]) -> None:
        sample = read_sample(drawn[0] / "sample.geojson")
        assert (sample.design["seed"], sample.design["per_class"]) == (7, 4)
        assert "without replacement" in sample.design["method"]
        assert {(u.id, u.row, u.col, u.stratum_px) for u in read_sample(drawn[0] / "sample.gpkg").units} == {
            (u.id, u.row, u.col, u.stratum_px) for u in sample.units
        }

    def test_the_same_seed_draws_the_same_and_another_map_another(self, romania: Path, tmp_path: Path) -> None:
        places = []
        for name, map_id in (("a", "2020-06-30"), ("b", "2020-06-30"), ("c", "2020-05-16")):
            draw_sample(romania, map_id, 3, 7, tmp_path / name)
            places.append([(u.row, u.col) for u in read_sample(tmp_path / name / "sample.geojson").units])
        assert places[0] == places[1] != places[2]

    def test_every_unit_has_a_chip_and_the_page_needs_nothing_else(self, drawn: tuple[Path, dict]) -> None:
        out, said = drawn
        page = (out / "label.html").read_text()
        assert len(list((out / "chips").glob("*.png"))) == said["units"] == page.count("data:image/png;base64,")
        assert "http://" not in page.replace("http://www.w3.org", "")
        assert "https://" not in page
        assert "Copernicus" in page

    def test_a_folder_in_use_and_an_unknown_map_are_refused(self, romania: Path, drawn: tuple[Path, dict]) -> None:
        with pytest.raises(OutputError, match="exists and is not empty"):
            draw_sample(romania, "2020-06-30", 4, 7, drawn[0])
        with pytest.raises(UsageError, match="no map '1999'"):
            draw_sample(romania, "1999", 4, 7, None)


class TestRefusals:
    def test_a_sample_nobody_labelled(self, romania: Path, tmp_path: Path) -> None:
        draw_sample(romania, "2020-06-30", 3, 1, tmp_path / "s")
        with pytest.raises(UsageError, match=r"no unit is labelled; open label\.html"):
            read_reference(RunFolder(romania), tmp_path / "s" / "sample.geojson")

    def test_an_answer_the_map_does_not_know(self, romania: Path, tmp_path: Path) -> None:
        content = json.loads(LABELLED.read_text())
        content["features"][0]["properties"]["reference"] = "swamp"
        path = tmp_path / "wrong.geojson"
        path.write_text(json.dumps(content))
        with pytest.raises(UsageError, match="answers swamp are not among"):
            read_reference(RunFolder(romania), path)

    def test_a_sample_of_another_map_gives_accuracies_by_stehman_and_no_intervals_of_zones(
        self, romania: Path, tmp_path: Path
    ) -> None:
        content = json.loads(LABELLED.read_text())
        for feature in content["features"][:30]:
            row = feature["properties"]
            row["row"], row["col"] = row["col"] % 80, row["row"]
        path = tmp_path / "moved.geojson"
        path.write_text(json.dumps(content))
        reference = read_reference(RunFolder(romania), path)
        assert reference.moved > 0
        assert summarise(reference)["estimator"] == "Stehman 2014"


def test_a_sample_survives_the_round_trip() -> None:
    sample = read_sample(LABELLED)
    assert as_geojson(sample)["features"][0]["properties"]["id"] == "u0001"
