"""What every request passes: host, rate, size, headers of safety, and a log without personal data."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aisf_geo.serve.settings import Access

log = logging.getLogger("aisf_geo.access")
#: Requests that may come at once before the rate counts: a map asks for many tiles.
BURST = 400
MAX_BODY_BYTES = 65_536
MAX_URL_BYTES = 32_768
#: Addresses remembered for the rate.
REMEMBERED = 10_000
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "worker-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
SAFE_HEADERS = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"geolocation=(), camera=(), microphone=()"),
)


class Gate:
    """An ASGI application before another."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at once what may not pass; add the headers to what does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message.setdefault("headers", [])
                there = {name for name, _ in headers}
                headers.extend(pair for pair in SAFE_HEADERS if pair[0] not in there)
            await send(message)

        refusal = self._refusal(scope)
        try:
            await (refusal or self.app)(scope, receive, sending)
        finally:
            # The path alone: neither the address of the caller nor what was searched for.
            log.info("%s %s %d %.1f ms", scope["method"], scope["path"], status, 1000 * (time.perf_counter() - started))

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.access.hosts and _host(headers.get("host", "")) not in self.access.hosts:
            return _said(400, "this server does not answer under that name; see --allow-host")
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_URL_BYTES:
            return _said(414, "the address is too long")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return _said(413, f"at most {MAX_BODY_BYTES} bytes of a stated length are read")
        if self.access.rate_per_s and not self._may_pass(scope.get("client") or ("",)):
            return _said(429, "too many requests; wait a second", {"retry-after": "1"})
        return None

    def _may_pass(self, client: Sequence[object]) -> bool:
        """A bucket for each address that fills at the rate; kept in memory only, and never logged."""
        name, now = str(client[0]), time.monotonic()
        left, then = self._buckets.pop(name, (float(BURST), now))
        left = min(BURST, left + (now - then) * self.access.rate_per_s)
        self._buckets[name] = (max(left - 1, 0.0), now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return left >= 1


def _host(value: str) -> str:
    """The name without the port."""
    return value if value.endswith("]") or ":" not in value else value.rpartition(":")[0]


def _said(status: int, what: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"code": str(status), "description": what}, status, headers)
