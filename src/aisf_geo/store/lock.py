"""One writer at a time in a run folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aisf_geo.errors import OutputError


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold ``folder``, made if it is not there; the system lets go of it when the process ends, however it ends.

    Raises:
        OutputError: another process writes there, or the folder cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"output {folder}: is a file, a folder is needed; choose another --out")
    try:
        folder.resolve().mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OutputError(f"output {folder}: cannot be made ({error.strerror}); choose another --out") from error
    try:
        if not _take(held):
            raise OutputError(f"output {folder}: another run is writing there; wait for it or choose another --out")
        yield
    finally:
        os.close(held)


def is_held(folder: Path) -> bool:
    """True where a process is writing there now."""
    held = os.open(folder, os.O_RDONLY)
    try:
        return not _take(held)
    finally:
        os.close(held)


def _take(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
