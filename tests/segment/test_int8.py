from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aisf_geo.evaluate import own
from aisf_geo.segment.card import ModelCard, NetworkSpec, load_card, write_card
from aisf_geo.segment.int8 import build_int8
from aisf_geo.segment.network import seeded_model
from aisf_geo.segment.runtime import choose_runtime

pytestmark = pytest.mark.slow
TINY = NetworkSpec(arch="unet", encoder="tu-mobilenetv3_small_050", options={"decoder_channels": [16, 16, 8, 8, 8]})
#: What a card holds of an evaluation.
FIGURES = {
    **{"head": "classes", "data": "d", "split": "test", "images": 1, "accuracy": 0.5, "mean_iou": 0.5},
    **{"classes": [], "places": [], "interval": None, "warnings": []},
}


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelCard:
    monkeypatch.setenv("AISF_GEO_MODELS", str(tmp_path))
    torch.set_num_threads(1)
    return seeded_model(tmp_path / "tiny", network=TINY, patch_px=64, margin_px=0)


def patches(count: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal((1, 3, 64, 64), np.float32) for _ in range(count)]


def test_the_int8_network_answers_like_the_reference_and_lies_under_its_digest(card: ModelCard) -> None:
    quantised = write_card(card.model_copy(update={"int8": build_int8(card, patches(), card.folder)}), card.folder)
    seen = patches(8)[-1]
    exact, rough = (choose_runtime(quantised, "openvino", p, 1).predict(seen) for p in ("fp32", "int8"))
    assert np.corrcoef(exact.ravel(), rough.ravel())[0, 1] > 0.9
    assert not np.array_equal(exact, rough)


@pytest.mark.parametrize(("loss", "kept"), [(0.2, True), (0.4, False)])
def test_a_network_that_loses_too_much_is_not_kept(
    loss: float, kept: bool, card: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_card(card.model_copy(update={"figures": (FIGURES,)}), card.folder)
    lost = {"iou_loss_points": {"int8": loss}, "seconds_per_mpx": {"openvino-int8": 0.1, "torch-fp32": 1.0}}
    monkeypatch.setattr(own, "calibration_patches", lambda *_: patches())
    monkeypatch.setattr(own, "with_precisions", lambda card, *_: card.model_copy(update=lost))
    own.quantise("tiny", Path(), lambda _: None)
    read = load_card(card.folder)
    assert (
        (read.int8 is not None) == (card.folder / "int8").exists() == ("openvino-int8" in read.seconds_per_mpx) == kept
    )
    assert read.iou_loss_points == {"int8": loss}
    assert ("it loses 0.4 points" in (card.folder / "CARD.md").read_text()) == (not kept)
