"""Labelled samples to accuracies, and to samples of zones that give every indicator its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import shapely

from aisf_geo.domain.indicator import Interval
from aisf_geo.errors import UsageError
from aisf_geo.indicators import stehman
from aisf_geo.indicators.area import Accuracies, Accuracy, Sample, accuracies, area_interval
from aisf_geo.indicators.coverage import measure_coverage, of_area
from aisf_geo.indicators.propagate import Formula, estimate
from aisf_geo.indicators.zonal import Zone, ZoneAreas
from aisf_geo.pipeline.reference import SampledMap, sampled_map, strata_at
from aisf_geo.store.run import RunFolder, write_json
from aisf_geo.store.sample import UNSURE, SampleFile, Unit, as_geojson, read_sample

#: Fewer units of a stratum inside a zone, and those of the whole map speak for it.
MIN_UNITS_IN_ZONE = 10
#: Samples drawn to measure what an interval of thin counts is worth.
COVERAGE_DRAWS = 2000


@dataclass(frozen=True)
class Reference:
    """A labelled sample of one map of a run.

    Attributes:
        units: those with an answer; unsure ones are left out.
        moved: how many lie in another stratum now than when they were drawn.
        left_out: units without an answer, or unsure.
    """

    population: SampledMap
    units: tuple[Unit, ...]
    moved: int
    left_out: int
    labelled: Mapping[str, str]

    @property
    def note(self) -> str:
        """Who labelled how many units."""
        how = self.labelled.get("how") or "how they were labelled is not stated"
        by = f" by {self.labelled['by']}" if self.labelled.get("by") else ""
        return f"{len(self.units)} units, {how}{by}" + (f"; {self.left_out} unsure left out" if self.left_out else "")

    def sample(self, units_of: Mapping[int, Sequence[Unit]], area_m2: Mapping[int, float], note: str = "") -> Sample:
        """The estimator's view: strata with their areas in m2 and counts by class of the estimate."""
        classes = tuple(dict.fromkeys(self.population.classes.values()))
        counts = []
        for code in area_m2:
            found = Counter(self.population.classes[u.reference] for u in units_of[code])
            counts.append(tuple(found[c] for c in classes))
        names = tuple(self.population.strata[c] for c in area_m2)
        return Sample(
            names, classes, tuple(area_m2.values()), tuple(counts), "; ".join(filter(None, [self.note, note]))
        )

    def in_zone(self, zone: Zone, account: ZoneAreas) -> tuple[Sample | None, str | None]:
        """The sample of a zone given in the CRS of the map, or why there is none.

        Conditional on how many fell there, the units of a stratum inside a zone are a simple random sample of it.
        Where fewer than ten fell there, the stratum's units of the whole map stand in and the interval says so.
        """
        if self.moved:
            return None, (
                f"the reference sample was drawn from another map: {self.moved} of {len(self.units)} units lie in "
                "other strata now; draw and label a new one"
            )
        area: dict[int, float] = {}
        for code, m2 in account.by_code.items():
            stratum = int(self.population.stratum_of[code])
            area[stratum] = area.get(stratum, 0.0) + m2
        units_of, borrowed = {}, []
        for code in area:
            everywhere = [u for u in self.units if u.stratum == code]
            inside = [u for u in everywhere if shapely.contains_xy(zone.geometry, *self._centre(u))]
            units_of[code] = inside if len(inside) >= MIN_UNITS_IN_ZONE else everywhere
            if len(inside) < MIN_UNITS_IN_ZONE:
                borrowed.append(f"{self.population.strata[code]!r} ({len(inside)} units in the zone)")
            if len(everywhere) < 2:
                return None, f"the reference sample has fewer than two units of {self.population.strata[code]!r}"
        if not area:
            return None, "nothing of the sampled map lies in the zone"
        note = f"shares of {', '.join(borrowed)} are those of the whole map" if borrowed else ""
        return self.sample(units_of, area, note), None

    def _centre(self, unit: Unit) -> tuple[float, float]:
        x, y = self.population.grid.transform @ (unit.col + 0.5, unit.row + 0.5)
        return x, y


def read_reference(folder: RunFolder, path: Path) -> Reference:
    """A labelled sample of a map of the run.

    Raises:
        UsageError: it has no answers, or answers that the map does not know.
    """
    said = read_sample(path)
    population = sampled_map(folder, said.units[0].map)
    answered = tuple(u for u in said.units if u.reference and u.reference != UNSURE)
    if not answered:
        raise UsageError(f"sample {path}: no unit is labelled; open label.html, answer and save, then give that file")
    unknown = sorted({u.reference for u in answered} - set(population.classes))
    if unknown:
        raise UsageError(
            f"sample {path}: answers {', '.join(unknown)} are not among {', '.join(population.classes)} or {UNSURE}"
        )
    now = strata_at(population, answered)
    moved = sum(u.stratum != code for u, code in zip(answered, now, strict=True))
    return Reference(population, answered, moved, len(said.units) - len(answered), said.labelled)


def references(folder: RunFolder) -> dict[str, Reference]:
    """The labelled samples of a run by the id of their map."""
    return {path.stem: read_reference(folder, path) for path in sorted(folder.reference.glob("*.geojson"))}


