"""SDG 6: water."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from aisf_geo.domain.period import Period
from aisf_geo.indicators.series import Observation, ZoneSeries
from aisf_geo.indicators.values import Value, too_little_seen

#: Years in a reporting period of 6.6.1.
MEAN_YEARS = 5


def water_extent(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Water area of each date, and five-year means and their change where there are five years (6.6.1).

    ``change_pct = 100 * (mean of a five-year period - mean of the first) / mean of the first``; gain is positive.
    Periods follow each other without gaps from the first year with enough coverage, and a year's extent is the mean
    of its dates; a period with a missing year gives no mean. Source: UN SDG metadata 6.6.1a (UNEP, July 2021).
    """
    dated = [_of_date(o, min_coverage) for o in series.observations]
    usable = [o for o in series.observations if o.coverage >= min_coverage]
    return dated + _five_year_means(usable)


def _of_date(seen: Observation, min_coverage: float) -> Value:
    reason = too_little_seen(seen.coverage, min_coverage)
    water_km2 = seen.by_role["water"] / 1e6
    return Value(
        period=seen.period,
        value=None if reason else water_km2,
        unit="km2",
        coverage=seen.coverage,
        items=(seen.item,),
        inputs={"water_km2": water_km2, "observed_km2": seen.decided_m2 / 1e6, "zone_km2": seen.zone_m2 / 1e6},
        withheld_reason=reason,
    )


def _five_year_means(usable: Sequence[Observation]) -> list[Value]:
    """Mean extent of each full period, and its change against the first."""
    by_year: dict[int, list[Observation]] = {}
    for seen in usable:
        by_year.setdefault(seen.period.start.year, []).append(seen)
    values: list[Value] = []
    baseline_km2 = None
    for first in range(min(by_year, default=0), max(by_year, default=-1) - MEAN_YEARS + 2, MEAN_YEARS):
        years = range(first, first + MEAN_YEARS)
        if not all(year in by_year for year in years):
            continue
        yearly = {str(y): fmean(o.by_role["water"] for o in by_year[y]) / 1e6 for y in years}
        mean_km2 = fmean(yearly.values())
        dates = [o for y in years for o in by_year[y]]
        period = Period(Period.year(first).start, Period.year(years[-1]).end)
        coverage, items = fmean(o.coverage for o in dates), tuple(o.item for o in dates)
        inputs = {"yearly_km2": yearly}
        values.append(
            Value(period, mean_km2, "km2", coverage, items, inputs, name="Five-year mean extent of open water")
        )
        if baseline_km2 is not None:
            values.append(_change(baseline_km2, values[-1]))
        baseline_km2 = mean_km2 if baseline_km2 is None else baseline_km2
    return values


def change_pct(baseline: float, report: float) -> float | None:
    """``100 * (report - baseline) / baseline``; None where the baseline is zero."""
    return 100 * (report - baseline) / baseline if baseline > 0 else None


def _change(baseline_km2: float, mean: Value) -> Value:
    change = change_pct(baseline_km2, mean.value or 0.0)
    return Value(
        mean.period,
        change,
        "%",
        mean.coverage,
        mean.items,
        {"baseline_km2": baseline_km2, "report_km2": mean.value},
        None if change is not None else "the baseline extent is zero, so a relative change is not defined",
        "Change in five-year mean extent of open water",
    )
