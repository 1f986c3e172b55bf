"""The page of a pair: both dates under a slider, what changed, and how much of it is noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.pair import ScenePair
from aisf_geo.change.transition import NOT_COMPARED
from aisf_geo.domain.grid import Window
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.ingest.read import read_thumbnail
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.change_control import Inside
from aisf_geo.pipeline.change_source import ChangeSource, LabelPair, TwoScenes
from aisf_geo.pipeline.identity import versions
from aisf_geo.store.page import Key, picture, write_page
from aisf_geo.store.raster import coloured, thumbnail

PICTURE_PX = 600
#: Ground shown around an area that was asked for.
VIEW_MARGIN_PX = 16
#: Bands shown as red, green and blue, the first three that both dates have: natural colours, else false ones.
SHOWN = (("red", "green", "blue"), ("swir16", "nir", "red"), ("nir", "red", "green"))
Rgba = NDArray[np.uint8]


def write_change_page(source: ChangeSource, folder: Path, summary: dict[str, Any], title: str) -> None:
    """Write report.html into the folder of a pair."""
    inner, view = source, source.grid.full_window
    if isinstance(source, Inside):
        inner, view = source.source, source.area.extent(source.grid).padded(VIEW_MARGIN_PX, source.grid.shape)
    before, after = _dates(inner, view)
    codes = np.asarray(thumbnail(folder / "change.tif", PICTURE_PX, view), np.uint16)
    changed = (codes != NOT_COMPARED) & (codes // 256 != codes % 256)
    over = faded(after)
    kinds: dict[tuple[tuple[int, ...], str], list[str]] = {}
    for code in np.unique(codes[changed]).tolist():
        one, two = source.legend[code // 256], source.legend[code % 256]
        colour = two.colour if two.role != "other" else tuple(255 - v // 2 for v in one.colour)
        over[codes == code] = (*colour, 255)
        kinds.setdefault((colour, two.name), []).append(one.name)
    keys = [Key(css(colour), f"{', '.join(ones)} to {two}") for (colour, two), ones in kinds.items()]
    earlier, later = source.id, "the later date"
    if isinstance(inner, TwoScenes):
        earlier, later = inner.pair.before.id, inner.pair.after.id
    elif isinstance(inner, LabelPair):
        earlier, later = source.id.split("_", 1) if source.id.count("_") == 1 else (source.id, "the later date")
    content = {
        "title": f"{earlier} to {later}",
        "before": picture(before, earlier, f"the first date, {earlier}"),
        "after": picture(after, later, f"the later date, {later}"),
        "change": picture(over, "What changed, over the later date", "map of the changes"),
        "keys": keys,
        "rows": [{"process": k, "area_m2": v} for k, v in summary["by_process_m2"].items()],
        "reason": summary["reason"],
        **{key: summary[key] for key in ("warnings", "control", "compared_m2", "min_area_m2")},
    }
    page = {
        "title": title,
        "made_by": MADE_BY,
        "changes": [content],
        "attribution": summary["attribution"],
        "licence": summary["licence"],
        "software": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }
    write_page(folder / "report.html", page, "change_page.html.j2")


def faded(picture_: Rgba) -> Rgba:
    """A picture pale enough to draw on."""
    pale = picture_.copy()
    pale[..., :3] = pale[..., :3] // 3 + 150
    return pale


def css(colour: Sequence[int]) -> str:
    """A colour as style sheets write it."""
    return "rgb({}, {}, {})".format(*colour)


def _dates(source: ChangeSource, view: Window) -> tuple[Rgba, Rgba]:
    """Both dates as pictures of one size: their images, or their classes where there is no image."""
    if isinstance(source, LabelPair):
        one, two = (coloured(thumbnail(p, PICTURE_PX, view), source.legend) for p in (source.before, source.after))
        return one, two
    if not isinstance(source, TwoScenes):
        raise TypeError(f"no picture of {type(source).__name__}")
    return scene_pictures(source.pair, view)


def scene_pictures(pair: ScenePair, view: Window) -> tuple[Rgba, Rgba]:
    """Both scenes in the best colours that they share."""
    shared = pair.shared_bands()
    names = next((bands for bands in SHOWN if set(bands) <= set(shared)), (shared[0],) * 3)
    return _image(pair.before, pair, names, view), _image(pair.after, pair, names, view)


def _image(scene: Scene, pair: ScenePair, names: tuple[str, ...], view: Window) -> Rgba:
    """A date stretched between its 1st and 98th percentile; clear where there is no data."""
    values = read_thumbnail(scene, names, pair.grid, view, PICTURE_PX)
    seen = np.asarray(np.isfinite(values).all(axis=0))
    if not seen.any():
        return np.zeros((*seen.shape, 4), np.uint8)
    low, high = np.percentile(values[:, seen], (1, 98), axis=1)
    span = np.maximum(high - low, 1e-9)
    shown = np.nan_to_num((values - low[:, None, None]) / span[:, None, None]).clip(0, 1)
    rgba = np.concatenate([shown, seen[None]]).transpose(1, 2, 0) * 255
    return np.asarray(rgba.astype(np.uint8))
