"""Every flow against a ``prefect server`` of its own process, as an operator runs them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from variants import CONFIGS, recipe_variant

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
DATES = ("2016-06-16", "2017-06-06")


@contextmanager
def running(env: dict[str, str], log: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lasts as long as the body."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=ROOT, env=env, stdout=stream, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server on a free port of the loopback; yields the environment that leads to it."""
    home = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    start = ("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui")
    with running(env, home / "server.log", *start) as server:
        until(lambda: is_up(env), server)
        yield env


def is_up(env: dict[str, str]) -> bool:
    try:
        return bool(asked_once(env, "GET", "/health"))
    except NotYetError:
        return False


class NotYetError(Exception):
    """The server is not up, or busy."""


def asked(env: dict[str, str], method: str, path: str, content: Any = None) -> Any:
    """What the server answers; it may take its time, because its database is one file and one writer at a time."""
    for _ in range(120):
        try:
            return asked_once(env, method, path, content)
        except NotYetError as why:
            reason = str(why)
            time.sleep(0.5)
    raise AssertionError(f"{method} {path}: {reason}")


def asked_once(env: dict[str, str], method: str, path: str, content: Any = None) -> Any:
    with httpx.Client(base_url=env["PREFECT_API_URL"], trust_env=False, timeout=60) as client:
        try:
            answer = client.request(method, path, json=content)
        except httpx.TransportError as error:
            raise NotYetError(repr(error)) from error
    if answer.is_server_error:
        raise NotYetError(answer.text)
    assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def until(found: Any, process: subprocess.Popen[bytes]) -> Any:
    """The first answer that is not empty."""
    for _ in range(1200):
        assert process.poll() is None, "the process ended"
        answer = found()
        if answer:
            return answer
        time.sleep(0.5)
    raise AssertionError("no answer in ten minutes")


def flow(env: dict[str, str], name: str, *arguments: str | Path) -> str:
    """Runs a flow by its command; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", f"flows.{name}", *map(str, arguments)],
        cwd=ROOT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def latest(env: dict[str, str], name: str) -> dict[str, Any]:
    """State of the newest run of a flow, and the artifacts on its page by key."""
    asking = {"flows": {"name": {"any_": [name]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": 1}
    (run,) = asked(env, "POST", "/flow_runs/filter", asking)
    found = asked(env, "POST", "/artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    return {"state": run["state_name"]} | {a["key"]: a["data"] for a in found}


@pytest.fixture(scope="module")
def watched(
    env: dict[str, str], sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """The run folder of a watch over two dates, and what its two looks printed."""
    scratch = tmp_path_factory.mktemp("watched")
    dropped = scratch / "dropped"
    dropped.mkdir()
    for path in (p for date in DATES for p in (sample_tiles / "romania").glob(f"{date}*")):
        shutil.copy(path, dropped)
    recipe = recipe_variant(scratch, lambda recipe: recipe["sources"][0].update(path=str(dropped)))
    said = [flow(env, "monitor", recipe, "--out", scratch / "out") for _ in range(2)]
    return scratch / "out", said


def test_the_watch_interprets_once_and_its_run_page_shows_table_and_link(
    env: dict[str, str], watched: tuple[Path, list[str]]
) -> None:
    out, said = watched
    assert [look.splitlines()[0] for look in said] == ["2 new scenes, 0 new alerts", "0 new scenes, 0 new alerts"]
    assert latest(env, "monitor")["state"] == "Completed"
    inside = latest(env, "interpret-tiles")
    assert inside["state"] == "Completed"
    rows = json.loads((out / "indicators.json").read_text())
    assert [line["value"] for line in json.loads(inside["indicators"])] == [row["value"] for row in rows]
    assert (out / "report.html").resolve().as_uri() in inside["report"]


def test_the_change_between_two_dates_is_a_table_on_its_run_page(
    env: dict[str, str], watched: tuple[Path, list[str]], tmp_path: Path
) -> None:
    before, after = (watched[0] / "items" / date for date in DATES)
    flow(env, "detect_change", "pair", before, after, "--out", tmp_path / "change")
    shown = latest(env, "detect-change")
    assert shown["state"] == "Completed"
    assert {"process", "area_m2", "false_alarm_rate"} <= set(json.loads(shown["change-by-process"])[0])


def test_a_served_deployment_is_carried_out_when_the_server_says_so(
    env: dict[str, str], watched: tuple[Path, list[str]], tmp_path: Path
) -> None:
    out = shutil.copytree(watched[0], tmp_path / "out")
    with running(env, tmp_path / "serve.log", "flows.serve") as served:
        until(lambda: len(asked(env, "POST", "/deployments/filter", {})) == 4, served)
        deployments = asked(env, "POST", "/deployments/filter", {})
        (report,) = (d for d in deployments if "report_indicators" in d["entrypoint"])
        zones = {"run": str(out), "zones": str(CONFIGS / "zones" / "romania_forest.geojson"), "zone_id": "zone_id"}
        asking = {"parameters": zones, "idempotency_key": "once, however often it is asked"}
        run = asked(env, "POST", f"/deployments/{report['id']}/create_flow_run", asking)

        def over() -> bool:
            state = asked(env, "GET", f"/flow_runs/{run['id']}")["state_type"]
            return state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        until(over, served)
    shown = latest(env, "report-indicators")
    assert shown["state"] == "Completed", (tmp_path / "serve.log").read_text()
    rows = json.loads((out / "indicators.json").read_text())
    assert {line["zone_name"] for line in json.loads(shown["indicators"])} == {row["zone_name"] for row in rows}
    assert any(d["schedules"] for d in deployments)
