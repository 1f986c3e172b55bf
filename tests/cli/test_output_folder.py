"""What may be written where: an output folder is never emptied or mixed by accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from command_line import CommandLine


@pytest.fixture(scope="module")
def finished(sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "out"
    run(plan_run(tile_recipe(sample_tiles / "chile" / "scene.tif", "water")), out, "refuse")
    return out


@pytest.fixture
def water(finished: Path, tmp_path: Path) -> Path:
    """A finished run of its own for each test, in ``tmp_path / "out"``."""
    return Path(shutil.copytree(finished, tmp_path / "out"))


def segment(sample_tiles: Path, method: str = "water") -> tuple[str | Path, ...]:
    return "segment", sample_tiles / "chile" / "scene.tif", "--method", method


def test_an_existing_run_is_left_alone(aisf_geo: CommandLine, sample_tiles: Path, water: Path) -> None:
    before = {p: p.read_bytes() for p in water.rglob("*") if p.is_file()}
    ended = aisf_geo(*segment(sample_tiles), "--out", water)
    assert ended.code == 2
    assert "--resume" in ended.error
    assert "--overwrite" in ended.error
    assert {p: p.read_bytes() for p in water.rglob("*") if p.is_file()} == before


def test_resuming_a_finished_run_computes_nothing(aisf_geo: CommandLine, sample_tiles: Path, water: Path) -> None:
    ended = aisf_geo(*segment(sample_tiles), "--out", water, "--resume", "--json")
    assert ended.code == 0
    assert ended.document["items"][0]["computed"] == 0
    assert ended.document["items"][0]["blocks"] == 1


def test_overwriting_starts_anew(aisf_geo: CommandLine, sample_tiles: Path, water: Path) -> None:
    stray = water / "items" / "of-an-older-run"
    stray.mkdir()
    ended = aisf_geo(*segment(sample_tiles, "vegetation"), "--out", water, "--overwrite", "--json")
    assert ended.code == 0
    assert ended.document["items"][0]["computed"] == 1
    assert not stray.exists()


@pytest.mark.parametrize("changed", [("--threshold", "0.1"), ("--block-px", "64"), ("--method", "vegetation")])
def test_a_run_does_not_go_on_with_another_question(
    aisf_geo: CommandLine, sample_tiles: Path, water: Path, changed: tuple[str, str]
) -> None:
    ended = aisf_geo(*segment(sample_tiles), *changed, "--out", water, "--resume")
    assert ended.code == 2
    assert "cannot resume, the recipe or scenes differ" in ended.error
    assert json.loads((water / "run.json").read_text())["state"] == "complete"


@pytest.mark.parametrize(("key", "value"), [("precision", "bf16"), ("runtime", "torch"), ("cpu", "riscv64")])
def test_a_run_does_not_go_on_on_other_means(
    aisf_geo: CommandLine, sample_tiles: Path, water: Path, key: str, value: object
) -> None:
    path = water / "run.json"
    said = json.loads(path.read_text())
    said["runtime"][key] = value
    path.write_text(json.dumps(said))
    ended = aisf_geo(*segment(sample_tiles), "--out", water, "--resume")
    assert ended.code == 2
    assert "runtime or CPU class" in ended.error


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_a_folder_that_is_no_run_is_never_touched(
    aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path, flag: str
) -> None:
    precious = tmp_path / "photos" / "holiday.jpg"
    precious.parent.mkdir()
    precious.write_bytes(b"precious")
    ended = aisf_geo(*segment(sample_tiles), "--out", precious.parent, flag)
    assert ended.code == 2
    assert "not a run of aisf-geo" in ended.error
    assert precious.read_bytes() == b"precious"


@pytest.mark.parametrize("below", [".", "sub", "sub/sub"])
def test_an_output_at_or_below_a_file_is_refused(
    aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path, below: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = aisf_geo(*segment(sample_tiles), "--out", tmp_path / "file" / below)
    assert ended.code == 2
    assert str(tmp_path / "file") in ended.error
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_file_in_the_way_of_the_demo_is_refused(aisf_geo: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    ended = aisf_geo("demo", "--out", tmp_path / "file")
    assert (ended.code, "is a file" in ended.error) == (2, True)


def test_the_demo_makes_no_runs_inside_a_run(aisf_geo: CommandLine, water: Path) -> None:
    before = sorted(water.iterdir())
    ended = aisf_geo("demo", "--out", water)
    assert (ended.code, "is a run" in ended.error) == (2, True)
    assert sorted(water.iterdir()) == before


def test_an_empty_folder_is_a_good_output(aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert aisf_geo(*segment(sample_tiles), "--out", tmp_path / "out").code == 0


def test_the_folder_can_be_moved_and_used_elsewhere(
    aisf_geo: CommandLine, sample_tiles: Path, tmp_path: Path, water: Path
) -> None:
    moved = water.rename(tmp_path / "moved")
    ended = aisf_geo(*segment(sample_tiles), "--out", moved, "--resume", "--json")
    assert (ended.code, ended.document["items"][0]["computed"]) == (0, 0)
