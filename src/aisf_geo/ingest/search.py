"""Scenes found by search in STAC APIs: several endpoints of one offer, each of which may fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import pystac
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO

from aisf_geo.domain.grid import Window
from aisf_geo.domain.period import Period, rfc3339
from aisf_geo.errors import AisfGeoError, DataError, UnreadableError
from aisf_geo.ingest.access import Access
from aisf_geo.ingest.catalog import MALFORMED, in_period, scene_of_item
from aisf_geo.ingest.http import Http, Request, http_of
from aisf_geo.ingest.read import read_window
from aisf_geo.ingest.scene import Scene

PAGE_ITEMS = 100
#: A catalogue from which items vanish between two pages is searched again, at most this often in all.
SEARCHES = 3
#: Side of the window in which two offers of one scene are compared.
COMPARED_PX = 64
HEADERS_AT_ONCE = 8


@dataclass(frozen=True)
class Search:
    """What is asked of every endpoint.

    Attributes:
        bbox: west, south, east, north in degrees; None means everywhere.
    """

    endpoints: tuple[str, ...]
    collections: tuple[str, ...]
    bbox: tuple[float, float, float, float] | None = None
    max_cloud_cover_pct: float | None = None
    max_items: int = 1000


@dataclass
class StacApiCatalog:
    """The scenes of a search; endpoints stand in for each other in the order they are named.

    Attributes:
        notes: what went wrong and was got over, in plain sentences, after :meth:`scenes`.
        missing: scenes the catalogue lists and no endpoint delivers, with the reason.
    """

    search: Search
    access: Access
    notes: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """One scene for each item found, each id once.

        Raises:
            UnreadableError: no endpoint answers to the end, or no scene can be read.
            DataError: two endpoints offer different pixels under one id.
            NoDataError: nothing was found.
        """
        http = http_of(self._own_access())
        found = self._found(http, period)
        with ThreadPoolExecutor(HEADERS_AT_ONCE) as pool:
            scenes = [s for s in pool.map(lambda offers: self._scene(http, offers), found.values()) if s]
        if found and not scenes:
            first = next(iter(self.missing.items()))
            raise UnreadableError(f"{self._where()}: none of {len(found)} scenes can be read ({first[0]}: {first[1]})")
        return in_period(scenes, None if not scenes else period, self._where())

    def _own_access(self) -> Access:
        own = tuple((urlsplit(url).hostname or "").lower() for url in self.search.endpoints)
        return replace(self.access, hosts=(*self.access.hosts, *own))

    def _where(self) -> str:
        return ", ".join(self.search.endpoints)

    def _found(self, http: Http, period: Period | None) -> dict[str, dict[str, pystac.Item]]:
        """For each scene id, the endpoints that offer it: endpoint to item."""
        found: dict[str, dict[str, pystac.Item]] = {}
        for url in self.search.endpoints:
            try:
                for item in _all_items(http, url, self.search, period, self.notes):
                    found.setdefault(item.id, {})[url] = item
            except (UnreadableError, APIError, pystac.STACError, *MALFORMED) as error:
                self.notes.append(f"catalogue {url} failed ({str(error)[:200]}); the next one was asked")
                continue
            break
        else:
            raise UnreadableError(f"{self._where()}: no endpoint answers to the end ({'; '.join(self.notes)})")
        if len(found) >= self.search.max_items:
            self.notes.append(f"the search was cut off at {self.search.max_items} scenes; narrow it or raise max_items")
        return found

    def _scene(self, http: Http, offers: dict[str, pystac.Item]) -> Scene | None:
        """The scene of the first endpoint that delivers it; None, and named as missing, where none does."""
        readable, reasons = [], []
        for url, item in offers.items():
            try:
                readable.append((url, scene_of_item(item, None, http.access)))
            except DataError as error:
                reasons.append(str(error))
        item_id = next(iter(offers.values())).id
        for url in self.search.endpoints if not readable else ():
            other = None if url in offers else _one_item(http, url, self.search, item_id)
            if other is not None:
                try:
                    readable.append((url, scene_of_item(other, None, http.access)))
                    self.notes.append(f"scene {item_id}: taken from {url}, the first endpoint does not deliver it")
                    break
                except DataError as error:
                    reasons.append(str(error))
        if not readable:
            self.missing[item_id] = reasons[0] if reasons else "no endpoint delivers it"
            return None
        for offer in readable[1:]:
            _refuse_different(readable[0], offer)
        return readable[0][1]


class _PoliteIO(StacApiIO):
    """pystac-client over :class:`Http`: bounded, tried again, and only to allowed hosts."""

    def __init__(self, http: Http) -> None:
        super().__init__(max_retries=None)
        self._http = http

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The text of an answer; see the base class."""
        asked = {**(headers or {}), "Accept": "application/geo+json, application/json"}
        if (method or "GET").upper() == "POST":
            request = Request("POST", href, {**asked, "Content-Type": "application/json"}, json.dumps(parameters))
        else:
            joint = "&" if urlsplit(href).query else "?"
            request = Request("GET", href + (joint + urlencode(parameters) if parameters else ""), asked)
        answer = self._http.ask(request)
        if answer.status != 200:
            raise APIError(f"HTTP {answer.status}")
        return answer.body.decode("utf-8")


