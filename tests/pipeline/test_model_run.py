"""A network through the whole run, on a real tile, with seeded weights in the place of trained ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.errors import BandError, OutputError, UsageError
from aisf_geo.pipeline import choice
from aisf_geo.pipeline.choice import Means
from aisf_geo.pipeline.mapper import block_map
from aisf_geo.pipeline.plan import RunPlan, plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe
from aisf_geo.segment.network import seeded_model
from aisf_geo.shipped import shipped

TILE = shipped("sample_tiles") / "rotterdam" / "port_rgb.tif"
REFERENCE = Means("torch", "fp32")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    seeded_model(tmp_path / "models" / "seeded", patch_px=128, margin_px=32)
    monkeypatch.setattr(choice, "shipped", lambda _: tmp_path / "models")
    return "seeded"


def plan_of(model: str, block_px: int | None = None, means: Means = REFERENCE) -> RunPlan:
    return plan_run(tile_recipe(TILE, None, model, block_px=block_px), means=means)


def labels_of(run_folder: Path) -> np.ndarray:
    with rasterio.open(run_folder / "items/port_rgb/labels.tif") as dataset:
        return np.asarray(dataset.read(1))


def test_labels_do_not_depend_on_block_size_or_process(model: str, tmp_path: Path) -> None:
    run(plan_of(model, 64), tmp_path / "small", "refuse")
    run(plan_of(model, 1024), tmp_path / "large", "refuse")
    assert len(np.unique(labels_of(tmp_path / "small"))) > 1
    assert np.array_equal(labels_of(tmp_path / "small"), labels_of(tmp_path / "large"))


@pytest.mark.slow
def test_labels_are_the_same_from_two_worker_processes(model: str, tmp_path: Path) -> None:
    run(plan_of(model, 64), tmp_path / "here", "refuse")
    with block_map(workers=2) as mapper:
        run(plan_of(model, 64), tmp_path / "there", "refuse", mapper)
    assert np.array_equal(labels_of(tmp_path / "here"), labels_of(tmp_path / "there"))


def test_run_json_and_item_say_which_weights_and_runtime(model: str, tmp_path: Path) -> None:
    plan = plan_of(model)
    run(plan, tmp_path / "out", "refuse")
    said = json.loads((tmp_path / "out/run.json").read_text())["runtime"]
    assert (said["runtime"], said["precision"]) == ("torch", "fp32")
    method = json.loads((tmp_path / "out/items/port_rgb/item.json").read_text())["properties"]["aisf:method"]
    assert method["version"] == plan.items[0].choice.resident.digest


def test_resuming_with_another_precision_is_refused(model: str, tmp_path: Path) -> None:
    run(plan_of(model), tmp_path / "out", "refuse")
    with pytest.raises(OutputError, match="runtime or CPU class differ"):
        run(plan_of(model, means=Means("torch", "bf16")), tmp_path / "out", "resume")


def test_a_tile_without_the_bands_is_refused_before_a_pixel_is_read(model: str) -> None:
    tile = shipped("sample_tiles") / "romania" / "2016-06-16_scl.tif"
    with pytest.raises(BandError, match="needs the bands"):
        plan_run(tile_recipe(tile, None, model), means=REFERENCE)


def test_reflectance_is_not_fed_to_a_network_of_8_bit_numbers(model: str) -> None:
    tile = shipped("sample_tiles") / "romania" / "2016-06-16.json"
    with pytest.raises(BandError, match=r"needs 8-bit values.*has reflectances"):
        plan_run(tile_recipe(tile, None, model), means=REFERENCE)


def test_an_unknown_model_or_runtime_is_refused_with_what_there_is(model: str) -> None:
    with pytest.raises(UsageError, match="found seeded"):
        plan_of("gone")
    with pytest.raises(UsageError, match="known are auto, torch, openvino"):
        plan_of(model, means=Means("tensorrt"))
