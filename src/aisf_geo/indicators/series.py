"""What an indicator function gets: the areas of one zone over the dates of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aisf_geo.domain.legend import Role
from aisf_geo.domain.period import Period


@dataclass(frozen=True, slots=True)
class Observation:
    """One zone on one date.

    Attributes:
        item: id of the map.
        by_role: area of each role the legend has, m2; a role that is absent was not looked for.
        undecided_m2: observed, but not decided.
        zone_m2: area of the whole zone.
    """

    item: str
    period: Period
    by_role: Mapping[Role, float]
    undecided_m2: float
    zone_m2: float

    @property
    def decided_m2(self) -> float:
        """Area that carries a class."""
        return sum(self.by_role.values())

    @property
    def coverage(self) -> float:
        """Share of the zone that carries a class, 0..1."""
        return min(1.0, self.decided_m2 / self.zone_m2) if self.zone_m2 > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ClearedArea:
    """Cumulative clearing in one zone at the end of one date's acquisition.

    Attributes:
        cleared_m2: tree cover of the baseline that a confirmed clearing had reached by then.
        baseline_m2: tree cover of the baseline year.
        followed_m2: the part of the zone seen in the baseline year and on enough later clear dates to confirm.
    """

    item: str
    period: Period
    cleared_m2: float
    baseline_m2: float
    followed_m2: float
    zone_m2: float


@dataclass(frozen=True, slots=True)
class ZoneSeries:
    """All that is known of one zone in a run; observations and clearings in order of time.

    Attributes:
        outside: True where the zone does not touch the image at all.
    """

    zone: str
    zone_name: str
    observations: tuple[Observation, ...]
    cleared: tuple[ClearedArea, ...] = ()
    outside: bool = False
