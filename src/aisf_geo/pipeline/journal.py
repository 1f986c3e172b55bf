"""What a run did and how fast: ``log.jsonl``, one JSON object a line, and ``metrics.json``."""

from __future__ import annotations

import json
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from aisf_geo.domain.period import rfc3339
from aisf_geo.domain.provenance import without_secrets
from aisf_geo.store.run import RunFolder, write_json

#: Programs that embed this one may listen here too.
LOG = logging.getLogger("aisf_geo.run")


def note(event: str, **facts: Any) -> None:
    """Tell the run's log that something happened, with its facts."""
    LOG.info(event, extra={"facts": facts})


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": when, "level": record.levelname.lower(), "event": record.getMessage()}
        return without_secrets(json.dumps(line | getattr(record, "facts", {}), ensure_ascii=False, default=str))


class _Tally(logging.Handler):
    """Adds up what one session did, from the same events the log holds."""

    def __init__(self) -> None:
        super().__init__()
        self.computed = self.failed = self.pixels = 0
        self.block_seconds = 0.0
        self.rss_peak_bytes = 0

    def emit(self, record: logging.LogRecord) -> None:
        facts = getattr(record, "facts", {})
        if record.getMessage() == "item ended":
            self.computed += facts["computed"]
            self.failed += facts["failed"]
            self.pixels += facts["pixels"]
            self.block_seconds += facts["block_seconds"]
        self.rss_peak_bytes = max(self.rss_peak_bytes, memory_bytes())


class _Lines(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """A full disk stops the run by its outputs; the log has nothing to add."""


@contextmanager
def journal(folder: RunFolder) -> Iterator[None]:
    """Write the log of one session while it lasts, and its metrics when it ends."""
    started = datetime.now(UTC)
    lines, tally = _Lines(folder.log, encoding="utf-8"), _Tally()
    lines.setFormatter(_JsonLines())
    level = LOG.level
    LOG.setLevel(logging.INFO)
    for handler in (lines, tally):
        LOG.addHandler(handler)
    try:
        note("session began")
        yield
    except BaseException as error:
        LOG.error("session failed", extra={"facts": {"error": type(error).__name__, "message": str(error)}})
        raise
    finally:
        seconds = (datetime.now(UTC) - started).total_seconds()
        session = {
            "start": rfc3339(started),
            "seconds": round(seconds, 3),
            "blocks_computed": tally.computed,
            "blocks_failed": tally.failed,
            "blocks_per_second": round(tally.computed / seconds, 3) if seconds > 0 else None,
            "pixels": tally.pixels,
            "pixels_per_second": round(tally.pixels / seconds) if seconds > 0 else None,
            "block_seconds": round(tally.block_seconds, 3),
            "rss_peak_bytes": max(tally.rss_peak_bytes, memory_bytes()),
        }
        note("session ended", **session)
        for handler in (lines, tally):
            LOG.removeHandler(handler)
        LOG.setLevel(level)
        lines.close()
        with suppress(OSError):
            write_json(folder.metrics, {"sessions": [*sessions(folder), session]})


def sessions(folder: RunFolder) -> list[dict[str, Any]]:
    """The metrics of the sessions so far, oldest first; empty where there are none that can be read."""
    try:
        found: list[dict[str, Any]] = json.loads(folder.metrics.read_text(encoding="utf-8"))["sessions"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found


def memory_bytes() -> int:
    """Resident memory: the peak of this process and what its worker processes hold now."""
    import psutil

    total = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for worker in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            total += worker.memory_info().rss
    return total
