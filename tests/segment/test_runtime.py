from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aisf_geo.domain.provenance import sha256_bytes
from aisf_geo.errors import DataError, UsageError
from aisf_geo.segment import runtime as runtime_module
from aisf_geo.segment.card import ModelCard, ModelFile, NetworkSpec
from aisf_geo.segment.network import load_network, seeded_model
from aisf_geo.segment.runtime import choose_runtime, import_openvino

RUNTIMES = ("torch", "openvino")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Two threads that wait for each other on a busy machine are ten times slower than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelCard:
    """A tiny model with an OpenVINO IR in the place of the int8 network; its precision does not matter here."""
    spec = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})
    card = seeded_model(tmp_path_factory.mktemp("models") / "tiny", network=spec, patch_px=96, margin_px=32)
    openvino = import_openvino()
    openvino.save_model(runtime_module.converted_network(card), card.folder / "int8" / "model.xml")
    paths = ("int8/model.xml", "int8/model.bin")
    files = (ModelFile(path=path, sha256=sha256_bytes((card.folder / path).read_bytes())) for path in paths)
    return card.model_copy(update={"int8": tuple(files)})


@pytest.fixture
def patches() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((5, 3, 96, 96)).astype(np.float32)


def test_torch_is_the_plain_forward_pass(model: ModelCard, patches: np.ndarray) -> None:
    with torch.inference_mode():
        expected = load_network(model)(torch.from_numpy(patches)).numpy()

    np.testing.assert_allclose(choose_runtime(model, "torch", threads=1).predict(patches), expected, atol=1e-3)


def test_openvino_agrees_with_torch(model: ModelCard, patches: np.ndarray) -> None:
    reference, other = (choose_runtime(model, name, "fp32", threads=1).predict(patches) for name in RUNTIMES)

    np.testing.assert_allclose(other, reference, atol=1e-3)
    assert (other.argmax(axis=1) == reference.argmax(axis=1)).mean() > 0.999


def test_a_network_traced_small_answers_large_patches(tmp_path: Path) -> None:
    spec = NetworkSpec(arch="fpn", encoder="tu-mobilenetv3_small_050")
    card = seeded_model(tmp_path / "fpn", network=spec, patch_px=192, margin_px=32)
    patches = np.random.default_rng(2).standard_normal((1, 3, 192, 192)).astype(np.float32)
    reference, other = (choose_runtime(card, name, "fp32", threads=1).predict(patches) for name in RUNTIMES)

    np.testing.assert_allclose(other, reference, atol=1e-3)


@pytest.mark.parametrize("name", RUNTIMES)
def test_the_bytes_of_a_patch_depend_neither_on_its_batch_nor_on_its_neighbours(
    model: ModelCard, patches: np.ndarray, name: str
) -> None:
    session = choose_runtime(model, name, "fp32", threads=1)
    together = session.predict(patches)

    assert together.dtype == np.float32
    for i in range(len(patches)):
        assert session.predict(patches[i : i + 1]).tobytes() == together[i : i + 1].tobytes()
    assert session.predict(patches[::-1])[::-1].tobytes() == together.tobytes()


def test_an_answer_is_not_overwritten_by_the_next(model: ModelCard, patches: np.ndarray) -> None:
    session = choose_runtime(model, "openvino", "fp32", threads=1)
    first = session.predict(patches[:1])
    kept = first.copy()
    session.predict(patches[1:2])

    assert np.array_equal(first, kept)


def test_bf16_in_torch_is_near_the_reference_and_says_so(model: ModelCard, patches: np.ndarray) -> None:
    session = choose_runtime(model, "torch", "bf16", threads=1)
    answer, reference = (
        session.predict(patches[:1]),
        choose_runtime(model, "torch", "fp32", threads=1).predict(patches[:1]),
    )

    assert session.identity.precision == "bf16"
    assert 0 < np.abs(answer - reference).max() < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tensorrt",), "asked for 'tensorrt', known are auto, torch, openvino"),
        (("auto", "fp64"), "asked for 'fp64', known are fp32, bf16, int8"),
        (("torch", "int8"), "that combination does not exist"),
        (("auto", "int8"), "build-int8"),
        (("auto", None, 0), "at least 1"),
    ],
)
def test_what_cannot_run_is_refused_before_any_file_is_read(
    model: ModelCard, tmp_path: Path, arguments: Any, message: str
) -> None:
    nowhere = model.model_copy(update={"folder": tmp_path / "nowhere", "int8": None})
    with pytest.raises(UsageError, match=message):
        choose_runtime(nowhere, *arguments)


