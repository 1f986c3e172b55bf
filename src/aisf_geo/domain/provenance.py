"""Where a result comes from."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

#: Stands in every output: the white paper's first value is that a reader knows what made a map.
MADE_BY = (
    "Made by automatic (AI) interpretation of satellite or aerial imagery with aisf-geo; "
    "not checked by a person unless an accuracy assessment is named."
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The scenes, the method or model, the recipe and the code behind a result.

    Attributes:
        attribution: the lines the licences of the imagery ask for.
    """

    items: tuple[str, ...]
    models: tuple[str, ...]
    run: str
    attribution: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The contract's ``provenance`` object."""
        return {
            "items": list(self.items),
            "models": list(self.models),
            "run": self.run,
            "attribution": list(self.attribution),
            "made_by": MADE_BY,
        }


def sha256_bytes(content: bytes) -> str:
    """Digest as ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha256_json(value: Any) -> str:
    """Digest of a JSON value in canonical form: sorted keys, no spaces."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode())


#: Passwords in addresses, and query parameters and headers that open doors.
_SECRETS = (
    (re.compile(r"(://)[^/\s:@\"]+:[^/\s@\"]+@"), r"\1***@"),
    (
        re.compile(
            r"(?i)\b((?:x-amz-)?(?:signature|security-token|credential)|sig|sas|token|api[-_]?key|access[-_]?key"
            r"|secret[-_a-z]*|password|authorization)([\"']?\s*[=:]\s*[\"']?)[^&\s\"',}]{6,}"
        ),
        r"\1\2***",
    ),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "***"),
)


def without_secrets(text: str) -> str:
    """``text`` with passwords, signatures and keys replaced by ``***``."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