def adopt(folder: RunFolder, path: Path) -> dict[str, Any]:
    """Take a labelled sample into a run: from now on its figures have intervals. Returns what it says of the map."""
    reference = read_reference(folder, path)
    said: SampleFile = read_sample(path)
    write_json(folder.reference / f"{reference.population.id}.geojson", as_geojson(said))
    summary = summarise(reference)
    write_json(folder.reference / f"{reference.population.id}.json", summary)
    return summary


def summarise(reference: Reference) -> dict[str, Any]:
    """Accuracies, areas with intervals, and a warning for each class whose counts are too thin, as JSON values."""
    strata = {u.stratum: u for u in reference.units}
    area = {code: unit.stratum_m2 for code, unit in sorted(strata.items())}
    units_of = {code: [u for u in reference.units if u.stratum == code] for code in area}
    sample = reference.sample(units_of, area)
    answers = {c: n for n, c in reference.population.classes.items()}
    named = Sample(sample.strata, tuple(answers[c] for c in sample.classes), sample.area, sample.counts)
    return {
        "map": reference.population.id,
        "units": len(reference.units),
        "left_out": reference.left_out,
        "moved": reference.moved,
        "labelled": dict(reference.labelled),
        "estimator": "Olofsson et al. 2014" if _square(named) and not reference.moved else "Stehman 2014",
        "strata": [
            {"name": s, "area_m2": a, "counts": dict(zip(named.classes, row, strict=True))}
            for s, a, row in zip(named.strata, named.area, named.counts, strict=True)
        ],
        "accuracy": _as_json(reference, _accuracies(reference, named)),
        "areas_m2": {c: {"value": named.areas()[c], **area_interval(named, c).as_json()} for c in named.classes},
        "warnings": _warnings(named),
    }


def _square(named: Sample) -> bool:
    return named.strata == named.classes


def _accuracies(reference: Reference, named: Sample) -> Accuracies:
    if _square(named) and not reference.moved:
        return accuracies(named)
    return stehman.accuracies(
        stehman.Units(
            {u.stratum_name: u.stratum_px for u in reference.units},
            [u.stratum_name for u in reference.units],
            _mapped(reference),
            [u.reference for u in reference.units],
        )
    )


def _mapped(reference: Reference) -> list[str]:
    """What the map says now of each unit."""
    now = strata_at(reference.population, reference.units)
    return [reference.population.strata.get(code, "not observed") for code in now]


def _as_json(reference: Reference, found: Accuracies) -> dict[str, Any]:
    """Each accuracy with half of its normal interval, as it is usually published, and the interval that holds."""
    mapped, labelled = _mapped(reference), [u.reference for u in reference.units]

    def one(accuracy: Accuracy, counts: Sequence[bool], of_map: bool = False) -> dict[str, Any]:
        limits = _limits(reference, mapped, counts, of_map) if accuracy.value is not None else None
        interval = limits.as_json() if limits else None
        return {"value": accuracy.value, "ci95": accuracy.half_width, "interval": interval}

    return {
        "overall": one(found.overall, [True] * len(mapped)),
        "users": {c: one(a, [m == c for m in mapped], of_map=True) for c, a in found.users.items()},
        "producers": {c: one(a, [r == c for r in labelled]) for c, a in found.producers.items()},
    }


def _limits(reference: Reference, mapped: Sequence[str], counts: Sequence[bool], of_map: bool) -> Interval | None:
    """The interval of the share of right decisions among the units that count, cut at 0 and 1.

    Fifty of fifty right are no proof of 100 %, which is what a normal interval makes of them. Where units count for
    what the map says (``of_map``), strata without any hold none; for what a person says, they may.
    """
    known = {u.stratum_name for u, of_them in zip(reference.units, counts, strict=True) if of_them or not of_map}
    area = {u.stratum_name: u.stratum_m2 for u in reference.units if u.stratum_name in known}
    cells = Counter(
        (u.stratum_name, ("right" if m == u.reference else "wrong") if of_them else "rest")
        for u, m, of_them in zip(reference.units, mapped, counts, strict=True)
    )
    kinds = ("right", "wrong", "rest")
    rows = tuple(tuple(cells[name, kind] for kind in kinds) for name in area)
    both: Formula = lambda areas: areas[0]["right"] + areas[0]["wrong"]  # noqa: E731
    share: Formula = lambda areas: areas[0]["right"] / some if (some := both(areas)) else None  # noqa: E731
    found = estimate(share, [Sample(tuple(area), kinds, tuple(area.values()), rows)], both).interval
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0)) if found else None


def _warnings(named: Sample) -> list[str]:
    """For each class with thin cells, how often a normal interval would hold the truth and what is given instead."""
    said = []
    for name, area in named.areas().items():
        thin = named.thin_cells(name)
        if thin and area:
            c = measure_coverage(named, area, of_area(name), COVERAGE_DRAWS)
            said.append(
                f"{name}: few units in {', '.join(thin)}; a normal 95 % interval would hold the truth in about "
                f"{100 * c.normal:.0f} % of samples like this one, the one given in {100 * c.given:.0f} %"
            )
    return said
