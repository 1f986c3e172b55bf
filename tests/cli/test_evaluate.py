"""Evaluation from the command line, on labels made for the test: of indices, seeded networks and detectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.evaluate.metrics import confusion
from aisf_geo.segment.card import Detection, Head, NetworkSpec, find_model
from aisf_geo.segment.network import build_network, seeded_model
from command_line import CommandLine

BANDS = ("green", "nir")
WATER = np.zeros((40, 50), np.uint8)
WATER[10:30, 5:40] = 1
TINY = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})
BUILDING = Legend("b", (LegendClass(0, "other", (0, 0, 0)), LegendClass(1, "building", (255, 0, 0), "built-up")))


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AISF_GEO_MODELS", str(tmp_path / "models"))
    torch.set_num_threads(1)
    return tmp_path / "models"


def lake(folder: Path, truth: np.ndarray, bands: tuple[str, ...] = BANDS) -> None:
    """A scene whose NDWI says water exactly where ``WATER`` does, with its mask."""
    folder.mkdir(parents=True, exist_ok=True)
    green, nir = np.where(WATER, 0.3, 0.1), np.where(WATER, 0.05, 0.4)
    profile = {"driver": "GTiff", "height": 40, "width": 50, "count": 2, "dtype": "float32"}
    place = {"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(folder / "scene.tif", "w", **profile, **place) as dataset:
        dataset.write(np.stack([green, nir]).astype(np.float32))
        dataset.descriptions = bands
    Image.fromarray(truth).save(folder / "scene.png")


def photos(folder: Path, places: int = 2) -> None:
    """Pictures with masks of two classes."""
    rng = np.random.default_rng(0)
    for k in range(places):
        (folder / f"town{k}").mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (70, 90, 3), np.uint8)).save(folder / f"town{k}/a.jpg")
        Image.fromarray(rng.integers(0, 2, (70, 90), np.uint8)).save(folder / f"town{k}/a.png")


def test_an_index_is_judged_by_place_against_a_truth_that_can_be_counted(aisf_geo: CommandLine, tmp_path: Path) -> None:
    half = WATER.copy()
    half[:, 20:] = 0
    lake(tmp_path / "data/right", WATER)
    lake(tmp_path / "data/wrong", half)
    said = aisf_geo("evaluate", "--method", "water", "--data", tmp_path / "data", "--json").document
    assert (said["method"], said["head"], said["data"], said["pixels"]) == ("water", "water", "data", 4000)
    assert said["accuracy"] == pytest.approx(1 - 20 * 20 / 4000, abs=1e-4)
    assert [p["place"] for p in said["places"]] == ["wrong", "right"]
    assert said["interval"]["mean_iou"][0] <= said["mean_iou"] <= said["interval"]["mean_iou"][1]
    water = next(c for c in said["classes"] if c["name"] == "water")
    assert water == {"name": "water", "iou": 0.7143, "f1": 0.8333, "precision": 0.7143, "recall": 1.0, "pixels": 1000}


def test_one_place_has_no_interval_and_says_so(aisf_geo: CommandLine, tmp_path: Path) -> None:
    lake(tmp_path / "data/here", WATER)
    said = aisf_geo("evaluate", "--method", "water", "--data", tmp_path / "data", "--json").document
    assert said["interval"] is None
    assert "one place" in said["interval_withheld_reason"]


def test_a_network_is_judged_as_it_maps_and_its_worst_images_are_shown(
    aisf_geo: CommandLine, models: Path, tmp_path: Path
) -> None:
    head = Head(name="building", legend=BUILDING)
    seeded_model(models / "tiny", network=TINY, heads=(head,), patch_px=64, margin_px=0)
    photos(tmp_path / "data")
    asked = ("evaluate", "--model", "tiny", "--data", tmp_path / "data", "--runtime", "torch", "--json")
    said = aisf_geo(*asked, "--out", tmp_path / "out").document
    assert {"model", "head", "data", "pixels", "accuracy", "mean_iou", "classes", "places", "interval"} <= said.keys()
    assert (said["model"], said["pixels"], said["runtime"], said["precision"]) == ("tiny", 2 * 70 * 90, "torch", "fp32")
    assert 0 <= said["ece"] <= 1
    assert said["object_f1"] is not None
    assert json.loads((tmp_path / "out/evaluation.json").read_text()) == said
    for name in ("worst.png", "reliability.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert min(picture.size) > 100

    from aisf_geo.evaluate.labelled import find_pairs
    from aisf_geo.segment.blocks import NetworkInterpreter
    from aisf_geo.segment.runtime import choose_runtime

    card = find_model("tiny", [models])
    interpreter = NetworkInterpreter(card, choose_runtime(card, "torch", "fp32"))
    counts = []
    for pair in find_pairs(tmp_path / "data"):
        labelled = pair.read(card.band_names)
        window = labelled.raster.grid.full_window
        counts.append(confusion(labelled.truth, interpreter.decide(labelled.raster, window, window).labels, BUILDING))
    assert said["accuracy"] == pytest.approx((counts[0] + counts[1]).accuracy, abs=1e-4)


def test_a_detector_is_judged_on_boxes(aisf_geo: CommandLine, models: Path, tmp_path: Path) -> None:
    vehicles = Legend("v", tuple(LegendClass(k, n, (9, 9, 9)) for k, n in enumerate(("none", "car", "bus"))))
    detection = Detection(score_above=0.5, largest_px=16)
    head = Head(name="vehicle", legend=vehicles)
    seeded_model(models / "finder", network=TINY, heads=(head,), detection=detection, patch_px=64, margin_px=0)
    for name in ("DJI_1-0001", "DJI_1-0002", "DJI_2-0001"):
        (tmp_path / "data").mkdir(exist_ok=True)
        pixels = np.random.default_rng(len(name)).integers(0, 255, (80, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"data/{name}.jpg")
        (tmp_path / f"data/{name}.txt").write_text("0 0.5 0.5 0.2 0.1\n1 0.1 0.1 0.1 0.1\n")
    (tmp_path / "data/aerial.names").write_text("car\nbus\ntrain\n")
    asked = ("evaluate", "--model", "finder", "--data", tmp_path / "data", "--runtime", "torch", "--json")
    said = aisf_geo(*asked).document
    assert (said["objects"], said["images"], [p["place"] for p in said["places"]]) == (6, 3, ["DJI_1", "DJI_2"])
    assert {"object_f1", "ap50"} <= said.keys()
    assert [c["name"] for c in said["classes"]] == ["car", "bus"]
    (tmp_path / "data/DJI_1-0001.txt").write_text("2 0.5 0.5 0.2 0.1\n")
    ended = aisf_geo(*asked)
    assert ended.code == 1
    assert "class 'train' is not in the legend 'v'" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--method", "water", "--model", "x"), 2, "give either --model or --method"),
        ((), 2, "give either --model or --method"),
        (("--method", "wetness"), 2, "asked for 'wetness', known are water"),
        (("--method", "water", "--head", "snow"), 2, "asked for 'snow', water has water"),
        (("--method", "water", "--split", "test"), 2, "has no fixed places"),
        (("--method", "burn"), 2, "needs the bands"),
        (("--method", "water", "--precision", "int8"), 2, "are of a model, method 'water' runs none"),
        (("--model", "building-change", "--head", "road"), 2, "asked for 'road', building-change has"),
        (("--model", "building-change", "--precision", "int8"), 2, "compares dates as its card says, in fp32"),
    ],
)
def test_wrong_questions_end_in_one_sentence(
    aisf_geo: CommandLine, arguments: tuple[str, ...], code: int, message: str, tmp_path: Path
) -> None:
    lake(tmp_path / "data/here", WATER)
    ended = aisf_geo("evaluate", "--data", tmp_path / "data", *arguments)
    assert ended.code == code
    assert message in ended.err
    assert ended.error


def test_a_class_value_nobody_knows_names_the_image(aisf_geo: CommandLine, tmp_path: Path) -> None:
    lake(tmp_path / "data/here", WATER + 6)
    ended = aisf_geo("evaluate", "--method", "water", "--data", tmp_path / "data")
    assert ended.code == 1
    assert "here, here/scene: class values [6, 7] are not in the legend 'water', which has [0, 1]" in ended.err


# Models of one's own.

CARD = {
    "name": "mine",
    "description": "Somebody else's network.",
    "licence": "MIT",
    "network": {"arch": "unet", "encoder": TINY.encoder, "options": TINY.options},
    "bands": [{"name": name, "mean": 100, "std": 50} for name in ("red", "green", "blue")],
    "scale": "8-bit",
    "gsd_m": [0.5, 1.0],
    "patch_px": 64,
    "margin_px": 0,
    "heads": [
        {
            "name": "roof",
            "legend": {
                "name": "roof",
                "classes": [
                    {"code": 0, "name": "other", "colour": [0, 0, 0]},
                    {"code": 1, "name": "roof", "colour": [255, 0, 0], "role": "built-up"},
                ],
            },
        }
    ],
}


@pytest.fixture
def checkpoint(models: Path, tmp_path: Path) -> tuple[Path, Path]:
    card = tmp_path / "card.yaml"
    card.write_text(yaml.safe_dump(CARD))
    from aisf_geo.evaluate.own import read_card_file

    weights = tmp_path / "weights.safetensors"
    save_file(build_network(read_card_file(card)).state_dict(), weights)
    return weights, card


def test_a_network_of_ones_own_is_added_verified_listed_and_used_by_name(
    aisf_geo: CommandLine, checkpoint: tuple[Path, Path], models: Path, tmp_path: Path
) -> None:
    weights, card = checkpoint
    added = aisf_geo("models", "add", weights, "--card", card, "--json").document
    assert added["folder"] == str(models / "mine")
    assert aisf_geo("models", "verify", "mine", "--json").document[0]["files"] == 1
    assert "mine" in aisf_geo("models", "list").out
    assert "Somebody else's network." in aisf_geo("models", "show", "mine").out
    photos(tmp_path / "data")
    said = aisf_geo("evaluate", "--model", "mine", "--data", tmp_path / "data", "--json").document
    assert said["weights"] == added["weights"]
    again = aisf_geo("models", "add", weights, "--card", card)
    assert again.code == 2
    assert "use --force to replace it" in again.err


def test_weights_that_were_changed_are_found_out(
    aisf_geo: CommandLine, checkpoint: tuple[Path, Path], models: Path
) -> None:
    weights, card = checkpoint
    aisf_geo("models", "add", weights, "--card", card)
    stored = models / "mine" / "weights.safetensors"
    stored.write_bytes(stored.read_bytes()[:-1] + b"x")
    ended = aisf_geo("models", "verify", "mine")
    assert ended.code == 1
    assert "expected weights.safetensors with sha256:" in ended.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "water"}, "the name is taken"),
        ({"scale": "feet"}, "scale"),
        ({"bands": CARD["bands"][:2]}, "the network needs"),
        ({"network": {"arch": "unet", "encoder": "no-such"}}, "correct `aisf:network`"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_in_one_sentence(
    aisf_geo: CommandLine, change: dict[str, object], message: str, checkpoint: tuple[Path, Path]
) -> None:
    weights, card = checkpoint
    card.write_text(yaml.safe_dump({**CARD, **change}))
    ended = aisf_geo("models", "add", weights, "--card", card)
    assert ended.code in (1, 2)
    assert message in ended.err
    assert ended.error


def test_a_pickled_checkpoint_is_not_read(aisf_geo: CommandLine, checkpoint: tuple[Path, Path], tmp_path: Path) -> None:
    torch.save({}, tmp_path / "weights.pth")
    ended = aisf_geo("models", "add", tmp_path / "weights.pth", "--card", checkpoint[1])
    assert "not safetensors" in ended.err
