"""The flow of change gives what the command gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aisf_geo.errors import UsageError

pytestmark = pytest.mark.slow


def test_a_series_by_its_recipe(server: None, tmp_path: Path) -> None:
    from flows.detect_change import detect_change

    summary = detect_change(str(tmp_path), recipe="romania_felling")
    written = json.loads((tmp_path / "change" / "series.json").read_text(encoding="utf-8"))
    assert summary["breaks"]["dates"] == written["breaks"]["dates"]
    assert sum(row["lost_m2"] for row in written["breaks"]["dates"]) > 100_000


def test_a_question_that_is_neither_is_refused(server: None, tmp_path: Path) -> None:
    from flows.detect_change import detect_change

    with pytest.raises(UsageError, match="either a recipe, or before and after"):
        detect_change(str(tmp_path))
