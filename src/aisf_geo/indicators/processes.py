"""What happened to the ground between the first and the last date of a run, as areas by process."""

from __future__ import annotations

from aisf_geo.domain.period import Period
from aisf_geo.indicators.definition import Definition, Outputs
from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Value, too_little_seen

NO_SAMPLE_OF_CHANGE = (
    "no reference sample of the change was labelled: the area is counted on two maps, and the errors of both count as "
    "change"
)


def process_hectares(area_m2: float) -> Outputs:
    """Area of a process in hectares."""
    return {"value": area_m2 / 1e4}


def process_areas(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Hectares of each process that the legend can tell, from the first to the last date seen well enough.

    A process that did not happen is 0 ha where both dates were seen; it is never left out.
    """
    found = series.transitions
    if found is None:
        dates = series.observations
        period = Period(dates[0].period.start, dates[-1].period.end)
        best = max(o.coverage for o in dates)
        why = too_little_seen(best, min_coverage) or "needs two dates that were both seen well enough"
        return [Value(period, None, "ha", best, tuple(o.item for o in dates), {}, why)]
    coverage = min(1.0, found.compared_m2 / found.zone_m2) if found.zone_m2 > 0 else 0.0
    reason = too_little_seen(coverage, min_coverage)
    values = []
    for process, area_m2 in found.by_process.items():
        inputs = {"area_m2": area_m2, "compared_m2": found.compared_m2, "zone_m2": found.zone_m2}
        said = {"interval_note": "; ".join((NO_SAMPLE_OF_CHANGE, *found.notes))}
        value = None if reason else process_hectares(area_m2)["value"]
        name = process[0].upper() + process[1:]
        values.append(Value(found.period, value, "ha", coverage, found.items, inputs | said, reason, name))
    return values


DEFINITIONS = (
    Definition(
        code="process-area",
        version="1",
        name="Area by process of change",
        unit="ha",
        tier="Own figure; supports 6.6.1, 11.3.1, 13.2.2 and 15.3.1",
        proxy=True,
        inputs={"area_m2": "area whose class went from one role to another between the two dates, m2"},
        function=process_hectares,
        equation="area whose roles before and after name the process: water gain, water loss, forest loss, vegetation "
        "loss, recovery, urban expansion, built-up loss, burn",
        source="This project: post-classification comparison of the first and the last date seen well enough, pixel by "
        "pixel; what a pair of roles is called is a table (`aisf_geo.domain.process`)",
        check="Nothing: it is no official indicator.",
        sees="That the class differs on two dates. Not why; season, light and errors of both maps look like change, "
        "and ground that changed and changed back does not show.",
        caveat="Counted on two maps: the errors of both count as change, so compare it with a pair of dates between "
        "which nothing changed. Forest that becomes built-up counts as forest loss and as urban expansion.",
        sentence="{value} in {zone} between the first and the last date ({when}).",
        compute=process_areas,
        needs_transitions=True,
    ),
)
