"""The work behind ``change-series``."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aisf_geo.change.pair import paired
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.errors import OutputError, UsageError
from aisf_geo.ingest.area_of_interest import area_from_file
from aisf_geo.pipeline.break_maps import write_breaks
from aisf_geo.pipeline.breaks import search
from aisf_geo.pipeline.breaks_page import write_breaks_page
from aisf_geo.pipeline.change_control import Inside, write_with_control
from aisf_geo.pipeline.change_page import write_change_page
from aisf_geo.pipeline.class_pair import classed_pair
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.series_scenes import day_of, registered, series_scenes
from aisf_geo.recipe_series import SeriesRecipe
from aisf_geo.store.run import RunFolder, write_json


def run_series(recipe: SeriesRecipe, source: Path | None, out: Path, *, overwrite: bool = False) -> dict[str, Any]:
    """What a recipe asks of a series, into ``out/change/``; returns the summary.

    Raises:
        UsageError: no imagery was named, or the dates do not suffice.
        OutputError: a series was written there before and may not be replaced, or ``out`` is a file.
    """
    location = source or recipe.resolve(recipe.source)
    if location is None:
        raise UsageError("change-series: this recipe names no imagery; name its folder before --recipe")
    if out.exists() and not out.is_dir():
        raise OutputError(f"output {out}: is a file, a folder is needed; choose another --out")
    folder = RunFolder(out).change
    if (folder / "series.json").exists() and not overwrite:
        raise OutputError(f"output {folder}: holds a series; add --overwrite or choose another --out")
    scenes, notes = series_scenes(location, recipe)
    series, moved = registered(scenes)
    grid = series.grid
    area = area_from_file(path, grid) if (path := recipe.resolve(recipe.area)) else None
    control = recipe.resolve(recipe.control_area)
    summary: dict[str, Any] = {
        "title": recipe.title,
        "made_by": MADE_BY,
        "software": versions(),
        "recipe": recipe.model_dump(mode="json", exclude_none=True),
        "dates": [day_of(scene) for scene in scenes],
        "attribution": list(dict.fromkeys(s.attribution for s in scenes if s.attribution)),
        "licence": list(dict.fromkeys(s.licence for s in scenes if s.licence)),
        "warnings": notes + moved,
    }
    if recipe.breaks is not None:
        found, left_out = search(series, recipe.breaks, area)
        place = _cleared(folder / "breaks")
        summary["warnings"] += left_out
        summary["breaks"] = write_breaks(found, place, control, recipe.min_area_m2) | {"change": str(place)}
        write_breaks_page(found, place, summary, summary["breaks"])
    if recipe.classes is not None:
        pair = classed_pair(paired(scenes[0], scenes[-1]), recipe.classes)
        place = _cleared(folder / pair.id)
        asked = pair if area is None else Inside(pair, area)
        summary["transitions"] = write_with_control(asked, place, control, recipe.min_area_m2)
        write_change_page(asked, place, summary["transitions"], recipe.title)
    write_json(folder / "series.json", summary)
    return summary


def _cleared(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
