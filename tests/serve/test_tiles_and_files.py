"""Tiles show what the maps hold; files are given out by name and never by path; what may not pass does not."""

from __future__ import annotations

import hashlib
import io
import json
import logging
from pathlib import Path

import morecantile
import numpy as np
import pytest
import rasterio
from PIL import Image
from starlette.testclient import TestClient

from aisf_geo.errors import DataError, UsageError
from aisf_geo.serve.app import STATIC, create_app
from aisf_geo.serve.gate import BURST
from aisf_geo.serve.settings import Access, access_for
from served_run import make_run

TMS = morecantile.tms.get("WebMercatorQuad")
LABELS = "town.2020-06-30.labels"


def tile_at(client: TestClient, dataset: str, lon: float, lat: float, zoom: int = 18) -> np.ndarray:
    tile = TMS.tile(lon, lat, zoom)
    answer = client.get(f"/tiles/{dataset}/{zoom}/{tile.x}/{tile.y}.png")
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


@pytest.fixture(scope="module")
def bounds(client: TestClient) -> list[float]:
    return client.get(f"/tiles/{LABELS}/tilejson.json").json()["bounds"]


def test_tiles_have_the_colours_of_the_legend_and_are_clear_elsewhere(client: TestClient, bounds: list[float]) -> None:
    west, south, east, north = bounds
    middle = (south + north) / 2
    water = tile_at(client, LABELS, west + 0.25 * (east - west), middle, 20)
    assert {tuple(p) for p in water.reshape(-1, 4).tolist()} == {(40, 90, 200, 255)}
    whole = tile_at(client, LABELS, (west + east) / 2, middle, 15)
    assert {tuple(p) for p in whole[whole[..., 3] > 0].tolist()} == {(40, 90, 200, 255), (232, 230, 222, 255)}
    assert tile_at(client, LABELS, west + 1, middle)[..., 3].max() == 0


def test_the_value_under_a_point_is_the_class(client: TestClient, bounds: list[float]) -> None:
    west, south, east, north = bounds
    at = f"{west + 0.25 * (east - west)},{(south + north) / 2}"
    assert client.get(f"/tiles/{LABELS}/point/{at}").json()["values"] == [1]


def test_a_tile_that_is_held_is_not_drawn_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"/tiles/{LABELS}/14/8391/5429.png"
    etag = client.get(address).headers["etag"]
    monkeypatch.setattr("aisf_geo.serve.tiles._tile", lambda *_: pytest.fail("drawn"))
    assert client.get(address, headers={"if-none-match": etag}).status_code == 304


@pytest.mark.parametrize(
    "address",
    [
        "/tiles/nothing/1/0/0.png",
        "/tiles/..%2F..%2Fetc%2Fpasswd/1/0/0.png",
        "/tiles/town.2020-06-30.labels/1/0/0.png.exe",
        "/runs/town/items/2020-06-30/..%2F..%2F..%2Frun.json",
        "/runs/town/items/2020-06-30/../../run.json",
        "/runs/town/items/..%2F../run.json",
        "/runs/..%2F..%2Fetc/report.html",
        "/runs/town/items/2020-06-30/.blocks",
        "/runs/town/ledger.sqlite",
        "/static/..%2F..%2Fapp.py",
        "/static/../app.py",
    ],
)
def test_nothing_but_what_is_published_is_given_out(client: TestClient, address: str) -> None:
    assert client.get(address).status_code in (404, 405)


def test_tiles_take_no_address_of_a_file(client: TestClient) -> None:
    plain = client.get(f"/tiles/{LABELS}/14/8391/5429.png").content
    assert client.get(f"/tiles/{LABELS}/14/8391/5429.png?url=/etc/passwd&tilesize=9999").content == plain
    assert not [p for p in client.get("/api").json()["paths"] if "url" in p]


def test_files_of_an_item_are_answered_in_ranges(client: TestClient, run_path: Path) -> None:
    address, content = "/runs/town/items/2020-06-30/labels.tif", (run_path / "items/2020-06-30/labels.tif").read_bytes()
    assert client.get(address).content == content
    part = client.get(address, headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])


def test_every_answer_carries_the_headers_of_safety(client: TestClient) -> None:
    for address in (
        "/?f=html",
        "/map.json",
        "/collections/none",
        f"/tiles/{LABELS}/14/8391/5429.png",
        "/static/map.css",
    ):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in client.get("/runs/town/report.html").headers["content-security-policy"]


def test_the_log_holds_no_address_and_no_search(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="aisf_geo.access"):
        client.get(
            "/collections/town.features/items?bbox=4.1,51.1,4.2,51.2&scene=secret",
            headers={"authorization": "Bearer x"},
        )
    (line,) = [r.getMessage() for r in caplog.records if r.name == "aisf_geo.access"]
    assert line.startswith("GET /collections/town.features/items 200 ")
    assert not {"4.1", "secret", "testclient", "Bearer"} & set(line.replace("/", " ").split())


TOKEN = "0123456789abcdef"  # noqa: S105  opens nothing but this test


@pytest.fixture(scope="module")
def guarded(run_path: Path) -> TestClient:
    rules = Access(((TOKEN, ("town.features", "town.*.labels")),), ("town.indicators",), ("https://city.example",))
    return TestClient(create_app(run_path, rules), base_url="http://localhost")


