"""How the server is opened to others, as values."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from aisf_geo.errors import UsageError

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Access:
    """Who may see what.

    Attributes:
        tokens: token to the patterns of layer ids that it opens.
        public: patterns of layer ids that need no token.
        origins: web origins whose pages may ask.
        hosts: names under which the server answers; empty for any.
        rate_per_s: requests a second from one address; 0 for no limit.
        exposed: whether other machines can ask; then what a run keeps internal needs a token, whatever is public.
    """

    tokens: tuple[tuple[str, tuple[str, ...]], ...] = ()
    public: tuple[str, ...] = ("*",)
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    rate_per_s: float = 0.0
    exposed: bool = False

    def opens(self, token: str | None, layer: str, internal: bool = False) -> bool:
        """Whether a caller with ``token`` may see ``layer``; ``internal`` are maps of a public run that show homes."""
        public = () if internal and self.exposed else self.public
        return any(fnmatchcase(layer, pattern) for pattern in (*public, *self._patterns(token)))

    def _patterns(self, token: str | None) -> tuple[str, ...]:
        from hmac import compare_digest

        if not token:
            return ()
        given = token.encode("utf-8", "surrogateescape")
        return next((p for t, p in self.tokens if compare_digest(t.encode(), given)), ())


def access_for(
    host: str, token_file: Path | None, public: tuple[str, ...], origins: tuple[str, ...], names: tuple[str, ...]
) -> Access:
    """The rules of a server at ``host``: open on this machine; elsewhere only with tokens or an explicit word.

    Raises:
        UsageError: it would be open to the network without anyone having said so, or the tokens cannot be read.
    """
    loopback = host in LOOPBACK
    tokens = _tokens(token_file) if token_file else ()
    if not loopback and not tokens and not public:
        raise UsageError(
            f"serve --host {host}: other machines could read everything; give --tokens FILE, "
            "or --public '*' to publish it"
        )
    open_to_all = public or (() if tokens else ("*",))
    hosts = (*LOOPBACK, "[::1]", *names) if loopback else names
    return Access(tokens, open_to_all, origins, hosts, 0.0 if loopback else 50.0, not loopback)


def _tokens(path: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Lines of ``TOKEN [PATTERN..]``; no pattern opens everything."""
    try:
        lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--tokens {path}: cannot be read ({error})") from error
    found = tuple((words[0], tuple(words[1:]) or ("*",)) for words in lines if words and not words[0].startswith("#"))
    short = [token[:3] for token, _ in found if len(token) < 16]
    if not found or short:
        raise UsageError(
            f"--tokens {path}: expected lines of TOKEN [LAYER-PATTERN..], each token 16 characters or more"
        )
    return found
