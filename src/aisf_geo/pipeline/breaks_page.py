"""The page of a series: its first and last date under a slider, and when what was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.pipeline.break_maps import date_colours
from aisf_geo.pipeline.breaks import BreakSearch
from aisf_geo.pipeline.change_page import PICTURE_PX, css, faded, scene_pictures
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.series_scenes import day_of
from aisf_geo.store.page import Key, picture, write_page
from aisf_geo.store.raster import thumbnail


def write_breaks_page(found: BreakSearch, folder: Path, summary: dict[str, Any], breaks: dict[str, Any]) -> None:
    """Write report.html beside the maps of dates; ``summary`` is that of the series, ``breaks`` its part of them."""
    pair, days = found.series.pairs[-1], [day_of(scene) for scene in found.series.scenes]
    before, after = scene_pictures(pair, pair.grid.full_window)
    lost, over = np.asarray(thumbnail(folder / "lost.tif", PICTURE_PX), np.uint8), faded(after)
    colours, keys = date_colours(days), {}
    for code in np.unique(lost[(lost > 0) & (lost <= len(days))]).tolist():
        over[lost == code] = (*colours[code], 255)
        keys[days[code - 1][:4]] = Key(css(colours[code]), f"lost, first seen in {days[code - 1][:4]}")
    content = {
        "title": summary["title"],
        "made_by": MADE_BY,
        "breaks": {
            "before": picture(before, days[0], f"the first date, {days[0]}"),
            "after": picture(after, days[-1], f"the last date, {days[-1]}"),
            "map": picture(over, "When what was lost, over the last date", "map of the dates of loss"),
            "keys": list(keys.values()),
            **{key: breaks[key] for key in ("dates", "control", "min_area_m2", "formula")},
            "warnings": summary["warnings"],
        },
        "attribution": summary["attribution"],
        "licence": summary["licence"],
        "software": ", ".join(f"{name} {number}" for name, number in versions().items()),
    }
    write_page(folder / "report.html", content, "change_page.html.j2")
