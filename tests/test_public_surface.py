from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

import aisf_geo
from aisf_geo.cli.main import cli
from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.recipe import read_recipe, recipe_schema
from aisf_geo.shipped import recipe_path, shipped

ROOT = Path(__file__).parents[1]
RUNNING = {"--out", "--resume", "--overwrite", "--dry-run", "--workers", "--scheduler", "--json"}
#: Commands of the contract that exist so far, with their options.
COMMANDS = {
    "roads": {"-o", "--output", "--json"},
    "demo": {"--out"},
    "run": RUNNING,
    "segment": RUNNING | {"--method", "--aoi", "--bbox", "--block-px"},
    "change": {"--out", "--json", "--method", "--control", "--control-area", "--min-area-m2", "--overwrite"},
    "change-series": {"--out", "--json", "--recipe", "--index", "--overwrite"},
    "vectorise": {"-o", "--min-area-m2", "--simplify-m", "--json"},
    "indicators": {"--zones", "--population", "--json"},
    "evaluate": {"--model", "--method", "--data", "--head", "--split", "--json"},
    "sample": {"--per-class", "--seed", "--map", "--out", "--json"},
    "assess": {"--json"},
    "explain": {"--indicator", "--zone", "--json"},
    "compare": {"--json"},
    "conformance": {"--json"},
    "serve": {"--port", "--host", "--tokens", "--database"},
    "publish": {"--to", "--json"},
    "train": {"--data", "--out", "--work", "--resume", "--force", "--json"},
    "info": {"--json"},
    "version": {"--json"},
    "schema": set(),
    "status": {"--json"},
    "verify": {"--sample", "--seed", "--json"},
    "audit": {"--json"},
    "clean": {"--keep-days", "--delete", "--json"},
}


@pytest.mark.parametrize("name", aisf_geo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(aisf_geo, name) is not None


def test_public_names_are_sorted_and_differ() -> None:
    assert sorted(set(aisf_geo.__all__), key=str) == aisf_geo.__all__


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        aisf_geo.no_such_name  # noqa: B018


@pytest.mark.parametrize(("command", "options"), COMMANDS.items(), ids=list(COMMANDS))
def test_a_command_has_the_options_of_the_contract(command: str, options: set[str]) -> None:
    there = {text for parameter in cli.commands[command].params for text in parameter.opts}
    assert options <= there


def test_there_are_no_commands_beside_those_listed() -> None:
    assert set(cli.commands) == {*COMMANDS, "models"}
    models = cli.commands["models"]
    assert isinstance(models, click.Group)
    assert {"list", "show", "add", "verify", "measure", "build-int8"} <= set(models.commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_does(command: str) -> None:
    options = [p for p in cli.commands[command].params if isinstance(p, click.Option)]
    assert cli.commands[command].help
    assert [p.name for p in options if not p.help] == []


def test_features_have_the_columns_of_the_contract() -> None:
    assert [c.name for c in FEATURE_COLUMNS] == [
        "id",
        "class",
        "class_name",
        "area_m2",
        "confidence",
        "confidence_p10",
        "datetime",
        "scene",
        "edge",
        "perimeter_m",
        "open_border_share",
    ]


RECIPES = sorted(p.stem for p in (ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_can_be_planned(name: str) -> None:
    plan = plan_run(read_recipe(recipe_path(name)))
    assert plan.recipe.name == name
    assert plan.summary()["blocks"] >= len(plan.items) > 0


def test_shipped_files_are_those_of_the_checkout() -> None:
    assert len(RECIPES) >= 2
    assert shipped("configs") == ROOT / "configs"
    assert shipped("sample_tiles") == ROOT / "sample_tiles"


def test_the_committed_schema_of_recipes_is_the_current_one() -> None:
    committed = ROOT / "configs" / "recipe.schema.json"
    assert committed.exists(), "run `make docs`"
    assert json.loads(committed.read_text(encoding="utf-8")) == recipe_schema(), "run `make docs`"
