"""explain and compare on the shipped Romanian run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aisf_geo.errors import UsageError
from aisf_geo.pipeline.explain import compare, explain


@pytest.fixture(scope="module")
def told(romania: Path) -> str:
    return "\n".join(explain(romania, "cleared-share", "forest-west")["lines"])


def test_it_goes_from_scene_to_figure(romania: Path, told: str) -> None:
    rows = json.loads((romania / "indicators.json").read_text())
    row = [r for r in rows if r["indicator"] == "cleared-share" and r["zone"] == "forest-west"][-1]
    for said in (
        f"{row['value']:,.4g} %",
        "100 x cleared area / tree cover of the baseline year",
        "2020-06-30",
        "Contains modified Copernicus Sentinel data",
        "vegetation (NDVI>0.820000)",
        row["provenance"]["run"],
        "labelled pixels to standing",
        "95 in 100 hold the true value",
        "labelled by looking at the 2016-2020 chips",
        "A proxy, not the official indicator",
    ):
        assert said in told


def test_a_figure_without_interval_says_why(romania: Path) -> None:
    told = "\n".join(explain(romania, "15.1.1", "Forest, eastern half")["lines"])
    assert "No interval: no reference sample was labelled for this map." in told


@pytest.mark.parametrize(
    ("code", "zone", "message"),
    [
        ("6.6.1", None, "has no values of '6.6.1'; it has "),
        ("15.1.1", None, "say which zone with --zone; there are forest-west, forest-east"),
        ("15.1.1", "north", "no zone 'north'"),
    ],
)
def test_what_is_not_there_is_named(romania: Path, code: str, zone: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        explain(romania, code, zone)


class TestCompare:
    def moved(self, romania: Path, tmp_path: Path, by: float) -> list[dict]:
        other = tmp_path / "other"
        other.mkdir()
        run = json.loads((romania / "run.json").read_text())
        (other / "run.json").write_text(json.dumps(run))
        rows = json.loads((romania / "indicators.json").read_text())
        for row in rows:
            row["provenance"]["run"] = "sha256:other"
            if row["value"] is not None:
                row["value"] += by
            if row["interval"]:
                row["interval"]["low"] += by
                row["interval"]["high"] += by
        (other / "indicators.json").write_text(json.dumps(rows))
        return compare(romania, other)

    @pytest.mark.parametrize(("by", "verdict"), [(30.0, "larger than"), (-30.0, "larger than"), (0.5, "within")])
    def test_a_movement_is_held_against_both_intervals(
        self, romania: Path, tmp_path: Path, by: float, verdict: str
    ) -> None:
        shares = [m for m in self.moved(romania, tmp_path, by) if m["indicator"] == "cleared-share"]
        assert len(shares) == 2
        for m in shares:
            assert m["difference"] == pytest.approx(by)
            assert m["verdict"].startswith(verdict)

    def test_without_an_interval_it_cannot_be_told(self, romania: Path, tmp_path: Path) -> None:
        trees = [m for m in self.moved(romania, tmp_path, 5.0) if m["indicator"] == "15.1.1"]
        assert all(m["verdict"] == "cannot be told: no interval in the first and the second run" for m in trees)

    def test_the_same_run_is_the_same_figure(self, romania: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("run.json", "indicators.json"):
            shutil.copy(romania / name, copy / name)
        verdicts = {m["verdict"] for m in compare(romania, copy) if m["indicator"] == "cleared-share"}
        assert verdicts == {"the same figure of the same question"}

    def test_runs_that_share_nothing(self, romania: Path, rotterdam: Path) -> None:
        with pytest.raises(UsageError, match="share no figure"):
            compare(romania, rotterdam)
