"""Runs whose outputs lie on an object store: carried out in a local folder, of which finished files go to the URL.

A store has no locks and no partial writes that a killed program could resume from; a local folder has both. What is
at the URL is always a set of whole files, written in an order in which a reader finds no item without its files.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.ingest.access import is_remote
from aisf_geo.pipeline.journal import LOG, note
from aisf_geo.store.files import sha256_file, write_text
from aisf_geo.store.run import Existing, RunFolder, is_run

#: File at the URL and beside the local folder: what was sent, by digest, so that a resumed run sends only what changed.
SENT = "sent.json"
#: Written last: who reads the index of a run finds everything it names.
_LAST = ("item.json", "collection.json", "indicators.json", "report.html", "ledger.sqlite", "run.json", SENT)


@contextmanager
def run_folder_at(out: str, existing: Existing) -> Iterator[Path]:
    """The local folder to work in for ``out``, a path or a URL of a store; at a URL the files are sent when it ends.

    A run that is at the URL and not on this machine is fetched first, so that it can be resumed from anywhere. Files
    are sent after each item and after a failure too: what is done is kept.

    Raises:
        OutputError: the store cannot be written or read.
        UsageError: the library for this kind of store is not installed.
    """
    if not is_remote(out):
        yield Path(out)
        return
    store = Store(out)
    local = local_folder(out)
    if existing == "refuse" and store.holds_a_run():
        raise OutputError(f"output {out}: holds a run; add --resume to go on or --overwrite to start anew")
    if existing == "refuse" and local.exists() and is_run(local):
        raise OutputError(
            f"output {out}: a run for it was begun here ({local}); add --resume to go on or --overwrite to start anew"
        )
    if existing in ("resume", "extend") and not is_run(local) and store.holds_a_run():
        store.fetch(local)
    sender = _Sender(store, local)
    LOG.addHandler(sender)
    try:
        yield local
    finally:
        LOG.removeHandler(sender)
        if is_run(local):
            store.send(local)


class _Sender(logging.Handler):
    """Sends what is finished after each item, so that a machine that is lost loses one item and no more."""

    def __init__(self, store: Store, local: Path) -> None:
        super().__init__()
        self._store, self._local = store, local

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "item published":
            self._store.send(self._local)


def local_folder(url: str) -> Path:
    """Where a run for a URL is worked on: below ``out/.remote``, named by the URL's digest."""
    return Path("out/.remote") / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:16]


class Store:
    """The files of one run at a URL."""

    def __init__(self, url: str) -> None:
        import fsspec

        self._url = url.rstrip("/")
        try:
            self._fs, self._root = fsspec.url_to_fs(self._url)
        except (ImportError, ValueError) as error:
            raise UsageError(f"output {url}: {error}; pip install 'aisf-geo[remote]', or name a folder") from error

    def holds_a_run(self) -> bool:
        """True where a run.json lies at the URL."""
        return bool(self._try(lambda: self._fs.exists(f"{self._root}/run.json")))

    def fetch(self, local: Path) -> None:
        """Copy the run at the URL into ``local``, checked by the digests it was sent with."""
        sent: dict[str, str] = json.loads(self._try(lambda: self._fs.cat_file(f"{self._root}/{SENT}")))
        for name, digest in sent.items():
            target = local / name
            if not target.resolve().is_relative_to(local.resolve()):
                raise OutputError(f"output {self._url}: {SENT} names {name!r}, outside the run; it is none of ours")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._try(lambda name=name, target=target: self._fs.get_file(f"{self._root}/{name}", str(target)))
            if sha256_file(target) != digest:
                raise OutputError(f"output {self._url}: {name} is not the file that was sent; use --overwrite")
        write_text(local.with_suffix(".sent.json"), json.dumps(sent))

    def send(self, local: Path) -> int:
        """Send what changed since it was last sent, and delete what is no longer there; returns how many files went."""
        remembered = local.with_suffix(".sent.json")
        before: dict[str, str] = json.loads(remembered.read_text(encoding="utf-8")) if remembered.exists() else {}
        if not self.holds_a_run():
            before = {}
        now = {name: sha256_file(local / name) for name in _finished(local)}
        changed = [name for name in now if before.get(name) != now[name]]
        for name in changed:
            self._try(lambda name=name: self._fs.put_file(str(local / name), f"{self._root}/{name}"))
        for name in set(before) - set(now):
            self._try(lambda name=name: self._fs.rm_file(f"{self._root}/{name}"))
        text = json.dumps(now, indent=1, sort_keys=True)
        self._try(lambda: self._fs.pipe_file(f"{self._root}/{SENT}", text.encode()))
        write_text(remembered, text)
        note("sent", files=len(changed), to=self._url)
        return len(changed)

    def _try(self, ask: Any) -> Any:
        """Libraries for stores raise what they like; to the user it is one kind of failure."""
        try:
            return ask()
        except Exception as error:
            raise OutputError(
                f"output {self._url}: the store does not answer ({type(error).__name__}: {error}); "
                f"what is done is kept in {local_folder(self._url)}, run again with --resume"
            ) from error


def _finished(local: Path) -> list[str]:
    """The files of a run that are whole, those that name others last; blocks under way stay here."""
    names = [p.relative_to(local).as_posix() for p in local.rglob("*") if p.is_file()]
    whole = [n for n in names if not any(part.startswith(".") for part in n.split("/"))]
    return sorted(whole, key=lambda n: (_LAST.index(n.rpartition("/")[2]) if n.rpartition("/")[2] in _LAST else -1, n))


def folder_of(out: str) -> RunFolder:
    """The local folder of a path or URL, for reading."""
    return RunFolder(local_folder(out) if is_remote(out) else Path(out))
