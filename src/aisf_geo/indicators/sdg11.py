"""SDG 11: cities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from aisf_geo.domain.period import Period
from aisf_geo.indicators.definition import Definition, Outputs, share_pct
from aisf_geo.indicators.series import Observation, Population, ZoneSeries
from aisf_geo.indicators.values import Figure, Value, measure_figure, published, too_little_seen

#: Yearly growth of population below which the ratio is arithmetic, not information: 0.1 %.
MIN_GROWTH = 0.001


def growth_ratio(
    built_up_m2: Sequence[float], population: Sequence[float], years: float, min_growth: float = MIN_GROWTH
) -> Outputs:
    """Land consumption to population growth, linear form of the 2025 metadata (11.3.1).

    ``LCR = (V1 - V0) / V0 / t``; ``PGR = ln(P1 / P0) / t``; ``LCRPGR = LCR / PGR``.

    Args:
        built_up_m2: built-up area inside the city in the past and in the present.
        population: people of the same two years.
        years: between them.
        min_growth: absolute yearly growth of population below which the ratio is withheld; 0 never withholds but at
            exactly no growth.
    """
    return _ratio(built_up_m2, population, years, min_growth, lambda past, now: (now - past) / past)


def growth_ratio_log(
    built_up_m2: Sequence[float], population: Sequence[float], years: float, min_growth: float = MIN_GROWTH
) -> Outputs:
    """The form of the metadata until 2020, with logarithms for both: ``LCR = ln(V1 / V0) / t``."""
    return _ratio(
        built_up_m2, population, years, min_growth, lambda past, now: math.log(now / past) if now > 0 else None
    )


def _ratio(
    built_up: Sequence[float],
    people: Sequence[float],
    years: float,
    min_growth: float,
    growth: Callable[[float, float], float | None],
) -> Outputs:
    (past, now), (people_past, people_now) = built_up, people
    beside: dict[str, Any] = {
        "change_pct": 100 * (now - past) / past if past > 0 else None,
        "per_capita_m2": [v / p if p > 0 else None for v, p in zip(built_up, people, strict=True)],
    }
    if years <= 0:
        return {"value": None, "withheld": "the two dates are not years apart"} | beside
    if past <= 0:
        return {
            "value": None,
            "withheld": "nothing was built up at the first date, so its growth is not defined",
        } | beside
    if people_past <= 0 or people_now <= 0:
        return {"value": None, "withheld": "a population of zero has no growth rate"} | beside
    land = growth(past, now)
    if land is None:
        return {
            "value": None,
            "withheld": "nothing was built up at the second date; its logarithm is not defined",
        } | beside
    lcr, pgr = land / years, math.log(people_now / people_past) / years
    beside |= {"lcr": lcr, "pgr": pgr, "quadrant": quadrant(lcr, pgr)}
    if pgr == 0 or abs(pgr) < min_growth:
        reason = (
            f"the population changed by {100 * pgr:.3f} % a year, less than {100 * min_growth:g} %: "
            "a ratio to it is arithmetic, not information"
        )
        return {"value": None, "withheld": reason} | beside
    return {"value": lcr / pgr} | beside


def quadrant(lcr: float, pgr: float) -> str:
    """What the signs of the two rates mean; a positive ratio of two negative rates is not efficiency."""
    if lcr == 0 or pgr == 0:
        return "one of the two did not change"
    if lcr > 0:
        return "land and people grow" if pgr > 0 else "land grows, people decline"
    return "land shrinks, people grow" if pgr > 0 else "land and people shrink"


def open_space_share(open_public_m2: float, streets_m2: float, built_up_m2: float) -> Outputs:
    """``100 * (open public space + land of streets) / built-up area of the urban extent`` (11.7.1)."""
    return share_pct(open_public_m2 + streets_m2, built_up_m2, "nothing is built up in the urban extent")


def access_share(people_within: float, people: float) -> Outputs:
    """``100 * people within the walking distance / people`` (11.7.1, 11.2.1)."""
    return share_pct(people_within, people, "nobody lives there")


def distance_along_streets(
    edges: NDArray[np.integer], length_m: NDArray[np.float64], nodes: int, sources: Sequence[int]
) -> NDArray[np.float64]:
    """Walking distance of each node from the nearest source along the street graph, in m; inf where there is no way.

    Args:
        edges: ``(edge, 2)`` node numbers; streets are walked both ways.
        length_m: of each edge.
        nodes: number of nodes.
        sources: nodes at stops or entrances.
    """
    # Of parallel streets the shortest counts; a sparse matrix would add them up.
    shortest: dict[tuple[int, int], float] = {}
    for (a, b), metres in zip(edges.tolist(), length_m.tolist(), strict=True):
        key = (min(a, b), max(a, b))
        shortest[key] = min(metres, shortest.get(key, math.inf))
    ends = np.array(list(shortest), dtype=np.int64).reshape(-1, 2)
    graph = csr_matrix((list(shortest.values()), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    return np.asarray(dijkstra(graph, directed=False, indices=list(sources), min_only=True))


def dense_small_buildings(
    buildings: Sequence[int],
    roof_m2: Sequence[float],
    cell_m2: float,
    min_cover: float = 0.4,
    max_roof_m2: float = 60.0,
) -> Outputs:
    """Share of roof area in cells that are densely built with small roofs: a proxy by morphology for 11.1.1.

    ``buildings`` and ``roof_m2`` are the number and total roof area of each cell; a cell is dense where at least
    ``min_cover`` of it is under roofs, and its buildings are small where the mean roof is at most ``max_roof_m2``.
    """
    dense = [
        roof
        for n, roof in zip(buildings, roof_m2, strict=True)
        if n and roof / cell_m2 >= min_cover and roof / n <= max_roof_m2
    ]
    return share_pct(sum(dense), sum(roof_m2), "there are no buildings")


def growth_in_zone(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """11.3.1 between the first and the last year that have both a map and a population."""
    return _growth(series, min_coverage, growth_ratio)


def growth_in_zone_log(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """11.3.1 in its legacy form."""
    return _growth(series, min_coverage, growth_ratio_log)


def _growth(series: ZoneSeries, min_coverage: float, formula: Callable[..., Outputs]) -> list[Value]:
    seen = {o.period.start.year: o for o in series.observations if o.coverage >= min_coverage}
    known = {p.year: p for p in series.population}
    years = sorted(set(seen) & set(known))
    if len(years) < 2:
        return [_no_growth(series, min_coverage, sorted(seen), sorted(known))]
    return _growth_between(seen[years[0]], seen[years[-1]], known[years[0]], known[years[-1]], min_coverage, formula)


def _no_growth(series: ZoneSeries, min_coverage: float, seen: Sequence[int], known: Sequence[int]) -> Value:
    best = max((o.coverage for o in series.observations), default=0.0)
    reason = too_little_seen(best, min_coverage) or (
        f"needs two years with a map and a population of the same year; maps are of {list(seen)}, population of "
        f"{list(known)}"
    )
    dates = series.observations
    period = Period(dates[0].period.start, dates[-1].period.end)
    return Value(period, None, "", best, tuple(o.item for o in dates), {}, reason)


def _growth_between(
    past: Observation,
    now: Observation,
    people_past: Population,
    people_now: Population,
    min_coverage: float,
    formula: Callable[..., Outputs],
) -> list[Value]:
    period = Period(past.period.start, now.period.end)
    years = now.period.start.year - past.period.start.year
    coverage = min(past.coverage, now.coverage)
    least_known = min(people_past.coverage, people_now.coverage)
    withheld = None
    if people_past.people is None or people_now.people is None or least_known < min_coverage:
        withheld = f"population is known for only {100 * least_known:.0f} % of the zone"
    population = [people_past.people or 0.0, people_now.people or 0.0]

    def outputs(areas: Sequence[Mapping[str, float]]) -> Outputs:
        return formula([a.get("built-up", 0.0) for a in areas], population, years)

    mapped = [past.by_role, now.by_role]
    said = outputs(mapped)
    inputs: dict[str, Any] = {
        "built_up_m2": [o.by_role["built-up"] for o in (past, now)],
        "population": population,
        "years": years,
        "population_sources": [people_past.source, people_now.source],
        "population_uncertainty": "not known, left out of the interval",
    } | {k: v for k, v in said.items() if k not in ("value", "withheld")}
    kinds = (
        (None, "", "value"),
        ("Land consumption rate", "1/year", "lcr"),
        ("Population growth rate", "1/year", "pgr"),
        ("Change of built-up area", "%", "change_pct"),
    )
    values = []
    for name, unit, key in kinds:
        figure = Figure(
            lambda areas, key=key: outputs(areas).get(key),  # type: ignore[misc]
            unit,
            None if key == "pgr" else lambda areas: areas[0].get("built-up", 0.0),
        )
        measured = measure_figure(figure, mapped, [past.sample, now.sample], now.no_sample or past.no_sample)
        values.append(
            published(
                figure, period, coverage, (past.item, now.item), measured, inputs, withheld, name,
                lambda: str(said.get("withheld", "the formula is not defined for these areas")),
            )
        )  # fmt: skip
    return values


_RATES = {
    "built_up_m2": "built-up area inside the city boundary of each year, past and present, m2",
    "population": "people of the same two years",
    "years": "years between them",
    "min_growth": "absolute yearly growth of population below which the ratio is withheld (0.001)",
}
_CITY_SEES = (
    "Roofs and sealed ground, so built-up area, at a resolution finer than the houses. Not the administrative city, "
    "not "
    "population: that is a census or a model (WorldPop, GHSL), often itself made from built-up maps, so that the two "
    "rates are then not independent."
)
_CITY_CAVEAT = (
    "Built-up area as seen from above in the zone as drawn; the official figure takes the urban extent of each year. "
    "The "
    "two rates say more than their ratio."
)

DEFINITIONS = (
    Definition(
        code="11.3.1",
        version="2025-04-23",
        name="Land consumption rate to population growth rate",
        unit="ratio",
        tier="Tier II (UN-Habitat)",
        proxy=True,
        inputs=_RATES,
        function=growth_ratio,
        equation="LCRPGR = [(V1 - V0) / V0 / t] / [ln(P1 / P0) / t]; beside it always both rates, m2 per person and "
        "the "
        "change of built-up area in %",
        source="UN SDG metadata 11.3.1 (UN-Habitat), 23 April 2025",
        check="Tier; that the boundary is the urban extent of each year (`urban.urban_extent`).",
        sees=_CITY_SEES,
        caveat=_CITY_CAVEAT,
        sentence="In {zone}, land was taken {value} times as fast as people came ({when}).",
        roles=("built-up",),
        compute=growth_in_zone,
        needs_population=True,
    ),
    Definition(
        code="11.3.1",
        version="2018",
        name="Land consumption rate to population growth rate, legacy form",
        unit="ratio",
        tier="Tier II (UN-Habitat)",
        proxy=True,
        inputs=_RATES,
        function=growth_ratio_log,
        equation="LCRPGR = [ln(V1 / V0) / t] / [ln(P1 / P0) / t]",
        source="UN SDG metadata 11.3.1 in force until 2020; still in Trends.Earth and several national files",
        check="The date of the last sheet that had this form.",
        sees=_CITY_SEES,
        caveat=_CITY_CAVEAT + " Superseded: only to compare with figures published in this form.",
        roles=("built-up",),
        compute=growth_in_zone_log,
        needs_population=True,
    ),
    Definition(
        code="11.7.1",
        version="2021",
        name="Share of built-up area that is open space for public use or streets",
        unit="%",
        tier="Tier II (UN-Habitat); EO-assisted",
        proxy=True,
        inputs={
            "open_public_m2": "open public space, m2 (what is public comes from other data, for example OpenStreetMap)",
            "streets_m2": "land of streets, m2 (length times width over the road graph)",
            "built_up_m2": "built-up area of the urban extent, m2",
        },
        function=open_space_share,
        equation="100 x (open public space + land of streets) / built-up area of the urban extent",
        source="UN SDG metadata 11.7.1 (UN-Habitat)",
        check="Tier, date and the treatment of streets inside open space.",
        sees="Built-up area, streets and green that may be open space. Not who may enter it.",
        caveat="EO-assisted: which open space is public is not seen from above.",
    ),
    Definition(
        code="11.7.1-access",
        version="2021",
        name="People within 400 m on foot of open public space",
        unit="%",
        tier="Part of 11.7.1, Tier II (UN-Habitat); EO-assisted",
        proxy=True,
        inputs={
            "people_within": "people whose way along the streets is at most 400 m (`distance_along_streets`)",
            "people": "people of the urban extent",
        },
        function=access_share,
        equation="100 x people within 400 m along the street network / urban population",
        source="UN SDG metadata 11.7.1 (UN-Habitat)",
        check="The distance and the breakdown by sex, age and disability, which imagery cannot give.",
        sees="Streets and people's houses. Not fences, opening hours or steps.",
        caveat="Along streets that were found; a path under trees is missing and makes people look farther away.",
    ),
    Definition(
        code="11.2.1",
        version="2021",
        name="People within reach of a road, a proxy for access to public transport",
        unit="%",
        tier="Tier II (UN-Habitat); from imagery a proxy",
        proxy=True,
        inputs={
            "people_within": "people within 500 m (low capacity) or 1 km (high capacity) along the network",
            "people": "people of the urban extent",
        },
        function=access_share,
        equation="100 x people within 500 m or 1 km along the network / people",
        source="UN SDG metadata 11.2.1 (UN-Habitat); from general knowledge",
        check="Stops come from timetables (GTFS): without them this is access to roads, not to transport.",
        sees="Roads. Not stops, lines or how often something runs.",
        caveat="A proxy: imagery shows roads, not whether a bus runs on them.",
    ),
    Definition(
        code="11.1.1",
        version="2021",
        name="Densely built small roofs, a proxy for informal settlements",
        unit="%",
        tier="Tier I (UN-Habitat); from imagery a proxy",
        proxy=True,
        inputs={
            "buildings": "number of buildings of each cell",
            "roof_m2": "roof area of each cell, m2",
            "cell_m2": "area of a cell, m2",
            "min_cover": "share under roofs from which a cell is dense (0.4)",
            "max_roof_m2": "mean roof below which buildings are small, m2 (60)",
        },
        function=dense_small_buildings,
        equation="100 x roof area in cells that are dense and of small roofs / roof area",
        source="Morphology as in the remote-sensing literature on informal settlements (Kuffer et al. 2016, Remote "
        "Sensing "
        "8:455); thresholds are this project's",
        check="Everything: the official indicator counts people by tenure, water, sanitation, structure and crowding.",
        sees="Size, spacing and pattern of roofs. Not tenure, water, sanitation or crowding.",
        caveat="A proxy by morphology; publish it only for areas large enough that no household can be told.",
    ),
)
