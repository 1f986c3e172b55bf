"""Classes on two dates by indices in order of precedence, straight from the imagery, to transitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aisf_geo.change.method import Detection, min_mappable_m2
from aisf_geo.change.pair import ScenePair
from aisf_geo.change.transition import NOT_COMPARED, transition_codes
from aisf_geo.domain.grid import Window
from aisf_geo.domain.legend import NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend, LegendClass
from aisf_geo.domain.raster import Raster
from aisf_geo.domain.tiling import blocks
from aisf_geo.pipeline.change_source import TwoScenes
from aisf_geo.recipe_series import Classes
from aisf_geo.segment.spectral import BINS, SpectralInterpreter, automatic_threshold, count_index, fit

REST_COLOUR = (214, 160, 120)


@dataclass(frozen=True)
class ClassedPair(TwoScenes):
    """Two dates whose pixels get the class of the first layer that takes them.

    Attributes:
        layers: for each date, the settled methods in order.
    """

    layers: tuple[tuple[SpectralInterpreter, ...], tuple[SpectralInterpreter, ...]]

    def detect(self, window: Window) -> Detection:
        """Transition codes; the confidence is the lesser of both dates."""
        padded = window
        for interpreter in self.layers[0]:
            padded = max(padded, interpreter.read_window(window, self.grid), key=lambda w: w.height * w.width)
        bands = tuple(dict.fromkeys(band for interpreter in self.layers[0] for band in interpreter.bands))
        epochs = self.pair.read(bands, padded)
        labels, sure = zip(
            *(
                _classed(raster, layers, padded, window)
                for raster, layers in zip((epochs.before, epochs.after), self.layers, strict=True)
            ),
            strict=True,
        )
        codes = transition_codes(*labels)
        confidence = np.where(codes == NOT_COMPARED, NO_CONFIDENCE, np.minimum(*sure)).astype(np.uint8)
        return Detection(np.full(codes.shape, np.nan, np.float32), np.nan, codes, confidence)


def _classed(
    raster: Raster, layers: Sequence[SpectralInterpreter], read: Window, core: Window
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Labels and confidences of ``core``: class ``k`` of layer ``k`` (from 1), 0 for the rest."""
    shape = core.height, core.width
    labels, sure = np.zeros(shape, np.uint8), np.full(shape, 254, np.uint8)
    open_still = np.ones(shape, np.bool_)
    for number, interpreter in enumerate(layers, start=1):
        decision = interpreter.decide(raster, read, core)
        unseen = decision.labels >= UNKNOWN
        labels[open_still & unseen] = NOT_OBSERVED
        sure[open_still] = np.minimum(sure, decision.confidence)[open_still]
        taken = open_still & (decision.labels == 1)
        labels[taken] = number
        sure[taken] = decision.confidence[taken]
        open_still &= ~taken & ~unseen
    return labels, sure


def classed_pair(pair: ScenePair, asked: Classes) -> ClassedPair:
    """The pair with every threshold settled on each date.

    Raises:
        BandError: a layer needs bands that a date lacks.
    """
    settled = [[_settled(pair, date, layer) for layer in asked.layers] for date in (0, 1)]
    classes = [LegendClass(0, asked.rest, REST_COLOUR, asked.rest_counts_as)]
    for number, (layer, interpreter) in enumerate(zip(asked.layers, settled[0], strict=True), start=1):
        target = interpreter.method.legend.classes[1]
        classes.append(replace(target, code=number, role=layer.counts_as or target.role))
    scenes = (pair.before, pair.after)
    versions = ["+".join(i.version for i in layers) for layers in settled]
    warnings = []
    if versions[0] != versions[1]:
        warnings.append(f"thresholds were found for each date by itself: {versions[0]} and {versions[1]}")
    facts = {
        "method": "transitions",
        "version": " to ".join(dict.fromkeys(versions)),
        "reason": "classes by index, in this order: "
        + "; ".join(f"{i.method.legend.classes[1].name} where {i.threshold.reason}" for i in settled[1])
        + f"; else {asked.rest}",
        "warnings": warnings,
        "attribution": list(dict.fromkeys(s.attribution for s in scenes if s.attribution)),
        "licence": list(dict.fromkeys(s.licence for s in scenes if s.licence)),
        "registration": pair.registration.as_json() if pair.registration else None,
        "resampling": pair.resampling,
    }
    legend, layers = Legend("layers", tuple(classes)), (tuple(settled[0]), tuple(settled[1]))
    return ClassedPair(pair, legend, min_mappable_m2(pair.grid.gsd_m), facts, layers)


def _settled(pair: ScenePair, date: int, layer: Any) -> SpectralInterpreter:
    """One method on one date, its threshold fixed or found over the whole grid."""
    scene = (pair.before, pair.after)[date]
    method, index, fixed = fit(layer.method, scene.band_names, layer.threshold)
    if fixed is None:
        counts: NDArray[np.int64] = np.zeros(BINS, np.int64)
        for block in blocks(pair.grid):
            epochs = pair.read((index.a, index.b), block.core)
            counts += count_index(index, (epochs.before, epochs.after)[date])
        fixed = automatic_threshold(index, counts)
    return SpectralInterpreter(method, index, fixed)
