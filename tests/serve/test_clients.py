"""Clients of others, each in a process of its own; and the API against its own description."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from command_line import fresh_process, served
from served_run import DATES, squares


@pytest.fixture(scope="module")
def server(run_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``aisf-geo serve`` in another process, on a port that was free."""
    with served(run_path, tmp_path_factory.mktemp("server") / "log") as address:
        yield address


def told(program: str, *arguments: str) -> list[str]:
    ended = fresh_process(*arguments, program=program, env={"GDAL_HTTP_TIMEOUT": "30"})
    assert ended.code == 0, ended.err
    return ended.out.split()


def test_gdal_reads_every_page_and_filters_on_the_server(server: str) -> None:
    program = """
import sys, pyogrio
frame = pyogrio.read_dataframe("OAPIF:" + sys.argv[1], layer="town.features", use_arrow=False, PAGE_SIZE="7")
west, south, east, north = frame.total_bounds
lower = (west, south, east, (south + north) / 2)
part = pyogrio.read_dataframe("OAPIF:" + sys.argv[1], layer="town.features", bbox=lower)
print(len(frame), frame["area_m2"].sum(), frame.crs.is_geographic, len(part))
"""
    assert told(program, server) == ["20", "6000.0", "True", "10"]


def test_owslib_finds_collections_and_asks_in_cql(server: str) -> None:
    program = """
import sys
from owslib.ogcapi.features import Features
api = Features(sys.argv[1] + "/")
print(*sorted(api.feature_collections()))
page = api.collection_items("town.features", limit=100, filter="class_name = 'water' AND area_m2 > 200")
print(page["numberMatched"], *sorted(api.collection_queryables("town.features")["properties"])[:2])
"""
    collections = ["town.features", "town.indicators", "town.zones"]
    assert told(program, server) == [*collections, "6", "area_m2", "class"]


def test_pystac_client_searches_the_items_and_finds_their_files(server: str) -> None:
    program = """
import sys, urllib.request
from pystac_client import Client
client = Client.open(sys.argv[1] + "/stac")
found = list(client.search(collections=["town"], datetime="2021-01-01/..", limit=1).items())
print(*(i.id for i in found), len(list(client.search(limit=1).items())), *(c.id for c in client.get_collections()))
print(len(urllib.request.urlopen(found[0].assets["labels"].href).read()))
"""
    out = told(program, server)
    assert out[:3] == ["2021-06-30", "2", "town"]
    assert int(out[3]) > 500


def test_geopandas_opens_an_exported_file(server: str, tmp_path: Path) -> None:
    program = """
import sys, urllib.request, geopandas
urllib.request.urlretrieve(sys.argv[1] + "/collections/town.features/items?limit=1000", sys.argv[2])
print(len(geopandas.read_file(sys.argv[2])))
"""
    assert told(program, server, str(tmp_path / "f.geojson")) == [str(sum(len(squares(d)) for d in DATES))]


@pytest.mark.slow
def test_no_request_that_fits_the_description_fails_the_server(server: str, tmp_path: Path) -> None:
    st = Path(sys.executable).with_name("schemathesis")
    command = [st, "run", f"{server}/api", "--checks", "not_a_server_error", "--max-examples", "8", "--seed", "1",
               "--phases", "examples,fuzzing", "--url", server, "--suppress-health-check", "all"]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "NO_COLOR": "1"}, timeout=280
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) >= 20, "operations of the API"
