from __future__ import annotations

import pytest

from aisf_geo.cli.main import cli
from command_line import CommandLine


def test_a_scheduler_that_went_away_is_one_sentence(aisf_geo: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    from distributed.comm import CommClosedError

    def gone(*_: object, **__: object) -> None:
        raise CommClosedError("in <TCP (closed) local=tcp://127.0.0.1:1 remote=tcp://127.0.0.1:2>: Stream is closed")

    monkeypatch.setattr(cli, "main", gone)
    ended = aisf_geo("version")
    assert ended.code == 1
    assert "Dask scheduler or its workers went away" in ended.error
    assert "--resume" in ended.error
