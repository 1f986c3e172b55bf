"""Interpreters with more than one answer: several heads, and objects in the place of regions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.objects import OBJECT, Objects
from aisf_geo.domain.raster import Raster
from aisf_geo.pipeline import choice
from aisf_geo.pipeline.choice import Means, Unsettled
from aisf_geo.pipeline.mapped import legend_of
from aisf_geo.pipeline.plan import RunPlan, Where, plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.segment.card import Head, NetworkSpec
from aisf_geo.segment.interpreter import ClassMap, Decision
from aisf_geo.segment.network import seeded_model
from aisf_geo.shipped import shipped

TILE = shipped("sample_tiles") / "rotterdam" / "port_rgb.tif"
LAND = Legend("land", tuple(LegendClass(code, f"land-{code}", (code, 0, 0)) for code in (1, 2, 3)))
ROADS = Legend("roads", (LegendClass(0, "rest", (0, 0, 0)), LegendClass(1, "road", (255, 255, 0))))
CARS = Legend("cars", (LegendClass(0, "rest", (0, 0, 0)), LegendClass(1, "car", (255, 0, 0))))


class TestTwoHeads:
    @pytest.fixture
    def plan(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunPlan:
        heads = (Head(name="land", legend=LAND), Head(name="roads", legend=ROADS))
        small = NetworkSpec(arch="fpn", encoder="tu-mobilenetv3_small_050")
        seeded_model(tmp_path / "models" / "two", network=small, patch_px=128, margin_px=32, heads=heads)
        monkeypatch.setattr(choice, "shipped", lambda _: tmp_path / "models")
        return plan_run(tile_recipe(TILE, None, "two", block_px=64), means=Means("torch", "fp32"))

    def test_each_head_has_maps_features_and_assets_of_its_own(self, plan: RunPlan, tmp_path: Path) -> None:
        run(plan, tmp_path / "out", "refuse")
        folder = tmp_path / "out/items/port_rgb"
        for suffix, legend in (("", LAND), ("_roads", ROADS)):
            assert legend_of(folder / f"labels{suffix}.tif") == legend
            with rasterio.open(folder / f"labels{suffix}.tif") as dataset:
                found = set(np.unique(dataset.read(1)).tolist()) - {254, 255}
            assert len(found) > 1
            assert found <= {entry.code for entry in legend.classes}
            table = geopandas.read_parquet(folder / f"features{suffix}.parquet")
            assert set(table["class"]) - {254} == found
        assets = json.loads((folder / "item.json").read_text())["assets"]
        assert {"labels", "confidence", "labels_roads", "confidence_roads", "features_roads_parquet"} <= assets.keys()
        titles = [entry["title"] for entry in assets["labels_roads"]["classification:classes"]]
        assert titles == ["rest", "road"]

    def test_a_lost_map_of_any_head_is_made_again_on_resume(self, plan: RunPlan, tmp_path: Path) -> None:
        run(plan, tmp_path / "out", "refuse")
        lost = tmp_path / "out/items/port_rgb/confidence_roads.tif"
        content = lost.read_bytes()
        assert run(plan, tmp_path / "out", "resume").items[0].computed == 0
        lost.unlink()
        again = run(plan, tmp_path / "out", "resume")
        assert again.items[0].computed == again.items[0].blocks > 1
        assert lost.read_bytes() == content


@dataclass(frozen=True)
class Finder:
    """Finds an object wherever it was told that there is one; in each block those that the block owns."""

    name = "finder"
    version = "1"
    heads: Mapping[str, Legend]
    bands: tuple[str, ...]
    places: tuple[tuple[float, float], ...]

    def read_window(self, core: Window, grid: Grid) -> Window:
        return core

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        labels = np.where(raster.valid, 0, 255).astype(np.uint8)
        owned = [
            (row, col, 4.0, 2.0, 1, 0.75)
            for row, col in self.places
            if core.row <= row < core.row + core.height and core.col <= col < core.col + core.width
        ]
        objects: Objects = np.array(owned, OBJECT)
        return Decision({"cars": ClassMap(labels, np.where(labels == 255, 255, 200).astype(np.uint8))}, objects)


class TestObjects:
    PLACES = ((10.5, 20.5), (63.9, 64.1), (64.0, 64.0), (100.25, 3.0))

    @pytest.fixture
    def finder(self) -> Finder:
        return Finder({"cars": CARS}, ("red", "green", "nir"), self.PLACES)

    def plan(self, finder: Finder, block_px: int = 64, where: Where | None = None) -> RunPlan:
        class Chosen:
            name, source, bands, seconds_per_mpx = "finder", "", finder.bands, None
            heads = finder.heads

            def block_px(self, requested: int) -> int:
                return requested

            def overlap_factor(self, *_: object) -> None:
                return None

            def identity(self) -> dict[str, Any]:
                return {}

            def settle(self, _scene: Unsettled, /) -> tuple[Finder, str]:
                return finder, "{}"

            def doubts(self, *_: object) -> list[str]:
                return []

        plan = plan_run(tile_recipe(TILE, "vegetation", bands=("red", "green", "nir"), block_px=block_px), where)
        return replace(plan, items=(replace(plan.items[0], choice=Chosen()),))

    def test_they_are_the_features_and_do_not_depend_on_the_blocks(self, finder: Finder, tmp_path: Path) -> None:
        tables = []
        for block_px in (64, 1024):
            plan = self.plan(finder, block_px)
            run(plan, tmp_path / str(block_px), "refuse")
            tables.append(geopandas.read_parquet(tmp_path / str(block_px) / "items/port_rgb/features.parquet"))
        assert tables[0].equals(tables[1])
        table, grid = tables[0], plan.items[0].grid
        assert list(table["class_name"]) == ["car"] * len(self.PLACES)
        centres = table.geometry.centroid
        found = sorted((~grid.transform * (point.x, point.y))[::-1] for point in centres)
        assert found == [pytest.approx(place) for place in sorted(self.PLACES)]
        assert table["area_m2"].to_numpy() == pytest.approx(8 * grid.gsd_m**2, rel=1e-3)
        assert (table["confidence"] == 0.75).all()

    def test_one_outside_the_wanted_area_is_left_out(self, finder: Finder, tmp_path: Path) -> None:
        whole = self.plan(finder).items[0].grid
        corner = whole.crop(Window(0, 0, 60, 60))
        with rasterio.open(TILE) as dataset:
            box = rasterio.warp.transform_bounds(dataset.crs, 4326, *corner.bounds)
        plan = self.plan(finder, where=Where(bbox=box))
        run(plan, tmp_path / "out", "refuse")
        table = geopandas.read_parquet(tmp_path / "out/items/port_rgb/features.parquet")
        assert len(table) == 1

    def test_a_changed_table_is_noticed_on_resume(self, finder: Finder, tmp_path: Path) -> None:
        run(self.plan(finder), tmp_path / "out", "refuse")
        path = tmp_path / "out/items/port_rgb/objects.npy"
        content = path.read_bytes()
        path.write_bytes(content[:-1])
        run(self.plan(finder), tmp_path / "out", "resume")
        assert path.read_bytes() == content
