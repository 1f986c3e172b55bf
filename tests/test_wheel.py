"""The wheel carries all it needs: unpacked elsewhere, it runs the demo without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from command_line import fresh_process

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by pip; with the build tool that is there, else pip fetches it."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("aisf_geo-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, to be put before everything else on the path."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def files(folder: Path, where: str) -> set[str]:
    """Paths of the files git knows of in a folder of the checkout."""
    listed = subprocess.run(["git", "ls-files", where], cwd=folder, capture_output=True, text=True, check=True)
    return set(listed.stdout.splitlines())


@pytest.mark.parametrize("kind", ["configs", "sample_tiles"])
def test_it_carries_every_shipped_file(wheel: Path, kind: str) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {f"aisf_geo/_share/{name}" for name in files(ROOT, kind)}
    assert len(expected) >= 3
    assert expected <= names


@pytest.mark.parametrize("name", ["aisf_geo/py.typed", "aisf_geo/store/report.html.j2", "aisf_geo/cli/main.py"])
def test_it_carries_what_is_not_imported(wheel: Path, name: str) -> None:
    assert name in zipfile.ZipFile(wheel).namelist()


def test_it_carries_the_licence_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.split("/")[0] in ("tests", "flows", "src")]


def test_the_demo_runs_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = fresh_process(
        program="import aisf_geo, aisf_geo.shipped as s; print(aisf_geo.__file__, s.shipped('configs'), sep='\\n')",
        env={"PYTHONPATH": str(installed)},
        cwd=tmp_path,
    )
    assert all(line.startswith(str(installed)) for line in where.out.split())
    script = subprocess.run(
        [installed / "bin" / "aisf-geo", "demo"],
        env=os.environ | {"PYTHONPATH": str(installed)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert script.returncode == 0, script.stderr
    assert (tmp_path / "out" / "demo" / "romania_forest" / "report.html").exists()
    assert "Tree cover cleared since the baseline year" in script.stdout
