"""Recorded answers take the place of the network: the same maps as from files, one sentence where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.ingest import ranges
from aisf_geo.ingest.access import Access
from aisf_geo.ingest.http import Answer, Cassette, Request, http_of
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.recipe import read_recipe

HERE = Path(__file__).parent
DATES = ("2017-06-06", "2019-08-20")


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AISF_GEO_CASSETTE", str(HERE / "cassette.jsonl"))
    monkeypatch.setattr(ranges, "_PAGES", ranges._Pages())
    http_of.cache_clear()
    yield
    http_of.cache_clear()


def test_a_recorded_catalogue_gives_the_maps_of_the_files(replayed: None, sample_tiles: Path, tmp_path: Path) -> None:
    """Replays what ``record_cassette.py`` recorded; there is no such host."""
    search = (HERE / "cassette.yaml").read_text()
    local = tmp_path / "local.yaml"
    files = f"path: {json.dumps(str(sample_tiles / 'romania'))}"
    asked = 'stac_api: {endpoints: ["https://stac.example.org"], collections: [romania]}'
    assert asked in search
    local.write_text(search.replace(asked, files) + "period: {start: 2017-06-01, end: 2019-09-01}\n")
    run(plan_run(read_recipe(HERE / "cassette.yaml")), tmp_path / "replayed", "refuse")
    run(plan_run(read_recipe(local)), tmp_path / "local", "refuse")
    for date in DATES:
        one, other = (tmp_path / out / "items" / date / "labels.tif" for out in ("replayed", "local"))
        with rasterio.open(one) as a, rasterio.open(other) as b:
            assert np.array_equal(a.read(), b.read())


class _Once:
    """A network that answers with what it is given."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)

    def send(self, request: Request, deadline: float, max_bytes: int) -> Answer:
        return Answer(200, {"etag": '"1"', "set-cookie": "secret"}, self.bodies.pop(0))


def test_answers_come_in_the_order_they_were_recorded_and_then_the_last_again(tmp_path: Path) -> None:
    path, request = tmp_path / "answers.jsonl", Request("GET", "https://a.example/x", {"Authorization": "secret"})
    # Two clients of one run write to one file.
    for body in (b"text", b"\xff\x00bytes"):
        Cassette(path, _Once(body)).send(request, 0, 0)
    replay = Cassette(path)
    assert [replay.send(request, 0, 0).body for _ in range(3)] == [b"text", b"\xff\x00bytes", b"\xff\x00bytes"]
    assert "secret" not in path.read_text()


@pytest.mark.parametrize("content", ["{not json", "[]", '{"asked": "GET x"}', None])
def test_what_is_no_cassette_is_refused_in_one_sentence(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "answers.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"AISF_GEO_CASSETTE .*answers\.jsonl: cannot be replayed"):
        Cassette(path)


def test_what_was_not_recorded_is_said(replayed: None) -> None:
    client = http_of(Access(hosts=("other.example.org",)))
    with pytest.raises(UnreadableError, match="not in the cassette"):
        client.ask(Request("GET", "https://other.example.org/x"))
