"""The map page in a real browser: drawn from this server alone, and answering what an analyst does."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from aisf_geo.store.features import write_table
from aisf_geo.store.run import RunFolder
from analyst_walk import IDLE
from command_line import served
from served_run import DATES, make_run

pytestmark = pytest.mark.browser
WATER, LAND, IMAGERY = (40, 90, 200), (232, 230, 222), (180, 0, 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served")
    make_run(folder / "town")
    with served(folder / "town", folder / "log") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    assert program, "install the package chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, server: str) -> Iterator[Opened]:
    """Opens the page at a deep link; at the end no error was printed and nothing outside was asked."""
    troubles: list[str] = []
    pages: list[Page] = []

    def open_(link: str = "", width: int = 1280, height: int = 800, at: str = server) -> Page:
        page = browser.new_page(viewport={"width": width, "height": height}, locale="en-GB")
        page.set_default_timeout(60_000)
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("response", lambda r: troubles.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("request", lambda r: None if r.url.startswith((at, "data:", "blob:")) else troubles.append(r.url))
        pages.append(page)
        page.goto(f"{at}/{link}")
        page.evaluate(IDLE)
        return page

    yield open_
    for page in pages:
        page.close()
    assert troubles == []


def colour_at(page: Page, east: float, north: float = 0.3) -> tuple[int, ...]:
    """The colour of the map at a share of the imagery's extent from its south-western corner."""
    x, y = page.evaluate(
        """([e, n]) => { const [w, s, ee, nn] = aisf.stage.run.bounds;
        const p = aisf.map.project([w + e * (ee - w), s + n * (nn - s)]);
        const box = aisf.map.getCanvas().getBoundingClientRect(); return [p.x + box.left, p.y + box.top]; }""",
        [east, north],
    )
    shot = np.asarray(Image.open(io.BytesIO(page.locator("#stage").screenshot())).convert("RGB"))
    left, top = page.evaluate(
        "() => { const b = document.getElementById('stage').getBoundingClientRect(); return [b.left, b.top]; }"
    )
    return tuple(shot[round(y - top), round(x - left)].tolist())


