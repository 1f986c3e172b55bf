"""How much of a change result is noise: the same settings where nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aisf_geo.change.method import Detection
from aisf_geo.change.transition import NOT_COMPARED
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NO_CONFIDENCE, Legend
from aisf_geo.errors import GridError
from aisf_geo.ingest.area_of_interest import AreaOfInterest, area_from_file
from aisf_geo.pipeline.change import write_change, write_maps
from aisf_geo.pipeline.change_source import ChangeSource

NO_CONTROL = {
    "false_alarm_rate": None,
    "reason": "no pair of dates and no area known to be unchanged was given as a control; "
    "some of what is called change may be noise",
}


def write_with_control(
    source: ChangeSource,
    folder: Path,
    control: ChangeSource | Path | None = None,
    min_area_m2: float | None = None,
) -> dict[str, Any]:
    """A pair with its control: another pair known to be unchanged, or a file of polygons in which nothing changed.

    The control's own maps lie in ``control/`` beside those of the pair.
    """
    if control is None:
        return write_change(source, folder, dict(NO_CONTROL), min_area_m2)
    said: dict[str, Any]
    if isinstance(control, Path):
        base = source.source if isinstance(source, Inside) else source
        quiet: ChangeSource = Inside(base, area_from_file(control, source.grid))
        said = {"kind": "area", "control": control.name}
    else:
        quiet, said = control, {"kind": "pair", "control": control.id}
    limit_m2 = source.min_area_m2 if min_area_m2 is None else min_area_m2
    found = write_maps(quiet, folder / "control", limit_m2)
    said |= _rates(found.mappable_m2, found.changed_m2, found.compared_m2)
    said |= {"version": quiet.facts["version"], "min_area_m2": limit_m2}
    return write_change(source, folder, said, limit_m2)


@dataclass(frozen=True)
class Inside:
    """Two epochs compared inside an area only."""

    source: ChangeSource
    area: AreaOfInterest

    @property
    def id(self) -> str:
        """Names of both epochs."""
        return self.source.id

    @property
    def grid(self) -> Grid:
        """The grid of both."""
        return self.source.grid

    @property
    def legend(self) -> Legend:
        """That of the source."""
        return self.source.legend

    @property
    def min_area_m2(self) -> float:
        """That of the source."""
        return self.source.min_area_m2

    @property
    def facts(self) -> dict[str, Any]:
        """Those of the source."""
        return self.source.facts

    def detect(self, window: Window) -> Detection:
        """The answer of the source; outside nothing is compared."""
        found = self.source.detect(window)
        outside = ~self.area.covers(self.grid, window)
        return Detection(
            np.where(outside, np.float32(np.nan), found.score),
            found.threshold,
            np.where(outside, np.uint16(NOT_COMPARED), found.labels),
            np.where(outside, np.uint8(NO_CONFIDENCE), found.confidence),
        )


def _rates(mappable_m2: float, changed_m2: float, compared_m2: float) -> dict[str, Any]:
    """False alarms as shares of the area compared: of what becomes a feature, and of all changed pixels.

    Raises:
        GridError: nothing was compared in the control.
    """
    if not compared_m2:
        raise GridError("change: nothing was seen on both dates of the control; choose another pair or area")
    return {
        "false_alarm_rate": mappable_m2 / compared_m2,
        "false_alarm_rate_pixels": changed_m2 / compared_m2,
        "compared_m2": compared_m2,
        "changed_m2": changed_m2,
        "mappable_m2": mappable_m2,
    }
