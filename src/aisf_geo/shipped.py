"""What the program brings along: recipes, models and sample tiles, in a checkout and in an installed wheel."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from aisf_geo.errors import UsageError

_PACKAGE = Path(__file__).parent


def shipped(kind: Literal["configs", "models", "sample_tiles"]) -> Path:
    """The folder of one kind of shipped file."""
    inside = _PACKAGE / "_share" / kind
    return inside if inside.is_dir() else _PACKAGE.parents[1] / kind


def model_folders() -> list[Path]:
    """Where models are looked for: the user's own first, then the shipped ones."""
    return [own_models(), shipped("models")]


def own_models() -> Path:
    """The folder of the user's own models: ``AISF_GEO_MODELS``, else below the user's data folder."""
    if named := os.environ.get("AISF_GEO_MODELS"):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "aisf-geo" / "models"


def recipe_path(recipe: str, kind: str = "") -> Path:
    """A recipe by path, or a shipped one by name; ``kind`` is a folder of recipes of another kind, such as series.

    Raises:
        UsageError: neither a file nor a shipped recipe; the message lists the shipped ones.
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    folder = shipped("configs") / kind
    named = folder / f"{recipe}.yaml"
    if not named.exists():
        names = sorted(p.stem for p in folder.glob("*.yaml"))
        raise UsageError(
            f"recipe: no file {recipe!r} and no shipped recipe of that name; shipped are {', '.join(names)}"
        )
    return named
