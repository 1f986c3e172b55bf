"""Index-and-threshold methods that need no weights: water, vegetation, snow, built-up, burn.

Each method is one normalised difference, a published default threshold, and a window in which an automatic threshold
is looked for. They are the baseline every network is measured against, and they can answer "none here".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend, LegendClass
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import BandError, UsageError
from aisf_geo.segment.interpreter import ClassMap, Decision

#: Index values are counted in 400 bins over -1..1, so that a threshold does not depend on how a scene was cut.
BINS = 400
BIN_EDGES = np.linspace(-1.0, 1.0, BINS + 1)
#: Smoothing of the histogram before a valley is looked for, in bins: 0.02 of an index.
SMOOTHING_BINS = 4
#: A valley separates two modes only if both rise to this multiple of its floor ...
MODE_TO_VALLEY = 2.0
#: ... and each side holds at least this share of the pixels.
MIN_MODE_SHARE = 0.005
#: Index distance from the threshold at which the confidence is 1 / (1 + 1/e) = 0.73.
CONFIDENCE_SCALE = 0.05

FloatArray = NDArray[np.float32]
Rule = Callable[[Raster], NDArray[np.bool_]]


@dataclass(frozen=True)
class Index:
    """A normalised difference ``(a - b) / (a + b)``.

    Attributes:
        default: published threshold: the class lies above it.
        window: where an automatic threshold may lie.
        source: the paper the index and its default come from.
    """

    name: str
    a: str
    b: str
    default: float
    window: tuple[float, float]
    source: str

    def __call__(self, raster: Raster) -> FloatArray:
        """The index, ``(y, x)`` in -1..1; NaN where not valid or where both bands are 0."""
        return normalised_difference(raster.band(self.a), raster.band(self.b))


@dataclass(frozen=True)
class Method:
    """One class, told from the rest by an index above a threshold.

    Attributes:
        indices: in order of preference; the first whose bands the scene has is used.
        extra_bands: needed by ``excludes``, with the bands of the index.
        excludes: pixels that pass the index and are known not to be the class.
        min_width_m: bodies narrower than this are left out: at 1 m a building's shadow passes every water index.
    """

    name: str
    legend: Legend
    indices: tuple[Index, ...]
    extra_bands: tuple[str, ...] = ()
    excludes: Rule | None = None
    min_width_m: float = 0.0

    def index_for(self, bands: Sequence[str]) -> Index:
        """The preferred index among those the bands allow.

        Raises:
            BandError: no index can be computed; the message says what would be needed.
        """
        for index in self.indices:
            if {index.a, index.b, *self.extra_bands} <= set(bands):
                return index
        wanted = " or ".join(", ".join(dict.fromkeys((i.a, i.b, *self.extra_bands))) for i in self.indices)
        raise BandError(
            f"method {self.name!r} needs the bands {wanted}; found {', '.join(bands)}. "
            "If bands are named differently, pass --bands in file order"
        )


def normalised_difference(a: FloatArray, b: FloatArray) -> FloatArray:
    """``(a - b) / (a + b)`` cut to -1..1, NaN where the sum is not positive."""
    total = a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(total > 0, (a - b) / total, np.nan)
    return np.clip(value, -1, 1).astype(np.float32)


def _water_like(raster: Raster) -> NDArray[np.bool_]:
    """Open water by NDWI: darker in the near infrared than snow, soil or char."""
    return np.asarray(normalised_difference(raster.band("green"), raster.band("nir")) > 0.25)


def _vegetated_or_water(raster: Raster) -> NDArray[np.bool_]:
    ndvi = normalised_difference(raster.band("nir"), raster.band("red"))
    return np.asarray((ndvi > 0.2) | _water_like(raster))


def _legend(name: str, title: str, colour: tuple[int, int, int], role: Any) -> Legend:
    other = LegendClass(0, f"not {title}", (232, 230, 222))
    return Legend(name, (other, LegendClass(1, title, colour, role)))


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method(
            "water",
            _legend("water", "water", (38, 112, 184), "water"),
            (
                Index("MNDWI", "green", "swir16", 0.0, (-0.2, 0.5), "Xu 2006, IJRS 27(14):3025-3033"),
                Index("NDWI", "green", "nir", 0.3, (0.0, 0.6), "McFeeters 1996, IJRS 17(7):1425-1432; 0.3: 2013"),
            ),
            min_width_m=9.0,
        ),
        Method(
            "vegetation",
            _legend("vegetation", "vegetation", (52, 132, 70), "vegetation"),
            (Index("NDVI", "nir", "red", 0.4, (0.2, 0.75), "Tucker 1979, RSE 8(2):127-150"),),
        ),
        Method(
            "snow",
            _legend("snow", "snow or ice", (120, 200, 226), "snow"),
            (Index("NDSI", "green", "swir16", 0.4, (0.2, 0.7), "Hall et al. 1995, RSE 54(2):127-140"),),
            extra_bands=("nir",),
            excludes=_water_like,
        ),
        Method(
            "built-up",
            _legend("built-up", "built-up", (196, 78, 66), "built-up"),
            (Index("NDBI", "swir16", "nir", 0.0, (-0.15, 0.2), "Zha et al. 2003, IJRS 24(3):583-594"),),
            extra_bands=("red", "green"),
            excludes=_vegetated_or_water,
        ),
        Method(
            "burn",
            _legend("burn", "burned", (122, 58, 36), "burned"),
            # NBR with its sign turned, so that burned lies above like every other class.
            (Index("-NBR", "swir22", "nir", 0.1, (0.0, 0.4), "Key & Benson 2006, USDA RMRS-GTR-164"),),
            extra_bands=("green",),
            excludes=_water_like,
        ),
    )
}


def method(name: str) -> Method:
    """A method by name.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    if name not in METHODS:
        raise UsageError(f"method: asked for {name!r}, known are {', '.join(METHODS)}")
    return METHODS[name]


