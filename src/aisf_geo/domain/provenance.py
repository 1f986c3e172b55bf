"""Where a result comes from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

#: Stands in every output: the white paper's first value is that a reader knows what made a map.
MADE_BY = (
    "Made by automatic (AI) interpretation of satellite or aerial imagery with aisf-geo; "
    "not checked by a person unless an accuracy assessment is named."
)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The scenes, the method or model, the recipe and the code behind a result."""

    items: tuple[str, ...]
    models: tuple[str, ...]
    run: str

    def as_json(self) -> dict[str, Any]:
        """The contract's ``provenance`` object."""
        return {"items": list(self.items), "models": list(self.models), "run": self.run}


def sha256_bytes(content: bytes) -> str:
    """Digest as ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha256_json(value: Any) -> str:
    """Digest of a JSON value in canonical form: sorted keys, no spaces."""
    return sha256_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode())
