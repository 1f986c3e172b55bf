"""What a city analyst does with the map page, step by step, as functions of a Playwright page."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import geopandas
from playwright.sync_api import Page

#: The page is shown once its run is; each map then says when it has drawn everything.
IDLE = """async () => {
  const wait = (ms) => new Promise((r) => setTimeout(r, ms));
  for (let i = 0; i < 600 && !document.body.dataset.shown; i++) await wait(50);
  await aisf.stage.loading;
  for (const map of [aisf.map, aisf.stage.past].filter(Boolean))
    await new Promise((r) => { map.once("idle", r); map.triggerRepaint(); });
  await wait(100);
}"""


@dataclass
class Walk:
    """The steps and what was found on the way.

    Attributes:
        folder: receives a picture of every step and the download.
        took_s: step to seconds, the picture not counted.
    """

    page: Page
    folder: Path
    took_s: dict[str, float] = field(default_factory=dict)

    def step(self, name: str, act: Callable[[], None]) -> None:
        """Do a step, wait until the map stands still, and take a picture."""
        started = time.perf_counter()
        act()
        self.page.evaluate(IDLE)
        self.took_s[name] = time.perf_counter() - started
        self.page.screenshot(path=self.folder / f"{len(self.took_s)}-{name}.png")

    def __call__(self, address: str, figure: str) -> geopandas.GeoDataFrame:
        """From the address to the zone with the largest ``figure``, its sources, and the values in geopandas."""
        page = self.page
        self.step("open", lambda: void(page.goto(address)))
        self.step("figure", lambda: page.get_by_label(figure, exact=True).check())
        self.step("largest", lambda: page.click(".zones li:first-child button.zone"))
        self.step("sources", lambda: page.click(".zones li:first-child summary"))
        target = self.folder / "values.geojson"

        def export() -> None:
            with page.expect_download() as waiting:
                page.click("#values-geojson")
            waiting.value.save_as(target)

        self.step("export", export)
        started = time.perf_counter()
        frame = geopandas.read_file(target)
        self.took_s["geopandas"] = time.perf_counter() - started
        return frame


def void(_: object) -> None:
    """Nothing."""
