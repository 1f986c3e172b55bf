"""A run that was stopped goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from command_line import Ended, fresh_process

#: The command line that sends itself a signal when the n-th block has been written to the ledger.
STOPPED_AFTER_BLOCKS = """
import os, signal, sys
from aisf_geo.cli.main import main
from aisf_geo.store.ledger import Ledger

left, stop = int(sys.argv.pop(1)), signal.Signals[sys.argv.pop(1)]
record = Ledger.record

def record_and_stop(self, block):
    global left
    record(self, block)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), stop)

Ledger.record = record_and_stop
main()
"""
#: The command line that is killed when the file of the given name is about to appear.
KILLED_BEFORE_FILE = """
import os, signal, sys
from pathlib import Path
from aisf_geo.cli.main import main

name, replace = sys.argv.pop(1), Path.replace

def replace_or_die(self, target):
    if Path(target).name == name:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = replace_or_die
main()
"""
BLOCKS = 9


@pytest.fixture(scope="module")
def arguments(sample_tiles: Path) -> tuple[str | Path, ...]:
    return "segment", sample_tiles / "rotterdam" / "ms2.tif", "--method", "water", "--block-px", "128", "--json"


@pytest.fixture(scope="module")
def whole(sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128)), out, "refuse")
    return out


def digests(out: Path) -> dict[str, str]:
    with sqlite3.connect(out / "ledger.sqlite") as ledger:
        return dict(ledger.execute("SELECT block, digest FROM block"))


def state(out: Path) -> str:
    return json.loads((out / "run.json").read_text())["state"]


def resumed(out: Path, arguments: tuple[str | Path, ...]) -> Ended:
    ended = fresh_process(*arguments, "--out", out, "--resume")
    assert ended.code == 0, ended.err
    return ended


def assert_as_whole(out: Path, whole: Path) -> None:
    assert digests(out) == digests(whole)
    assert state(out) == "complete"
    assert {p.relative_to(out) for p in out.rglob("*")} == {p.relative_to(whole) for p in whole.rglob("*")}
    for name in ("labels.tif", "confidence.tif", "features.parquet", "features.geojson"):
        one, other = (folder / "items" / "ms2" / name for folder in (out, whole))
        assert one.read_bytes() == other.read_bytes(), name


@pytest.mark.parametrize("done", [1, 5, BLOCKS])
def test_a_killed_run_computes_only_what_is_missing(
    tmp_path: Path, arguments: tuple[str | Path, ...], whole: Path, done: int
) -> None:
    out = tmp_path / "out"
    killed = fresh_process(done, "SIGKILL", *arguments, "--out", out, program=STOPPED_AFTER_BLOCKS)
    assert killed.code == -9
    assert len(digests(out)) == done
    assert state(out) == "running"
    ended = resumed(out, arguments)
    assert ended.document["items"][0]["computed"] == BLOCKS - done
    assert_as_whole(out, whole)


@pytest.mark.parametrize(
    ("name", "computed"),
    [
        ("run.json", BLOCKS),
        ("r0001c0001.npz", 5),
        ("labels.tif", 0),
        ("quicklook.png", 0),
        ("features.gpkg", 0),
        ("item.json", 0),
        ("indicators.json", 0),
        ("report.html", 0),
    ],
)
def test_a_run_killed_before_a_file_appears_ends_with_all_of_them(
    tmp_path: Path, arguments: tuple[str | Path, ...], whole: Path, name: str, computed: int
) -> None:
    out = tmp_path / "out"
    killed = fresh_process(name, *arguments, "--out", out, program=KILLED_BEFORE_FILE)
    assert killed.code == -9
    assert not list(out.rglob(name)), "a file is there whole or not at all"
    ended = resumed(out, arguments)
    assert ended.document["items"][0]["computed"] == computed
    assert_as_whole(out, whole)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(
    tmp_path: Path, arguments: tuple[str | Path, ...], whole: Path
) -> None:
    out = tmp_path / "out"
    stopped = fresh_process(4, "SIGINT", *arguments, "--out", out, program=STOPPED_AFTER_BLOCKS)
    assert stopped.code == 1
    assert stopped.out == ""
    assert "interrupted" in stopped.error
    assert "--resume" in stopped.error
    assert state(out) == "interrupted"
    assert json.loads((out / "run.json").read_text())["end"] is not None
    assert resumed(out, arguments).document["items"][0]["computed"] == BLOCKS - 4
    assert_as_whole(out, whole)


def test_a_finished_run_computes_nothing_again(tmp_path: Path, arguments: tuple[str | Path, ...], whole: Path) -> None:
    ended = fresh_process(*arguments, "--out", whole, "--resume")
    assert ended.document["items"] == [
        {"id": "ms2", "blocks": BLOCKS, "computed": 0, "failed": 0, "coverage": pytest.approx(0.677556, abs=1e-5)}
    ]


@pytest.mark.parametrize("damage", ["truncate", "remove", "other content"])
def test_a_stored_block_that_is_damaged_is_computed_again(
    tmp_path: Path, arguments: tuple[str | Path, ...], whole: Path, damage: str
) -> None:
    out = tmp_path / "out"
    fresh_process(6, "SIGKILL", *arguments, "--out", out, program=STOPPED_AFTER_BLOCKS)
    stored = sorted(out.glob("items/ms2/.blocks/*.npz"))
    if damage == "truncate":
        stored[2].write_bytes(stored[2].read_bytes()[:200])
    elif damage == "remove":
        stored[2].unlink()
    else:
        with np.load(stored[2]) as arrays:
            np.savez(stored[2], labels=np.zeros_like(arrays["labels"]), confidence=arrays["confidence"])
    assert resumed(out, arguments).document["items"][0]["computed"] == BLOCKS - 5
    assert_as_whole(out, whole)


def test_a_map_that_was_changed_behind_the_programs_back_is_made_anew(
    sample_tiles: Path, tmp_path: Path, whole: Path
) -> None:
    plan = plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128))
    run(plan, tmp_path / "out", "refuse")
    labels = tmp_path / "out" / "items" / "ms2" / "labels.tif"
    with rasterio.open(labels, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.write(np.zeros(dataset.shape, np.uint8), 1)
    outcome = run(plan, tmp_path / "out", "resume")
    assert outcome.items[0].computed == BLOCKS
    assert_as_whole(tmp_path / "out", whole)
