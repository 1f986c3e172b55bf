"""The plan of a finished run, asked again from its folder alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aisf_geo.errors import AisfGeoError, DataError
from aisf_geo.pipeline.choice import Means
from aisf_geo.pipeline.plan import RunPlan, Where, plan_run
from aisf_geo.recipe import parse_recipe
from aisf_geo.store.run import RunFolder


def plan_of(folder: RunFolder) -> RunPlan:
    """The plan a run was carried out by, its imagery looked up again.

    Raises:
        DataError: the imagery or the recipe is no longer what it was.
    """
    said: dict[str, Any] = folder.read_run()
    asked = said.get("asked") or {}
    if "recipe_folder" not in asked:
        raise DataError(f"{folder.path}: written by a version that did not keep what was asked; run it again")
    recipe = parse_recipe({**said["recipe"], "folder": _from(folder, asked["recipe_folder"])}, "in run.json")
    where = None
    if asked["aoi"] or asked["bbox"]:
        where = Where(_from(folder, asked["aoi"]) if asked["aoi"] else None, tuple(asked["bbox"] or ()) or None)
    runtime = said["runtime"]
    means = Means() if runtime["runtime"] == "numpy" else Means(runtime["runtime"], runtime["precision"])
    try:
        plan = plan_run(recipe, where, means)
    except AisfGeoError as error:
        raise DataError(f"{folder.path}: its imagery cannot be looked up again ({error})") from error
    if plan.digest != said["plan_digest"]:
        if plan.recipe.model_dump(mode="json") != said["recipe"]:
            raise DataError(f"{folder.path}: this version has recipe keys that it was made without; run it again")
        raise DataError(f"{folder.path}: its sources now hold other scenes than those it was made from")
    return plan


def _from(folder: RunFolder, relative: str) -> Path:
    return (folder.path.resolve() / relative).resolve()
