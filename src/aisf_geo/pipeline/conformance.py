"""Worked values from publications, or a user's own of the same form, against what the formulas give."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aisf_geo.errors import AisfGeoError, UnreadableError, UsageError
from aisf_geo.indicators import area, registry, stehman
from aisf_geo.indicators.degradation import PRODUCTIVITY_TABLES
from aisf_geo.shipped import shipped

#: Names of the estimators among the codes, which have no entry in the registry of indicators.
ESTIMATORS = ("area@olofsson-2014", "area@stehman-2014", "sample-size@olofsson-2014")


@dataclass(frozen=True)
class Result:
    """One worked value.

    Attributes:
        expected: outputs by name, as published.
        got: the same outputs as computed, or the error.
        digits: decimals that were published; None where relative agreement to 1e-9 is asked.
    """

    code: str
    case: str
    expected: Mapping[str, Any]
    got: Mapping[str, Any]
    agrees: bool
    source: str

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "code": self.code,
            "case": self.case,
            "expected": dict(self.expected),
            "got": dict(self.got),
            "agrees": self.agrees,
            "source": self.source,
        }


def read_cases(path: Path | None) -> list[dict[str, Any]]:
    """The cases of a file, or the shipped ones.

    Raises:
        UnreadableError: not JSON.
        UsageError: not a list of cases.
    """
    path = path or shipped("configs") / "conformance.json"
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path}: not a JSON file that can be read ({error})") from error
    keys = {"code", "inputs", "expected"}
    if not isinstance(cases, list) or not all(isinstance(c, dict) and keys <= set(c) for c in cases):
        raise UsageError(
            f"{path}: expected a list of objects with code, inputs and expected (and source, case, digits)"
        )
    return cases


def run_cases(cases: Sequence[Mapping[str, Any]]) -> list[Result]:
    """Every case by its formula."""
    return [_run(case) for case in cases]


def _run(case: Mapping[str, Any]) -> Result:
    expected = case["expected"] if isinstance(case["expected"], dict) else {"value": case["expected"]}
    try:
        outputs = compute(case["code"], case["inputs"])
        got = {key: _at(outputs, key) for key in expected}
    except (AisfGeoError, TypeError, ValueError, KeyError, IndexError) as error:
        got = {"error": str(error) if isinstance(error, AisfGeoError) else f"{type(error).__name__}: {error}"}
    digits = case.get("digits")
    agrees = "error" not in got and all(same(expected[k], got[k], digits) for k in expected)
    return Result(case["code"], case.get("case", ""), expected, got, agrees, case.get("source", "not stated"))


def compute(code: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The outputs of a formula or estimator for named inputs.

    Raises:
        UsageError: no such code, or inputs it does not take.
    """
    if code in ESTIMATORS:
        return _estimate(code, inputs)
    what = registry.definition(code)
    unknown = sorted(set(inputs) - set(what.inputs))
    if unknown:
        raise UsageError(f"{what.formula}: takes {', '.join(what.inputs)}; found {', '.join(unknown)}")
    return what.function(**inputs)


def _estimate(code: str, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    if code == "sample-size@olofsson-2014":
        return {"value": area.sample_size(inputs["weights"], inputs["users_guess"], inputs["target_se"])}
    if code == "area@stehman-2014":
        return _by_units(stehman.Units(**inputs))
    classes = tuple(inputs["classes"])
    hectares = [px * inputs["pixel_m"] ** 2 / 1e4 for px in inputs["mapped_pixels"]]
    sample = area.Sample(classes, classes, tuple(hectares), tuple(map(tuple, inputs["error_matrix_rows_map"])))
    found = area.accuracies(sample)
    return {
        "area_ha": list(sample.areas().values()),
        "ci95_ha": [area.Z95 * sample.standard_error(c) for c in classes],
        "overall": [found.overall.value, found.overall.half_width],
        "users": [a.value for a in found.users.values()],
        "users_ci95": [a.half_width for a in found.users.values()],
        "producers": [a.value for a in found.producers.values()],
        "producers_ci95": [a.half_width for a in found.producers.values()],
    }


def _by_units(units: stehman.Units) -> Mapping[str, Any]:
    found = stehman.accuracies(units)
    return {
        "overall": [found.overall.value, found.overall.se],
        "users": {c: [a.value, a.se] for c, a in found.users.items()},
        "producers": {c: [a.value, a.se] for c, a in found.producers.items()},
        "area": {c: list(units.area_share(c)) for c in found.users},
    }


def _at(outputs: Mapping[str, Any], key: str) -> Any:
    """``outputs[key]``; dots lead into nested outputs, so that a case can name one figure."""
    value: Any = outputs
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else None
    return value


def same(expected: Any, got: Any, digits: int | None) -> bool:
    """Equal to the printed digits, element by element; without digits to 1e-9 of the value."""
    if isinstance(expected, list | tuple):
        alike = isinstance(got, list | tuple) and len(got) == len(expected)
        return bool(alike) and all(same(e, g, digits) for e, g in zip(expected, got, strict=True))
    if isinstance(expected, dict):
        return isinstance(got, Mapping) and all(same(e, got.get(k), digits) for k, e in expected.items())
    if isinstance(expected, int | float) and not isinstance(expected, bool):
        if not isinstance(got, int | float | np.number):
            return False
        if digits is None:
            return math.isclose(expected, float(got), rel_tol=1e-9, abs_tol=1e-12)
        return bool(abs(expected - float(got)) <= 0.5 * 10**-digits + 1e-12)
    return bool(expected == got)


def disagreements() -> list[dict[str, str]]:
    """What published programs compute differently under one name, and what this one does."""
    return [*_PROGRAMS, *_productivity_rows()]


_PROGRAMS = (
    {
        "what": "11.3.1, land consumption rate",
        "differ": "linear (V1 - V0) / V0 in the metadata of April 2025; ln(V1 / V0) until 2020 and in Trends.Earth",
        "here": "11.3.1@2025-04-23 is linear, 11.3.1@2018 logarithmic; the version stands in every output",
    },
    {
        "what": "6.6.1, sign of a change",
        "differ": "gain positive in the current metadata, loss positive in older UNEP text",
        "here": 'gain positive; sign_convention="loss" for the other',
    },
    {
        "what": "Olofsson 2014, variance of producer's accuracy",
        "differ": "equation 7 sums over the other strata; one public package sums over all of them",
        "here": "over the others, as printed",
    },
    {
        "what": "15.4.2, belts without green cover",
        "differ": "some files print NA where the index is truly 0",
        "here": "0; null only where a belt has no area",
    },
    {
        "what": "15.3.1, five productivity classes to three",
        "differ": "Trends.Earth 1 counts 'stable but stressed' as degraded, Trends.Earth 2 as stable; one between "
        "them joined two conditions that cannot both hold, so that it changed nothing",
        "here": "a named table for each, see the rows below",
    },
)


def _productivity_rows() -> list[dict[str, str]]:
    """The rows of the productivity lookup on which the named tables differ."""
    names, code = tuple(PRODUCTIVITY_TABLES), {-1: "degraded", 0: "stable", 1: "improved"}
    rows = []
    for key in PRODUCTIVITY_TABLES[names[0]]:
        said = {n: PRODUCTIVITY_TABLES[n][key] for n in names}
        if len(set(said.values())) > 1:
            trend, state, performance = (code[k] for k in key)
            rows.append(
                {
                    "what": f"15.3.1, trend {trend}, state {state}, performance {performance}",
                    "differ": "; ".join(f"{n}: {code[v]}" for n, v in said.items()),
                    "here": f"{code[said[names[0]]]} by default ({names[0]})",
                }
            )
    return rows
