"""The command line, run in this process."""

from __future__ import annotations

import pytest

from command_line import CommandLine


@pytest.fixture
def aisf_geo(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capfd, monkeypatch)
