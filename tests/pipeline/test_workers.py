"""Workers that die: what they had in hand is done by others, and what kills them is said."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from aisf_geo.errors import UsageError
from aisf_geo.pipeline import mapper as mapper_module
from aisf_geo.pipeline.mapper import IN_FLIGHT_PER_WORKER, block_map, map_here
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from deeds import Deed, do


def lost(task: Deed, reason: str) -> int:
    assert "worker died each time" in reason
    return -1 - task[0]


def done(log: Path) -> Counter[int]:
    return Counter(int(line.split()[0]) for line in log.read_text().splitlines())


def test_here_a_few_tasks_run_at_a_time_and_none_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    found = list(map_here(do, [(number, False, str(log)) for number in range(20)], lost))
    assert sorted(found) == list(range(20))
    assert set(done(log).values()) == {1}


def test_here_an_error_ends_the_work_and_is_raised() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise UsageError("three")
        return number

    with pytest.raises(UsageError, match="three"):
        list(map_here(fail, range(100), lambda task, _: task))


@pytest.mark.slow
def test_a_worker_killed_while_it_works_costs_what_it_had_in_hand(tmp_path: Path) -> None:
    log, count = tmp_path / "log", 60
    with block_map(workers=2) as mapper:
        found = []
        for number in mapper(do, [(number, False, str(log)) for number in range(count)], lost):
            found.append(number)
            if len(found) == 20:
                os.kill(int(log.read_text().splitlines()[-1].split()[1]), signal.SIGKILL)
    assert sorted(found) == list(range(count))
    assert sum(done(log).values()) - count <= 2 * IN_FLIGHT_PER_WORKER  # all that were handed out and not yet back


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_lost_and_no_other(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with block_map(workers=2) as mapper:
        found = list(mapper(do, [(number, number == 7, str(log)) for number in range(20)], lost))
    assert sorted(found) == sorted([-8, *(number for number in range(20) if number != 7)])
    assert done(log)[7] <= 2 * (mapper_module.DEATHS_ALLOWED + 1)


@pytest.mark.slow
def test_a_run_whose_worker_is_killed_gives_the_same_maps(sample_tiles: Path, tmp_path: Path) -> None:
    plan = plan_run(tile_recipe(sample_tiles / "rotterdam" / "ms2.tif", "water", block_px=64))
    run(plan, tmp_path / "one", "refuse")
    seen = 0
    with block_map(workers=2) as mapper:
        client = mapper._client  # type: ignore[attr-defined] # of the cluster just made

        def kill_at_ten(_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == 10:
                victim = next(iter(client.run(os.getpid).values()))
                os.kill(victim, signal.SIGKILL)

        outcome = run(plan, tmp_path / "two", "refuse", mapper, kill_at_ten)
    assert outcome.items[0].failed == 0
    for name in ("labels.tif", "confidence.tif", "features.geojson"):
        one, other = (tmp_path / folder / "items" / "ms2" / name for folder in ("one", "two"))
        assert one.read_bytes() == other.read_bytes(), name


def test_a_scheduler_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapper_module, "PATIENCE_S", 1)
    with (
        pytest.raises(UsageError, match=r"scheduler tcp://127.0.0.1:9: does not answer"),
        block_map(1, "tcp://127.0.0.1:9"),
    ):
        pass
