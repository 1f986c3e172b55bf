from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pystac
import pytest
from pystac.extensions.mlm import MLMExtension

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, UnreadableError, UsageError
from aisf_geo.segment.card import (
    BandScaling,
    Detection,
    Domain,
    Head,
    ModelCard,
    ModelFile,
    NetworkSpec,
    TrainingData,
    find_model,
    list_models,
    load_card,
    verified_bytes,
    write_card,
)

COVER = Legend(
    "cover", (LegendClass(0, "bare land", (200, 150, 90), "bare"), LegendClass(3, "water", (0, 0, 255), "water"))
)
BUILDING = Legend("building", (LegendClass(0, "other", (0, 0, 0)), LegendClass(1, "building", (255, 0, 0), "built-up")))
DIGEST = "sha256:" + 64 * "a"


def make_card(**changes: Any) -> ModelCard:
    fields: dict[str, Any] = {
        "name": "city",
        "description": "Two heads",
        "created": datetime(2026, 5, 1, 12, tzinfo=UTC),
        "licence": "ODbL-1.0",
        "network": NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [8, 8]}),
        "bands": (BandScaling(name="red", mean=120.5, std=60.0), BandScaling(name="nir", mean=90, std=41.25)),
        "scale": "8-bit",
        "gsd_m": (0.3, 2.0),
        "patch_px": 640,
        "margin_px": 64,
        "heads": (
            Head(name="landcover", legend=COVER, temperature=1.25, unknown_below=0.4),
            Head(name="building", legend=BUILDING),
        ),
        "weights": ModelFile(path="weights.safetensors", sha256=DIGEST),
        "training_data": (TrainingData(name="dubai", licence="CC0-1.0", attribution="Humans in the Loop"),),
        "int8": (ModelFile(path="int8/model.xml", sha256=DIGEST), ModelFile(path="int8/model.bin", sha256=DIGEST)),
        "iou_loss_points": {"bf16": 0.02, "int8": 0.25},
        "seconds_per_mpx": {"openvino-fp32": 0.7},
    }
    return ModelCard(**{**fields, **changes})


def edit(folder: Path, change: Any) -> None:
    item = json.loads((folder / "item.json").read_text())
    change(item)
    (folder / "item.json").write_text(json.dumps(item))


VEHICLES = Legend("vehicles", (LegendClass(0, "no vehicle", (0, 0, 0)), LegendClass(1, "car", (255, 0, 0))))
DETECTOR = {
    "heads": (Head(name="vehicle", legend=VEHICLES),),
    "detection": Detection(score_above=0.3, largest_px=64),
    "domain": Domain(window_px=64, mean=(1.0, 2.0), covariance=((1.0, 0.5), (0.5, 1.0)), limit=3, sharpness=(0.1, 0.5)),
    "figures": ({"head": "vehicle", "object_f1": 0.8},),
    "not_for": ("Counting people.",),
    "bands": (BandScaling(name="red", mean=1, std=1), BandScaling(name="nir", mean=1, std=1, optional=True)),
}


@pytest.mark.parametrize("changes", [{}, {"int8": None, "iou_loss_points": {}, "training_data": ()}, DETECTOR])
def test_a_written_card_reads_back_the_same(tmp_path: Path, changes: dict[str, Any]) -> None:
    written = write_card(make_card(**changes), tmp_path)

    assert load_card(tmp_path) == written
    assert written.folder == tmp_path


def test_a_card_is_a_stac_item_whose_mlm_fields_pystac_understands(tmp_path: Path) -> None:
    write_card(make_card(), tmp_path)

    item = pystac.Item.from_file(str(tmp_path / "item.json"))
    mlm = MLMExtension.ext(item)

    assert (mlm.mlm_name, mlm.architecture, mlm.framework) == ("city", "unet", "PyTorch")
    assert mlm.input[0].bands == ["red", "nir"]
    assert mlm.input[0].input.shape == [-1, 2, 640, 640]
    landcover = mlm.output[0]
    assert [(c.value, c.name, c.color_hint) for c in landcover.classes or []] == [
        (0, "bare-land", "C8965A"),
        (3, "water", "0000FF"),
    ]
    assert item.assets["weights"].roles == ["mlm:model", "mlm:weights"]


def test_the_output_channels_are_those_of_all_heads() -> None:
    assert make_card().output_channels == 4


def test_a_detector_gives_a_heatmap_for_each_class_and_two_sizes() -> None:
    assert make_card(**DETECTOR).output_channels == 3


