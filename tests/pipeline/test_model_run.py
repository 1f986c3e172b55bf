"""A network through the whole run, on a real tile, with seeded weights in the place of trained ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from aisf_geo.errors import BandError, DataError, OutputError, RecipeError, UsageError
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
    with pytest.raises(UsageError, match=r"no int8 network.*leave --precision and --runtime out"):
        plan_of(model, means=Means("auto", "int8"))


class TestProbabilities:
    @pytest.fixture
    def folder(self, model: str, tmp_path: Path) -> Path:
        plan = plan_run(tile_recipe(TILE, None, model, block_px=64).with_probabilities(), means=REFERENCE)
        run(plan, tmp_path / "out", "refuse")
        return tmp_path / "out/items/port_rgb"

    def test_there_is_a_band_for_each_class_and_it_agrees_with_labels_and_confidence(self, folder: Path) -> None:
        with rasterio.open(folder / "probabilities.tif") as dataset:
            shares = dataset.read().astype(int)
            assert dataset.descriptions == tuple(f"class-{code}" for code in range(5))
            assert (dataset.nodata, dataset.tags()["HEAD"]) == (255, "classes")
        labels, confidence = (rasterio.open(folder / f"{name}.tif").read(1) for name in ("labels", "confidence"))
        assert np.abs(shares.sum(axis=0) - 254).max() <= 3
        assert np.abs(shares.max(axis=0) - confidence).max() <= 1
        assert (np.take_along_axis(shares, labels[None], 0) == shares.max(axis=0)).all()
        assert "probabilities" in json.loads((folder / "item.json").read_text())["assets"]

    def test_a_method_has_none(self) -> None:
        with pytest.raises(RecipeError, match="a method has a threshold"):
            tile_recipe(TILE, "vegetation", bands=("red", "green", "nir")).with_probabilities()


def test_the_overlap_factor_is_what_the_network_was_given_for_each_pixel(model: str, tmp_path: Path) -> None:
    plan = plan_of(model)
    run(plan, tmp_path / "out", "refuse")
    said = json.loads((tmp_path / "out/run.json").read_text())["overlap_factor"]
    pixels = plan.items[0].grid.shape.height * plan.items[0].grid.shape.width
    # 200 px a side in strides of 64: three patches of 128 px along each axis.
    assert said == {"port_rgb": pytest.approx(9 * 128**2 / pixels, abs=1e-4)}
    item = json.loads((tmp_path / "out/items/port_rgb/item.json").read_text())
    assert item["properties"]["aisf:method"]["overlap_factor"] == said["port_rgb"]


def test_weights_that_are_not_the_cards_are_refused_before_a_pixel_is_read(model: str, tmp_path: Path) -> None:
    plan = plan_of(model)
    weights = tmp_path / "models" / "seeded" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"expected weights.safetensors with sha256:"):
        run(plan, tmp_path / "out", "refuse")
    assert not (tmp_path / "out" / "items").exists()
