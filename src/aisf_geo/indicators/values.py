"""What an indicator function returns, and the two reasons a figure is withheld that all of them share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aisf_geo.domain.period import Period


@dataclass(frozen=True, slots=True)
class Value:
    """A figure or the reason there is none.

    Attributes:
        items: ids of the maps it was computed from.
        name: where one formula gives several figures, what this one is; None means the formula's name.
    """

    period: Period
    value: float | None
    unit: str
    coverage: float
    items: tuple[str, ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    withheld_reason: str | None = None
    name: str | None = None


def too_little_seen(coverage: float, min_coverage: float) -> str | None:
    """Why a figure is withheld for coverage, or None where enough was seen."""
    if coverage >= min_coverage:
        return None
    return f"only {100 * coverage:.0f} % of the zone was observed, the recipe asks for {100 * min_coverage:.0f} %"
