"""What the program brings along: recipes, models and sample tiles, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aisf_geo.errors import UsageError

_PACKAGE = Path(__file__).parent


def shipped(kind: Literal["configs", "models", "sample_tiles"]) -> Path:
    """The folder of one kind of shipped file."""
    inside = _PACKAGE / "_share" / kind
    return inside if inside.is_dir() else _PACKAGE.parents[1] / kind


def recipe_path(recipe: str) -> Path:
    """A recipe by path, or a shipped one by name.

    Raises:
        UsageError: neither a file nor a shipped recipe; the message lists the shipped ones.
    """
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return path
    named = shipped("configs") / f"{recipe}.yaml"
    if not named.exists():
        names = sorted(p.stem for p in shipped("configs").glob("*.yaml"))
        raise UsageError(
            f"recipe: no file {recipe!r} and no shipped recipe of that name; shipped are {', '.join(names)}"
        )
    return named
