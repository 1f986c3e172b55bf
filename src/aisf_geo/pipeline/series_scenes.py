"""The dates of a series: opened, dated, co-registered to the first, and read clear of cloud and shadow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.pair import ScenePair, measured
from aisf_geo.change.registration import Registration
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.period import Period
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import GridError, UsageError
from aisf_geo.ingest.catalog import Hints, open_catalog
from aisf_geo.ingest.quality import SHADOW_BANDS, without_shadow
from aisf_geo.ingest.scene import Scene
from aisf_geo.recipe_series import SeriesRecipe

#: A date at the start of a file's name: 1985, 1985-07 or 1985-07-31, with or without hyphens.
_DATE_IN_NAME = re.compile(r"(?<!\d)(19|20)\d\d(?:-?(0[1-9]|1[0-2])(?:-?(0[1-9]|[12]\d|3[01]))?)?(?!\d)")


def series_scenes(source: Path, recipe: SeriesRecipe) -> tuple[list[Scene], list[str]]:
    """The scenes in order of time, and what the reader must know of them.

    Raises:
        UsageError: fewer than two scenes, or one has no date and none in its name.
    """
    scenes, notes = [], []
    for scene in open_catalog(source, Hints(recipe.bands, recipe.sensor)).scenes():
        if scene.period is None:
            scene = replace(scene, period=_period_in(scene.id))
            notes.append("dates were taken from the names of the files")
        if recipe.nodata is not None:
            bands = tuple(
                (n, replace(b, nodata=b.nodata if b.nodata is not None else recipe.nodata)) for n, b in scene.bands
            )
            scene = replace(scene, bands=bands)
        licence, attribution = scene.licence or recipe.licence, scene.attribution or recipe.attribution
        scenes.append(replace(scene, licence=licence, attribution=attribution))
    if len(scenes) < 2:
        raise UsageError(f"change-series: {source} holds {len(scenes)} scene(s), at least two dates are needed")
    return sorted(scenes, key=lambda s: (s.period.start, s.id) if s.period else s.id), list(dict.fromkeys(notes))


def _period_in(name: str) -> Period:
    found = _DATE_IN_NAME.search(name)
    if found is None:
        raise UsageError(
            f"change-series: scene {name} states no date and its name holds none; rename it, e.g. to 2020-07-31.tif"
        )
    digits = found.group().replace("-", "")
    if len(digits) == 4:
        return Period.year(int(digits))
    return Period.instant(datetime.strptime(digits.ljust(8, "0").replace("00", "01"), "%Y%m%d").replace(tzinfo=UTC))


def day_of(scene: Scene) -> str:
    """When a scene was acquired: a day, or a year where no more is known."""
    if scene.period is None:
        return scene.id
    start = scene.period.start
    return start.date().isoformat() if scene.period.is_one_day else str(start.year)


@dataclass(frozen=True)
class Series:
    """Dates on the grid of the first.

    Attributes:
        pairs: for each scene, the pair it makes with the first; its registration is what was taken out.
    """

    scenes: tuple[Scene, ...]
    pairs: tuple[ScenePair, ...]

    @property
    def grid(self) -> Grid:
        """The grid outputs lie on."""
        return self.scenes[0].grid

    def read(self, bands: Sequence[str], window: Window) -> list[Raster]:
        """Each date in ``window``; where the bands allow, pixels much darker than usual are taken for shadow."""
        shadow = all(s.reflectance and set(SHADOW_BANDS) <= set(s.band_names) for s in self.scenes)
        wanted = tuple(dict.fromkeys((*bands, *(SHADOW_BANDS if shadow else ()))))
        rasters = [pair.read(wanted, window).after for pair in self.pairs]
        if not shadow:
            return rasters
        usual = {band: _median([np.where(r.valid, r.band(band), np.nan) for r in rasters]) for band in SHADOW_BANDS}
        return [without_shadow(raster, usual) for raster in rasters]


def _median(layers: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.asarray(np.nanmedian(np.stack(layers), axis=0), np.float32)


def registered(scenes: Sequence[Scene]) -> tuple[Series, list[str]]:
    """The series with each date's shift against the first measured; a date that cannot tell is left where it lies.

    Raises:
        GridError: a date lies further off than is corrected.
    """
    pairs, notes = [ScenePair(scenes[0], scenes[0])], []
    for scene in scenes[1:]:
        pair = ScenePair(scenes[0], scene)
        try:
            found = measured(pair)
        except GridError:
            found = Registration(None, 0.0, 0, 0)
        found.check()
        if found.shift is None:
            notes.append(f"{scene.id}: too little was seen to measure its shift; it is used as it lies")
        elif found.corrects:
            notes.append(f"{scene.id}: moved by {found.shift.length:.2f} px to fit {scenes[0].id}")
        pairs.append(replace(pair, registration=found))
    return Series(tuple(scenes), tuple(pairs)), notes
