"""The flow does what the command line does, step by step under Prefect's eyes."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.errors import IncompleteError, RecipeError, UsageError
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.recipe import read_recipe
from variants import recipe_variant

DATES = ("2016-06-16", "2016-08-05", "2017-06-06")


def three_dates(recipe: dict[str, Any]) -> None:
    recipe["period"] = {"start": "2016-01-01", "end": "2017-07-01"}
    recipe["clearing"] = {"baseline_year": 2016, "clear_dates": 1}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(recipe_variant(tmp_path_factory.mktemp("recipe"), three_dates))


@pytest.fixture(scope="module")
def finished(server: None, recipe: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run folder of a finished flow run, and what it returned."""
    from flows.interpret_tiles import interpret_tiles

    out = tmp_path_factory.mktemp("flow") / "out"
    return out, interpret_tiles(recipe, str(out))


def the_cut_tile(recipe: dict[str, Any]) -> None:
    recipe["sources"][0]["path"] = "cut.tif"


def at_once(*arguments: Any) -> Any:
    """The task that interprets a scene, without the pauses between its attempts."""
    from flows.interpret_tiles import segment_scene

    return segment_scene.with_options(retry_delay_seconds=0, retry_jitter_factor=None)(*arguments)


def attempts(caplog: pytest.LogCaptureFixture) -> int:
    """How often a task was tried, by Prefect's log."""
    said = [record.getMessage() for record in caplog.records if record.name == "prefect.task_runs"]
    assert any("Finished in state Failed" in text for text in said)
    return 1 + sum("will start" in text for text in said)


def task_names(wanted: set[str]) -> set[str]:
    """The names of the task runs the server knows of, asked again until the wanted are among them: it lags a little."""
    from prefect.client.orchestration import get_client

    names: set[str] = set()
    with get_client(sync_client=True) as client:
        for _ in range(200):
            names = {task.name for task in client.read_task_runs()}
            if wanted <= names:
                break
    return names


def artifacts() -> dict[str, Any]:
    """The newest artifact of each key."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = client.request("POST", "/artifacts/latest/filter", json={}).json()
    return {artifact["key"]: artifact for artifact in found}


@pytest.fixture(scope="module")
def by_pipeline(recipe: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recipe without Prefect, as the command line carries it out."""
    out = tmp_path_factory.mktemp("pipeline") / "out"
    run(plan_run(read_recipe(Path(recipe))), out, "refuse")
    return out


class TestFlowAndCommandLine:
    def test_the_maps_are_byte_for_byte_those_of_the_pipeline(
        self, finished: tuple[Path, dict[str, Any]], by_pipeline: Path
    ) -> None:
        out, _ = finished
        names = sorted(p.relative_to(out) for p in out.rglob("*.tif"))
        assert len(names) == 3 * len(DATES) + 1 + 2
        assert [name for name in names if (out / name).read_bytes() != (by_pipeline / name).read_bytes()] == []

    @pytest.mark.parametrize(
        "name", ["indicators.json", "items/2017-06-06/features.parquet", "items/2017-06-06/features.geojson"]
    )
    def test_features_and_indicators_are_the_same(
        self, finished: tuple[Path, dict[str, Any]], by_pipeline: Path, name: str
    ) -> None:
        assert (finished[0] / name).read_bytes() == (by_pipeline / name).read_bytes()

    def test_it_returns_what_the_command_line_prints(self, finished: tuple[Path, dict[str, Any]]) -> None:
        out, returned = finished
        assert returned["run"] == str(out)
        assert [item["id"] for item in returned["items"]] == list(DATES)
        assert returned["indicators"] == len(json.loads((out / "indicators.json").read_text()))
        assert json.loads((out / "run.json").read_text())["state"] == "complete"


class TestRunPage:
    def test_the_indicators_are_a_table_on_it(self, finished: tuple[Path, dict[str, Any]]) -> None:
        out, _ = finished
        shown = artifacts()["indicators"]
        assert shown["type"] == "table"
        table = json.loads(shown["data"])
        rows = json.loads((out / "indicators.json").read_text())
        assert [(line["date"], line["value"]) for line in table] == [
            (row["period"]["start"][:10], row["value"]) for row in rows
        ]

    def test_the_report_is_a_link_on_it(self, finished: tuple[Path, dict[str, Any]]) -> None:
        out, _ = finished
        shown = artifacts()["report"]
        assert shown["type"] == "markdown"
        assert (out / "report.html").resolve().as_uri() in shown["data"]

    def test_there_is_a_task_for_each_stage_and_scene(self, finished: tuple[Path, dict[str, Any]]) -> None:
        wanted = {f"{stage}-{date}" for stage in ("segment", "vectorise", "publish") for date in DATES}
        assert wanted <= task_names(wanted)


