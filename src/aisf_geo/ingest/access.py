"""What imagery and catalogues may reach, and how much of it: hosts, folders, names, sizes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aisf_geo.errors import RefusedError

#: Schemes of hrefs beside plain paths; ``http`` only to hosts the machine's owner named.
SCHEMES = ("https", "http", "s3")
#: Largest raster that is planned for; a million pixels a side is more than any product.
MAX_PIXELS = 2**37
#: Largest piece (tile or strip, all its bands) that a decoder may have to unpack at once.
MAX_PIECE_BYTES = 2**30
MAX_BANDS = 2_000
#: Largest JSON document of a catalogue, vector file, and number of documents behind one catalogue.
MAX_DOCUMENT_BYTES = 64 * 2**20
MAX_VECTOR_BYTES = 512 * 2**20
MAX_DOCUMENTS = 100_000
#: Ids become folder names.
_SAFE_ID = re.compile(r"[^/\\\x00-\x1f]{1,200}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True)
class Access:
    """Where the hrefs of a source may lead. The default is local files only.

    Attributes:
        hosts: names (or S3 buckets) that may be asked; ``*.example.org`` stands for all names below.
        private_hosts: names in this machine's own network that its owner allows, loopback included.
        folder: local files must lie below it; None where a person named the file.
    """

    hosts: tuple[str, ...] = ()
    private_hosts: tuple[str, ...] = ()
    folder: str | None = None

    def checked(self, href: str) -> str:
        """``href`` as it may be opened: a path, or a URL of an allowed host.

        Raises:
            RefusedError: it leads to where this source may not lead.
        """
        scheme = _SCHEME.match(href)
        if scheme is None:
            return self._local(href)
        kind, parts = scheme[1].lower(), urlsplit(href)
        if kind == "file":
            return self._local(unquote(href[len("file://") :]))
        host = (parts.hostname or "").lower()
        if kind not in SCHEMES:
            raise RefusedError(f"{href}: the scheme {kind!r} is not allowed, only files, {', '.join(SCHEMES)}")
        if "@" in parts.netloc:
            raise RefusedError(f"{parts.scheme}://...@{host}: addresses with a user or password are not allowed")
        if not self._allows(host):
            raise RefusedError(f"{href}: the host {host!r} is not among those this source may reach; name it in hosts")
        if kind == "http" and host not in self.private_hosts:
            raise RefusedError(f"{href}: plain http is allowed only to hosts in AISF_GEO_PRIVATE_HOSTS; use https")
        return href

    def check_peer(self, host: str, address: str) -> None:
        """Check the address a name led to, so that a public name cannot point into a private network.

        Raises:
            RefusedError: it is loopback, private, link-local (cloud metadata) or otherwise not public.
        """
        found = ipaddress.ip_address(address.split("%")[0])
        public = (getattr(found, "ipv4_mapped", None) or found).is_global and not found.is_multicast
        if not public and host.lower() not in self.private_hosts:
            raise RefusedError(
                f"{host}: leads to {address}, which is not a public address; "
                "if it is yours, name the host in AISF_GEO_PRIVATE_HOSTS"
            )

    def _allows(self, host: str) -> bool:
        return bool(host) and any(
            host.endswith(name[1:].lower()) if name.startswith("*.") else host == name.lower() for name in self.hosts
        )

    def _local(self, href: str) -> str:
        if href.startswith("/vsi") or href.lstrip().startswith(("<", "{")) or "\0" in href:
            raise RefusedError(f"{href[:80]!r}: virtual files and inline documents are not allowed; name a plain file")
        if self.folder is not None and not Path(href).resolve().is_relative_to(Path(self.folder).resolve()):
            raise RefusedError(f"{href}: lies outside the catalogue's own folder {self.folder}; move it there")
        return href


#: Files on this machine, wherever a person named them; nothing else.
LOCAL = Access()


def is_remote(href: str) -> bool:
    """True for a URL, False for a path."""
    return _SCHEME.match(href) is not None


def safe_id(text: str, where: str) -> str:
    """``text`` where it can be a folder name.

    Raises:
        RefusedError: it would lead elsewhere.
    """
    if not isinstance(text, str) or not _SAFE_ID.fullmatch(text) or text.startswith(".") or text != text.strip():
        raise RefusedError(
            f"{where}: {str(text)[:80]!r} cannot be a folder's name; ids have no slash and no dot in front"
        )
    return text


def check_size(path: Path, limit: int) -> None:
    """Refuse a file larger than ``limit`` bytes before it is read.

    Raises:
        RefusedError: it is.
    """
    if path.is_file() and path.stat().st_size > limit:
        raise RefusedError(f"{path}: {path.stat().st_size:,} bytes, at most {limit:,} are read; cut it into parts")


def check_vector(path: Path) -> None:
    """Refuse vector files that are too large or of a kind that can lead to other files.

    Raises:
        RefusedError: it is such a file.
    """
    if not path.is_file():
        return
    check_size(path, MAX_VECTOR_BYTES)
    with path.open("rb") as stream:
        start = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        raise RefusedError(f"{path}: XML formats can lead to other files and are not read; save it as GeoPackage")
