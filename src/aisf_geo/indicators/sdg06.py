"""SDG 6: water."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.period import Period
from aisf_geo.errors import UsageError
from aisf_geo.indicators.definition import Definition, Outputs
from aisf_geo.indicators.series import Observation, ZoneSeries
from aisf_geo.indicators.values import Figure, Value, area_figure, measure_figure, published, too_little_seen

#: Years in a reporting period of 6.6.1.
MEAN_YEARS = 5
#: Series of the UN database that a water map can feed, and what they hold.
SERIES = {
    "EN_LKRV_PWAN": "permanent water of lakes and rivers, km2",
    "EN_LKRV_PWAP": "permanent water of lakes and rivers, change in %",
    "EN_LKRV_SWAN": "seasonal water of lakes and rivers, km2",
    "EN_LKRV_SWAP": "seasonal water of lakes and rivers, change in %",
    "EN_RSRV_MNWAN": "least water of reservoirs, km2",
    "EN_RSRV_MXWAN": "most water of reservoirs, km2",
    "EN_WBE_MANGN": "mangroves, km2",
    "EN_WBE_MANGC": "mangroves, change in %",
}
#: Codes of :func:`permanence`.
NEVER, SEASONAL, PERMANENT, TOO_FEW_MONTHS = 0, 1, 2, 255


def extent_change(
    baseline_km2: Sequence[float], report_km2: Sequence[float], sign_convention: Literal["gain", "loss"] = "gain"
) -> Outputs:
    """``100 * (mean report - mean baseline) / mean baseline`` of five yearly extents each (6.6.1).

    ``sign_convention`` says what is positive; older UNEP text counts loss so.

    Raises:
        UsageError: not five years.
    """
    for name, years in (("baseline", baseline_km2), ("report", report_km2)):
        if len(years) != MEAN_YEARS:
            raise UsageError(f"6.6.1: the {name} needs {MEAN_YEARS} yearly extents, found {len(years)}")
    before, after = fmean(baseline_km2), fmean(report_km2)
    change = change_pct(before, after)
    beside = {"baseline_mean_km2": before, "report_mean_km2": after}
    if change is None:
        return {"value": None, "withheld": "the baseline extent is zero, so a relative change is not defined"} | beside
    return {"value": change if sign_convention == "gain" else -change} | beside


def permanence(water: NDArray[np.bool_], observed: NDArray[np.bool_], min_months: int = 12) -> NDArray[np.uint8]:
    """Permanent and seasonal water of one year.

    Args:
        water: bool ``(month, y, x)``.
        observed: bool, of the same shape; water in months that were not observed does not count.
        min_months: observed months without which nothing is said.

    Returns:
        uint8 ``(y, x)``: 2 water in every observed month, 1 in some, 0 in none, 255 seen in too few months.
    """
    months, wet = observed.sum(axis=0), (water & observed).sum(axis=0)
    code = np.where(wet == 0, NEVER, np.where(wet == months, PERMANENT, SEASONAL)).astype(np.uint8)
    code[months < min_months] = TOO_FEW_MONTHS
    return code


def reservoir_range(monthly_km2: Sequence[float | None]) -> Outputs:
    """Least and most monthly extent of a reservoir in a year; months that were not seen are None."""
    seen = [m for m in monthly_km2 if m is not None]
    if not seen:
        return {"value": None, "withheld": "no month was observed"}
    return {"value": max(seen), "EN_RSRV_MXWAN": max(seen), "EN_RSRV_MNWAN": min(seen), "months": len(seen)}


def good_quality(bodies: Mapping[str, Sequence[bool]], at_least: float = 0.8) -> Outputs:
    """``100 * n_good / n_assessed``: a body is good where at least 80 % of its measurements meet the target (6.3.2).

    Bodies without a measurement are not assessed.
    """
    assessed = {name: fmean(met) for name, met in bodies.items() if met}
    if not assessed:
        return {"value": None, "withheld": "no water body was measured"}
    good = sum(share >= at_least for share in assessed.values())
    return {"value": 100 * good / len(assessed), "n_good": good, "n_assessed": len(assessed)}


def month_deviation(month_mean: float, baseline_month_mean: float) -> Outputs:
    """Deviation of turbidity or trophic state from the same month of 2006-2010, in %, and its class."""
    if baseline_month_mean <= 0:
        return {"value": None, "withheld": "the baseline of the month is not positive"}
    deviation = 100 * (month_mean - baseline_month_mean) / baseline_month_mean
    names = ("low", "medium", "high", "extreme")
    size = min(int(abs(deviation) // 25), 3)
    return {"value": deviation, "class": names[size]}


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
    figure = area_figure("water", "km2", 1e-6)
    measured = measure_figure(figure, [seen.by_role], [seen.sample], seen.no_sample)
    inputs = {
        "water_km2": seen.by_role["water"] / 1e6,
        "observed_km2": seen.decided_m2 / 1e6,
        "zone_km2": seen.zone_m2 / 1e6,
    }
    reason = too_little_seen(seen.coverage, min_coverage)
    return published(figure, seen.period, seen.coverage, (seen.item,), measured, inputs, reason)


def _five_year_means(usable: Sequence[Observation]) -> list[Value]:
    """Mean extent of each full period, and its change against the first."""
    by_year: dict[int, list[Observation]] = {}
    for seen in usable:
        by_year.setdefault(seen.period.start.year, []).append(seen)
    values: list[Value] = []
    baseline: list[list[Observation]] | None = None
    for first in range(min(by_year, default=0), max(by_year, default=-1) - MEAN_YEARS + 2, MEAN_YEARS):
        years = range(first, first + MEAN_YEARS)
        if not all(year in by_year for year in years):
            continue
        report = [by_year[y] for y in years]
        values.append(_mean(report))
        if baseline is not None:
            values.append(_change(baseline, report))
        baseline = baseline or report
    return values


def _mean_km2(areas: Sequence[Mapping[str, float]], years: Sequence[Sequence[Observation]]) -> float:
    """The mean over years of the mean over their dates; ``areas`` are those of the dates in order."""
    of_dates = iter(areas)
    return fmean(fmean(next(of_dates)["water"] / 1e6 for _ in dates) for dates in years)


def _mean(years: Sequence[Sequence[Observation]]) -> Value:
    dates = [o for year in years for o in year]
    figure = Figure(lambda areas: _mean_km2(areas, years), "km2")
    measured = measure_figure(figure, [o.by_role for o in dates], [o.sample for o in dates])
    yearly = {str(y[0].period.start.year): fmean(o.by_role["water"] for o in y) / 1e6 for y in years}
    return published(
        figure,
        _span(years),
        fmean(o.coverage for o in dates),
        tuple(o.item for o in dates),
        measured,
        {"yearly_km2": yearly},
        None,
        "Five-year mean extent of open water",
    )


def _change(baseline: Sequence[Sequence[Observation]], report: Sequence[Sequence[Observation]]) -> Value:
    before, after = ([o for year in years for o in year] for years in (baseline, report))
    cut = len(before)
    figure = Figure(
        lambda areas: change_pct(_mean_km2(areas[:cut], baseline), _mean_km2(areas[cut:], report)),
        "%",
        lambda areas: _mean_km2(areas[:cut], baseline),
    )
    dates = [*before, *after]
    mapped = [o.by_role for o in dates]
    inputs = {"baseline_km2": _mean_km2(mapped[:cut], baseline), "report_km2": _mean_km2(mapped[cut:], report)}
    return published(
        figure,
        _span(report),
        fmean(o.coverage for o in after),
        tuple(o.item for o in after),
        measure_figure(figure, mapped, [o.sample for o in dates]),
        inputs,
        None,
        "Change in five-year mean extent of open water",
        lambda: "the baseline extent is zero, so a relative change is not defined",
    )


def _span(years: Sequence[Sequence[Observation]]) -> Period:
    first, last = years[0][0].period.start.year, years[-1][0].period.start.year
    return Period(Period.year(first).start, Period.year(last).end)


def change_pct(baseline: float, report: float) -> float | None:
    """``100 * (report - baseline) / baseline``; None where the baseline is zero."""
    return 100 * (report - baseline) / baseline if baseline > 0 else None


DEFINITIONS = (
    Definition(
        code="6.6.1",
        version="2021-07",
        name="Extent of open water",
        unit="km2; %",
        tier="Tier I (UNEP)",
        proxy=True,
        inputs={
            "baseline_km2": "yearly water extents of the five baseline years (2000-2004; some countries 2001-2005), "
            "km2",
            "report_km2": "yearly water extents of the five reporting years, km2",
            "sign_convention": '"gain" (default) or "loss": what counts as positive; older UNEP text takes loss',
        },
        function=extent_change,
        equation="change_pct = 100 x (mean of the five reporting years - mean of the five baseline years) / "
        "mean of the five baseline years",
        source="UN SDG metadata 6.6.1a (UNEP), July 2021: five-year means, change against the baseline mean",
        check="Baseline years, sign convention, and which series (" + ", ".join(SERIES) + ") the country reports.",
        sees="Open water that is larger than a few pixels and not hidden by cloud, ice or plants. Not depth, volume, "
        "ground water, nor water under trees. Permanent and seasonal water need images from all months of the year "
        "(`permanence`); a reservoir is told from a lake only by a register.",
        caveat="Open water seen on single dates: what a cloud hides does not count, so dates with less coverage read "
        "lower. Permanent and seasonal water need images from all months of each year.",
        sentence="{value} of open water were seen in {zone} ({when}).",
        roles=("water",),
        compute=water_extent,
    ),
    Definition(
        code="6.6.1-reservoir",
        version="2021-07",
        name="Least and most extent of reservoirs in a year",
        unit="km2",
        tier="Series EN_RSRV_MNWAN and EN_RSRV_MXWAN of 6.6.1, Tier I (UNEP)",
        proxy=True,
        inputs={"monthly_km2": "water extent of the reservoirs in each month, km2; null where a month was not seen"},
        function=reservoir_range,
        equation="EN_RSRV_MNWAN = least month, EN_RSRV_MXWAN = most month",
        source="UN SDG metadata 6.6.1a (UNEP), July 2021",
        check="How months without an image are treated, and the register of reservoirs.",
        sees="The surface of a reservoir, month by month where clouds allow. Not its volume, and not that it is one: "
        "that comes from a register.",
        caveat="Months without a clear image are left out, so the true least and most may lie outside.",
    ),
    Definition(
        code="6.3.2",
        version="2023",
        name="Water bodies of good quality, from level-2 parameters",
        unit="%",
        tier="Tier I (UNEP); from imagery a proxy",
        proxy=True,
        inputs={
            "bodies": "for each water body, whether each of its measurements met the target",
            "at_least": "share of measurements that must meet it (0.8)",
        },
        function=good_quality,
        equation="100 x bodies with at least 80 % of measurements on target / bodies assessed",
        source="UN SDG metadata 6.3.2 (UNEP); from general knowledge",
        check="The 80 % rule, the parameter groups and the date of the sheet.",
        sees="Colour, turbidity, chlorophyll-a and surface temperature of large bodies (level 2). Not nitrogen, "
        "phosphorus, oxygen, acidity or salinity, which level 1 asks for.",
        caveat="Level-2 parameters seen from above stand in for chemistry: a proxy, never the reported 6.3.2.",
    ),
    Definition(
        code="6.6.1-quality",
        version="2021-07",
        name="Turbidity or trophic state against the 2006-2010 month",
        unit="%",
        tier="Series EN_LKW_QLTRB and EN_LKW_QLTRST of 6.6.1, Tier I (UNEP)",
        proxy=True,
        inputs={
            "month_mean": "mean of the parameter in the month",
            "baseline_month_mean": "mean of the same month in 2006-2010, same unit",
        },
        function=month_deviation,
        equation="100 x (mean of the month - mean of the same month in 2006-2010) / the latter; classes 0-25 low, "
        "25-50 medium, 50-75 high, 75-100 extreme",
        source="UN SDG metadata 6.6.1a (UNEP), July 2021; classes from general knowledge",
        check="The class borders and how negative deviations are classed.",
        sees="Reflectance of the water, from which turbidity and chlorophyll are modelled. Shallow bottoms, sun glint "
        "and haze look alike.",
        caveat="A modelled quantity relative to its own past, not a concentration.",
    ),
)
