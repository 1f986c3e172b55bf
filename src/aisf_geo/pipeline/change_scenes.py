"""Two images to a settled pair: opened, co-registered, and a method fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aisf_geo.change.burn import BurnDetector, fit_dnbr
from aisf_geo.change.method import Detector
from aisf_geo.change.pair import Sample, ScenePair, paired, sample
from aisf_geo.change.spectral import fit_cva, fit_irmad
from aisf_geo.errors import DataError, LegendError, UnreadableError, UsageError
from aisf_geo.ingest.catalog import Hints, open_catalog
from aisf_geo.ingest.read import read_header
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.change_source import ChangeSource, DetectedPair, LabelPair, pair_of
from aisf_geo.pipeline.mapped import LEGEND_TAG
from aisf_geo.segment.card import find_model
from aisf_geo.shipped import model_folders

TRANSITIONS, SIAMESE = "transitions", "siamese"


@dataclass(frozen=True)
class SpectralMethod:
    """A method of two images: what it measures, the bands it needs (none: all that both share), how it is fitted."""

    score: str
    fit: Callable[[Sample], Detector]
    bands: tuple[str, ...] = ()


SPECTRAL: Mapping[str, SpectralMethod] = {
    "cva": SpectralMethod("length of the change vector in units of noise", fit_cva),
    "irmad": SpectralMethod("chi-squared statistic of the MAD variates", fit_irmad),
    "dnbr": SpectralMethod("dNBR", fit_dnbr, BurnDetector.bands),
}
METHODS = (TRANSITIONS, *SPECTRAL, SIAMESE)


def source_of(
    before: Path, after: Path, method: str | None, hints: Hints, use_bands: tuple[str, ...] | None = None
) -> ChangeSource:
    """What ``change`` compares: two label maps by their classes, or two images by ``method``.

    Raises:
        UsageError: the method does not fit what was given, or one is a label map and the other an image.
        GridError: the dates lie too far apart, or share no ground.
        BandError: bands that the method needs are missing.
    """
    for path in (before, after):
        if not path.exists():
            raise UnreadableError(f"change: {path}: no such file or folder; give two label maps, items or images")
    mapped = [_is_label_map(path) for path in (before, after)]
    if mapped[0] != mapped[1]:
        raise LegendError(
            f"change: {before if mapped[0] else after} is a label map and the other is an image; give two of one kind"
        )
    if mapped[0]:
        if method not in (None, TRANSITIONS):
            raise UsageError(f"change: --method {method} compares images, but two label maps were given; leave it out")
        return pair_of(before, after)
    if method not in (*SPECTRAL, SIAMESE):
        raise UsageError(
            f"change: two images were given, so --method is needed, one of {', '.join((*SPECTRAL, SIAMESE))}"
            + (f"; found {method}, which compares label maps: `aisf-geo segment` makes them" if method else "")
        )
    return detected_pair(one_scene(before, hints), one_scene(after, hints), method or "", use_bands)


def _is_label_map(path: Path) -> bool:
    if path.is_dir():
        return (path / "labels.tif").exists()
    if path.suffix.lower() not in (".tif", ".tiff") or not path.exists():
        return False
    try:
        return LEGEND_TAG in read_header(str(path)).tags
    except DataError:
        return False


def one_scene(path: Path, hints: Hints) -> Scene:
    """The only scene at ``path``.

    Raises:
        UsageError: there are several.
    """
    scenes = open_catalog(path, hints).scenes()
    if len(scenes) > 1:
        named = ", ".join(s.id for s in scenes[:4])
        raise UsageError(f"change: {path} holds {len(scenes)} scenes ({named}, ...); name one, or use change-series")
    return scenes[0]


def detected_pair(before: Scene, after: Scene, method: str, use_bands: tuple[str, ...] | None = None) -> DetectedPair:
    """Two scenes co-registered, with ``method`` settled for them."""
    pair = paired(before, after)
    if method == SIAMESE:
        detector, warnings = _siamese(pair)
        score = "probability of a change of buildings"
    else:
        known = SPECTRAL[method]
        for scene in (before, after):
            scene.require(use_bands or known.bands, f"method {method!r}")
        pixels = sample(pair, use_bands or known.bands or pair.shared_bands())
        if known.bands and pixels.saturated:
            raise UsageError(f"method {method!r}: {'; '.join(pixels.warnings)}; it needs every one of its bands")
        detector, warnings, score = known.fit(pixels), pixels.warnings, known.score
    facts = _facts(pair, detector, warnings, score)
    return DetectedPair(pair, detector.legend, detector.min_area_m2(pair.grid), facts, detector)


def _facts(pair: ScenePair, detector: Detector, warnings: list[str], score: str) -> dict[str, Any]:
    registration = pair.registration
    said = list(warnings)
    if registration is not None and registration.shift is None:
        said.append("co-registration could not be measured: no block has enough contrast on both dates")
    elif registration is not None and registration.spread_px > 1:
        said.append(f"the dates fit each other only within {registration.spread_px:.1f} px: edges may show as change")
    scenes = pair.before, pair.after
    return {
        "method": detector.name,
        "version": detector.version,
        "reason": detector.reason,
        "score": score,
        "warnings": said,
        "attribution": list(dict.fromkeys(s.attribution for s in scenes if s.attribution)),
        "licence": list(dict.fromkeys(s.licence for s in scenes if s.licence)),
        "registration": registration.as_json() if registration else None,
        "resampling": pair.resampling,
    }


def _siamese(pair: ScenePair) -> tuple[Detector, list[str]]:
    from aisf_geo.change.siamese import siamese_detector, usable_gsd

    card = find_model("building-change", model_folders())
    return siamese_detector(card, pair), usable_gsd(card, pair.grid)


def folder_name(source: ChangeSource) -> str:
    """The folder of a pair inside ``change/``."""
    return source.id if isinstance(source, LabelPair) else f"{source.id}_{source.facts['method']}"
