"""The labelling page as a person uses it: by keyboard alone, offline, and its file goes into ``assess``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aisf_geo.store.sample import SampleFile, Unit, read_sample, write_sample

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

CLASSES = ["tree cover", "cleared"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    units = tuple(Unit(f"u{i}", "clearing", i % 2, CLASSES[i % 2], 50, 5000.0, i, i, 22.1, 45.2) for i in range(4))
    design = {"map": "clearing", "id": "abc", "classes": CLASSES, "attribution": "Contains </script> data"}
    chips = {u.id: np.full((60, 60, 3), 40 * i, np.uint8) for i, u in enumerate(units)}
    write_sample(tmp_path / "s", SampleFile(design, units, {}), chips, "Made by a program.")
    return tmp_path / "s"


def test_it_is_labelled_by_keyboard_and_saved(folder: Path, tmp_path: Path) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install the package chromium"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(accept_downloads=True, offline=True)
        page = context.new_page()
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda r: asked.append(r.url))
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.goto((folder / "label.html").as_uri())
        assert page.locator("#where").inner_text() == "Unit 1 of 4"
        assert "cleared" in page.locator("#answers").inner_text()
        for key in ("1", "2", "0"):
            page.keyboard.press(key)
        assert page.locator("#where").inner_text() == "Unit 4 of 4"
        page.keyboard.press("ArrowLeft")
        assert page.locator("button[aria-pressed=true]").inner_text().endswith("unsure")
        page.reload()
        assert page.locator("#where").inner_text() == "Unit 4 of 4", "answers survive a reload"
        page.keyboard.press("2")
        page.fill("#by", "ab")
        page.locator("h1").click()
        with page.expect_download() as download:
            page.keyboard.press("s")
        saved = tmp_path / "saved.geojson"
        download.value.save_as(saved)
        browser.close()
    assert errors == []
    assert [u for u in asked if not u.startswith(("file:", "data:", "blob:"))] == []
    assert json.loads(saved.read_text())["aisf:labelled"]["by"] == "ab"
    assert [u.reference for u in read_sample(saved).units] == ["tree cover", "cleared", "unsure", "cleared"]
