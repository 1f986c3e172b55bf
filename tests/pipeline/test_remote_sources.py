"""A server that loses a scene while a run reads it: the hole is said, and a resume ends with the maps of the files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.errors import IncompleteError
from aisf_geo.ingest import http, ranges
from aisf_geo.ingest.http import http_of
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.recipe import read_recipe
from misbehaving import Api, serving
from variants import recipe_variant

DATES = ("2017-06-06", "2019-08-20")


@pytest.fixture
def api(sample_tiles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """Two dates over HTTP, without long pauses and with nothing remembered."""
    folder = tmp_path / "tiles"
    folder.mkdir()
    for path in (p for date in DATES for p in (sample_tiles / "romania").glob(f"{date}*")):
        shutil.copy(path, folder)
    monkeypatch.setenv("AISF_GEO_PRIVATE_HOSTS", "127.0.0.1")
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    monkeypatch.setattr(ranges, "_PAGES", ranges._Pages())
    http_of.cache_clear()
    with serving(folder) as one:
        yield one
    http_of.cache_clear()


def test_a_scene_that_is_lost_half_way_is_said_and_comes_with_the_resume(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of(source: dict[str, Any]) -> Any:
        def change(recipe: dict[str, Any]) -> None:
            recipe["sources"][0].pop("path")
            recipe["sources"][0].update(source)
            recipe.pop("clearing")
            recipe["indicators"] = ["15.1.1"]
            recipe["clouds"] = {"bright_white": True, "shadow": False}

        return plan_run(read_recipe(recipe_variant(tmp_path, change)))

    plan = of({"stac_api": {"endpoints": [api.url], "collections": ["romania"]}})
    monkeypatch.setattr(ranges, "_PAGES", ranges._Pages())
    api.always["2019-08-20.tif"] = "gone"
    with pytest.raises(IncompleteError, match=r"2019-08-20 \(1 of 1 blocks\).*--resume"):
        run(plan, tmp_path / "out", "refuse")
    assert (tmp_path / "out" / "items" / "2017-06-06" / "labels.tif").exists()
    api.always.clear()
    ended = run(plan, tmp_path / "out", "resume")
    assert {item.item: item.computed for item in ended.items} == {"2017-06-06": 0, "2019-08-20": 1}
    run(of({"path": str(api.folder)}), tmp_path / "local", "refuse")
    for date in DATES:
        maps = [(tmp_path / out / "items" / date / "labels.tif").read_bytes() for out in ("out", "local")]
        assert maps[0] == maps[1], date
