"""The worked values of publications, a user's own, and the pages that are made of them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.indicators import registry
from aisf_geo.pipeline.conformance import ESTIMATORS, Result, disagreements, read_cases, run_cases, same

ROOT = Path(__file__).parents[2]
RESULTS = run_cases(read_cases(None))


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: f"{r.code} {r.case}")
def test_a_worked_value_is_reproduced(result: Result) -> None:
    assert result.agrees, f"expected {result.expected}, got {result.got}; {result.source}"


def test_every_formula_has_a_worked_value() -> None:
    worked = {registry.definition(c["code"]).formula for c in read_cases(None) if c["code"] not in ESTIMATORS}
    assert worked == {d.formula for d in registry.DEFINITIONS}


def test_the_published_fixtures_are_all_there() -> None:
    sources = " ".join(r.source for r in RESULTS)
    for publication in ("Olofsson et al. 2014", "Stehman 2014", "Office for National Statistics", "Antioquia"):
        assert publication in sources


@pytest.mark.parametrize(
    ("expected", "got", "digits", "agree"),
    [
        (1.0, 1.0, None, True),
        (1.0, 1.0001, None, False),
        (0.55, 0.5462, 2, True),
        (0.55, 0.5449, 2, False),
        ([1, 2], [1], None, False),
        (None, None, None, True),
        (0, None, None, False),
        ("stable", "stable", None, True),
    ],
)
def test_agreement_is_to_the_printed_digits(expected: object, got: object, digits: int | None, agree: bool) -> None:
    assert same(expected, got, digits) is agree


def test_a_wrong_value_is_a_failure_and_not_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"code": "15.1.1", "inputs": {"forest": 1, "land": 4}, "expected": 30}]))
    (result,) = run_cases(read_cases(path))
    assert (result.agrees, result.got, result.source) == (False, {"value": 25.0}, "not stated")


def test_inputs_a_formula_does_not_take_are_named(tmp_path: Path) -> None:
    (result,) = run_cases([{"code": "15.1.1", "inputs": {"forrest": 1, "land": 4}, "expected": 25}])
    assert "takes forest, land; found forrest" in result.got["error"]


@pytest.mark.parametrize(("text", "error"), [("{", UnreadableError), ("{}", UsageError), ('[{"code": 1}]', UsageError)])
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, error: type[Exception]) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(error):
        read_cases(path)


def test_disagreements_name_the_rows_on_which_tables_differ() -> None:
    rows = [d["what"] for d in disagreements() if d["what"].startswith("15.3.1, trend")]
    assert "15.3.1, trend degraded, state stable, performance stable" in rows
    assert len(rows) == 5


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    path = ROOT / "scripts" / "indicator_pages.py"
    spec = importlib.util.spec_from_file_location("indicator_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_code_has_its_current_page(writer: ModuleType) -> None:
    pages = writer.pages()
    assert {f"{d.code}.md" for d in registry.DEFINITIONS} <= set(pages)
    for name, text in pages.items():
        assert (writer.FOLDER / name).read_text(encoding="utf-8") == text, "run python scripts/indicator_pages.py"