def test_a_model_of_a_user_may_leave_out_what_was_not_measured(tmp_path: Path) -> None:
    write_card(make_card(), tmp_path)
    edit(tmp_path, lambda item: [item["properties"].pop(key) for key in ("aisf:optional_bands",)])
    assert load_card(tmp_path) == make_card().model_copy(update={"folder": tmp_path})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"margin_px": 320}, "at least 32"),
        ({"margin_px": 20}, "multiple of 32"),
        ({"patch_px": 500}, "multiple of 32"),
        ({"bands": (BandScaling(name="red", mean=0, std=1),) * 2}, "different names"),
        ({"heads": (Head(name="a", legend=COVER),) * 2}, "different names"),
        ({"gsd_m": (2.0, 0.3)}, "finest, coarsest"),
        ({"detection": Detection(score_above=0.5, largest_px=9)}, "needs one head"),
        ({"bands": (BandScaling(name="red", mean=0, std=1, optional=True),)}, "at least one must not be optional"),
        ({"name": "../up"}, "pattern"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_card(**changes)


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/weights", "a/../../b", ""])
def test_a_file_outside_the_folder_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="inside the model's folder"):
        ModelFile(path=path, sha256=DIGEST)


def test_a_missing_card_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"item\.json"):
        load_card(tmp_path)


def test_a_card_that_is_not_json_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "item.json").write_text("{")
    with pytest.raises(UnreadableError, match="not JSON"):
        load_card(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda item: item["properties"].pop("mlm:name"), "'mlm:name' is missing"),
        (lambda item: item["properties"].pop("aisf:margin_px"), "'aisf:margin_px' is missing"),
        (lambda item: item["assets"]["weights"].pop("file:checksum"), "'file:checksum' is missing"),
        (lambda item: item["properties"].update({"aisf:margin_px": "64"}), "margin_px: .*integer"),
        (lambda item: item["properties"].update({"aisf:scale": "feet"}), "scale"),
        (lambda item: item["properties"]["mlm:input"].clear(), "not a STAC item of a model"),
        (lambda item: item["properties"]["mlm:input"][0]["value_scaling"].pop(), "not a STAC item of a model"),
        (lambda item: item["assets"]["weights"].update({"file:checksum": "abc"}), "multihash"),
        (lambda item: item["properties"]["mlm:output"][0]["classification:classes"][0].update({"value": 254}), "codes"),
    ],
)
def test_a_damaged_card_says_what_is_wrong(tmp_path: Path, change: Any, message: str) -> None:
    write_card(make_card(), tmp_path)
    edit(tmp_path, change)

    with pytest.raises(DataError, match=message):
        load_card(tmp_path)


def test_a_file_that_is_not_the_cards_is_refused_before_use(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"other")
    card = write_card(make_card(), tmp_path)

    with pytest.raises(DataError, match=f"expected weights.safetensors with {DIGEST}, found {sha256_bytes(b'other')}"):
        verified_bytes(card, card.weights)


def test_the_content_of_the_cards_file_is_returned(tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"these")
    file = ModelFile(path="weights.safetensors", sha256=sha256_bytes(b"these"))

    assert verified_bytes(write_card(make_card(weights=file), tmp_path), file) == b"these"


def test_models_are_found_by_name_in_the_earlier_folder_first(tmp_path: Path) -> None:
    for parent, name in (("own", "city"), ("shipped", "city"), ("shipped", "rural")):
        write_card(make_card(name=name, description=parent), tmp_path / parent / name)
    folders = [tmp_path / "own", tmp_path / "shipped", tmp_path / "absent"]

    assert list(list_models(folders)) == ["city", "rural"]
    assert find_model("city", folders).description == "own"
    with pytest.raises(UsageError, match="asked for 'sea', found city, rural"):
        find_model("sea", folders)


def test_a_card_in_a_folder_of_another_name_is_refused(tmp_path: Path) -> None:
    write_card(make_card(name="city"), tmp_path / "town")
    with pytest.raises(DataError, match="is for 'city'"):
        find_model("town", [tmp_path])


def test_the_version_changes_with_what_decides_labels_and_with_nothing_else() -> None:
    version = make_card().version

    assert make_card(description="told better", seconds_per_mpx={}).version == version
    assert make_card(heads=(Head(name="landcover", legend=COVER, temperature=1.3),)).version != version
    assert make_card(margin_px=32).version != version
