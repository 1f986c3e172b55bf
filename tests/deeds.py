"""What workers do in tests of dying workers; small, because each new worker imports it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

#: Number of a task, whether it kills its worker, and the file in which workers write what they do.
Deed = tuple[int, bool, str]


def do(task: Deed) -> int:
    """Writes number and process, and returns the number, or dies."""
    number, deadly, log = task
    with Path(log).open("a") as stream:
        stream.write(f"{number} {os.getpid()}\n")
    time.sleep(0.02)
    if deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
