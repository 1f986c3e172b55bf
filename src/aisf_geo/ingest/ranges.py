"""A remote file as GDAL wants it: seek and read, over HTTP ranges or an object store."""

from __future__ import annotations

import copy
import io
import re
import threading
from collections import OrderedDict
from typing import Any

from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.ingest.http import Answer, Http, Request, checksum_fits

PAGE_BYTES = 256 * 1024
#: Pages kept by one process, over all files.
CACHED_PAGES = 256
#: Files up to this size that state a checksum are fetched whole and checked; larger ones are read by ranges.
CHECKED_BYTES = 32 * 2**20


class _Pages:
    """The pages read last, by file and number; shared by the threads of a process."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        #: Size and ETag of each file that was opened, and the checksum it was found to have.
        self.versions: dict[str, tuple[int, str | None, str | None]] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[str, int]) -> bytes | None:
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
            return page

    def put(self, key: tuple[str, int], page: bytes) -> None:
        with self._lock:
            self._pages[key] = page
            while len(self._pages) > CACHED_PAGES:
                self._pages.popitem(last=False)


_PAGES = _Pages()


class RangeFile(io.RawIOBase):
    """A file behind a URL.

    Its size and version (ETag) are those of the first answer; a file that changes while it is read is an error.

    Raises:
        UnreadableError: it is not there, the server answers no ranges, or its checksum is not the stated one.
    """

    def __init__(self, http: Http, url: str, checksum: str | None = None) -> None:
        super().__init__()
        self._http, self._url, self._place = http, url, 0
        known = _PAGES.versions.get(url)
        if known is not None and known[2] == checksum:
            self._size, self._etag, _ = known
            self._key = f"{url} {self._etag} {self._size}"
            return
        first = self._fetch(0, PAGE_BYTES, None)
        self._size, self._etag = _size(first), first.headers.get("etag")
        self._key = f"{url} {self._etag} {self._size}"
        _PAGES.put((self._key, 0), first.body[:PAGE_BYTES])
        if checksum is not None and self._size <= CHECKED_BYTES:
            self._check(checksum)
        _PAGES.versions[url] = (self._size, self._etag, checksum)

    def _check(self, checksum: str) -> None:
        body = self.read(self._size)
        self._place = 0
        if not checksum_fits(body, checksum):
            raise UnreadableError(
                f"{self._url}: its bytes do not have the checksum the catalogue states; fetch from elsewhere"
            )

    def again(self) -> RangeFile:
        """Another handle on the same version of the file, at its start."""
        other = copy.copy(self)
        other._place = 0
        return other

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, fewer only at the end."""
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        if end <= self._place:
            return b""
        first, last = self._place // PAGE_BYTES, (end - 1) // PAGE_BYTES
        found = b"".join(self._stretch(first, last))
        start = self._place - first * PAGE_BYTES
        piece = found[start : start + end - self._place]
        self._place = end
        return piece

    def _stretch(self, first: int, last: int) -> list[bytes]:
        """The pages ``first..last``; those that are missing are asked for in one stretch."""
        pages = {k: _PAGES.get((self._key, k)) for k in range(first, last + 1)}
        missing = [k for k, page in pages.items() if page is None]
        if missing:
            start, stop = missing[0] * PAGE_BYTES, min(self._size, (missing[-1] + 1) * PAGE_BYTES)
            body = self._fetch(start, stop - start, self._etag).body
            for k in range(missing[0], missing[-1] + 1):
                pages[k] = body[k * PAGE_BYTES - start : (k + 1) * PAGE_BYTES - start]
                _PAGES.put((self._key, k), pages[k] or b"")
        return [page or b"" for page in pages.values()]

    def _fetch(self, start: int, length: int, etag: str | None) -> Answer:
        headers = {"Range": f"bytes={start}-{start + length - 1}"}
        if etag is not None and not etag.startswith("W/"):
            # If-Match never holds for a weak ETag; those are compared when the answer comes.
            headers["If-Match"] = etag

        def whole(answer: Answer) -> str | None:
            if answer.status != 206:
                return None
            said = _range(answer)
            if said is None or said[0] != start or len(answer.body) != min(length, said[2] - start):
                return f"a range of {length} bytes was asked for, {len(answer.body)} came"
            return None

        answer = self._http.ask(Request("GET", self._url, headers), CHECKED_BYTES + PAGE_BYTES, whole)
        if answer.status == 200 and start == 0 and len(answer.body) <= PAGE_BYTES:
            return answer
        if answer.status == 412 or (answer.status == 206 and etag and answer.headers.get("etag", etag) != etag):
            raise UnreadableError(f"{self._url}: changed while it was read; run again with --overwrite")
        if answer.status != 206:
            what = "the server answers no ranges" if answer.status == 200 else f"HTTP {answer.status}"
            raise UnreadableError(f"{self._url}: cannot be read ({what})")
        return answer


def _range(answer: Answer) -> tuple[int, int, int] | None:
    """First byte, last byte and size of the file, as Content-Range says."""
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("content-range", ""))
    return (int(said[1]), int(said[2]), int(said[3])) if said else None


def _size(answer: Answer) -> int:
    said = _range(answer)
    return said[2] if said else len(answer.body)


def open_store(url: str) -> Any:
    """A file of an object store, opened for reading through fsspec.

    Raises:
        UsageError: the library for this kind of store is not installed.
        UnreadableError: there is no such file, or the store does not answer.
    """
    import fsspec

    try:
        return fsspec.open(url, "rb").open()
    except ImportError as error:
        raise UsageError(f"{url}: needs a library that is not installed; pip install 'aisf-geo[remote]'") from error
    except Exception as error:
        raise UnreadableError(f"{url}: cannot be opened ({type(error).__name__}: {error})") from error
