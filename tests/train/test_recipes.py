from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aisf_geo.errors import RecipeError
from aisf_geo.evaluate.places import FIXED
from aisf_geo.segment.network import build_network
from aisf_geo.train.publish import card_of
from aisf_geo.train.recipe import TrainRecipe, parse_train_recipe, read_train_recipe

SHIPPED = sorted((Path(__file__).parents[2] / "configs" / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_describes_a_card_and_a_network(path: Path) -> None:
    recipe = read_train_recipe(path)
    card = card_of(recipe)
    build_network(card)
    channels = sum(len(head.legend.classes) for head in recipe.heads)
    # A detector gives no heatmap for the background, and two sizes.
    assert card.output_channels == channels + (1 if recipe.detection else 0)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_no_shipped_recipe_trains_on_a_fixed_test_place(path: Path) -> None:
    for source in read_train_recipe(path).sources:
        fixed = FIXED[source.path]
        if fixed.every:
            assert len(source.test) == 9
        else:
            assert set(source.test) == fixed.test
            assert set(source.validation) >= fixed.validation


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sauces": []}, "unknown key 'sauces'"),
        ({"schedule": {"minutes": 1}}, "schedule: give either minutes or steps"),
        ({"schedule": {"crop_px": 100}}, r"schedule\.crop_px: Input should be a multiple of 32, found '100'"),
        ({"augment": {"drop_bands": [["nir"]]}}, "names 'nir', which is no band"),
        ({"augment": {"clouds": 0.5}}, "needs reflectance and a head 'cloud'"),
        ({"heads": []}, "heads"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_key(
    recipe: Callable[..., TrainRecipe], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(**changes)


def test_heads_that_nobody_labels_are_refused(recipe: Callable[..., TrainRecipe]) -> None:
    content = recipe().model_dump(mode="json")
    with pytest.raises(RecipeError, match=r"heads are \['pond', 'roof'\], sources label \['roof'\]"):
        parse_train_recipe({**content, "sources": content["sources"][:1]})


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("a: [", "not YAML"), ("3", "Input should be an object")]
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecipeError, match=message):
        read_train_recipe(path)