class TestAgain:
    def test_a_second_run_computes_nothing_and_changes_no_map(
        self, finished: tuple[Path, dict[str, Any]], recipe: str, tmp_path: Path
    ) -> None:
        from flows.interpret_tiles import interpret_tiles

        out = Path(shutil.copytree(finished[0], tmp_path / "out"))
        labels = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in out.glob("items/*/labels.tif")}
        returned = interpret_tiles(recipe, str(out))
        assert [item["computed"] for item in returned["items"]] == [0, 0, 0]
        assert {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in labels} == labels

    def test_the_first_run_says_how_many_blocks_it_computed(self, finished: tuple[Path, dict[str, Any]]) -> None:
        assert [item["computed"] for item in finished[1]["items"]] == [1, 1, 1]

    def test_an_existing_run_is_refused_when_asked(self, finished: tuple[Path, dict[str, Any]], recipe: str) -> None:
        from flows.interpret_tiles import interpret_tiles

        with pytest.raises(UsageError, match="exists and is not empty"):
            interpret_tiles(recipe, str(finished[0]), existing="refuse")

    def test_a_recipe_that_was_changed_meanwhile_is_read_again(
        self, finished: tuple[Path, dict[str, Any]], recipe: str, tmp_path: Path
    ) -> None:
        from flows.interpret_tiles import interpret_tiles

        out = Path(shutil.copytree(finished[0], tmp_path / "out"))
        path = Path(shutil.copy(recipe, tmp_path))
        interpret_tiles(str(path), str(out))
        path.write_text(path.read_text().replace("threshold: 0.82", "threshold: 0.8"))
        with pytest.raises(UsageError, match="recipe or scenes differ"):
            interpret_tiles(str(path), str(out))


class TestFailures:
    @pytest.mark.usefixtures("server")
    def test_a_wrong_recipe_fails_before_any_task(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        from flows.interpret_tiles import interpret_tiles

        wrong = recipe_variant(tmp_path, lambda r: r.update(indicatorz=[]))
        with pytest.raises(RecipeError, match="did you mean 'indicators'"):
            interpret_tiles(str(wrong), str(tmp_path / "out"))
        assert {record.name for record in caplog.records} & {"prefect.flow_runs", "prefect.task_runs"} == {
            "prefect.flow_runs"
        }
        assert not (tmp_path / "out").exists()

    @pytest.mark.usefixtures("server")
    def test_a_wrong_use_inside_a_task_is_not_tried_again(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A run that a later version wrote is refused by the first task that opens its ledger."""
        recipe = str(recipe_variant(tmp_path, three_dates))
        with closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as ledger:
            ledger.execute("PRAGMA user_version = 1000")
        with pytest.raises(UsageError):
            at_once(recipe, str(tmp_path), "2016-06-16", 1, None)
        assert attempts(caplog) == 1

    @pytest.mark.usefixtures("server")
    def test_imagery_that_cannot_be_read_is_tried_again(
        self, sample_tiles: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cut = (sample_tiles / "rotterdam" / "ms2.tif").read_bytes()[:60_000]
        (tmp_path / "cut.tif").write_bytes(cut)
        recipe = str(recipe_variant(tmp_path, the_cut_tile, "rotterdam_water"))
        with pytest.raises(IncompleteError, match="blocks could not be read"):
            at_once(recipe, str(tmp_path), "cut", 1, None)
        assert attempts(caplog) == 3

    @pytest.mark.usefixtures("server")
    def test_from_the_shell_a_failure_is_one_sentence_and_the_exit_code(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        from click.testing import CliRunner
        from flows.interpret_tiles import main

        ended = CliRunner().invoke(main, ["no_such_recipe", "--out", str(tmp_path / "out")])
        assert ended.exit_code == 2
        assert "error: recipe: no file 'no_such_recipe'" in ended.output