def test_a_private_layer_is_not_there_without_its_token(guarded: TestClient) -> None:
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert [c["id"] for c in guarded.get("/collections").json()["collections"]] == ["town.indicators"]
    opened = [c["id"] for c in guarded.get("/collections", headers=bearer).json()["collections"]]
    assert opened == ["town.features", "town.indicators"]
    for address in ("/collections/town.features/items", f"/tiles/{LABELS}/14/8391/5429.png",
                    "/runs/town/items/2020-06-30/features.gpkg", "/runs/town/items/2020-06-30/labels.tif"):  # fmt: skip
        assert guarded.get(address).status_code == 404
        assert guarded.get(address, headers={"authorization": "Bearer wrong"}).status_code == 404
        assert guarded.get(address, headers=bearer).status_code == 200
    for address in ("/collections/town.zones/items", "/tiles/town.2020-06-30.imagery/14/8391/5429.png",
                    "/runs/town/items/2020-06-30/imagery.tif"):  # fmt: skip
        assert guarded.get(address, headers=bearer).status_code == 404


def test_a_run_of_which_nothing_may_be_seen_is_not_named(run_path: Path) -> None:
    closed = TestClient(create_app(run_path, Access(((TOKEN, ("*",)),), ())), base_url="http://localhost")
    assert closed.get("/map.json").json()["runs"] == []
    assert closed.get("/stac/search").json()["features"] == []
    assert closed.get("/runs/town/report.html").status_code == 404
    assert len(closed.get("/map.json", headers={"authorization": f"Bearer {TOKEN}"}).json()["runs"]) == 1


def test_files_of_maps_that_show_homes_need_a_token_when_exposed_and_are_not_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "town")
    stac = run / "items/2020-06-30/item.json"
    item = json.loads(stac.read_text())
    item["assets"]["labels"]["aisf:audience"] = "internal"
    stac.write_text(json.dumps(item))
    rules = Access(((TOKEN, ("*",)),), ("*",), exposed=True)
    with TestClient(create_app(run, rules), base_url="http://localhost") as client:
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/runs/town/items/2020-06-30/labels.tif").status_code == 404
        assert client.get("/runs/town/items/2020-06-30/labels.tif", headers=bearer).status_code == 200
        assert client.get(f"/tiles/{LABELS}/14/8391/5429.png", headers=bearer).status_code == 404, "never drawn"
        assert client.get("/tiles/town.2021-06-30.labels/14/8391/5429.png").status_code == 200


def test_only_allowed_origins_may_ask(guarded: TestClient) -> None:
    assert guarded.get("/collections", headers={"origin": "https://city.example"}).headers[
        "access-control-allow-origin"
    ]
    assert (
        "access-control-allow-origin"
        not in guarded.get("/collections", headers={"origin": "https://x.example"}).headers
    )


def test_other_names_many_requests_and_large_bodies_are_refused(run_path: Path) -> None:
    rules = Access(hosts=("localhost",), rate_per_s=0.001)
    with TestClient(create_app(run_path, rules), base_url="http://localhost") as client:
        assert client.get("/map.json", headers={"host": "evil.example"}).status_code == 400
        assert client.post("/stac/search", content=b"x" * 70_000).status_code == 413
        assert client.get("/map.json?" + "x" * 40_000).status_code == 414
        answers = [client.get("/conformance").status_code for _ in range(BURST + 2)]
    assert set(answers) == {200, 429}


def test_a_slow_query_is_broken_off(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aisf_geo.serve.gpkg.TIME_LIMIT_S", -1.0)
    monkeypatch.setattr("aisf_geo.serve.gpkg.STEPS", 1)
    with TestClient(create_app(run_path), base_url="http://localhost") as client:
        answer = client.get("/collections/town.features/items?filter=area_m2 > 1")
    assert answer.status_code == 503
    assert "took longer" in answer.json()["description"]


def test_the_network_needs_a_word_or_a_token(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --tokens FILE, or --public"):
        access_for("0.0.0.0", None, (), (), ())  # noqa: S104
    tokens = tmp_path / "tokens"
    tokens.write_text(f"# keepers\n{TOKEN} town.*\n")
    rules = access_for("0.0.0.0", tokens, (), (), ())  # noqa: S104
    assert (rules.opens(TOKEN, "town.features"), rules.opens(TOKEN, "other.x"), rules.opens(None, "town.x")) == (
        True,
        False,
        False,
    )
    tokens.write_text("short\n")
    with pytest.raises(UsageError, match="16 characters"):
        access_for("127.0.0.1", tokens, (), (), ())
    assert access_for("127.0.0.1", None, (), (), ()).opens(None, "anything")


def test_a_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run is there"):
        create_app(tmp_path)


def test_vendored_files_are_those_that_were_fetched() -> None:
    vendor = STATIC / "vendor"
    listed = dict(reversed(line.split("  ")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    there = {f"./{p.relative_to(vendor)}" for p in vendor.rglob("*") if p.is_file()} - {"./SHA256SUMS", "./README.md"}
    assert set(listed) == there
    for name, digest in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest, name


def test_texts_exist_in_both_languages() -> None:
    import re

    text = (STATIC / "texts.js").read_text(encoding="utf-8")
    english, chinese = text.split("\n  zh: {")
    keys = [set(re.findall(r"(?:^|[,{]\s*|\n\s*)([a-zA-Z]+): \"", part)) for part in (english, chinese.split("};")[0])]
    assert keys[0] == keys[1]
    used = set(re.findall(r'\bt\("([a-zA-Z]+)"', "".join(p.read_text() for p in STATIC.glob("*.js"))))
    assert used <= keys[0]


def test_a_map_says_whether_unknown_is_to_be_seen_on_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "town")
    with rasterio.open(run / "items" / "2020-06-30" / "labels.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        labels = dataset.read(1)
        labels[:5] = 254
        dataset.write(labels, 1)
    with TestClient(create_app(run), base_url="http://localhost") as client:
        items = client.get("/map.json").json()["runs"][0]["items"]
    told = {i["id"]: layer["unknown"] for i in items for layer in i["layers"] if layer["kind"] == "labels"}
    assert told == {"2020-06-30": "#ff00ff", "2021-06-30": None}
