"""A label map on disk, traced; the columns of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.features import FEATURE_COLUMNS
from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.mapped import legend_of
from aisf_geo.store.raster import read_pixels
from aisf_geo.vectorise.polygons import Features, concatenated
from aisf_geo.vectorise.trace import trace

#: Tags of a label map that go into the files made from it.
_TOLD = ("MADE_BY", "METHOD", "METHOD_VERSION", "ATTRIBUTION", "LICENCE")


def told(tags: Mapping[str, str]) -> dict[str, str]:
    """What the tags of a map say of its making; nothing for a map of another program."""
    return {key.lower(): value for key, value in tags.items() if key in _TOLD}


@dataclass(frozen=True)
class LabelMap:
    """A label map and what its features will say of it.

    Attributes:
        confidence: its map of confidences, None where there is none.
        tags: what the file says of itself: method, attribution, that it was made by AI.
        scene: id of the scene; ``datetime`` its acquisition, RFC 3339, empty where only a range is known.
    """

    labels: Path
    confidence: Path | None
    grid: Grid
    legend: Legend
    tags: dict[str, str]
    scene: str
    datetime: str

    @classmethod
    def of(cls, labels: Path, confidence: Path | None, scene: str | None, datetime: str) -> LabelMap:
        """The map in a file; the scene is the one the file names where none is given.

        Raises:
            LegendError: it carries no legend, so it is not a label map of this program.
        """
        header = read_header(str(labels))
        scene = scene or header.tags.get("SCENE", labels.stem)
        return cls(labels, confidence, header.grid, legend_of(labels), dict(header.tags), scene, datetime)

    @property
    def about(self) -> dict[str, str]:
        """What every file made from the map says of itself."""
        return told(self.tags) | {"scene": self.scene}

    def read(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Labels and confidences of a window."""
        pixels = np.asarray(read_pixels(self.labels, window), np.uint8)
        if self.confidence is None:
            return pixels, None
        return pixels, np.asarray(read_pixels(self.confidence, window), np.uint8)

    def trace(self) -> Features:
        """All its features, as they are in the map."""
        return concatenated(list(trace(self.read, self.grid)))

    def table(self, features: Features) -> geopandas.GeoDataFrame:
        """Features of the map under the names and dtypes of the contract, in its CRS."""
        names = {code: self.legend.class_name(code) for code in np.unique(features.code).tolist()}
        columns = {
            "id": [f"{self.scene}-{pixel}" for pixel in features.first_pixel],
            "class": features.code,
            "class_name": [names[code] for code in features.code.tolist()],
            "area_m2": features.area_m2,
            "confidence": features.confidence.round(4),
            "confidence_p10": features.confidence_p10.round(4),
            "datetime": self.datetime,
            "scene": self.scene,
            "edge": features.edge,
            "perimeter_m": features.perimeter_m.round(3),
            "open_border_share": features.open_border_share.round(6),
        }
        table = geopandas.GeoDataFrame(columns, geometry=features.geometry, crs=self.grid.pyproj_crs)
        return table.astype({c.name: c.dtype for c in FEATURE_COLUMNS})
