from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aisf_geo.errors import OutputError
from aisf_geo.store.lock import is_held, only_writer

HOLD = """
import sys, time
from pathlib import Path
from aisf_geo.store.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_refused_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    out = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_held(out)
    with pytest.raises(OutputError, match="another run is writing there"), only_writer(out):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    with only_writer(out):
        assert list(out.iterdir()) == [], "the lock leaves no file"
    assert not is_held(out)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(OutputError, match="is a file"), only_writer(path):
        pass
    assert path.read_text() == "mine"
