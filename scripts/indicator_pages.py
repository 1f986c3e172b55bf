"""Write docs/indicators/*.md from the registry and the worked values: ``python scripts/indicator_pages.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aisf_geo.indicators import registry
from aisf_geo.indicators.definition import Definition
from aisf_geo.pipeline.conformance import ESTIMATORS, disagreements, read_cases, run_cases

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "indicators"


def pages() -> dict[str, str]:
    """Name of each generated page to its text."""
    cases = read_cases(None)
    by_formula: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        if case["code"] not in ESTIMATORS:
            by_formula.setdefault(registry.definition(case["code"]).formula, []).append(case)
    by_code: dict[str, list[Definition]] = {}
    for known in registry.DEFINITIONS:
        by_code.setdefault(known.code, []).append(known)
    written = {f"{code}.md": _page(known, by_formula) for code, known in by_code.items()}
    return written | {"index.md": _index(by_code), "disagreements.md": _disagreements()}


def _page(versions: list[Definition], cases: dict[str, list[dict[str, Any]]]) -> str:
    newest = max(versions, key=lambda d: d.version)
    parts = [f"# {newest.code}: {newest.name}", "", _standing(newest)]
    for d in sorted(versions, key=lambda d: d.version, reverse=True):
        parts += ["", f"## `{d.formula}`", "", "### Definition and formula", "", f"    {d.equation}", ""]
        parts += ["| input | what it is |", "|---|---|"]
        parts += [f"| `{name}` | {meaning.replace('|', '/')} |" for name, meaning in d.inputs.items()]
        parts += ["", f"Unit: {d.unit}. {_from_run(d)}", "", "### Worked example", ""]
        parts += _worked(cases[d.formula][0])
        parts += ["", f"Source of the formula: {d.source}."]
    parts += ["", "## What a satellite can and cannot see", "", newest.sees, "", f"> {newest.caveat}"]
    parts += ["", "## To be checked against the metadata sheet", "", newest.check]
    return "\n".join(parts) + "\n"


def _standing(d: Definition) -> str:
    kind = "A proxy as computed here, not the official figure." if d.proxy else "The official figure."
    return f"{d.tier}. {kind}"


def _from_run(d: Definition) -> str:
    if d.compute is None:
        return "A function of given inputs; label maps alone do not hold them (`aisf-geo conformance FILE.json`)."
    needs = f"needs a legend with {' and '.join(f'`{r}`' for r in d.roles) or 'classes that have roles'}"
    needs += "; two dates seen well enough" if d.needs_transitions else ""
    more = "; and the section `clearing`" if d.needs_clearing else "; and `--population`" if d.needs_population else ""
    return f"Computed by a run whose recipe lists it under `indicators`; {needs}{more}."


def _worked(case: dict[str, Any]) -> list[str]:
    (result,) = run_cases([case])
    inputs = json.dumps(case["inputs"], ensure_ascii=False)
    got = json.dumps(dict(result.got), ensure_ascii=False)
    lines = ["```text", f"case     {result.case}", f"inputs   {inputs}", f"result   {got}", "```", ""]
    return [*lines, f"Published or counted by: {result.source}."]


def _index(by_code: dict[str, list[Definition]]) -> str:
    rows = [
        f"| [{code}]({code}.md) | {max(known, key=lambda d: d.version).name} | "
        f"{', '.join(f'`{d.version}`' for d in known)} | {'yes' if any(d.compute for d in known) else 'no'} |"
        for code, known in by_code.items()
    ]
    lines = [
        "# Indicators",
        "",
        "Each formula is named `code@date` after its metadata sheet, because official formulas change and the numbers "
        "with them. These pages are written by `python scripts/indicator_pages.py` from the registry; the worked "
        "examples are computed. How sure a figure is: [areas and intervals](intervals.md). Where "
        "published programs disagree: [disagreements](disagreements.md).",
        "",
        "| code | name | versions | from a run |",
        "|---|---|---|---|",
        *rows,
    ]
    return "\n".join(lines) + "\n"


def _disagreements() -> str:
    lines = [
        "# Where published programs disagree",
        "",
        "`aisf-geo conformance` prints this table after the worked values.",
        "",
        "| what | how they differ | here |",
        "|---|---|---|",
        *(f"| {r['what']} | {r['differ']} | {r['here']} |" for r in disagreements()),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
