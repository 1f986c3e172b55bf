"""Answers of blocks that several maps are made of: computed once, kept on disk and not in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aisf_geo.domain.grid import Window
from aisf_geo.store.arrays import SUFFIX, read_part, write_arrays

#: The windows of one layer with their pixels ``(y, x)``, block by block.
Layers = Callable[[str], Iterator[tuple[Window, NDArray[Any]]]]


@contextmanager
def blocks_on_disk(folder: Path, answers: Iterable[tuple[Window, Mapping[str, NDArray[Any]]]]) -> Iterator[Layers]:
    """Takes the named layers of every block; what it gives reads one layer of all blocks, as often as wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".blocks-", dir=folder) as place:
        kept: list[tuple[Window, Path]] = []
        for window, layers in answers:
            path = Path(place) / f"{len(kept)}{SUFFIX}"
            write_arrays(path, layers)
            kept.append((window, path))

        def layer(name: str) -> Iterator[tuple[Window, NDArray[Any]]]:
            for window, path in kept:
                yield window, read_part(path, name)

        yield layer
