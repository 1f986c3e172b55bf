"""The report as a person sees it: Chromium shows every picture and table, asks nobody for anything, and prints it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from command_line import fresh_process
from variants import CONFIGS

pytestmark = pytest.mark.browser

QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"),
)
#: Written after the page by the test: unfolds and measures the page once shown, and leaves the numbers in its title.
MEASURE = """
<script>
addEventListener("load", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const pictures = [...document.images];
  const wide = [...document.querySelectorAll("main *")].filter(
    e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide")
  );
  document.title = JSON.stringify({
    pictures: pictures.map(p => [p.naturalWidth, p.naturalHeight, p.clientWidth]),
    requests: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    wide: wide.map(e => e.tagName + "." + e.className),
    rows: document.querySelectorAll("table tr").length,
    charts: [...document.querySelectorAll("svg polyline")].map(l => l.getTotalLength()),
    font: parseFloat(getComputedStyle(document.body).fontSize),
  });
});
</script>
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    ended = fresh_process("demo", "--out", out, cwd=CONFIGS.parent)
    assert ended.code == 0, ended.err
    return out


@pytest.fixture(scope="module", params=["romania_forest", "rotterdam_water", "city_vhr"])
def run_folder(request: pytest.FixtureRequest, runs: Path) -> Path:
    return runs / request.param


def chromium(tmp_path: Path, *arguments: str) -> str:
    """What Chromium prints; its profile lies in ``tmp_path``."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install the package chromium"
    done = subprocess.run(
        [program, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class Tables(HTMLParser):
    """The text of every table cell, and the number of pictures, of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.title = ""
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "td" in self._open or "th" in self._open:
            self.cells[-1] += data
        if self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data


def shown(page: Path, tmp_path: Path, width: int = 1100) -> Tables:
    """The page after it was shown at a width."""
    dom = chromium(tmp_path, f"--window-size={width},1400", "--virtual-time-budget=5000", "--dump-dom", page.as_uri())
    tables = Tables()
    tables.feed(dom)
    return tables


@pytest.fixture(scope="module")
def measured(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("measured")
    page = folder / "report.html"
    page.write_text((run_folder / "report.html").read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    return json.loads(shown(page, folder).title)


def test_every_picture_is_shown(run_folder: Path, measured: dict) -> None:
    count = (run_folder / "report.html").read_text(encoding="utf-8").count("<img ")
    assert len(measured["pictures"]) == count > 2
    assert all(min(sizes) > 50 for sizes in measured["pictures"])


def test_nothing_is_asked_for(measured: dict) -> None:
    assert measured["requests"] == []


def test_nothing_sticks_out_of_the_page(measured: dict) -> None:
    assert measured["wide"] == []


@pytest.mark.parametrize("width", [500, 800])
def test_nothing_sticks_out_of_a_narrow_page(run_folder: Path, tmp_path: Path, width: int) -> None:
    page = tmp_path / "report.html"
    page.write_text((run_folder / "report.html").read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    assert json.loads(shown(page, tmp_path, width).title)["wide"] == []


def test_the_charts_have_lines(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text((runs / "romania_forest" / "report.html").read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    lengths = json.loads(shown(page, tmp_path).title)["charts"]
    assert len(lengths) == 6, "three figures, two zones"
    assert min(lengths) > 100


def test_the_tables_have_a_cell_for_every_scene_and_value(run_folder: Path, tmp_path: Path) -> None:
    cells = shown(run_folder / "report.html", tmp_path).cells
    for item in (run_folder / "items").iterdir():
        assert item.name in cells
    rows = json.loads((run_folder / "indicators.json").read_text())
    withheld = sum(row["value"] is None for row in rows)
    assert sum(cell.startswith("withheld") for cell in cells) == withheld
    units = "|".join(re.escape(row["unit"]) for row in rows) or "%"
    given = [cell for cell in cells if re.fullmatch(rf"[\d\u202f.]+\xa0(?:{units})(?: \([^()]*\))?", cell)]
    shares_of_each_scene = 3 * len(list((run_folder / "items").iterdir()))
    assert len(given) == len(rows) - withheld + shares_of_each_scene


def test_folded_it_prints_as_a_brief_and_unfolded_as_a_whole(run_folder: Path, tmp_path: Path) -> None:
    folded = run_folder / "report.html"
    unfolded = tmp_path / "unfolded.html"
    unfolded.write_text(folded.read_text(encoding="utf-8").replace("<details>", "<details open>"), encoding="utf-8")
    brief, whole = printed_pages(folded, tmp_path), printed_pages(unfolded, tmp_path)
    # One page with the fonts of this project's machines; fonts elsewhere may be wider.
    assert 1 <= brief <= 2
    assert brief < whole <= 12


def printed_pages(page: Path, tmp_path: Path) -> int:
    target = tmp_path / "report.pdf"
    chromium(tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={target}", page.as_uri())
    content = target.read_bytes()
    assert content.startswith(b"%PDF-")
    return len(re.findall(rb"/Type\s*/Page\b", content))


class Recorder(SimpleHTTPRequestHandler):
    """Serves a folder and remembers what was asked for."""

    asked: list[str] = []  # noqa: RUF012 - one list for all requests is the point

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def served(run_folder: Path) -> Iterator[tuple[str, list[str]]]:
    Recorder.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Recorder, directory=run_folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/report.html", Recorder.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_served_over_http_only_the_page_itself_is_fetched(served: tuple[str, list[str]], tmp_path: Path) -> None:
    address, asked = served
    chromium(tmp_path, "--virtual-time-budget=5000", "--dump-dom", address)
    assert set(asked) - {"/favicon.ico"} == {"/report.html"}
