"""What an indicator function gets: the areas of one zone over the dates of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aisf_geo.domain.period import Period
from aisf_geo.indicators.area import Sample


@dataclass(frozen=True, slots=True)
class Population:
    """People in a zone at one time.

    Attributes:
        people: None where the source knows nothing there.
        coverage: share of the zone's area for which the source has a number, 0..1.
        source: file or table, and what it says of itself (for example that it is synthetic).
    """

    year: int
    people: float | None
    coverage: float
    source: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One zone on one date.

    Attributes:
        item: id of the map.
        by_role: area of each role the legend has, m2; a role that is absent was not looked for.
        undecided_m2: observed, but not decided.
        zone_m2: area of the whole zone.
        sample: reference units of the zone by role, if the map was sampled.
        no_sample: why there is none, where that is more than that nobody labelled one.
    """

    item: str
    period: Period
    by_role: Mapping[str, float]
    undecided_m2: float
    zone_m2: float
    sample: Sample | None = None
    no_sample: str | None = None

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
        items: ids of the maps it comes from: those of the baseline year and every clear one after it, because later
            dates confirm a clearing.
        cleared_m2: tree cover of the baseline that a confirmed clearing had reached by then.
        baseline_m2: tree cover of the baseline year.
        followed_m2: the part of the zone seen in the baseline year and on enough later clear dates to confirm.
        sample: reference units of the zone, of the classes ``cleared``, ``standing`` and ``no trees``; only at the last
            date, whose state they were labelled by.
        no_sample: why there is none.
    """

    items: tuple[str, ...]
    period: Period
    cleared_m2: float
    baseline_m2: float
    followed_m2: float
    zone_m2: float
    sample: Sample | None = None
    no_sample: str | None = None


@dataclass(frozen=True, slots=True)
class Transitions:
    """What happened to one zone between two dates.

    Attributes:
        items: ids of both maps.
        by_process: area of each process the legend can tell, m2; areas may overlap.
        compared_m2: the part of the zone that carries a class on both dates.
        notes: what both maps differ in beside the ground.
    """

    items: tuple[str, str]
    period: Period
    by_process: Mapping[str, float]
    compared_m2: float
    zone_m2: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ZoneSeries:
    """All that is known of one zone in a run; observations and clearings in order of time.

    Attributes:
        outside: True where the zone does not touch the image at all.
        transitions: None where they were not asked for, or fewer than two dates were seen well enough.
    """

    zone: str
    zone_name: str
    observations: tuple[Observation, ...]
    cleared: tuple[ClearedArea, ...] = ()
    outside: bool = False
    population: tuple[Population, ...] = ()
    transitions: Transitions | None = None
