"""Asking servers that misbehave: bounded in time and bytes, tried again where that helps, recorded where asked.

Why not GDAL's own ``/vsicurl``: it follows redirects to any host, and an answer that is cut short reads as zeros.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from aisf_geo.errors import RefusedError, UnreadableError, UsageError
from aisf_geo.ingest.access import MAX_DOCUMENT_BYTES, Access
from aisf_geo.settings import Settings

#: Tries of one request, seconds for one answer to begin and between two pieces of it, and for all tries together.
TRIES, PAUSE_S, DEADLINE_S = 6, 10.0, 120.0
#: The first pause before another try; each further one is twice as long.
BACKOFF_S = 0.5
#: Answers that another try may better.
PASSING = (408, 425, 429, 500, 502, 503, 504)
REDIRECTS = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 5


@dataclass(frozen=True)
class Request:
    """What is asked; ``body`` is JSON text."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None


@dataclass(frozen=True)
class Answer:
    """What came back, whole; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CutShortError(Exception):
    """The answer broke off, came too slowly, or there was none: worth another try."""


class Transport(Protocol):
    """Sends one request once."""

    def send(self, request: Request, deadline: float, max_bytes: int) -> Answer:
        """The answer, read whole before the monotonic time ``deadline``.

        Raises:
            CutShortError: there was none, or not all of it.
            RefusedError: it is larger than ``max_bytes`` or comes from an address that may not be asked.
        """
        ...


class Network:
    """Sends requests over urllib3; the address behind every connection is checked."""

    def __init__(self, access: Access) -> None:
        self._pools = urllib3.PoolManager(
            maxsize=8,
            retries=False,
            timeout=urllib3.Timeout(PAUSE_S),
            headers={"User-Agent": f"aisf-geo/{version('aisf-geo')}"},
        )
        self._pools.pool_classes_by_scheme = _checked_pools(access)

    def send(self, request: Request, deadline: float, max_bytes: int) -> Answer:
        """See :class:`Transport`."""
        pause = min(PAUSE_S, max(0.1, deadline - time.monotonic()))
        try:
            answer = self._pools.request(
                request.method,
                request.url,
                body=request.body,
                headers={**self._pools.headers, **request.headers},
                timeout=urllib3.Timeout(pause),
                redirect=False,
                preload_content=False,
            )
            with contextlib.closing(answer):
                body = bytearray()
                for piece in answer.stream(1 << 16):
                    body += piece
                    if len(body) > max_bytes:
                        raise RefusedError(f"{request.url}: the answer is larger than {max_bytes:,} bytes")
                    if time.monotonic() > deadline:
                        raise CutShortError(f"the answer did not end in time ({len(body):,} bytes came)")
        except (HTTPError, OSError) as error:
            raise CutShortError(f"{type(error).__name__}: {error}") from error
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, bytes(body))


def _checked_pools(access: Access) -> dict[str, type[HTTPConnectionPool]]:
    """Pools whose connections close before a word is said to an address that may not be reached."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:
            return _checked_socket(access, self.host, super()._new_conn())

    class Tls(HTTPSConnection):
        def _new_conn(self) -> Any:
            return _checked_socket(access, self.host, super()._new_conn())

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _checked_socket(access: Access, host: str, opened: Any) -> Any:
    try:
        access.check_peer(host, opened.getpeername()[0])
    except RefusedError:
        opened.close()
        raise
    return opened


class Cassette:
    """Recorded answers, one JSON object a line: replayed without a network, or added while the network is asked.

    Raises:
        UsageError: a file to be replayed is not a cassette.
    """

    def __init__(self, path: Path, network: Transport | None = None) -> None:
        self._path, self._network, self._lock = path, network, threading.Lock()
        self._next: dict[str, int] = {}
        self._answers: dict[str, list[Answer]] = {}
        if network is None:
            try:
                for line in path.read_text(encoding="utf-8").splitlines():
                    asked, answer = _told(json.loads(line))
                    self._answers.setdefault(asked, []).append(answer)
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(f"AISF_GEO_CASSETTE {path}: cannot be replayed ({error}); record it again") from error

    def send(self, request: Request, deadline: float, max_bytes: int) -> Answer:
        """See :class:`Transport`; the n-th time a request is made, its n-th answer comes, and then the last one."""
        key = _key(request)
        if self._network is not None:
            answer = self._network.send(request, deadline, max_bytes)
            # Worker processes write to the same file: one line at once, at its end.
            with self._lock, self._path.open("a", encoding="utf-8") as stream:
                stream.write(_line(key, answer))
            return answer
        with self._lock:
            known = self._answers.get(key)
            if not known:
                raise UnreadableError(f"{request.url}: not in the cassette {self._path}; record it again")
            place = min(self._next.get(key, 0), len(known) - 1)
            self._next[key] = place + 1
        return known[place]


