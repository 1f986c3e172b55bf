"""A city analyst finds the zone that lost most forest, how sure that is and from which scenes, and takes it along."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from analyst_walk import Walk
from command_line import fresh_process, served
from variants import CONFIGS

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("walk")
    run = folder / "romania_forest"
    ended = fresh_process("run", "romania_forest", "--out", run, cwd=CONFIGS.parent)
    assert ended.code == 0, ended.err
    with served(run, folder / "log") as address:
        yield address


def test_the_zone_with_the_largest_forest_loss_its_interval_its_scenes_and_the_export(
    server: str, tmp_path: Path
) -> None:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install the package chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-GB")
        page.set_default_timeout(60_000)
        walk = Walk(page, tmp_path)
        frame = walk(server, "Tree cover cleared since the baseline year")
        said = page.inner_text(".zones li:first-child")
        scenes = page.locator(".zones li:first-child .scenes button").all_inner_texts()
        browser.close()
    assert "Forest, eastern half" in said
    assert "95 % interval" in said
    # Every clear date that the cleared area rests on, from the first of the baseline year on.
    assert (scenes[0], scenes[-1], len(scenes)) == ("2016-06-16", "2020-06-30", 10)
    assert "2019-08-05" not in scenes
    latest = frame[(frame["formula"] == "cleared-area@1") & (frame["end"].astype(str).str.startswith("2020-06-30"))]
    assert latest.sort_values("value")["zone"].tolist()[-1] == "forest-east"
    assert latest["low"].notna().all()
    assert frame.crs.to_epsg() == 4326
    assert not frame.geometry.isna().any()
    assert len(list(tmp_path.glob("*.png"))) == 5
