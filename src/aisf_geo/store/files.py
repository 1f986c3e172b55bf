"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Name of a temporary file: see :func:`appearing`; what GDAL and sqlite put beside it has more behind.
_LEFTOVER = re.compile(r"^\..+\.\d+\.partial")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the body ends well, and is removed otherwise.

    The suffix is kept, because GDAL and pyogrio choose formats by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that killed writers left below ``folder``; finished files are never touched."""
    for path in folder.rglob(".*.partial*"):
        if _LEFTOVER.match(path.name) and path.is_file():
            path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; a reader sees the old file or the whole new one."""
    with appearing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def sha256_file(path: Path) -> str:
    """Digest of a file's bytes as ``sha256:<hex>``, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return "sha256:" + digest.hexdigest()
