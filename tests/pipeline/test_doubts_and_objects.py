"""What a run says of a scene unlike the training imagery, and a detector through the whole run."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import torch

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.pipeline.choice import Means
from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.recipe import AggregateTo
from aisf_geo.segment.card import Detection, Domain, Head, NetworkSpec
from aisf_geo.segment.network import seeded_model
from aisf_geo.shipped import shipped

TILE = shipped("sample_tiles") / "rotterdam" / "port_rgb.tif"
TINY = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})
REFERENCE = Means("torch", "fp32")


@pytest.fixture(autouse=True)
def _own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISF_GEO_MODELS", str(tmp_path / "models"))
    torch.set_num_threads(1)


def plan_of(model: str, block_px: int = 128, cells: AggregateTo | None = None) -> RunPlan:
    recipe = tile_recipe(TILE, None, model, block_px=block_px)
    return plan_run(recipe.model_copy(update={"aggregate_to": cells}), means=REFERENCE)


def test_a_scene_unlike_the_training_imagery_is_called_so_in_every_output(tmp_path: Path) -> None:
    dark = Domain(
        window_px=128,
        mean=(10.0, 10.0, 10.0),
        covariance=((9.0, 0.0, 0.0), (0.0, 9.0, 0.0), (0.0, 0.0, 9.0)),
        limit=3.0,
        sharpness=(0.01, 10.0),
    )
    seeded_model(tmp_path / "models/night", network=TINY, patch_px=64, margin_px=0, gsd_m=(1.0, 10.0), domain=dark)
    run(plan_of("night"), tmp_path / "out", "refuse")
    (said,) = json.loads((tmp_path / "out/run.json").read_text())["warnings"][-1:]
    assert "port_rgb: band values unlike the training imagery of model night" in said
    item = json.loads((tmp_path / "out/items/port_rgb/item.json").read_text())
    assert item["properties"]["aisf:method"]["settled"]["warnings"][0] in said
    assert "unlike the training imagery" in (tmp_path / "out/report.html").read_text()


def test_a_scene_like_it_is_not(tmp_path: Path) -> None:
    seeded_model(tmp_path / "models/day", network=TINY, patch_px=64, margin_px=0, gsd_m=(1.0, 10.0))
    run(plan_of("day"), tmp_path / "out", "refuse")
    assert not any("model day" in w for w in json.loads((tmp_path / "out/run.json").read_text())["warnings"])


@pytest.mark.slow
def test_a_detector_yields_the_same_boxes_as_features_whatever_the_blocks(tmp_path: Path) -> None:
    legend = Legend("things", tuple(LegendClass(k, n, (60 * k, 9, 9)) for k, n in enumerate(("none", "car", "bus"))))
    seeded_model(
        tmp_path / "models/finder",
        network=TINY,
        heads=(Head(name="thing", legend=legend),),
        detection=Detection(score_above=0.6, largest_px=12),
        patch_px=64,
        margin_px=0,
    )
    tables = []
    for block_px in (64, 256):
        out = tmp_path / f"out{block_px}"
        run(plan_of("finder", block_px, AggregateTo(by="grid", cell_m=300, min_count=2)), out, "refuse")
        tables.append(geopandas.read_parquet(out / "items/port_rgb/features.parquet"))
    assert len(tables[0]) > 5
    assert tables[0].equals(tables[1])
    assert set(tables[0]["class_name"]) <= {"car", "bus"}
    assert tables[0]["confidence"].between(0.6, 1).all()
    bounds = tables[0].geometry.bounds
    sides_px = np.stack([bounds.maxx - bounds.minx, bounds.maxy - bounds.miny]) / 4.5
    assert (sides_px <= 12.1).all()
    cells = geopandas.read_parquet(tmp_path / "out64/items/port_rgb/cells.parquet")
    shown = cells[cells["count"].notna()]
    inside = tables[0].set_geometry(tables[0].geometry.representative_point()).sjoin(shown[["geometry"]])
    assert len(shown) > 1
    assert shown["count"].sum() == len(inside) <= len(tables[0])
    assert "of what was seen is" not in (tmp_path / "out64/report.html").read_text(), "boxes do not cover the ground"
