"""A catalogue that misbehaves: every scene found or named as missing, none twice, in bounded time."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aisf_geo.domain.grid import Window
from aisf_geo.errors import DataError, RefusedError, UnreadableError
from aisf_geo.ingest import http, ranges
from aisf_geo.ingest.access import Access
from aisf_geo.ingest.catalog import open_catalog
from aisf_geo.ingest.http import http_of
from aisf_geo.ingest.read import read_header, read_window
from aisf_geo.ingest.search import Search, StacApiCatalog
from misbehaving import Api, multihash, serving

MINE = Access(private_hosts=("127.0.0.1",))
DATES = 14


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(http, "PAUSE_S", 1.0)
    monkeypatch.setattr(http, "DEADLINE_S", 8.0)
    monkeypatch.setattr(ranges, "_PAGES", ranges._Pages())
    http_of.cache_clear()
    yield
    http_of.cache_clear()


@pytest.fixture
def api(sample_tiles: Path) -> Iterator[Api]:
    with serving(sample_tiles / "romania") as one:
        yield one


@pytest.fixture
def twin(sample_tiles: Path, tmp_path: Path) -> Iterator[Api]:
    """A second endpoint with copies of the same files."""
    with serving(Path(shutil.copytree(sample_tiles / "romania", tmp_path / "twin"))) as one:
        yield one


def catalog(*apis: Api) -> StacApiCatalog:
    return StacApiCatalog(Search(tuple(api.url for api in apis), ("romania",)), MINE)


def ids(found: StacApiCatalog) -> list[str]:
    return [scene.id for scene in found.scenes()]


class TestAGoodCatalogue:
    def test_all_pages_are_read_and_pixels_are_those_of_the_files(self, api: Api, sample_tiles: Path) -> None:
        remote = catalog(api).scenes()
        local = open_catalog(sample_tiles / "romania").scenes()
        assert [scene.id for scene in remote] == [scene.id for scene in local]
        assert api.asked["search"] == -(-DATES // api.page)
        window = Window(10, 20, 30, 40)
        for here, there in zip(local[:3], remote[:3], strict=True):
            one, other = (read_window(scene, scene.band_names, window) for scene in (here, there))
            assert np.array_equal(one.values, other.values, equal_nan=True)
            assert np.array_equal(one.valid, other.valid)


class TestEndpointsThatFail:
    @pytest.mark.parametrize("fault", ["429", "500", "503", "504", "slow", "truncated"])
    def test_a_passing_fault_is_got_over(self, api: Api, fault: str) -> None:
        api.faults["search"] = deque([fault])
        assert len(ids(catalog(api))) == DATES

    def test_the_next_endpoint_takes_over_where_one_fails_half_way(self, api: Api, twin: Api) -> None:
        api.breaks_after = 1
        found = catalog(api, twin)
        assert len(ids(found)) == DATES
        assert found.missing == {}
        assert any(api.url in note for note in found.notes)

    def test_different_pixels_under_one_id_are_refused(self, api: Api, twin: Api) -> None:
        first, other = (twin.folder / f"{day}.tif" for day in ("2016-06-16", "2016-08-05"))
        first.write_bytes(other.read_bytes())
        api.breaks_after = 1
        with pytest.raises(DataError, match=r"2016-06-16: .*offer different pixels"):
            catalog(api, twin).scenes()

    def test_when_all_fail_the_reasons_are_named_in_bounded_time(self, api: Api, twin: Api) -> None:
        api.always["search"], twin.always["landing"] = "504", "slow"
        started = time.monotonic()
        with pytest.raises(UnreadableError, match="no endpoint answers to the end"):
            catalog(api, twin).scenes()
        assert time.monotonic() - started < 4 * http.DEADLINE_S


class TestItemsThatComeAndGo:
    def test_an_item_listed_twice_is_one_scene(self, api: Api) -> None:
        api.twice = {"2017-06-06", "2019-08-20"}
        assert len(ids(catalog(api))) == DATES

    def test_items_that_vanish_between_pages_do_not_take_others_with_them(self, api: Api) -> None:
        api.vanish = {"2016-06-16", "2016-08-05"}
        # Both came with page 1; what moved up by two places was skipped by page 2 and is found by the second search.
        assert len(ids(catalog(api))) == DATES

    def test_a_scene_whose_file_is_gone_comes_from_the_other_endpoint(self, api: Api, twin: Api) -> None:
        api.always["2018-07-01.tif"] = "gone"
        found = catalog(api, twin)
        assert len(ids(found)) == DATES
        assert any("2018-07-01" in note and twin.url in note for note in found.notes)

    def test_a_scene_nobody_delivers_is_named(self, api: Api) -> None:
        api.always["2018-07-01.tif"] = "gone"
        found = catalog(api)
        assert len(ids(found)) == DATES - 1
        assert list(found.missing) == ["2018-07-01"]
        assert "HTTP 404" in found.missing["2018-07-01"]


class TestAssets:
    @pytest.mark.parametrize("fault", ["429", "500", "504", "slow", "truncated", "short"])
    def test_a_passing_fault_is_got_over(self, api: Api, fault: str) -> None:
        api.faults["asset"] = deque([fault])
        (scene,) = [s for s in catalog(api).scenes() if s.id == "2017-06-06"]
        assert read_window(scene, ("nir",), Window(0, 0, 50, 50)).valid.any()

    @pytest.mark.parametrize("fault", ["truncated", "short"])
    def test_ranges_that_stay_short_are_an_error_never_zeros(self, api: Api, fault: str) -> None:
        api.always["asset"] = fault
        with pytest.raises(UnreadableError, match="no good answer after"):
            read_header(f"{api.url}/assets/2017-06-06.tif", hosted(api))

    def test_a_redirect_to_the_metadata_service_is_refused(self, api: Api) -> None:
        api.always["asset"] = "redirect"
        with pytest.raises(RefusedError, match=r"169\.254\.169\.254"):
            read_header(f"{api.url}/assets/2017-06-06.tif", hosted(api))

    def test_a_checksum_that_does_not_fit_is_found(self, api: Api) -> None:
        name = "2017-06-06.tif"
        api.checksums = {
            name: multihash(api.folder / "2017-07-06.tif"),
            "2016-06-16.tif": multihash(api.folder / "2016-06-16.tif"),
        }
        found = catalog(api)
        assert len(ids(found)) == DATES - 1
        assert "checksum" in found.missing["2017-06-06"]


def hosted(api: Api) -> Access:
    return Access(hosts=("127.0.0.1",), private_hosts=("127.0.0.1",))


def test_a_loopback_endpoint_is_refused_unless_the_machines_owner_named_it(api: Api) -> None:
    found = StacApiCatalog(Search((api.url,), ("romania",)), Access())
    with pytest.raises(RefusedError, match="AISF_GEO_PRIVATE_HOSTS"):
        found.scenes()


def test_a_recorded_search_replays_without_any_server(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AISF_GEO_CASSETTE", str(tmp_path / "cassette.json"))
    monkeypatch.setenv("AISF_GEO_CASSETTE_RECORD", "1")
    api.faults["search"] = deque(["429"])
    recorded = catalog(api)
    whole = [read_window(scene, ("red",), Window(0, 0, 20, 20)).values for scene in recorded.scenes()[:2]]
    asked = sum(api.asked.values())
    monkeypatch.delenv("AISF_GEO_CASSETTE_RECORD")
    monkeypatch.setattr(ranges, "_PAGES", ranges._Pages())
    http_of.cache_clear()
    again = [read_window(scene, ("red",), Window(0, 0, 20, 20)).values for scene in catalog(api).scenes()[:2]]
    assert sum(api.asked.values()) == asked
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(whole, again, strict=True))