@dataclass(frozen=True, slots=True)
class Threshold:
    """The threshold a scene is cut at, and why.

    Attributes:
        rule: ``valley`` found in the scene's histogram, ``default`` of the paper, or ``fixed`` by the user.
        reason: one plain sentence for the reader of the output.
    """

    value: float
    rule: Literal["valley", "default", "fixed"]
    reason: str

    def as_json(self) -> dict[str, Any]:
        """For run.json and the item's properties."""
        return {"value": round(self.value, 6), "rule": self.rule, "reason": self.reason}


def count_index(index: Index, raster: Raster) -> NDArray[np.int64]:
    """Histogram of the index over valid pixels, ``BINS`` counts; histograms of disjoint windows may be added."""
    values = index(raster)[raster.valid]
    return np.histogram(values[np.isfinite(values)], BIN_EDGES)[0].astype(np.int64)


def automatic_threshold(index: Index, histogram: NDArray[np.int64]) -> Threshold:
    """The lowest point between two modes of the index (Prewitt & Mendelsohn 1966), or the published default.

    A valley counts only inside the index's window and between two real modes; a scene without the class has no upper
    mode and gets the default, under which "none here" is a possible answer.
    """
    total = int(histogram.sum())
    low, high = np.searchsorted(BIN_EDGES, index.window)
    smooth = ndimage.gaussian_filter1d(histogram.astype(np.float64), SMOOTHING_BINS, mode="constant")
    first = last = int(low + np.argmin(smooth[low:high]))
    while last + 1 < high and smooth[last + 1] == smooth[first]:
        last += 1
    # An empty gap between the modes is cut in its middle.
    valley = (first + last) // 2
    floor = max(smooth[valley], 1e-12)
    peaks = smooth[:valley].max(initial=0.0), smooth[valley + 1 :].max(initial=0.0)
    shares = histogram[:valley].sum() / max(total, 1), histogram[valley:].sum() / max(total, 1)
    if min(peaks) >= MODE_TO_VALLEY * floor and min(shares) >= MIN_MODE_SHARE:
        value = float(BIN_EDGES[valley] + BIN_EDGES[valley + 1]) / 2
        above = f"{100 * shares[1]:.1f} % of the pixels lie above it"
        reason = f"{index.name} > {value:.4g}, the lowest point between two modes; {above}"
        return Threshold(value, "valley", reason)
    why = f"no second mode in this scene, so the published default is used ({index.source})"
    reason = f"{index.name} > {index.default:g}: {why}"
    return Threshold(index.default, "default", reason)


