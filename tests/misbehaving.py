"""A STAC API with a range server on the loopback that misbehaves when told to."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SLOW_S = 3.0


@dataclass
class Api:
    """What the server offers and how it will fail.

    Attributes:
        faults: next faults by kind of request (``search``, ``asset``, ``landing``); each is used once.
        always: a fault for every request of a kind, or of one asset's name.
        vanish: ids that are no longer there once the first page has been given.
        asked: how often each kind was asked for.
        breaks_after: pages after which every search fails.
    """

    folder: Path
    page: int = 5
    faults: dict[str, deque[str]] = field(default_factory=dict)
    always: dict[str, str] = field(default_factory=dict)
    vanish: set[str] = field(default_factory=set)
    twice: set[str] = field(default_factory=set)
    checksums: dict[str, str] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    url: str = ""
    pages_given: int = 0
    breaks_after: int | None = None

    def items(self) -> list[dict[str, Any]]:
        gone = self.vanish if self.pages_given else set()
        found = []
        for path in sorted(self.folder.glob("20*.json")):
            item = json.loads(path.read_text())
            if item["id"] in gone:
                continue
            item["links"] = []
            item["collection"] = "romania"
            for asset in item["assets"].values():
                name = asset["href"].removeprefix("./")
                if name in self.checksums:
                    asset["file:checksum"] = self.checksums[name]
                asset["href"] = f"{self.url}/assets/{name}"
            found += [item] * (2 if item["id"] in self.twice else 1)
        return found

    def fault(self, *kinds: str) -> str | None:
        for kind in kinds:
            if self.faults.get(kind):
                return self.faults[kind].popleft()
            if kind in self.always:
                return self.always[kind]
        return None


def multihash(path: Path) -> str:
    return "1220" + hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def serving(folder: Path, **how: Any) -> Iterator[Api]:
    """The API over the items and files in ``folder``; its address is ``api.url``."""
    api = Api(folder, **how)

    class Handler(_Handler):
        pass

    Handler.api = api
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    api: Api
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        self._search(body)

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path in ("", "/"):
            self._landing()
        elif parts.path == "/search":
            self._search({k: v[0] for k, v in parse_qs(parts.query).items()})
        elif parts.path.startswith("/assets/"):
            self._asset(parts.path.removeprefix("/assets/"))
        else:
            self._json({"description": "no such thing"}, 404)

    def _landing(self) -> None:
        self.api.asked["landing"] += 1
        if self._failed(self.api.fault("landing")):
            return
        search = {"rel": "search", "href": self.api.url + "/search", "type": "application/geo+json"}
        core = "https://api.stacspec.org/v1.0.0/"
        self._json(
            {
                "type": "Catalog", "id": "misbehaving", "stac_version": "1.0.0", "description": "on purpose",
                "conformsTo": [core + "core", core + "item-search"],
                "links": [
                    {"rel": "self", "href": self.api.url},
                    {"rel": "root", "href": self.api.url},
                    {**search, "method": "POST"},
                    {**search, "method": "GET"},
                ],
            }
        )  # fmt: skip

    def _search(self, asked: dict[str, Any]) -> None:
        self.api.asked["search"] += 1
        broken = self.api.breaks_after is not None and self.api.pages_given >= self.api.breaks_after
        fault = "500" if broken else self.api.fault("search")
        if self._failed(fault):
            return
        items = self.api.items()
        if asked.get("ids"):
            items = [item for item in items if item["id"] in asked["ids"]]
        if asked.get("datetime"):
            start, _, end = str(asked["datetime"]).partition("/")
            items = [i for i in items if start[:10] <= i["id"] < end[:10]]
        offset = int(asked.get("token", 0))
        page = items[offset : offset + self.api.page]
        matched = len(items)
        if page:
            self.api.pages_given += 1
        links = []
        if offset + self.api.page < len(items):
            body = {**asked, "token": offset + self.api.page}
            links = [{"rel": "next", "href": self.api.url + "/search", "method": "POST", "body": body}]
        content = {"type": "FeatureCollection", "features": page, "links": links, "numberMatched": matched}
        if fault == "truncated":
            text = json.dumps(content).encode()
            self._raw(200, {"Content-Type": "application/json"}, text[: len(text) // 2], len(text))
        else:
            self._json(content)

    def _asset(self, name: str) -> None:
        self.api.asked["asset"] += 1
        fault = self.api.fault(name, "asset")
        path = self.api.folder / name
        if fault == "gone" or not path.exists():
            self._json({"description": "gone"}, 404)
            return
        if self._failed(fault):
            return
        content = path.read_bytes()
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        first, last = int(start), min(int(end or len(content) - 1), len(content) - 1)
        piece = content[first : last + 1]
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}", "ETag": '"1"'}
        if fault == "redirect":
            self._raw(302, {"Location": "http://169.254.169.254/latest/meta-data/"}, b"")
        elif fault == "whole":
            self._raw(200, {}, content)
        elif fault == "truncated":
            self._raw(206, headers, piece[: len(piece) // 2], len(piece))
        elif fault == "short":
            self._raw(206, headers, piece[: len(piece) // 2])
        else:
            self._raw(206, headers, piece)

    def _failed(self, fault: str | None) -> bool:
        if fault == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"{")
            self.wfile.flush()
            time.sleep(SLOW_S)
            self.close_connection = True
            return True
        if fault is None or not fault.isdigit():
            return False
        self._json({"description": fault}, int(fault), {"Retry-After": "0"} if fault == "429" else {})
        return True

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._raw(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(content).encode())

    def _raw(self, status: int, headers: dict[str, str], body: bytes, said: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if said is None else said))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)
        if said is not None and said != len(body):
            self.close_connection = True
