"""The shipped recipes, carried out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from command_line import Ended, fresh_process
from variants import CONFIGS


@dataclass(frozen=True)
class Demo:
    """``aisf-geo demo``: how it ended, and its two run folders."""

    ended: Ended
    rotterdam: Path
    romania: Path


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    out = tmp_path_factory.mktemp("demo")
    ended = fresh_process("demo", "--out", out, cwd=CONFIGS.parent)
    return Demo(ended, out / "rotterdam_water", out / "romania_forest")


@pytest.fixture(scope="session")
def romania(demo: Demo) -> Path:
    assert demo.ended.code == 0, demo.ended.err
    return demo.romania


@pytest.fixture(scope="session")
def rotterdam(demo: Demo) -> Path:
    assert demo.ended.code == 0, demo.ended.err
    return demo.rotterdam


@pytest.fixture(scope="session")
def category_names() -> Callable[[Path], list[str]]:
    """Reads what a viewer calls each code of a map, from GDAL's side-car file."""

    def read(path: Path) -> list[str]:
        side_car = ElementTree.parse(f"{path}.aux.xml")  # noqa: S314 - written by this program a moment ago
        return [element.text or "" for element in side_car.iter("Category")]

    return read
