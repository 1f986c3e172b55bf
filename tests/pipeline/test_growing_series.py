"""Scenes dropped into a folder one by one: the series grows, what is done stands, felled trees raise an alert."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.errors import OutputError
from aisf_geo.pipeline.alerts import alerts, tell_new_alerts
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.verify import verify
from aisf_geo.recipe import Recipe, read_recipe
from variants import recipe_variant

EVERY = (
    "2016-06-16", "2016-08-05", "2017-06-06", "2017-07-06", "2018-05-22", "2018-07-01", "2018-08-15", "2019-06-16",
    "2019-07-06", "2019-08-05", "2019-08-20", "2020-05-16", "2020-06-30", "2020-09-03",
)  # fmt: skip
HARD = {"2018-08-15", "2019-08-20", "2020-09-03"}


class Watched:
    """A folder, and the run that follows it."""

    def __init__(self, tmp_path: Path, sample_tiles: Path) -> None:
        self.source, self.out = sample_tiles / "romania", tmp_path / "out"
        self.folder = tmp_path / "dropped"
        self.folder.mkdir()
        self.recipe_file = recipe_variant(tmp_path, self._watch)
        self.told: dict[str, list[dict[str, Any]]] = {}

    def _watch(self, recipe: dict[str, Any]) -> None:
        recipe["sources"][0]["path"] = str(self.folder)
        recipe.pop("reference_sample", None)

    @property
    def recipe(self) -> Recipe:
        return read_recipe(self.recipe_file)

    def drop(self, date: str) -> int:
        """Drop one scene and look once; returns how many scenes were interpreted."""
        for path in self.source.glob(f"{date}*"):
            shutil.copy(path, self.folder)
        plan = plan_run(self.recipe, growing=True)
        outcome = run(plan, self.out, "extend")
        from aisf_geo.store.run import RunFolder

        self.told[date] = tell_new_alerts(RunFolder(self.out), self.recipe)
        return sum(item.computed > 0 for item in outcome.items)

    def maps(self) -> dict[str, bytes]:
        return {p.parent.name: p.read_bytes() for p in self.out.glob("items/*/labels.tif")}

    def dates_with_values(self) -> set[str]:
        rows = json.loads((self.out / "indicators.json").read_text())
        return {row["period"]["start"][:10] for row in rows}


@pytest.fixture
def watched(tmp_path: Path, sample_tiles: Path) -> Watched:
    return Watched(tmp_path, sample_tiles)


def test_each_drop_is_interpreted_alone_and_what_is_done_stands(watched: Watched) -> None:
    before: dict[str, bytes] = {}
    for date in ("2016-06-16", "2016-08-05", "2017-06-06", "2017-07-06"):
        assert watched.drop(date) == 1
        now = watched.maps()
        assert {k: now[k] for k in before} == before
        assert set(now) == {*before, date}
        assert date in watched.dates_with_values()
        before = now
    assert not watched.told["2016-06-16"], "before the baseline year is over nothing can be said"
    assert [a["zone"] for a in watched.told["2017-07-06"]] == ["forest-west"], (
        "felled in 2017, confirmed by a second date"
    )
    again = watched.drop("2017-07-06")
    assert again == 0
    assert watched.told["2017-07-06"] == [], "told once"
    assert watched.maps() == before
    told = verify(watched.out, sample=20, seed=1)
    assert told["problems"] == []
    assert told["replayed_blocks"] + len(told["not_replayed"]) == len(before)
    (watched.folder / "2016-06-16.json").unlink()
    with pytest.raises(OutputError, match="no longer has 2016-06-16"):
        run(plan_run(watched.recipe, growing=True), watched.out, "extend")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_romania_series_dropped_one_by_one(watched: Watched) -> None:
    for date in EVERY:
        assert watched.drop(date) == 1, date
    told = {date: [a["zone"] for a in found] for date, found in watched.told.items() if found}
    assert not HARD & set(told)
    assert min(told) == "2017-07-06"
    assert {zone for zones in told.values() for zone in zones} == {"forest-west", "forest-east"}
    assert watched.drop(EVERY[4]) == 0


def row(date: str, value: float, interval: Sequence[float] | None = None) -> dict[str, Any]:
    said = None if interval is None else {"low": interval[0], "high": interval[1], "level": 0.95, "method": "x"}
    return {
        "formula": "6.6.1@2021-07", "name": "Extent of open water", "zone": "z", "zone_name": "Z", "value": value,
        "unit": "ha", "period": {"start": f"{date}T00:00:00Z"}, "interval": said, "inputs": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "dates"),
    [
        ([row("2016-05-01", 10), row("2016-08-01", 11), row("2017-05-01", 11.0)], []),
        ([row("2016-05-01", 10), row("2016-08-01", 11), row("2017-05-01", 11.1)], ["2017-05-01"]),
        ([row("2016-05-01", 10), row("2017-05-01", 99)], []),
        ([row("2016-05-01", 10, (9, 11)), row("2017-05-01", 11.2, (10, 12.4))], []),
        ([row("2016-05-01", 10, (9, 11)), row("2017-05-01", 12, (11, 13))], ["2017-05-01"]),
    ],
    ids=["within the noise", "beyond it", "noise unknown", "within the intervals", "beyond them"],
)  # fmt: skip
def test_an_alert_needs_a_change_beyond_its_uncertainty(rows: list[dict[str, Any]], dates: list[str]) -> None:
    recipe = Recipe.model_construct(clearing=None)
    assert [a["date"] for a in alerts(rows, recipe)] == dates
