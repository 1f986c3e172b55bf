"""Each fault once: resume ends with the same bytes, and no finished block is computed again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from chaos.faults import FAULTS, START, Bench, cluster, inflict, prepare, same_maps

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, sample_tiles: Path) -> Bench:
    return prepare(tmp_path_factory.mktemp("chaos"), sample_tiles / "rotterdam" / "ms2.tif")


@pytest.mark.parametrize("name", FAULTS)
def test_after_a_fault_a_resume_ends_as_if_nothing_had_happened(bench: Bench, tmp_path: Path, name: str) -> None:
    chance = random.Random(name)  # noqa: S311 - must be repeatable, not secret
    outcome = inflict(bench, name, tmp_path / "out", chance)
    assert outcome.digests_equal, outcome
    assert outcome.ledger_truthful, outcome
    # A block whose stored bytes were destroyed is no finished block.
    assert outcome.blocks_recomputed <= (1 if name == "stored block damaged" else 0), outcome


def test_workers_started_by_hand_make_the_same_maps(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with cluster(bench.scratch) as (address, _):
        done = subprocess.run(
            [sys.executable, "-c", START, *bench.arguments(out, "--scheduler", address, "--json")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["items"][0]["computed"] == 9
    assert same_maps(out, bench.whole)
