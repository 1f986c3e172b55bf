"""How tasks are tried again: what passes by itself, with growing pauses and chance in them."""

from __future__ import annotations

from typing import Any

from aisf_geo.errors import LicenceError, RefusedError, UsageError

AGAIN: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [2, 10], "retry_jitter_factor": 0.5}


def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    """Storage recovers; a wrong recipe, a forbidden purpose or a hostile file does not."""
    return not isinstance(state.result(raise_on_failure=False), UsageError | LicenceError | RefusedError)
