"""A run that was stopped goes on where it was, and ends as if nothing had happened."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.store.arrays import read_part, write_arrays
from command_line import fresh_process

#: The command line that sends itself a signal when the n-th block has been written to the ledger.
STOPPED_AFTER_BLOCKS = """
import os, signal, sys
from aisf_geo.cli.main import main
from aisf_geo.store.ledger import Ledger

left, stop = int(sys.argv.pop(1)), signal.Signals[sys.argv.pop(1)]
record = Ledger.record

# A shell that starts its jobs in the background has them ignore this signal.
signal.signal(signal.SIGINT, signal.default_int_handler)


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
BLOCKS, DONE = 9, 6

Arguments = tuple[str | Path, ...]


@pytest.fixture(scope="module")
def plan(sample_tiles: Path) -> RunPlan:
    return plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=128))


@pytest.fixture(scope="module")
def arguments(sample_tiles: Path) -> Arguments:
    """The same as a command."""
    return "segment", sample_tiles / "rotterdam" / "ms2.tif", "--method", "water", "--block-px", "128"


@pytest.fixture(scope="module")
def whole(plan: RunPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run(plan, out, "refuse")
    return out


@pytest.fixture(scope="module")
def killed_once(arguments: Arguments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("killed") / "out"
    killed = fresh_process(DONE, "SIGKILL", *arguments, "--out", out, program=STOPPED_AFTER_BLOCKS)
    assert killed.code == -signal.SIGKILL
    return out


@pytest.fixture
def killed(killed_once: Path, tmp_path: Path) -> Path:
    """A run that was killed after six of nine blocks; a copy for each test."""
    return Path(shutil.copytree(killed_once, tmp_path / "killed"))


def digests(out: Path) -> dict[str, str]:
    with sqlite3.connect(out / "ledger.sqlite") as ledger:
        return dict(ledger.execute("SELECT block, digest FROM block"))


def state(out: Path) -> str:
    return json.loads((out / "run.json").read_text())["state"]


def assert_as_whole(out: Path, whole: Path) -> None:
    assert digests(out) == digests(whole)
    assert state(out) == "complete"
    assert {p.relative_to(out) for p in out.rglob("*")} == {p.relative_to(whole) for p in whole.rglob("*")}
    for name in ("labels.tif", "confidence.tif", "features.parquet", "features.geojson"):
        one, other = (folder / "items" / "ms2" / name for folder in (out, whole))
        assert one.read_bytes() == other.read_bytes(), name


def test_a_killed_run_computes_only_what_is_missing(killed: Path, plan: RunPlan, whole: Path) -> None:
    assert len(digests(killed)) == DONE
    assert state(killed) == "running"
    computed: list[str] = []
    outcome = run(plan, killed, "resume", on_block=lambda record: computed.append(record.block))
    assert outcome.items[0].computed == len(computed) == BLOCKS - DONE
    assert outcome.items[0].blocks == BLOCKS
    assert_as_whole(killed, whole)


def test_ctrl_c_leaves_a_run_that_can_be_resumed(
    tmp_path: Path, arguments: Arguments, plan: RunPlan, whole: Path
) -> None:
    out = tmp_path / "out"
    stopped = fresh_process(4, "SIGINT", *arguments, "--out", out, program=STOPPED_AFTER_BLOCKS)
    assert stopped.code == 1
    assert stopped.out == ""
    assert "interrupted" in stopped.error
    assert "--resume" in stopped.error
    assert state(out) == "interrupted"
    assert json.loads((out / "run.json").read_text())["end"] is not None
    assert run(plan, out, "resume").items[0].computed == BLOCKS - 4
    assert_as_whole(out, whole)


def test_a_finished_run_computes_nothing_again(plan: RunPlan, whole: Path) -> None:
    outcome = run(plan, whole, "resume").items[0]
    assert (outcome.blocks, outcome.computed, outcome.failed) == (BLOCKS, 0, 0)
    assert outcome.coverage == pytest.approx(0.677556, abs=1e-5)


@pytest.mark.parametrize("damage", ["truncated", "empty", "removed", "other content"])
def test_a_stored_block_that_is_damaged_is_computed_again(
    killed: Path, plan: RunPlan, whole: Path, damage: str
) -> None:
    stored = sorted(killed.glob("items/ms2/.blocks/*.safetensors"))[2]
    if damage == "truncated":
        stored.write_bytes(stored.read_bytes()[:200])
    elif damage == "empty":
        stored.write_bytes(b"")
    elif damage == "removed":
        stored.unlink()
    else:
        write_arrays(stored, {"maps": np.zeros_like(read_part(stored, "maps"))})
    assert run(plan, killed, "resume").items[0].computed == BLOCKS - DONE + 1
    assert_as_whole(killed, whole)


def test_a_map_that_was_changed_behind_the_programs_back_is_made_anew(
    tmp_path: Path, plan: RunPlan, whole: Path
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "out"))
    labels = out / "items" / "ms2" / "labels.tif"
    with rasterio.open(labels, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.write(np.zeros(dataset.shape, np.uint8), 1)
    assert run(plan, out, "resume").items[0].computed == BLOCKS
    assert_as_whole(out, whole)


@pytest.mark.slow
@pytest.mark.parametrize("done", [1, BLOCKS])
def test_a_run_killed_at_its_first_or_last_block_goes_on(
    tmp_path: Path, arguments: Arguments, plan: RunPlan, whole: Path, done: int
) -> None:
    killed = fresh_process(done, "SIGKILL", *arguments, "--out", tmp_path / "out", program=STOPPED_AFTER_BLOCKS)
    assert killed.code == -signal.SIGKILL
    assert run(plan, tmp_path / "out", "resume").items[0].computed == BLOCKS - done
    assert_as_whole(tmp_path / "out", whole)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "r0001c0001.safetensors",
        "labels.tif",
        "quicklook.png",
        "features.gpkg",
        "item.json",
        "indicators.json",
        "report.html",
    ],
)
def test_a_run_killed_before_a_file_appears_ends_with_all_of_them(
    tmp_path: Path, arguments: Arguments, plan: RunPlan, whole: Path, name: str
) -> None:
    out = tmp_path / "out"
    killed = fresh_process(name, *arguments, "--out", out, program=KILLED_BEFORE_FILE)
    assert killed.code == -signal.SIGKILL
    assert not list(out.rglob(name)), "a file is there whole or not at all"
    done = len(digests(out)) if (out / "ledger.sqlite").exists() else 0
    assert done == BLOCKS or name in ("run.json", "r0001c0001.safetensors"), "maps are made of finished blocks"
    assert run(plan, out, "resume").items[0].computed == BLOCKS - done
    assert_as_whole(out, whole)
