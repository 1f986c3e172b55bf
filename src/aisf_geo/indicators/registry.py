"""``code@version`` to the function that computes it, its unit, standing, source and caveat."""

from __future__ import annotations

from typing import Any

from aisf_geo.domain.indicator import IndicatorValue
from aisf_geo.domain.provenance import Provenance
from aisf_geo.errors import RecipeError
from aisf_geo.indicators import city, processes, sdg06, sdg11, sdg13, sdg15
from aisf_geo.indicators.definition import Definition
from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Value

DEFINITIONS: tuple[Definition, ...] = (
    *sdg06.DEFINITIONS,
    *sdg11.DEFINITIONS,
    *sdg13.DEFINITIONS,
    *sdg15.DEFINITIONS,
    *city.DEFINITIONS,
    *processes.DEFINITIONS,
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
    """The values of an indicator for one zone, each with its inputs, caveat and provenance.

    Raises:
        RecipeError: a run alone cannot give this indicator.
    """
    if what.compute is None:
        raise RecipeError(
            f"indicators: {what.formula} cannot be computed from label maps alone; it needs "
            f"{'; '.join(what.inputs.values())}. Give them to `aisf-geo conformance FILE.json`"
        )
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
        interval=value.interval,
        withheld_reason=reason,
        inputs=value.inputs,
    )


def describe() -> list[dict[str, Any]]:
    """The registry as JSON values."""
    return [
        {"formula": d.formula, "name": d.name, "proxy": d.proxy, "source": d.source, "caveat": d.caveat}
        for d in DEFINITIONS
    ]
