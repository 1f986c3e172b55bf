"""Variants of what is shipped: recipes with something changed, zones, and tiles with something broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rasterio
import yaml

CONFIGS = Path(__file__).parents[1] / "configs"
Ring = Sequence[tuple[float, float]]


def recipe_variant(folder: Path, change: Callable[[dict[str, Any]], object], name: str = "romania_forest") -> Path:
    """A shipped recipe with one thing changed, written to ``folder``; its paths still lead to the shipped files.

    Its reference sample is left out: that was drawn from the map of the unchanged recipe.
    """
    recipe = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text(encoding="utf-8"))
    recipe.pop("reference_sample", None)
    for source in recipe["sources"]:
        source["path"] = str((CONFIGS / source["path"]).resolve())
    for holder, key in ((recipe, "area"), (recipe.get("zones", {}), "path")):
        if key in holder:
            holder[key] = str((CONFIGS / holder[key]).resolve())
    change(recipe)
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path


def box(west: float, south: float, east: float, north: float) -> list[tuple[float, float]]:
    """The ring of a rectangle."""
    return [(west, south), (east, south), (east, north), (west, north), (west, south)]


def write_zones(path: Path, **rings: Ring) -> Path:
    """Polygons in longitude and latitude by their id; a trailing ``_`` is dropped, so that an id can be repeated."""
    features = [
        {
            "type": "Feature",
            "properties": {"zone_id": zone.rstrip("_"), "zone_name": f"Zone {zone}"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for zone, ring in rings.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def copy_in_tiles(source: Path, target: Path, tile_px: int = 128) -> Path:
    """The same pixels and names in a plain tiled TIFF of pixel-interleaved tiles."""
    with rasterio.open(source) as dataset:
        profile = dataset.profile | {
            "driver": "GTiff",
            "tiled": True,
            "blockxsize": tile_px,
            "blockysize": tile_px,
            "interleave": "pixel",
            "compress": "deflate",
        }
        with rasterio.open(target, "w", **profile) as copy:
            copy.write(dataset.read())
            copy.descriptions = dataset.descriptions
            copy.update_tags(**dataset.tags())
    return target


def break_tile(path: Path, tile_row: int, tile_col: int) -> None:
    """Overwrite the bytes of one tile of a tiled TIFF with zeros: it can be opened, that tile cannot be decoded."""
    with rasterio.open(path) as dataset:
        start, length = (
            int(dataset.get_tag_item(f"BLOCK_{what}_{tile_col}_{tile_row}", "TIFF", bidx=1))
            for what in ("OFFSET", "SIZE")
        )
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(length)
    path.write_bytes(content)
