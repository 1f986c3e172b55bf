from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from command_line import fresh_process
from served_run import make_run

Ask = Callable[..., Any]


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "town")


@pytest.fixture(scope="session", params=["geopackage", pytest.param("postgis", marks=pytest.mark.postgis)])
def client(request: pytest.FixtureRequest, run_path: Path) -> Iterator[TestClient]:
    """The same run behind both stores."""
    from aisf_geo.serve.app import create_app

    dsn = request.getfixturevalue("dsn") if request.param == "postgis" else None
    with TestClient(create_app(run_path, dsn=dsn), base_url="http://localhost") as opened:
        yield opened


@pytest.fixture(scope="session")
def dsn(run_path: Path) -> str:
    """A database of this worker, on the server of scripts/need-postgis, with the runs of ``run_path`` in it."""
    import psycopg

    server = os.environ.get("AISF_GEO_TEST_DATABASE")
    assert server, "start these tests with scripts/need-postgis"
    name = f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    dsn = f"{server.rpartition('/')[0]}/{name}"
    ended = fresh_process("publish", run_path, "--to", dsn)
    assert ended.code == 0, ended.err
    return dsn


@pytest.fixture
def ask(client: TestClient) -> Ask:
    """The JSON of an address that must answer 200."""

    def asked(path: str, **parameters: Any) -> Any:
        answer = client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return asked
