"""What is known of an indicator formula beside its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aisf_geo.domain.legend import Role
from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Value

#: What a formula returns: the figure as ``value`` (None with the reason as ``withheld``) and what stands beside it.
Outputs = Mapping[str, Any]


@dataclass(frozen=True)
class Definition:
    """An indicator formula, under the date of the metadata sheet it follows.

    Attributes:
        version: date of the metadata sheet, or a number for our own supporting figures.
        tier: standing among the UN's indicators, with the custodian agency.
        proxy: True where the figure supports an official indicator without being one.
        inputs: argument of ``function`` to its meaning and unit.
        function: the formula, of areas and populations alone.
        equation: the formula as people read it.
        source: where it is written down.
        check: what should be compared with the metadata sheet before the figure is reported officially.
        sees: what a satellite can and cannot see of it.
        caveat: one plain sentence that belongs beside every value.
        sentence: the value in plain words, with places for ``value``, ``zone`` and ``when``.
        roles: what the legend of a map must have for a run to compute it.
        compute: the values of a zone over the dates of a run; None where a run alone cannot give them.
        needs_clearing: computed from the clearing series, not from single dates.
        needs_transitions: computed from the first and the last map together.
        needs_population: computed only where population is given.
    """

    code: str
    version: str
    name: str
    unit: str
    tier: str
    proxy: bool
    inputs: Mapping[str, str]
    function: Callable[..., Outputs]
    equation: str
    source: str
    check: str
    sees: str
    caveat: str
    sentence: str = "{value} in {zone} ({when})."
    roles: tuple[Role, ...] = ()
    compute: Callable[[ZoneSeries, float], list[Value]] | None = None
    needs_clearing: bool = False
    needs_transitions: bool = False
    needs_population: bool = False

    @property
    def formula(self) -> str:
        """``code@version``."""
        return f"{self.code}@{self.version}"


def share_pct(part: float, whole: float, nothing: str) -> Outputs:
    """``100 * part / whole``; withheld with the reason ``nothing`` where the whole is not positive."""
    if whole <= 0:
        return {"value": None, "withheld": nothing}
    return {"value": 100 * part / whole}
