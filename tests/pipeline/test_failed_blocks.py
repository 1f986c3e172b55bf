"""Imagery that cannot be read in places: the rest is done, the hole is said, and mending it completes the run."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from aisf_geo.errors import IncompleteError
from aisf_geo.ingest.read import opened
from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.run import RunOutcome, run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.recipe import read_recipe
from variants import break_tile, copy_in_tiles, recipe_variant

WriteTif = Callable[..., Path]
#: Blocks of 128 px of the west of Great Salt Lake (1024 x 576), and the one whose file tile is broken.
ROWS, COLS, BROKEN = 8, 5, "r0003c0002"


def ledger(out: Path) -> dict[str, tuple[str, str | None]]:
    with sqlite3.connect(out / "ledger.sqlite") as connection:
        rows = connection.execute("SELECT item, block, state, reason FROM block")
        return {f"{item}/{block}": (state, reason) for item, block, state, reason in rows}


class TestOneBrokenTile:
    @pytest.fixture
    def tile(self, sample_tiles: Path, tmp_path: Path) -> Path:
        path = copy_in_tiles(sample_tiles / "great_salt_lake" / "west.tif", tmp_path / "west.tif")
        shutil.copy(path, tmp_path / "whole.tif")
        break_tile(path, tile_row=3, tile_col=2)
        return path

    def plan(self, tile: Path) -> RunPlan:
        return plan_run(tile_recipe(tile, "water", block_px=128))

    def test_everything_else_is_done_and_the_hole_is_said(self, tile: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with pytest.raises(IncompleteError, match=f"1 of {ROWS * COLS} blocks.*--resume"):
            run(self.plan(tile), out, "refuse")
        states = ledger(out)
        state, reason = states.pop(f"west/{BROKEN}")
        assert state == "failed"
        assert "rows 384-511, columns 256-383 cannot be decoded" in (reason or "")
        assert set(states.values()) == {("done", None)}
        assert len(states) == ROWS * COLS - 1
        with rasterio.open(out / "items" / "west" / "labels.tif") as dataset:
            labels = dataset.read(1)
        assert (labels[384:512, 256:384] == 255).all()
        assert (labels == 255).sum() == 128 * 128
        coverage = 1 - 128 * 128 / labels.size
        item = json.loads((out / "items" / "west" / "item.json").read_text())
        assert item["properties"]["aisf:coverage"] == pytest.approx(coverage, abs=1e-6)
        assert json.loads((out / "run.json").read_text())["state"] == "incomplete"

    def test_the_report_is_written_and_names_the_block(self, tile: Path, tmp_path: Path) -> None:
        with pytest.raises(IncompleteError):
            run(self.plan(tile), tmp_path / "out", "refuse")
        page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
        assert BROKEN in page
        assert "cannot be decoded" in page

    def test_the_mended_file_completes_the_run(self, tile: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with pytest.raises(IncompleteError):
            run(self.plan(tile), out, "refuse")
        shutil.copy(tmp_path / "whole.tif", tile)
        outcome = run(self.plan(tile), out, "resume")
        assert (outcome.items[0].computed, outcome.items[0].coverage) == (1, 1.0)
        assert set(ledger(out).values()) == {("done", None)}
        fresh = tmp_path / "fresh"
        run(self.plan(tile), fresh, "refuse")
        for name in ("labels.tif", "confidence.tif"):
            one, other = (folder / "items" / "west" / name for folder in (out, fresh))
            assert one.read_bytes() == other.read_bytes()


def test_a_mended_block_has_its_say_in_the_threshold(write_tif: WriteTif, tmp_path: Path) -> None:
    """The only water lies in the broken tile: mended, the run must find it as a run on the whole file does."""
    random = np.random.default_rng(1)
    green, nir = np.full((128, 128), 500), np.full((128, 128), 1500)
    green[32:64, 32:64], nir[32:64, 32:64] = 1200, 700
    bands = np.stack([green, nir]) + random.integers(-40, 40, (2, 128, 128))
    path = write_tif(
        "pond.tif", bands.astype(np.uint16), names=("green", "nir"), tiled=True, blockxsize=32, blockysize=32,
        interleave="pixel", compress="deflate",
    )  # fmt: skip
    whole = Path(shutil.copy(path, tmp_path / "whole.tif"))
    plan = plan_run(tile_recipe(path, "water", block_px=32))
    run(plan, tmp_path / "fresh", "refuse")
    break_tile(path, tile_row=1, tile_col=1)
    with pytest.raises(IncompleteError):
        run(plan, tmp_path / "mended", "refuse")
    shutil.copy(whole, path)
    run(plan, tmp_path / "mended", "resume")
    fresh, mended = (rasterio.open(tmp_path / n / "items/pond/labels.tif").read(1) for n in ("fresh", "mended"))
    assert (fresh == 1).sum() == 32 * 32
    assert np.array_equal(mended, fresh)


class TestOneBrokenDate:
    def two_years(self, recipe: dict[str, Any]) -> None:
        recipe["period"] = {"start": "2016-01-01", "end": "2017-07-01"}
        recipe["clearing"] = {"baseline_year": 2016, "clear_dates": 1}

    def plan(self, folder: Path, sample_tiles: Path) -> RunPlan:
        def change(recipe: dict[str, Any]) -> None:
            self.two_years(recipe)
            recipe["sources"][0]["path"] = str(folder / "romania")

        if not (folder / "romania").exists():
            shutil.copytree(sample_tiles / "romania", folder / "romania")
        return plan_run(read_recipe(recipe_variant(folder, change)))

    def run(self, plan: RunPlan, out: Path) -> RunOutcome:
        return run(plan, out, "resume")

    def test_the_other_dates_of_a_series_are_done(self, sample_tiles: Path, tmp_path: Path) -> None:
        plan, out = self.plan(tmp_path, sample_tiles), tmp_path / "out"
        broken = tmp_path / "romania" / "2016-08-05.tif"
        broken.write_bytes(broken.read_bytes()[:30_000])
        with pytest.raises(IncompleteError, match="2016-08-05"):
            self.run(plan, out)
        states = {block.split("/")[0]: state for block, (state, _) in ledger(out).items()}
        assert states == {"2016-06-16": "done", "2016-08-05": "failed", "2017-06-06": "done"}
        shutil.copy(sample_tiles / "romania" / "2016-08-05.tif", broken)
        assert [item.failed for item in self.run(self.plan(tmp_path, sample_tiles), out).items] == [0, 0, 0]


def test_gdal_may_keep_many_tiles_in_memory(sample_tiles: Path) -> None:
    """rasterio takes the size of the block cache in bytes; a cache below one tile decodes it again for every row."""
    with opened(str(sample_tiles / "chile" / "scene.tif")):
        assert rasterio.env.getenv()["GDAL_CACHEMAX"] >= 64 * 2**20
