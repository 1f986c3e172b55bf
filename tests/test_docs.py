"""The pages say what the code does: generated ones are current, the site builds, and what they tell to run runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def script(name: str) -> ModuleType:
    """A script of the checkout as a module."""
    loader = SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


RUN_DOCS = script("run-docs")
PAGES = [
    str(page.relative_to(ROOT))
    for page in sorted(DOCS.rglob("*.md"))
    if page.parent.name != "decisions" and RUN_DOCS.blocks(page.read_text(encoding="utf-8"))
]
REFERENCE = script("write-reference")


@pytest.mark.parametrize("name", REFERENCE.pages())
def test_a_generated_page_is_current(name: str) -> None:
    page = DOCS / "reference" / name
    assert page.exists(), "run `make docs`"
    assert page.read_text(encoding="utf-8") == REFERENCE.pages()[name], "run `make docs`"


def test_every_command_stands_in_the_reference() -> None:
    page = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    names = [name for name, _ in REFERENCE.walk(REFERENCE.cli, "aisf-geo")]
    assert len(names) > 10
    assert [name for name in names if f"\n## {name}\n" not in page] == []


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 10
    loading = re.compile(r"<(?:script|img|iframe|link rel=\"?(?:stylesheet|preload|preconnect))[^>]+https?://[^ >]+")
    assert {page.name: loading.findall(page.read_text(encoding="utf-8")) for page in pages} == {
        page.name: [] for page in pages
    }


def test_the_pages_to_run_are_found() -> None:
    assert {"docs/index.md", "docs/how-to/add-a-sensor.md", "docs/users/researchers.md"} <= set(PAGES)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_says_can_be_done(page: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "run-docs"), "--in", str(tmp_path), page]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    assert len(cells) > 3
    assert [c.execution_count for c in cells] == [None] * len(cells)
    assert [c.outputs for c in cells] == [[]] * len(cells)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(shown) > 3
    assert [o.text for o in shown if o.output_type == "stream" and o.name == "stderr"] == []
