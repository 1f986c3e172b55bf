"""What an indicator function returns, and how a figure of areas becomes one with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aisf_geo.domain.indicator import Interval
from aisf_geo.domain.period import Period
from aisf_geo.indicators.area import Sample, area_interval
from aisf_geo.indicators.propagate import Estimated, Formula, estimate

NO_SAMPLE = "no reference sample was labelled for this map"


@dataclass(frozen=True, slots=True)
class Value:
    """A figure or the reason there is none.

    Attributes:
        items: ids of the maps it was computed from.
        name: where one formula gives several figures, what this one is; None means the formula's name.
        interval: None where there is no reference sample; the inputs then say why.
    """

    period: Period
    value: float | None
    unit: str
    coverage: float
    items: tuple[str, ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    withheld_reason: str | None = None
    name: str | None = None
    interval: Interval | None = None


def too_little_seen(coverage: float, min_coverage: float) -> str | None:
    """Why a figure is withheld for coverage, or None where enough was seen."""
    if coverage >= min_coverage:
        return None
    return f"only {100 * coverage:.0f} % of the zone was observed, the recipe asks for {100 * min_coverage:.0f} %"


@dataclass(frozen=True)
class Figure:
    """A formula of the areas of one or more maps.

    Attributes:
        formula: areas by class of each map to the figure; None where it is not defined.
        unit: unit of the figure.
        denominator: what the formula divides by, if anything.
        area_of: name of the class whose area, times ``scale``, is the figure: such figures have intervals of their own
            for thin counts.
        scale: units of the figure in one m2.
    """

    formula: Formula
    unit: str
    denominator: Formula | None = None
    area_of: str | None = None
    scale: float = 1.0


def area_figure(name: str, unit: str, scale: float) -> Figure:
    """The area of one class."""
    return Figure(lambda areas: areas[0].get(name, 0.0) * scale, unit, None, name, scale)


@dataclass(frozen=True)
class Measured:
    """A figure as mapped or, where every map was sampled, as estimated; and what to say of it.

    Attributes:
        value: None where the formula is not defined.
        inputs: what belongs among the inputs of the published value.
    """

    value: float | None
    interval: Interval | None
    inputs: dict[str, Any]


def measure_figure(
    figure: Figure, mapped: Sequence[Mapping[str, float]], samples: Sequence[Sample | None], why_none: str | None = None
) -> Measured:
    """The figure from mapped areas, or from a reference sample of every map with its interval.

    Areas counted on a map are biased by its errors; where units were labelled the estimate takes their place and the
    count is kept beside it (``mapped_value``).
    """
    counted = figure.formula(mapped)
    known = [s for s in samples if s is not None]
    if len(known) < len(samples) or not known:
        return Measured(counted, None, {"interval_note": why_none or NO_SAMPLE})
    found = _of_area(figure, known[0]) if figure.area_of else estimate(figure.formula, known, figure.denominator)
    inputs: dict[str, Any] = {
        "mapped_value": counted,
        "estimated_areas_m2": [s.areas() for s in known],
        "sample_units": [int(s.n.sum()) for s in known],
    }
    if found.note:
        inputs["interval_note"] = found.note
    return Measured(found.value, _noted(found.interval, known), inputs)


def _noted(interval: Interval | None, samples: Sequence[Sample]) -> Interval | None:
    notes = dict.fromkeys(s.note for s in samples if s.note)
    return replace(interval, method="; ".join([interval.method, *notes])) if interval and notes else interval


def _of_area(figure: Figure, sample: Sample) -> Estimated:
    name = figure.area_of or ""
    if name not in sample.classes:
        return Estimated(0.0, None, None, f"no interval: no unit of the sample could be called {name!r}")
    limits = area_interval(sample, name)
    scaled = Interval(limits.low * figure.scale, limits.high * figure.scale, limits.level, limits.method)
    value = sample.areas()[name] * figure.scale
    return Estimated(value, sample.standard_error(name) * figure.scale, scaled)


def published(
    figure: Figure,
    period: Period,
    coverage: float,
    items: tuple[str, ...],
    measured: Measured,
    inputs: dict[str, Any],
    withheld: str | None,
    name: str | None = None,
    undefined: Callable[[], str] = lambda: "the formula is not defined for these areas",
) -> Value:
    """The value to publish: withheld for ``withheld``, or for ``undefined`` where the formula has no value."""
    if withheld is None and measured.value is None:
        withheld = undefined()
    said = inputs | measured.inputs
    if withheld is not None:
        return Value(period, None, figure.unit, coverage, items, said, withheld, name)
    return Value(period, measured.value, figure.unit, coverage, items, said, None, name, measured.interval)