def _key(request: Request) -> str:
    return " ".join((request.method, request.url, request.body or "", request.headers.get("Range", ""))).strip()


def _line(key: str, answer: Answer) -> str:
    """An exchange as one line; text stays readable."""
    kept = ("content-type", "content-range", "etag", "retry-after", "location")
    headers = {k: v for k, v in answer.headers.items() if k in kept}
    try:
        body = {"text": answer.body.decode("utf-8")}
    except UnicodeDecodeError:
        body = {"base64": base64.b64encode(answer.body).decode()}
    return json.dumps({"asked": key, "status": answer.status, "headers": headers, **body}) + "\n"


def _told(line: dict[str, Any]) -> tuple[str, Answer]:
    body = line["text"].encode() if "text" in line else base64.b64decode(line["base64"])
    return line["asked"], Answer(line["status"], line["headers"], body)


@dataclass(frozen=True)
class Clock:
    """Time as this module uses it; tests bring their own."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Http:
    """Requests of one source, each tried again with growing, jittered pauses until its deadline.

    Attributes:
        deadline_s: seconds for one request, all its tries together.
    """

    access: Access
    transport: Transport
    clock: Clock = Clock()
    deadline_s: float = DEADLINE_S

    def ask(
        self,
        request: Request,
        max_bytes: int = MAX_DOCUMENT_BYTES,
        whole: Callable[[Answer], str | None] = lambda _: None,
    ) -> Answer:
        """The answer to ``request``, redirects followed where they may lead.

        Args:
            request: what is asked.
            max_bytes: largest answer that is read.
            whole: says what is wrong with an answer that came, so that it is asked for again.

        Raises:
            RefusedError: the request or a redirect leads where it may not, or the answer is too large.
            UnreadableError: no good answer came in time.
        """
        deadline = self.clock.now() + self.deadline_s
        said = "nothing was tried"
        for attempt in range(TRIES):
            answer = None
            try:
                answer = self._follow(request, deadline, max_bytes)
                said = f"HTTP {answer.status}"
                if answer.status not in PASSING:
                    wrong = whole(answer) if answer.status < 300 else None
                    if wrong is None:
                        return answer
                    said = wrong
            except CutShortError as error:
                said = str(error)
            pause = self._pause(attempt, answer)
            if attempt == TRIES - 1 or self.clock.now() + pause > deadline:
                break
            self.clock.sleep(pause)
        raise UnreadableError(f"{request.url}: no good answer after {attempt + 1} tries ({said}); try again later")

    def _follow(self, request: Request, deadline: float, max_bytes: int) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            self.access.checked(request.url)
            answer = self.transport.send(request, deadline, max_bytes)
            where = answer.headers.get("location")
            if answer.status not in REDIRECTS or where is None:
                return answer
            keeps = answer.status in (307, 308) or request.method == "GET"
            request = Request(
                request.method if keeps else "GET",
                urljoin(request.url, where),
                request.headers if urlsplit(where).netloc in ("", urlsplit(request.url).netloc) else _public(request),
                request.body if keeps else None,
            )
        raise UnreadableError(f"{request.url}: redirected more than {MAX_REDIRECTS} times")

    def _pause(self, attempt: int, answer: Answer | None) -> float:
        """Seconds to wait: what the server asks for, else 0.5, 1, 2, .. s with half of it left to chance."""
        asked = answer.headers.get("retry-after") if answer else None
        if asked is not None:
            with contextlib.suppress(ValueError, TypeError):
                if asked.strip().isdigit():
                    return float(asked)
                return max(0.0, (parsedate_to_datetime(asked) - self.clock.wall()).total_seconds())
        return float(BACKOFF_S * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients, guards nothing


def _public(request: Request) -> dict[str, str]:
    """Headers that another host may see."""
    return {k: v for k, v in request.headers.items() if k.lower() in ("accept", "range", "content-type")}


@lru_cache(maxsize=32)
def http_of(access: Access) -> Http:
    """The client of a source, one per process; the environment may put a cassette in the network's place."""
    settings = Settings.from_environment()
    if settings.cassette is None:
        return Http(access, Network(access), deadline_s=DEADLINE_S)
    return Http(access, Cassette(settings.cassette, Network(access) if settings.record else None))


def checksum_fits(body: bytes, multihash: str) -> bool:
    """Whether bytes have the digest of a STAC ``file:checksum`` (hexadecimal multihash); unknown kinds do not fit."""
    kinds = {"1220": hashlib.sha256, "1114": hashlib.sha1, "d50110": hashlib.md5, "1340": hashlib.sha512}
    for prefix, kind in kinds.items():
        if multihash.lower().startswith(prefix):
            return kind(body).hexdigest() == multihash.lower()[len(prefix) :]
    return False
