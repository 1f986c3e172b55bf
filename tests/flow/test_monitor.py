"""The flows that watch, report and are served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.errors import RecipeError
from variants import CONFIGS, recipe_variant


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dropped")


@pytest.fixture(scope="module")
def recipe(dropped: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    def watch(recipe: dict[str, Any]) -> None:
        recipe["sources"][0]["path"] = str(dropped)
        recipe.pop("reference_sample", None)

    return str(recipe_variant(tmp_path_factory.mktemp("recipe"), watch))


@pytest.fixture(scope="module")
def watched(
    server: None, dropped: Path, recipe: str, sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What four looks at the folder returned: empty, first scenes, more scenes, nothing new."""
    from flows.monitor import monitor

    out = tmp_path_factory.mktemp("watch") / "out"
    told = []
    for dates in ((), ("2016-06-16", "2016-08-05"), ("2017-06-06", "2017-07-06"), ()):
        for date in dates:
            for path in (sample_tiles / "romania").glob(f"{date}*"):
                shutil.copy(path, dropped)
        told.append(monitor(recipe, str(out)))
    return out, told


class TestMonitor:
    def test_each_look_interprets_what_is_new(self, watched: Any) -> None:
        _, told = watched
        assert [look["new"] for look in told] == [[], ["2016-06-16", "2016-08-05"], ["2017-06-06", "2017-07-06"], []]

    def test_the_alert_is_told_once_and_kept(self, watched: Any) -> None:
        out, told = watched
        assert [[alert["zone"] for alert in look["alerts"]] for look in told] == [[], [], ["forest-west"], []]
        kept = json.loads((out / "alerts.json").read_text())
        assert [alert["date"] for alert in kept] == [alert["date"] for alert in told[2]["alerts"]]
        assert "more than its uncertainty" in kept[0]["sentence"]
        assert "made by" in kept[0]["made_by"].lower()

    def test_report_indicators_measures_a_finished_run_for_other_zones(self, watched: Any, tmp_path: Path) -> None:
        from flows.report_indicators import report_indicators

        out = shutil.copytree(watched[0], tmp_path / "out")
        told = report_indicators(str(out), str(CONFIGS / "zones" / "romania_forest.geojson"), "zone_id", "zone_name")
        assert told["values"] == len(json.loads((out / "indicators.json").read_text())) > 0

    def test_a_wrong_recipe_is_not_tried_again(
        self, server: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        from flows.monitor import monitor

        path = tmp_path / "wrong.yaml"
        path.write_text("name: x\n")
        with pytest.raises(RecipeError):
            monitor(str(path), str(tmp_path / "out"))
        assert not [r for r in caplog.records if "will start" in r.getMessage()]


def test_the_deployments_that_are_served_are_those_of_prefect_yaml() -> None:
    import yaml
    from flows.serve import DEPLOYMENTS, deployments

    said = yaml.safe_load(DEPLOYMENTS.read_text())["deployments"]
    made = deployments()
    assert [d.name for d in made] == [one["name"] for one in said]
    for one, deployment in zip(said, made, strict=True):
        assert [s.schedule.cron for s in deployment.schedules] == [s["cron"] for s in one["schedules"]]
        # Typed parameters: an unknown or missing one would be refused when the run starts.
        assert set(one["parameters"]) <= set(deployment._parameter_openapi_schema.properties)
        assert set(deployment._parameter_openapi_schema.required) <= set(one["parameters"])
    assert {d.flow_name for d in made} == {"interpret-tiles", "detect-change", "monitor", "report-indicators"}
