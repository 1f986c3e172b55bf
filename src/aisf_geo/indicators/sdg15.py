"""SDG 15: life on land."""

from __future__ import annotations

from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Value, too_little_seen


def tree_cover_share(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """``100 * tree cover / observed land`` on each date; land leaves out water where the legend knows it (15.1.1).

    Numerator and denominator are both of the observed part, so that a cloud does not read as a loss.
    """
    values = []
    for seen in series.observations:
        land_m2 = seen.decided_m2 - seen.by_role.get("water", 0.0)
        trees_m2 = seen.by_role["tree-cover"]
        reason = too_little_seen(seen.coverage, min_coverage)
        if reason is None and land_m2 <= 0:
            reason = "no land was observed in the zone"
        inputs = {"tree_cover_m2": trees_m2, "land_m2": land_m2, "zone_m2": seen.zone_m2}
        share = None if reason else 100 * trees_m2 / land_m2
        values.append(Value(seen.period, share, "%", seen.coverage, (seen.item,), inputs, reason))
    return values


def cleared_area(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Cumulative area in hectares of baseline tree cover that confirmed clearings had reached on each date."""
    values = []
    for point in series.cleared:
        coverage = min(1.0, point.followed_m2 / point.zone_m2) if point.zone_m2 > 0 else 0.0
        reason = too_little_seen(coverage, min_coverage)
        inputs = {
            "cleared_m2": point.cleared_m2,
            "baseline_tree_cover_m2": point.baseline_m2,
            "followed_m2": point.followed_m2,
            "zone_m2": point.zone_m2,
        }
        value = None if reason else point.cleared_m2 / 1e4
        values.append(Value(point.period, value, "ha", coverage, (point.item,), inputs, reason))
    return values
