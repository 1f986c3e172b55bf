"""What can be compared window by window: two label maps, or two scenes with a method."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aisf_geo.change.method import Detection, Detector, min_mappable_m2
from aisf_geo.change.pair import ScenePair
from aisf_geo.change.transition import NOT_COMPARED, check_same_legend, transition_codes
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NO_CONFIDENCE, Legend
from aisf_geo.errors import GridError, LegendError
from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.mapped import legend_of
from aisf_geo.store.raster import read_pixels


class ChangeSource(Protocol):
    """Two epochs that can be compared window by window."""

    @property
    def id(self) -> str:
        """Names of both epochs."""
        ...

    @property
    def grid(self) -> Grid:
        """The grid both lie on."""
        ...

    @property
    def legend(self) -> Legend:
        """The classes transitions go from and to."""
        ...

    @property
    def min_area_m2(self) -> float:
        """The smallest change that becomes a feature unless the user says otherwise."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """Method, reason, version, warnings, attribution, licence and, for imagery, registration."""
        ...

    def detect(self, window: Window) -> Detection:
        """The answer for a window."""
        ...


@dataclass(frozen=True)
class LabelPair:
    """Two label maps on one grid with one legend: post-classification comparison."""

    before: Path
    after: Path
    grid: Grid
    legend: Legend
    facts: dict[str, Any]

    @property
    def id(self) -> str:
        """Names of both epochs."""
        return f"{_epoch(self.before)}_{_epoch(self.after)}"

    @property
    def min_area_m2(self) -> float:
        """Three by three pixels."""
        return min_mappable_m2(self.grid.gsd_m)

    def detect(self, window: Window) -> Detection:
        """The score is the lesser confidence of the two labels, which have none where no map of it lies beside them."""
        before, after = (np.asarray(read_pixels(p, window), np.uint8) for p in (self.before, self.after))
        codes = transition_codes(before, after)
        beside = [p.with_name("confidence.tif") for p in (self.before, self.after)]
        confidence = np.full(codes.shape, NO_CONFIDENCE, np.uint8)
        if all(path.exists() for path in beside):
            confidence = np.minimum(*(np.asarray(read_pixels(path, window), np.uint8) for path in beside))
        confidence[codes == NOT_COMPARED] = NO_CONFIDENCE
        return Detection(np.full(codes.shape, np.nan, np.float32), np.nan, codes, confidence)


def _epoch(labels: Path) -> str:
    return labels.resolve().parent.name if labels.stem == "labels" else labels.stem


def pair_of(before: Path, after: Path) -> LabelPair:
    """Two label maps, or two item folders, as a pair.

    Raises:
        GridError: they do not lie on one grid.
        LegendError: their classes differ, or different methods or model versions made them.
    """
    before, after = (path / "labels.tif" if path.is_dir() else path for path in (before, after))
    one, two = read_header(str(before)), read_header(str(after))
    legend = legend_of(before)
    check_same_legend(legend, legend_of(after))
    warnings = _check_same_method(one.tags, two.tags)
    if not one.grid.same_pixels(two.grid):
        raise GridError(
            f"change: the maps lie on different grids: {_short(one.grid)} before, {_short(two.grid)} after; "
            "interpret both on one grid"
        )
    terms = {
        key: list(dict.fromkeys(tags[tag] for tags in (one.tags, two.tags) if tag in tags))
        for key, tag in (("attribution", "ATTRIBUTION"), ("licence", "LICENCE"))
    }
    versions = [tags.get("METHOD_VERSION", "not stated") for tags in (one.tags, two.tags)]
    facts = {
        "method": "transitions",
        "version": " to ".join(dict.fromkeys(versions)),
        "reason": f"the classes of both dates compared pixel by pixel; both by {one.tags.get('METHOD', 'one method')}",
        "warnings": warnings,
        **terms,
    }
    return LabelPair(before, after, one.grid, legend, facts)


def _check_same_method(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Both maps must come from one method; an index may have found another threshold, which the reader is told.

    Raises:
        LegendError: two methods, two indices, or two versions of a model.
    """
    found = [(tags.get("METHOD", ""), tags.get("METHOD_VERSION", "")) for tags in (before, after)]
    if found[0] == found[1]:
        return []
    (method, version), (other_method, other_version) = found
    index, other_index = version.split(">")[0], other_version.split(">")[0]
    if method != other_method or index != other_index:
        raise LegendError(
            f"change: the maps were made by different interpreters: {method} ({version[:40]}) before, "
            f"{other_method} ({other_version[:40]}) after; what differs between them would look like change. "
            "Interpret both dates with one method or one version of a model"
        )
    return [
        f"thresholds were found for each date by itself ({version} and {other_version}): part of the change may come "
        "from that; a fixed threshold in the recipe avoids it"
    ]


def _short(grid: Grid) -> str:
    west, _, _, north = grid.bounds
    code = grid.pyproj_crs.to_string()[:24]
    return f"{code}, {grid.shape.width} x {grid.shape.height} px of {grid.gsd_m:.4g} m from {west:.6g}, {north:.6g}"


@dataclass(frozen=True)
class TwoScenes:
    """Two scenes to be compared on the grid of the first.

    Attributes:
        legend: the classes transitions go from and to.
        min_area_m2: the smallest change that becomes a feature unless the user says otherwise.
    """

    pair: ScenePair
    legend: Legend
    min_area_m2: float
    facts: dict[str, Any]

    @property
    def id(self) -> str:
        """Names of both epochs."""
        return self.pair.id

    @property
    def grid(self) -> Grid:
        """That of the first scene."""
        return self.pair.grid


@dataclass(frozen=True)
class DetectedPair(TwoScenes):
    """Two scenes and the method settled for them."""

    detector: Detector

    def detect(self, window: Window) -> Detection:
        """The method's answer, read with the surroundings it looks at."""
        padded = window.padded(self.detector.halo_px, self.grid.shape)
        found = self.detector.detect(self.pair.read(self.detector.bands, padded))
        rows, cols = window.relative_to(padded).slices
        return Detection(
            found.score[rows, cols], found.threshold, found.labels[rows, cols], found.confidence[rows, cols]
        )
