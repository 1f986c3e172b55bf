"""The value of an indicator for one zone and one period."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval and how it was obtained."""

    low: float
    high: float
    level: float
    method: str

    def as_json(self) -> dict[str, Any]:
        """The contract's ``interval`` object."""
        return {"low": self.low, "high": self.high, "level": self.level, "method": self.method}


@dataclass(frozen=True, slots=True)
class IndicatorValue:
    """A published number, or the reason there is none.

    Attributes:
        value: None exactly where ``withheld_reason`` is given.
        interval: None until a reference sample exists; never invented.
        coverage: share of the zone's area that was observed, 0..1.
        inputs: the areas and counts the formula used, each name ending in its unit.
    """

    indicator: str
    formula: str
    name: str
    zone: str
    zone_name: str
    period: Period
    value: float | None
    unit: str
    coverage: float
    proxy: bool
    caveat: str
    provenance: Provenance
    interval: Interval | None = None
    withheld_reason: str | None = None
    inputs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) != (self.withheld_reason is not None):
            raise ValueError(f"{self.formula}: a value is either given or withheld with a reason")

    def as_json(self) -> dict[str, Any]:
        """One object of the contract's ``indicators.json``."""
        return {
            "indicator": self.indicator,
            "formula": self.formula,
            "name": self.name,
            "zone": self.zone,
            "zone_name": self.zone_name,
            "period": self.period.as_json(),
            "value": self.value,
            "unit": self.unit,
            "interval": self.interval.as_json() if self.interval else None,
            "coverage": self.coverage,
            "withheld_reason": self.withheld_reason,
            "proxy": self.proxy,
            "caveat": self.caveat,
            "inputs": self.inputs,
            "provenance": self.provenance.as_json(),
        }