def near(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 12


def test_classes_and_imagery_are_drawn_in_their_colours(opened: Opened) -> None:
    page = opened("#item=2020-06-30&show=labels&opacity-labels=1")
    assert near(colour_at(page, 0.2), WATER)
    assert near(colour_at(page, 0.8), LAND)
    page = opened("#item=2020-06-30&show=imagery")
    assert near(colour_at(page, 0.8), IMAGERY)
    assert "Made by AI" in page.inner_text("#made")


def test_confidence_and_legend_follow_their_switches(opened: Opened) -> None:
    page = opened("#tab=layers&show=labels&opacity-labels=1")
    assert "water" in page.inner_text("#legend")
    page.uncheck("#show-labels")
    page.check("#show-confidence")
    page.evaluate(IDLE)
    assert "unsure" in page.inner_text("#legend")
    assert not near(colour_at(page, 0.2), WATER)


def test_the_zone_with_the_largest_value_comes_first_with_interval_and_sources(opened: Opened) -> None:
    page = opened()
    entries = page.locator(".zones li")
    assert [entries.nth(i).get_attribute("data-zone") for i in range(2)] == ["west", "east"]
    page.click("li[data-zone=west] button.zone")
    said = page.inner_text("li[data-zone=west]")
    assert "Water extent, West side: 8 ha (2021-06-30)." in said
    assert "7 to 9 ha (95 % interval, by hand)" in said
    assert "Made up for a test." in said
    page.click("li[data-zone=west] summary")
    assert page.locator("li[data-zone=west] .scenes button").all_inner_texts() == ["2021-06-30"]
    page.wait_for_selector("li[data-zone=west] svg.interval rect", state="attached")


def test_a_filter_narrows_what_is_outlined(opened: Opened) -> None:
    page = opened("#tab=filter&item=2020-06-30")
    assert page.inner_text("#found").startswith("10 areas")
    page.uncheck("#filter-form input[value=land]")
    page.fill("#filter-form input[name=area]", "250")
    page.click("#filter-form button.primary")
    page.evaluate(IDLE)
    page.get_by_text("3 areas match").wait_for()


def test_a_click_tells_attributes_sources_and_a_sentence(opened: Opened) -> None:
    page = opened("#item=2020-06-30&show=outlines")
    corners = """() => {
      const found = aisf.map.queryRenderedFeatures({ layers: ["features-fill"] });
      const ring = found.find((f) => f.properties.id === "2020-06-30-8").geometry.coordinates[0].slice(0, 4);
      const p = aisf.map.project(ring.reduce((a, c) => [a[0] + c[0] / 4, a[1] + c[1] / 4], [0, 0]));
      return [p.x, p.y];
    }"""
    x, y = page.evaluate(corners)
    page.locator("#map canvas").click(position={"x": x, "y": y})
    page.wait_for_selector("#about .sentence")
    said = page.inner_text("#about")
    assert "On 2020-06-30 an area of 200 m² was interpreted as “water”, with a mean confidence of 0.7." in said
    assert "Imagery by hand" in said
    assert "CC0" in said
    assert "feature=2020-06-30-8" in page.url


@pytest.fixture(scope="module")
def tiled_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """10,000 squares of 20 m, all in one view, at two dates of which the first has vector tiles."""
    folder = tmp_path_factory.mktemp("tiled")
    run = RunFolder(make_run(folder / "town", tiled=["2020-06-30"]))
    run.indicators.unlink()  # then the page has nothing to wait for before it draws
    rows, cols = np.divmod(np.arange(10_000), 100)
    x, y = 600_000 + 30 * cols, 5_747_000 + 30 * rows
    for scene in ("2020-06-30", "2021-06-30"):
        out = run.item(scene)
        prefix = "many" if scene == "2020-06-30" else "later"
        columns = {"id": [f"{prefix}-{i}" for i in range(10_000)], "class": np.uint8(1), "class_name": "water",
                   "area_m2": 400.0, "confidence": 0.9, "datetime": DATES[scene], "scene": scene}  # fmt: skip
        table = geopandas.GeoDataFrame(columns, geometry=shapely.box(x, y, x + 20, y + 20), crs=32631)
        out.features(".gpkg").unlink()
        write_table(out.features, table, {}, tiles=prefix == "many")
    with served(folder / "town", folder / "log") as address:
        yield address


#: How many features are outlined from tiles, and how many from the table.
DRAWN = """() => {
  const from = (layer) => aisf.map.getLayer(layer) ? aisf.map.queryRenderedFeatures({ layers: [layer] }) : [];
  return ["tiles-line", "features-line"].map((layer) => new Set(from(layer).map((f) => f.id)).size);
}"""


def test_tiles_outline_all_features_and_a_click_reads_the_table(opened: Opened, tiled_server: str) -> None:
    lon, lat = 4.47468520, 51.87811722  # the middle of square 5050
    page = opened(f"#at={lon},{lat},13&item=2020-06-30&show=outlines&tab=filter", at=tiled_server)
    assert page.evaluate(DRAWN) == [10_000, 0]
    assert page.inner_text("#found").startswith("All areas of this date are outlined")
    assert "zoom in" not in page.inner_text("#found")
    with_lines, bare = darkness(page), "() => aisf.map.setLayoutProperty('tiles-line', 'visibility', 'none')"
    page.evaluate(bare)
    page.evaluate(IDLE)
    assert with_lines > darkness(page) + 20, "the lines are on the screen"
    x, y = page.evaluate("(at) => { const p = aisf.map.project(at); return [p.x, p.y]; }", [lon, lat])
    page.locator("#map canvas").click(position={"x": x, "y": y})
    page.wait_for_selector("#about .sentence")
    assert "feature=many-5050" in page.url


@pytest.mark.parametrize(
    ("link", "outlined", "said"),
    [
        ("zoom=16", "some", "areas match"),
        ("zoom=13&min-area=1", "2000", "The largest 2,000 areas in view are outlined; zoom in for more."),
        ("zoom=13&item=2021-06-30", "2000", "as this run has no vector tiles; zoom in for more."),
    ],
    ids=["close in", "filtered", "a date without tiles"],
)
def test_the_table_is_asked_where_tiles_cannot_answer(
    opened: Opened, tiled_server: str, link: str, outlined: str, said: str
) -> None:
    zoom, _, more = link.removeprefix("zoom=").partition("&")
    date = "" if "item=" in more else "&item=2020-06-30"
    page = opened(f"#at=4.4746852,51.8781172,{zoom}&show=outlines&tab=filter&{more}{date}", at=tiled_server)
    from_tiles, from_table = page.evaluate(DRAWN)
    assert from_tiles == 0
    assert from_table == 2000 if outlined == "2000" else 0 < from_table < 2000
    assert said in page.inner_text("#found")


def darkness(page: Page) -> float:
    """0 for a white map, 255 for a black one, in the middle of it."""
    picture = Image.open(io.BytesIO(page.locator("#map").screenshot())).convert("L")
    middle = np.asarray(picture.crop((350, 260, 550, 460)))
    return float(255 - middle.mean())


def test_the_keyboard_picks_what_lies_under_the_cross(opened: Opened) -> None:
    page = opened("#show=zones")
    page.locator("#map canvas").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#about h2")
    assert "side" in page.inner_text("#about h2")
    page.locator("#tab-about").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-values").get_attribute("aria-selected") == "true"


def test_every_input_of_a_figure_is_a_row_with_a_name_and_a_number(opened: Opened) -> None:
    page = opened("#tab=values&zone=west")
    # The run of these tests has no recipe from which an explanation could be told.
    page.route("**/explanation", lambda route: route.fulfill(json={"lines": ["by hand"]}))
    page.click("#values details summary")
    rows = [row.split("\t") for row in page.inner_text("#values details table").splitlines()]
    assert rows == [["water m2", "50,000"], ["areas m2, water", "50,000"], ["areas m2, tree-cover", "–"]]


def test_the_swipe_shows_the_earlier_date_on_its_left(opened: Opened) -> None:
    link = "#item=2021-06-30&before=2020-06-30&tab=layers&show=labels&opacity-labels=1"
    page = opened(link)
    share = 0.56  # water in 2021, land in 2020
    page.locator("#swipe").fill("100")
    page.evaluate(IDLE)
    assert near(colour_at(page, share), LAND)
    page.locator("#swipe").fill("0")
    page.evaluate(IDLE)
    assert near(colour_at(page, share), WATER)
    assert page.inner_text("#tag-before") == "2020-06-30"


def test_downloads_open_in_other_programs(opened: Opened, tmp_path: Path) -> None:
    page = opened("#tab=filter&item=2020-06-30&min-area=250")

    def saved(button: str) -> Path:
        with page.expect_download() as waiting:
            page.click(button)
        target = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(target)
        return target

    frame = geopandas.read_file(saved("#features-geojson"))
    assert len(frame) == 6
    assert frame["area_m2"].min() >= 250
    assert len(saved("#features-csv").read_text("utf-8-sig").splitlines()) == 7
    page.click("#tab-values")
    values = json.loads(saved("#values-geojson").read_text())
    assert len(values["features"]) == 4
    assert "AI" in values["aisf:made_by"]
    page.click("#tab-layers")
    picture = Image.open(saved("#png"))
    assert picture.width > 300
    assert len(np.unique(np.asarray(picture.convert("L")))) > 3


def test_the_page_speaks_chinese_and_the_link_keeps_it(opened: Opened) -> None:
    page = opened("#tab=values&zone=west")
    page.click("#language")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert "由人工智能生成" in page.inner_text("#made")
    assert "95% 区间" in page.inner_text("#values")
    again = opened(page.url.partition("/")[2].partition("/")[2].partition("/")[2])
    assert again.inner_text("#tab-values") == "指标"


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (360, 740)])
@pytest.mark.parametrize("tab", ["values", "layers", "filter", "about"])
def test_axe_finds_nothing(opened: Opened, tab: str, width: int, height: int) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(f"#tab={tab}&zone=west&feature=2020-06-30-8&item=2020-06-30&before=2021-06-30", width, height)
    wide = page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "the page scrolls sideways"
    source = Path(sys.modules[Axe.__module__].__file__).parent / "axe.min.js"
    page.evaluate(source.read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    told = [(v["id"], [n["html"][:160] for n in v["nodes"]]) for v in found["violations"]]
    assert told == []