def test_bf16_is_refused_where_openvino_would_silently_take_fp32(
    model: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_module, "_openvino_capabilities", lambda: ["FP32", "INT8"])
    with pytest.raises(UsageError, match="no bf16 units"):
        choose_runtime(model, "openvino", "bf16")


@pytest.mark.parametrize(
    ("runtime", "losses", "capabilities", "expected"),
    [
        ("auto", {}, ["BF16"], ("openvino", "fp32")),
        ("auto", {"bf16": 0.1}, ["BF16"], ("openvino", "bf16")),
        ("auto", {"bf16": 0.1}, [], ("openvino", "fp32")),
        ("auto", {"bf16": 0.11, "int8": 0.31}, ["BF16"], ("openvino", "fp32")),
        ("auto", {"bf16": 0.0, "int8": 0.3}, ["BF16"], ("openvino", "int8")),
        ("torch", {"bf16": 0.0, "int8": 0.0}, ["BF16"], ("torch", "fp32")),
    ],
)
def test_auto_takes_the_fastest_whose_stated_loss_is_small_enough(
    model: ModelCard, monkeypatch: pytest.MonkeyPatch, runtime: str, losses: Any, capabilities: list[str], expected: Any
) -> None:
    monkeypatch.setattr(runtime_module, "_openvino_capabilities", lambda: capabilities)
    card = model.model_copy(update={"iou_loss_points": losses})

    assert runtime_module.resolve_runtime(card, runtime, None) == expected


def test_auto_does_without_int8_where_none_was_built_and_without_openvino_where_it_is_missing(
    model: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = model.model_copy(update={"iou_loss_points": {"int8": 0.0}})
    assert runtime_module.resolve_runtime(card.model_copy(update={"int8": None}), "auto", None) == ("openvino", "fp32")

    monkeypatch.setitem(sys.modules, "openvino", None)
    assert runtime_module.resolve_runtime(card, "auto", None) == ("torch", "fp32")
    with pytest.raises(UsageError, match="OpenVINO is not installed"):
        choose_runtime(card, "openvino")


def test_the_int8_network_is_read_from_the_models_folder(model: ModelCard, patches: np.ndarray) -> None:
    session = choose_runtime(model, "openvino", "int8", threads=1)

    assert session.identity.precision == "int8"
    np.testing.assert_allclose(
        session.predict(patches), choose_runtime(model, "torch", threads=1).predict(patches), atol=0.01
    )


def test_an_int8_network_with_another_digest_is_refused(model: ModelCard) -> None:
    assert model.int8 is not None
    wrong = model.int8[1].model_copy(update={"sha256": "sha256:" + 64 * "0"})
    with pytest.raises(DataError, match=r"expected int8/model\.bin"):
        choose_runtime(model.model_copy(update={"int8": (model.int8[0], wrong)}), "openvino", "int8")


def test_an_int8_network_for_other_classes_is_refused(model: ModelCard) -> None:
    with pytest.raises(DataError, match=r"output \[1, 10, 96, 96\], the network gives \[1, 5, 96, 96\]"):
        choose_runtime(model.model_copy(update={"heads": (*model.heads, *model.heads)}), "openvino", "int8")


def test_the_identity_is_json_and_tells_runtimes_threads_and_precisions_apart(model: ModelCard) -> None:
    torch_identity = choose_runtime(model, "torch", threads=1).identity
    identities = [torch_identity, replace(torch_identity, threads=2), replace(torch_identity, precision="bf16")]
    identities.append(choose_runtime(model, "openvino", "int8", threads=1).identity)
    records = [json.dumps(identity.as_json()) for identity in identities]

    assert len(set(records)) == 4
    assert json.loads(records[0])["threads"] == 1
    assert torch_identity.cpu


def test_neither_cores_nor_batches_change_a_byte_of_openvino(model: ModelCard, patches: np.ndarray) -> None:
    one, three = (choose_runtime(model, "openvino", "fp32", threads=cores) for cores in (1, 3))
    alone = np.concatenate([one.predict(patches[i : i + 1]) for i in range(len(patches))])

    assert one.identity == three.identity
    assert (one.batch, three.batch) == (1, 3)
    assert three.predict(patches).tobytes() == alone.tobytes()


def test_a_session_may_be_called_from_several_threads(model: ModelCard, patches: np.ndarray) -> None:
    session = choose_runtime(model, "openvino", "int8", threads=2)
    alone = session.predict(patches)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(session.predict, [patches[i : i + 1] for i in range(5)] * 4))

    assert np.concatenate(together[:5]).tobytes() == alone.tobytes()
    assert all(np.array_equal(answer, together[i % 5]) for i, answer in enumerate(together))


def test_openvino_reports_nothing_home() -> None:
    import_openvino()
    assert sys.modules["openvino_telemetry"] is None
