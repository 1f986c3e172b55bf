"""A published figure in plain words, from the scenes, the model and the formula to the number; two runs compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aisf_geo.domain.period import Period
from aisf_geo.errors import UsageError
from aisf_geo.indicators import registry
from aisf_geo.pipeline.measure import read_indicators
from aisf_geo.store.run import RunFolder

Row = Mapping[str, Any]


def explain(path: Path, code: str, zone: str | None) -> dict[str, Any]:
    """How the last value of an indicator in a zone came about, as sentences and as the row itself.

    Raises:
        DataError: the folder is not a run.
        UsageError: the run has no such figure or zone; the message lists those there are.
    """
    folder = RunFolder(path)
    run, rows = folder.read_run(), read_indicators(folder)
    row = _pick(rows, code, zone, path)
    return {"lines": lines_of(row, run), "value": dict(row)}


def _pick(rows: Sequence[Row], code: str, zone: str | None, path: Path) -> Row:
    mine = [r for r in rows if code in (r["indicator"], r["formula"])]
    if not mine:
        there = ", ".join(dict.fromkeys(r["formula"] for r in rows)) or "none"
        raise UsageError(f"explain: {path} has no values of {code!r}; it has {there}")
    # Without a date the newest formula, as everywhere.
    newest = max(r["formula"] for r in mine)
    mine = [r for r in mine if r["formula"] == newest]
    zones = list(dict.fromkeys(r["zone"] for r in mine))
    if zone is None and len(zones) > 1:
        raise UsageError(f"explain: say which zone with --zone; there are {', '.join(zones)}")
    mine = [r for r in mine if zone in (None, r["zone"], r["zone_name"])]
    if not mine:
        raise UsageError(f"explain: no zone {zone!r}; there are {', '.join(zones)}")
    first_name = mine[0]["name"]
    return ([r for r in mine if r["value"] is not None and r["name"] == first_name] or mine)[-1]


def lines_of(row: Row, run: Row) -> list[str]:
    """How a row of indicators.json came about; ``run`` is the content of run.json."""
    what = registry.definition(row["formula"])
    lines = [_headline(row), "", "How it was computed"]
    lines += [f"  formula   {what.formula}: {what.equation}"]
    lines += [f"  input     {name} = {_said(value)}" for name, value in row["inputs"].items() if name not in _APART]
    lines += _arithmetic(row)
    lines += ["", "What it was computed from"]
    lines += [f"  scene     {item}" for item in row["provenance"]["items"]]
    lines += [f"  imagery   {s['attribution']}; {s['licence']}" for s in run["recipe"]["sources"]]
    lines += [f"  map by    {model}" for model in row["provenance"]["models"]]
    lines += [f"  run       {row['provenance']['run']}, ended {run['end'] or 'not yet'}, state {run['state']}"]
    lines += [f"  seen      {100 * row['coverage']:.1f} % of the zone"]
    lines += ["", "How sure it is", *_certainty(row)]
    lines += ["", "What to keep in mind", f"  {row['caveat']}"]
    if row["proxy"]:
        lines.append(f"  A proxy, not the official indicator. Standing of the indicator: {what.tier}.")
    lines += [f"  Formula after: {what.source}.", f"  Check against the metadata sheet: {what.check}"]
    return lines


#: Inputs told in sentences of their own.
_APART = ("interval_note", "estimated_areas_m2", "sample_units", "mapped_value")


def _headline(row: Row) -> str:
    when = _when(row)
    if row["value"] is None:
        return f"{row['name']}, {row['zone_name']}, {when}: withheld, because {row['withheld_reason']}."
    return f"{row['name']}, {row['zone_name']}, {when}: {_value(row)}{_interval(row)}."


def _when(row: Row) -> str:
    start, end = (datetime.fromisoformat(row["period"][key]) for key in ("start", "end"))
    if Period(start, end).is_one_day:
        return start.date().isoformat()
    return f"{start.date()} to {(end - timedelta(microseconds=1)).date()}"


def _value(row: Row) -> str:
    return f"{row['value']:,.4g} {row['unit']}".strip()


def _interval(row: Row) -> str:
    limits = row["interval"]
    return (
        ""
        if limits is None
        else f" ({100 * limits['level']:.0f} % interval {limits['low']:,.4g} to {limits['high']:,.4g})"
    )


def _arithmetic(row: Row) -> list[str]:
    """The figure by its formula from mapped areas, and how the labelled sample moved it."""
    inputs = row["inputs"]
    if "estimated_areas_m2" not in inputs:
        return [] if row["value"] is None else [f"  result    {_value(row)}"]
    mapped = inputs["mapped_value"]
    lines = [
        f"  mapped    {'not defined' if mapped is None else format(mapped, ',.4g')} {row['unit']}, counted on the map"
    ]
    for units, areas in zip(inputs["sample_units"], inputs["estimated_areas_m2"], strict=True):
        parts = ", ".join(f"{name} {area / 1e4:,.2f} ha" for name, area in areas.items())
        lines.append(f"  corrected by {units} labelled pixels to {parts}")
    if row["value"] is not None:
        lines.append(f"  result    {_value(row)} by the formula from the corrected areas")
    return lines


def _certainty(row: Row) -> list[str]:
    if row["interval"] is None:
        note = row["inputs"].get("interval_note", "no reference sample was labelled for this map")
        return [f"  No interval: {note}."]
    limits = row["interval"]
    return [
        f"  Of intervals made this way {100 * limits['level']:g} in 100 hold the true value; this one is "
        f"{limits['low']:,.4g} to {limits['high']:,.4g} {row['unit']}.",
        f"  Method: {limits['method']}.",
    ]


def _said(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return ", ".join(_said(v) for v in value)
    if isinstance(value, dict):
        return "; ".join(f"{k} {_said(v)}" for k, v in value.items())
    return str(value)


def compare(first: Path, second: Path) -> list[dict[str, Any]]:
    """The last value of each figure and zone in two runs, and whether the movement is larger than its uncertainty.

    Raises:
        DataError: a folder is not a run.
        UsageError: the runs share no figure.
    """
    before, after = (_last(read_indicators(_run(path))) for path in (first, second))
    shared = [key for key in before if key in after]
    if not shared:
        raise UsageError(f"compare: {first} and {second} share no figure of the same indicator and zone")
    return [_movement(before[key], after[key]) for key in shared]


def _run(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.read_run()
    return folder


def _last(rows: Sequence[Row]) -> dict[tuple[str, str, str], Row]:
    last: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = row["indicator"], row["name"], row["zone"]
        if row["value"] is not None or key not in last:
            last[key] = row
    return last


def _movement(before: Row, after: Row) -> dict[str, Any]:
    said: dict[str, Any] = {
        "indicator": after["indicator"],
        "name": after["name"],
        "zone": after["zone"],
        "unit": after["unit"],
        "before": {k: before[k] for k in ("formula", "period", "value", "interval")},
        "after": {k: after[k] for k in ("formula", "period", "value", "interval")},
        "difference": None,
        "uncertainty": None,
    }
    if before["value"] is None or after["value"] is None:
        return said | {"verdict": "not comparable: one of the two is withheld"}
    said["difference"] = after["value"] - before["value"]
    if before["formula"] != after["formula"]:
        return said | {"verdict": f"not comparable: {before['formula']} against {after['formula']}"}
    if before["interval"] is None or after["interval"] is None:
        which = [name for name, row in (("first", before), ("second", after)) if row["interval"] is None]
        return said | {"verdict": f"cannot be told: no interval in the {' and the '.join(which)} run"}
    # Zou & Donner 2008: each limit of the difference takes the distance on its own side, so lopsided intervals stay so.
    up = math.hypot(after["interval"]["high"] - after["value"], before["value"] - before["interval"]["low"])
    down = math.hypot(after["value"] - after["interval"]["low"], before["interval"]["high"] - before["value"])
    limits = [said["difference"] - down, said["difference"] + up]
    larger = limits[0] > 0 or limits[1] < 0
    if before["provenance"]["run"] == after["provenance"]["run"] and before["value"] == after["value"]:
        return said | {"uncertainty": limits, "verdict": "the same figure of the same question"}
    verdict = "larger than its uncertainty" if larger else "within its uncertainty"
    return said | {"uncertainty": limits, "verdict": f"{verdict} (samples taken as independent)"}
