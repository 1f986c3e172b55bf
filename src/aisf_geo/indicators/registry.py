"""``code@version`` to the function that computes it, its unit, standing, source and caveat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aisf_geo.domain.indicator import IndicatorValue
from aisf_geo.domain.legend import Role
from aisf_geo.domain.provenance import Provenance
from aisf_geo.errors import RecipeError
from aisf_geo.indicators import sdg06, sdg15
from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Value


@dataclass(frozen=True)
class Definition:
    """An indicator formula.

    Attributes:
        version: date of the metadata sheet the formula follows, or a number for our own supporting figures.
        role: what a legend must have for it.
        needs_clearing: computed from the clearing series, not from single dates.
        proxy: True where the figure supports an official indicator without being one.
        source: where the formula is written down.
        sentence: the value in plain words, with places for ``value``, ``zone`` and ``when``.
        caveat: one plain sentence that belongs beside every value.
    """

    code: str
    version: str
    name: str
    role: Role
    proxy: bool
    source: str
    sentence: str
    caveat: str
    compute: Callable[[ZoneSeries, float], list[Value]]
    needs_clearing: bool = False

    @property
    def formula(self) -> str:
        """``code@version``."""
        return f"{self.code}@{self.version}"


DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        "6.6.1",
        "2021-07",
        "Extent of open water",
        "water",
        True,
        "UN SDG metadata 6.6.1a (UNEP), July 2021: five-year means, change against the baseline mean",
        "{value} of open water were seen in {zone} ({when}).",
        "Open water seen on single dates: what a cloud hides does not count, so dates with less coverage read lower. "
        "Permanent and seasonal water need images from all months of each year.",
        sdg06.water_extent,
    ),
    Definition(
        "15.1.1",
        "2023",
        "Tree-cover share of the zone",
        "tree-cover",
        True,
        "UN SDG metadata 15.1.1 (FAO); the date of the sheet is to be checked",
        "{value} of the land seen in {zone} were under tree cover ({when}).",
        "Supports 15.1.1 but is not it: tree cover seen from above is not forest land use, and small or low stands "
        "are not left out.",
        sdg15.tree_cover_share,
    ),
    Definition(
        "cleared-area",
        "1",
        "Tree cover cleared since the baseline year",
        "tree-cover",
        True,
        "This project: tree cover on every clear date of the baseline year, later without it on several clear dates",
        "By {when}, {value} of the tree cover that stood in {zone} in the baseline year had been cleared.",
        "Cumulative: ground that greens up again stays counted. Felling, storm and disease look alike from above.",
        sdg15.cleared_area,
        needs_clearing=True,
    ),
)


def definition(code: str) -> Definition:
    """The formula for ``code`` or ``code@version``; without a version the newest.

    Raises:
        RecipeError: there is none; the message lists those there are.
    """
    matches = [d for d in DEFINITIONS if code in (d.code, d.formula)]
    if not matches:
        raise RecipeError(f"indicators: asked for {code!r}, known are {', '.join(d.formula for d in DEFINITIONS)}")
    return max(matches, key=lambda d: d.version)


def evaluate(
    what: Definition, series: ZoneSeries, min_coverage: float, models: tuple[str, ...], run: str
) -> list[IndicatorValue]:
    """The values of an indicator for one zone, each with its inputs, caveat and provenance."""
    return [_published(what, series, value, models, run) for value in what.compute(series, min_coverage)]


def _published(what: Definition, series: ZoneSeries, value: Value, models: tuple[str, ...], run: str) -> IndicatorValue:
    reason = "the zone lies outside the imagery" if series.outside and value.withheld_reason else value.withheld_reason
    return IndicatorValue(
        indicator=what.code,
        formula=what.formula,
        name=value.name or what.name,
        zone=series.zone,
        zone_name=series.zone_name,
        period=value.period,
        value=value.value,
        unit=value.unit,
        coverage=round(value.coverage, 6),
        proxy=what.proxy,
        caveat=what.caveat,
        provenance=Provenance(value.items, models, run),
        withheld_reason=reason,
        inputs=value.inputs,
    )


def describe() -> list[dict[str, Any]]:
    """The registry as JSON values."""
    return [
        {"formula": d.formula, "name": d.name, "proxy": d.proxy, "source": d.source, "caveat": d.caveat}
        for d in DEFINITIONS
    ]
