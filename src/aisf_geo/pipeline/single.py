"""The recipe behind ``segment``: one tile, one method or model, the terms its own metadata state."""

from __future__ import annotations

import re
from pathlib import Path

from aisf_geo.ingest.catalog import Hints, open_catalog
from aisf_geo.recipe import Recipe, parse_recipe
from aisf_geo.segment.spectral import method as known_method

NOT_STATED = "not stated"


def tile_recipe(
    tile: Path,
    method: str | None,
    model: str | None = None,
    *,
    threshold: float | None = None,
    block_px: int | None = None,
    bands: tuple[str, ...] | None = None,
    sensor: str | None = None,
) -> Recipe:
    """A recipe that interprets what lies at ``tile``.

    Raises:
        UsageError: an unknown method or sensor, or band names that do not fit the file.
        UnreadableError: there is nothing that can be read.
    """
    if method is not None:
        known_method(method)
    scene = open_catalog(tile, Hints(bands, sensor)).scenes()[0]
    segment = {"method": method, "model": model, "threshold": threshold, "block_px": block_px}
    return parse_recipe(
        {
            "name": re.sub(r"[^a-z0-9_-]+", "-", f"{tile.stem}-{method or model}".lower()).strip("-_") or "tile",
            "title": f"{method or model} in {tile.name}",
            "sources": [
                {
                    "path": str(tile.resolve()),
                    "licence": scene.licence or NOT_STATED,
                    "attribution": scene.attribution or NOT_STATED,
                    "bands": bands,
                    "sensor": sensor,
                }
            ],
            "segment": {key: value for key, value in segment.items() if value is not None},
        },
        f"for {tile.name}",
    )
