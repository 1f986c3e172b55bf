from __future__ import annotations

from pathlib import Path
from typing import Any

from aisf_geo.evaluate.card_page import card_page
from aisf_geo.segment.card import TrainingData, list_models, load_card
from aisf_geo.shipped import shipped
from cards import made_card

ROOT = Path(__file__).parents[2]
FIGURES: dict[str, Any] = {
    "model": "fake",
    "head": "two",
    "data": "towns",
    "split": "test",
    "images": 7,
    "accuracy": 0.9,
    "mean_iou": 0.8,
    "classes": [{"name": "some", "iou": 0.7, "f1": 0.82, "precision": None, "recall": 0.75, "pixels": 9}],
    "places": [
        {"place": "south", "accuracy": 0.85, "mean_iou": 0.7, "pixels": 4},
        {"place": "north", "accuracy": 0.95, "mean_iou": 0.9, "pixels": 5},
    ],
    "interval": {"level": 0.95, "method": "bootstrap of 2 places, 2000 draws", "mean_iou": [0.7, 0.9]},
    "ece": 0.02,
    "warnings": [],
}


def test_a_card_says_what_was_measured_where_it_fails_and_under_which_terms() -> None:
    card = made_card(
        figures=(FIGURES,),
        not_for=("Single homes.",),
        training_data=(TrainingData(name="towns", licence="ODbL-1.0", attribution="OSM contributors"),),
        seconds_per_mpx={"torch-fp32": 1.5, "openvino-bf16": 0.2},
        iou_loss_points={"bf16": 0.04, "int8": 1.7},
    )
    page = card_page(card)
    for said in (
        "- Single homes.",
        "`aisf-geo evaluate --model fake --data DIR/towns --head two --split test`",
        "accuracy 0.900; mean IoU 0.800; calibration error 0.020; 95 % interval of mean IoU 0.700 to 0.900",
        "| some | 0.700 | 0.820 | 0.750 |",
        "| openvino-bf16 | 0.200 | 0.040 |",
        "No int8 network is shipped: built, it loses 1.7 points.",
        "- towns: OSM contributors [ODbL-1.0]",
    ):
        assert said in page
    assert page.index("| south |") < page.index("| north |")


def test_a_card_without_figures_says_so() -> None:
    page = card_page(made_card())
    assert page.count("Not measured.") == 2
    assert "Nothing is stated" in page


def test_the_committed_pages_are_those_of_the_shipped_cards() -> None:
    cards = [load_card(folder) for folder in list_models([shipped("models")]).values()]
    measured = [card for card in cards if card.figures]
    assert measured
    for card in measured:
        assert (card.folder / "CARD.md").read_text(encoding="utf-8") == card_page(card), f"measure {card.name} again"