def _all_items(http: Http, url: str, search: Search, period: Period | None, notes: list[str]) -> Iterator[pystac.Item]:
    """Every item once. Pages shift when items come or go between them: unless the count stood still, search again."""
    client = Client.open(url, stac_io=_PoliteIO(http))
    known: dict[str, None] = {}
    for _ in range(SEARCHES):
        before, counts, pages = len(known), set(), 0
        for page in client.search(**_parameters(search, period)).pages_as_dicts():
            counts.add(page.get("numberMatched"))
            pages += 1
            for item in (pystac.Item.from_dict(c, preserve_dict=False) for c in page.get("features", [])):
                if item.id not in known and len(known) < search.max_items:
                    known[item.id] = None
                    yield item
        counted = next(iter(counts)) if len(counts) == 1 else None
        enough = counted is not None and len(known) >= min(counted, search.max_items)
        if enough or pages <= 1 or len(known) == before:
            break
    if counted is not None and len(known) < min(counted, search.max_items):
        notes.append(f"catalogue {url} counts {counted} scenes and lists {len(known)}")


def _parameters(search: Search, period: Period | None) -> dict[str, Any]:
    query = None if search.max_cloud_cover_pct is None else {"eo:cloud_cover": {"lte": search.max_cloud_cover_pct}}
    when = f"{rfc3339(period.start)}/{rfc3339(period.end)}" if period else None
    return {
        "collections": list(search.collections),
        "bbox": list(search.bbox) if search.bbox else None,
        "datetime": when,
        "query": query,
        "limit": PAGE_ITEMS,
        "max_items": None,
    }


def _one_item(http: Http, url: str, search: Search, item_id: str) -> pystac.Item | None:
    try:
        client = Client.open(url, stac_io=_PoliteIO(http))
        return next(client.search(collections=list(search.collections), ids=[item_id]).items(), None)
    except (AisfGeoError, APIError, pystac.STACError, *MALFORMED):
        return None


Offer = tuple[str, Scene]


def _refuse_different(one: Offer, other: Offer) -> None:
    """Check that two endpoints mean the same pixels by one id: same grid, bands and, in a window, same numbers.

    Raises:
        DataError: they do not.
    """
    (here, first), (there, second) = one, other
    same = first.grid.shape == second.grid.shape and first.grid.same_pixels(second.grid)
    same = same and first.band_names == second.band_names
    stated = _checksums(first)
    if same and (None in stated or stated != _checksums(second)):
        rows, cols = first.grid.shape
        high, wide = min(COMPARED_PX, rows), min(COMPARED_PX, cols)
        middle = Window((rows - high) // 2, (cols - wide) // 2, high, wide)
        bare = [replace(scene, quality=None) for scene in (first, second)]
        a, b = (read_window(scene, scene.band_names, middle) for scene in bare)
        same = np.array_equal(a.values, b.values, equal_nan=True)
    if not same:
        raise DataError(
            f"scene {first.id}: {here} and {there} offer different pixels under this id; name one endpoint only"
        )


def _checksums(scene: Scene) -> tuple[str | None, ...]:
    return tuple(source.checksum for _, source in scene.bands)
