"""A scene as people see it: natural colours, stretched; published beside the labels so that they can be compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import UnreadableError
from aisf_geo.ingest.read import read_thumbnail
from aisf_geo.pipeline.plan import ItemPlan
from aisf_geo.store.raster import write_picture
from aisf_geo.store.run import RunFolder

#: Longest side of the published picture: every sample tile in full, and little memory for a whole scene.
IMAGERY_PX = 2048


def natural_colours(item: ItemPlan, longest_px: int) -> NDArray[np.uint8]:
    """``(y, x, 4)``: red, green, blue between the 1st and 98th percentile, and alpha; grey without such bands.

    Raises:
        UnreadableError: pixels cannot be decoded.
    """
    scene = item.view.scene
    wanted = ("red", "green", "blue")
    names = wanted if set(wanted) <= set(scene.band_names) else scene.band_names[:1] * 3
    values = read_thumbnail(scene, names, item.view.grid, item.extent, longest_px)
    seen = np.asarray(np.isfinite(values).all(axis=0))
    if not seen.any():
        return np.zeros((*seen.shape, 4), np.uint8)
    # One stretch for all bands keeps the colours of the ground; clouds must not darken it, hence the percentiles.
    low, high = np.percentile(values[:, seen], (1, 98))
    shown = np.nan_to_num((values - low) / max(high - low, 1e-9)).clip(0, 1) ** 0.7
    return np.asarray((np.concatenate([shown, seen[None]]).transpose(1, 2, 0) * 255).astype(np.uint8))


def publish_imagery(item: ItemPlan, folder: RunFolder) -> None:
    """Write imagery.tif; a scene that cannot be read has none, and the ledger says why."""
    try:
        rgba = natural_colours(item, IMAGERY_PX)
    except UnreadableError:
        return
    tags = {"SCENE": item.id, "ATTRIBUTION": item.attribution, "LICENCE": item.licence, "LABELS": MADE_BY}
    write_picture(folder.item(item.id).imagery, item.grid, rgba, tags)
