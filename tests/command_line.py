"""The program as a person meets it: a command, its exit code and what it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.cli.main import main

#: Runs the command line in a fresh interpreter, as the installed script does.
START = "from aisf_geo.cli.main import main; main()"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that says what went wrong; notes may stand before it, nothing else on stderr."""
        lines = [line for line in self.err.splitlines() if line and not line.startswith("note: ")]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        return lines[0]

    @property
    def notes(self) -> list[str]:
        """What the user should know although all went well."""
        return [line.removeprefix("note: ") for line in self.err.splitlines() if line.startswith("note: ")]


class CommandLine:
    """Runs ``aisf-geo`` in this process; output is captured at the file descriptors, so that GDAL's is seen too."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd, self._monkeypatch = capfd, monkeypatch

    def __call__(self, *arguments: str | Path) -> Ended:
        self._monkeypatch.setattr(sys, "argv", ["aisf-geo", *map(str, arguments)])
        self._capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = self._capfd.readouterr()
        return Ended(code, captured.out, captured.err)


def fresh_process(
    *arguments: str | Path, program: str = START, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Ended:
    """Run ``python -c program arguments``, by default the command line."""
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextmanager
def served(path: Path, log: Path) -> Iterator[str]:
    """The address of ``aisf-geo serve`` on ``path`` in another process, on a free port; it writes to ``log``."""
    with log.open("wb") as stream:
        process = subprocess.Popen([sys.executable, "-c", START, "serve", str(path), "--port", "0"], stderr=stream)
    try:
        for _ in range(2000):
            if found := re.search(r"serving (http://127\.0\.0\.1:\d+)/", log.read_text()):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        assert found, log.read_text()
        yield found[1]
    finally:
        process.terminate()
        process.wait(30)