@dataclass(frozen=True)
class SpectralInterpreter:
    """A method with its index and threshold settled, ready to decide blocks."""

    method: Method
    index: Index
    threshold: Threshold

    @property
    def name(self) -> str:
        """The method's name."""
        return self.method.name

    @property
    def version(self) -> str:
        """Index and threshold: two runs that agree in it decide alike."""
        return f"{self.index.name}>{self.threshold.value:.6f}"

    @property
    def heads(self) -> Mapping[str, Legend]:
        """The method's two classes, under its name."""
        return {self.method.name: self.method.legend}

    @property
    def bands(self) -> tuple[str, ...]:
        """The bands of the index and of the exclusions."""
        return tuple(dict.fromkeys((self.index.a, self.index.b, *self.method.extra_bands)))

    def _support_px(self, grid: Grid) -> int:
        """Side of the square a body must nearly fill, odd; 1 where pixels are wider than the narrowest body."""
        return 2 * int(max(self.method.min_width_m / grid.gsd_m - 1, 0) / 2 + 0.5) + 1

    def read_window(self, core: Window, grid: Grid) -> Window:
        """The core and, on each side, what the support test looks at."""
        return core.padded(self._support_px(grid) - 1, grid.shape)

    def decide(self, raster: Raster, read: Window, core: Window) -> Decision:
        """Labels 0/1 of ``core``; 254 where the bands give no index."""
        value = self.index(raster)
        passed = value > self.threshold.value
        if self.method.excludes is not None:
            passed &= ~self.method.excludes(raster)
        # Numbers may stay under a cloud; they must not speak for what lies around it.
        passed &= raster.valid
        supported = supported_by_square(passed, raster.valid, self._support_px(raster.grid))
        inside = core.relative_to(read).slices
        decided = np.isfinite(value[inside])
        margin = np.abs(value[inside] - np.float32(self.threshold.value))
        sure = 1 / (1 + np.exp(-np.nan_to_num(margin) / CONFIDENCE_SCALE))
        # What the index says and the surroundings overrule is a coin toss.
        sure[(supported != passed)[inside]] = 0.5
        labels = np.where(decided, supported[inside], UNKNOWN).astype(np.uint8)
        confidence = np.where(decided, np.rint(sure * CONFIDENCE_STEPS), 0).astype(np.uint8)
        valid = raster.valid[inside]
        labels[~valid], confidence[~valid] = NOT_OBSERVED, NO_CONFIDENCE
        return Decision({self.name: ClassMap(labels, confidence)})


#: Share of a square's observed pixels that must pass for the square to count as filled.
FILLED = 0.8


def supported_by_square(passed: NDArray[np.bool_], valid: NDArray[np.bool_], side_px: int) -> NDArray[np.bool_]:
    """The pixels of ``passed`` that lie in some square of ``side_px`` of whose valid pixels 80 % passed.

    An opening that forgives single missing pixels; unobserved pixels and those beyond the edge count neither way.
    """
    if side_px == 1:
        return passed
    hits, seen = _box_count(passed, side_px), _box_count(valid, side_px)
    filled = (hits >= FILLED * seen) & (2 * seen >= side_px**2)
    return np.asarray(passed & (_box_count(filled, side_px) > 0))


def _box_count(mask: NDArray[np.bool_], side_px: int) -> NDArray[np.int32]:
    """How many pixels of the square around each pixel are set; exact integers, 0 beyond the edge."""
    ones = np.ones(side_px, np.int32)
    by_row = ndimage.correlate1d(mask.astype(np.int32), ones, axis=0, mode="constant")
    return np.asarray(ndimage.correlate1d(by_row, ones, axis=1, mode="constant"))


def fit(method_name: str, bands: Sequence[str], threshold: float | None) -> tuple[Method, Index, Threshold | None]:
    """What a scene with ``bands`` will be interpreted with; the threshold is None while it must be measured."""
    chosen = method(method_name)
    index = chosen.index_for(bands)
    if threshold is None:
        return chosen, index, None
    return chosen, index, Threshold(threshold, "fixed", f"{index.name} > {threshold} as the recipe asks")
