"""Arrays by name in one file, for what is read back by many threads.

The format is safetensors. numpy's own would do, were it not that it parses its header with Python's ``ast``, which
several threads at once make fail before CPython 3.11.8 and 3.12.2 (python/cpython#106905).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from aisf_geo.errors import UnreadableError
from aisf_geo.store.files import appearing

SUFFIX = ".safetensors"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers; the file appears whole or not at all."""
    with appearing(path) as partial:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial)


def array_names(path: Path) -> set[str]:
    """What the arrays of a file are called; raises as :func:`read_part`."""
    with _opened(path) as stored:
        return set(stored.keys())


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file; raises as :func:`read_part`."""
    with _opened(path) as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118  # not a mapping


def read_part(path: Path, name: str, part: tuple[int | slice, ...] = ()) -> NDArray[Any]:
    """One array, or what its basic index ``part`` selects; nothing else is read.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableError: it is broken.
    """
    with _opened(path) as stored:
        return np.asarray(stored.get_slice(name)[part] if part else stored.get_tensor(name))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, "np") as stored:
            yield stored
    except SafetensorError as error:
        raise UnreadableError(f"arrays {path}: {error}; remove the file, it is made again") from error
