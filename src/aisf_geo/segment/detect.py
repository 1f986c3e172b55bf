"""A network that detects objects: centre heatmaps to boxes, block by block, none lost or doubled at a seam.

As in CenterNet (Zhou, Wang and Krähenbühl 2019, arXiv:1904.07850) an object is a local maximum of its class's heatmap,
with height and width read at that pixel. It belongs to the block that owns the pixel. Of overlapping boxes the weaker
is dropped even if the stronger is dropped as well (Fast NMS: Bolya et al. 2019, arXiv:1904.02689, section 3.2): so the
fate of a box hangs on its neighbours within a fixed reach alone, which every block reads as its halo.
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import expit

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED
from aisf_geo.domain.objects import OBJECT, Objects
from aisf_geo.domain.raster import Raster
from aisf_geo.segment.blocks import NetworkInterpreter
from aisf_geo.segment.card import Detection, ModelCard
from aisf_geo.segment.interpreter import ClassMap, Decision
from aisf_geo.segment.runtime import Runtime

#: A centre is the highest point this far around.
PEAK_RADIUS_PX = 3


class ObjectInterpreter(NetworkInterpreter):
    """A detector as an :class:`~aisf_geo.segment.interpreter.Interpreter`; its label map marks the centres."""

    def __init__(self, card: ModelCard, runtime: Runtime, bands: tuple[str, ...] | None = None) -> None:
        super().__init__(card, runtime, bands)
        if card.detection is None:
            raise ValueError(f"model {card.name!r} decides pixels, it detects no objects")
        self.detection = card.detection
        self._codes = np.array([entry.code for entry in card.heads[0].legend.classes], np.uint8)

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The pixels that decide the objects of ``core``: those of its halo too."""
        return super().read_window(core.padded(halo_px(self.detection), grid.shape), grid)

    def network_px(self, core: Window, grid: Grid) -> int:
        """Network-input pixels it takes to decide ``core``, those of the halo included."""
        return super().network_px(core.padded(halo_px(self.detection), grid.shape), grid)

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """The objects whose centres lie in ``core``, and the map of centres; raises as the base class."""
        around = _clipped(core, halo_px(self.detection), read)
        temperature = np.float32(self.card.heads[0].temperature)
        answer = self.scores(raster, read, around)
        heat = answer[:-2] / temperature
        valid = raster.valid[around.relative_to(read).slices]
        objects = find_objects(heat, answer[-2:], valid, self._codes, self.detection)
        objects["row"] += around.row
        objects["col"] += around.col
        mine = _lies(objects["row"], core.row, core.height) & _lies(objects["col"], core.col, core.width)
        inside = core.relative_to(around).slices
        return Decision({self.card.heads[0].name: self._centres(heat[:, *inside], valid[inside])}, objects[mine])

    def _centres(self, heat: NDArray[np.float32], valid: NDArray[np.bool_]) -> ClassMap:
        """The class of each pixel whose heat says centre; the background elsewhere."""
        likeliest = heat.argmax(axis=0)
        probability = expit(heat.max(axis=0))
        centre = probability >= self.detection.score_above
        labels = np.where(centre, self._codes[1 + likeliest], self._codes[0])
        sure = np.where(centre, probability, 1 - probability)
        confidence = np.rint(sure * CONFIDENCE_STEPS).astype(np.uint8)
        labels[~valid], confidence[~valid] = NOT_OBSERVED, NO_CONFIDENCE
        return ClassMap(labels, confidence)


def halo_px(detection: Detection) -> int:
    """How far away a box can drop another, and how far its own centre must be seen to be the highest point.

    Two intervals of lengths ``a`` and ``b`` whose centres lie ``d`` apart overlap by more than the share ``t`` of
    their union only if ``d < (a + b) (1 - t) / (2 (1 + t))``; boxes do so along both axes.
    """
    share = detection.overlap
    return math.ceil(detection.largest_px * (1 - share) / (1 + share)) + PEAK_RADIUS_PX


def find_objects(
    heat: NDArray[np.float32],
    size: NDArray[np.float32],
    valid: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    detection: Detection,
) -> Objects:
    """The objects of an image, in row-major order of their centres.

    Args:
        heat: logits of a centre, ``(class, y, x)``, without the background.
        size: logarithms of height and width in px, ``(2, y, x)``.
        valid: ``(y, x)``, True where observed; no centre lies elsewhere.
        codes: of the background, then of the classes.
        detection: the card's thresholds.
    """
    best = np.where(valid, heat.max(axis=0), -np.inf)
    least = np.float32(math.log(detection.score_above / (1 - detection.score_above)))
    highest = maximum_filter(best, size=2 * PEAK_RADIUS_PX + 1, mode="constant", cval=-np.inf)
    rows, cols = np.nonzero((best >= least) & (best == highest))
    objects = np.empty(len(rows), OBJECT)
    objects["row"], objects["col"] = rows + 0.5, cols + 0.5
    sides = np.exp(np.clip(size[:, rows, cols], 0, math.log(detection.largest_px)))
    objects["height_px"], objects["width_px"] = sides
    objects["code"] = codes[1 + heat[:, rows, cols].argmax(axis=0)]
    objects["confidence"] = expit(best[rows, cols])
    return objects[strongest(objects, best[rows, cols], detection.overlap)]


def strongest(objects: Objects, strength: NDArray[np.float32], overlap: float) -> NDArray[np.bool_]:
    """True for each object that overlaps no stronger one too much; of equals the first wins."""
    boxes = as_boxes(objects)
    pairs = shapely.STRtree(boxes).query(boxes, predicate="intersects").T
    shared = shapely.area(shapely.intersection(boxes[pairs[:, 0]], boxes[pairs[:, 1]]))
    area = shapely.area(boxes)
    iou = shared / (area[pairs[:, 0]] + area[pairs[:, 1]] - shared)
    weaker, stronger = pairs[iou > overlap].T
    beaten = (strength[stronger] > strength[weaker]) | ((strength[stronger] == strength[weaker]) & (stronger < weaker))
    kept = np.ones(len(objects), np.bool_)
    kept[weaker[beaten]] = False
    return kept


def as_boxes(objects: Objects) -> NDArray[np.object_]:
    """The boxes as polygons, x = column, y = row, in pixels."""
    row, col = objects["row"], objects["col"]
    half_y, half_x = objects["height_px"].astype(np.float64) / 2, objects["width_px"].astype(np.float64) / 2
    return np.asarray(shapely.box(col - half_x, row - half_y, col + half_x, row + half_y), dtype=object)


def _lies(centre: NDArray[np.float64], first: int, length: int) -> NDArray[np.bool_]:
    return np.asarray((centre >= first) & (centre < first + length))


def _clipped(core: Window, halo: int, read: Window) -> Window:
    """``core`` with its halo, cut where the pixels that were read end (there the grid ends)."""
    row, col = max(core.row - halo, read.row), max(core.col - halo, read.col)
    bottom = min(core.row + core.height + halo, read.row + read.height)
    right = min(core.col + core.width + halo, read.col + read.width)
    return Window(row, col, bottom - row, right - col)
