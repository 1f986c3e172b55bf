"""Change without classes: change vectors and iteratively reweighted multivariate alteration detection (IR-MAD).

Both end in a sum of squares that follows a chi-squared law where nothing changed. How wide that law is in a pair of
real images no theory says: it is fitted to the bulk of the pixels (an empirical null, Efron 2004, JASA 99:96-104), so
that a pair without change has a threshold too and "none" is a possible answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.stats import chi2

from aisf_geo.change.method import Detection, margin_confidence, min_mappable_m2
from aisf_geo.change.pair import Epochs, Sample
from aisf_geo.change.transition import NOT_COMPARED
from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.errors import GridError

SPECTRAL_LEGEND = Legend(
    "spectral change",
    (LegendClass(0, "as before", (232, 230, 222)), LegendClass(1, "changed", (200, 60, 160))),
)
#: Of the pixels that did not change, the share the threshold lets through where the null law holds.
FALSE_ALARM = 1e-3
#: IR-MAD ends when no canonical correlation moves by more than this, or after so many rounds.
TOLERANCE, MAX_ROUNDS = 1e-3, 50
#: Pixels at least this likely unchanged normalise the second date (Canty & Nielsen 2008 use 0.95).
STABLE = 0.95


@dataclass(frozen=True)
class AlterationModel:
    """Canonical variates of two dates: ``MAD_i = a_i . (x - mean_x) - b_i . (y - mean_y)``.

    Attributes:
        a: ``(band, variate)``; columns have unit variance and a non-negative sum of correlations with their bands.
        correlation: canonical correlations ``(variate,)``, ascending: the most changed combination comes first.
        rounds: rounds of reweighting that were run.
    """

    mean_before: NDArray[np.float64]
    mean_after: NDArray[np.float64]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    correlation: NDArray[np.float64]
    rounds: int

    def variates(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """The MAD variates ``(n, variate)`` of pixels ``(n, band)``."""
        return np.asarray((before - self.mean_before) @ self.a - (after - self.mean_after) @ self.b)

    def statistic(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum of squared standardised variates, chi-squared with as many degrees of freedom where nothing changed."""
        variance = np.maximum(2 * (1 - self.correlation), 1e-12)
        return np.asarray((self.variates(before, after) ** 2 / variance).sum(axis=1))


def fit_alteration(
    before: NDArray[np.float64], after: NDArray[np.float64], max_rounds: int = MAX_ROUNDS
) -> AlterationModel:
    """IR-MAD of pixels ``(n, band)``; one round without reweighting is MAD.

    Nielsen 2007, The regularized iteratively reweighted MAD method for change detection in multi- and hyperspectral
    data, IEEE TIP 16(2):463-478: canonical correlation analysis in which each pixel weighs as much as it is likely
    unchanged, repeated until the correlations stand still.

    Raises:
        GridError: a band is constant, or a combination of others, so that no correlation exists.
    """
    weights = np.ones(len(before))
    last = np.full(before.shape[1], np.inf)
    for done in range(1, max_rounds + 1):
        model = _canonical(before, after, weights, done)
        if np.abs(model.correlation - last).max() < TOLERANCE:
            break
        last = model.correlation
        weights = chi2.sf(model.statistic(before, after), before.shape[1])
    return model


def _canonical(
    before: NDArray[np.float64], after: NDArray[np.float64], weights: NDArray[np.float64], rounds: int
) -> AlterationModel:
    """Weighted canonical correlation analysis by the generalised eigenproblem of Nielsen 2007, eq. 5."""
    bands = before.shape[1]
    total = weights.sum()
    both = np.hstack([before, after])
    mean = weights @ both / total
    centred = both - mean
    covariance = (centred * weights[:, None]).T @ centred / total
    s11, s12, s22 = covariance[:bands, :bands], covariance[:bands, bands:], covariance[bands:, bands:]
    try:
        squared, a = linalg.eigh(s12 @ linalg.solve(s22, s12.T, assume_a="pos"), s11)
    except linalg.LinAlgError as error:
        raise GridError(
            "change: a band is constant or a combination of the others on one date, so the dates cannot be correlated; "
            "leave it out with --use-bands"
        ) from error
    correlation = np.sqrt(np.clip(squared, 1e-12, 1 - 1e-12))
    a = a * np.where((np.diag(1 / np.sqrt(np.diag(s11))) @ s11 @ a).sum(axis=0) < 0, -1, 1)
    b = linalg.solve(s22, s12.T @ a, assume_a="pos") / correlation
    return AlterationModel(mean[:bands], mean[bands:], a, b, correlation, rounds)


@dataclass(frozen=True)
class Normalisation:
    """The second date's numbers as the first sensor and day would have had them: ``slope * y + offset`` per band.

    Attributes:
        noise: deviation of what is left on stable pixels, per band, robust (1.4826 times the median deviation).
        stable: pixels it rests on.
    """

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]
    noise: NDArray[np.float64]
    stable: int


def normalisation(pixels: Sample, model: AlterationModel) -> Normalisation:
    """Orthogonal regression on the pixels that IR-MAD holds for unchanged.

    Canty & Nielsen 2008, Automatic radiometric normalization of multitemporal satellite imagery with the iteratively
    re-weighted MAD transformation, RSE 112(3):1025-1036.

    Raises:
        GridError: fewer than 100 pixels are stable, so that the dates share no ground to compare on.
    """
    statistic = model.statistic(pixels.before, pixels.after)
    chance = chi2.sf(statistic / null_scale(statistic, pixels.before.shape[1]), pixels.before.shape[1])
    stable = chance > STABLE
    if stable.sum() < 100:
        raise GridError(
            f"change: only {int(stable.sum())} sampled pixels look unchanged, 100 are needed to compare the dates; "
            "use post-classification: interpret both dates and compare their labels"
        )
    x, y = pixels.before[stable], pixels.after[stable]
    sxx, syy = x.var(axis=0), y.var(axis=0)
    sxy = ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).mean(axis=0)
    # Slope of the line that minimises perpendicular distances, of x on y.
    slope = ((sxx - syy) + np.sqrt((sxx - syy) ** 2 + 4 * sxy**2)) / (2 * np.where(sxy == 0, np.inf, sxy))
    slope = np.where((slope > 0) & np.isfinite(slope), slope, 1.0)
    offset = x.mean(axis=0) - slope * y.mean(axis=0)
    # The spread of all pixels' bulk, not of those chosen for lying close.
    left = pixels.before - (slope * pixels.after + offset)
    noise = 1.4826 * np.median(np.abs(left - np.median(left, axis=0)), axis=0)
    return Normalisation(slope, offset, np.maximum(noise, 1e-12), int(stable.sum()))


def null_scale(statistic: NDArray[np.float64], freedom: int) -> float:
    """By how much the bulk of the pixels is wider than the chi-squared law, at least 1: ratio of the medians."""
    return max(1.0, float(np.median(statistic) / chi2.median(freedom)))


@dataclass(frozen=True)
class AlterationDetector:
    """IR-MAD settled for a pair: the score is the chi-squared statistic."""

    model: AlterationModel
    bands: tuple[str, ...]
    scale: float
    name: str = "irmad"
    legend: Legend = SPECTRAL_LEGEND
    halo_px: int = 0

    @property
    def threshold(self) -> float:
        """Of the statistic."""
        return float(self.scale * chi2.ppf(1 - FALSE_ALARM, len(self.bands)))

    @property
    def version(self) -> str:
        """Bands, rounds and threshold."""
        return f"irmad[{','.join(self.bands)}] rounds={self.model.rounds} > {self.threshold:.6g}"

    @property
    def reason(self) -> str:
        """How it decided."""
        rho = ", ".join(f"{r:.3f}" for r in self.model.correlation)
        return (
            f"IR-MAD over {', '.join(self.bands)} (Nielsen 2007), {self.model.rounds} rounds, correlations {rho}; "
            f"changed where the statistic exceeds {self.threshold:.4g}: {100 * FALSE_ALARM:g} % of a chi-squared law "
            f"scaled by {self.scale:.3g} to fit the bulk of the pixels"
        )

    def min_area_m2(self, grid: Grid) -> float:
        """Three by three pixels."""
        return min_mappable_m2(grid.gsd_m)

    def detect(self, epochs: Epochs) -> Detection:
        """Changed where the statistic exceeds its threshold."""
        return _decided(epochs, self.model.statistic(*_pixels(epochs)), self.threshold)


@dataclass(frozen=True)
class VectorDetector:
    """Change vector analysis: length of the difference after normalisation, each band in units of its noise.

    Malila 1980, Change vector analysis: an approach for detecting forest changes with Landsat, LARS Symposia 385.
    """

    normalised: Normalisation
    bands: tuple[str, ...]
    scale: float
    name: str = "cva"
    legend: Legend = SPECTRAL_LEGEND
    halo_px: int = 0

    @property
    def threshold(self) -> float:
        """Of the length."""
        return float(np.sqrt(self.scale * chi2.ppf(1 - FALSE_ALARM, len(self.bands))))

    @property
    def version(self) -> str:
        """Bands and threshold."""
        return f"cva[{','.join(self.bands)}] > {self.threshold:.6g}"

    @property
    def reason(self) -> str:
        """How it decided."""
        return (
            f"change vectors over {', '.join(self.bands)} (Malila 1980), the second date normalised on "
            f"{self.normalised.stable:,} stable sampled pixels (Canty & Nielsen 2008); changed where the length "
            f"exceeds {self.threshold:.4g} times the noise: {100 * FALSE_ALARM:g} % of a chi-squared law scaled by "
            f"{self.scale:.3g} to fit the bulk of the pixels"
        )

    def min_area_m2(self, grid: Grid) -> float:
        """Three by three pixels."""
        return min_mappable_m2(grid.gsd_m)

    def lengths(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
        """The lengths ``(n,)`` of pixels ``(n, band)``."""
        n = self.normalised
        return np.asarray(np.sqrt((((before - (n.slope * after + n.offset)) / n.noise) ** 2).sum(axis=1)))

    def detect(self, epochs: Epochs) -> Detection:
        """Changed where the vector is longer than the threshold."""
        return _decided(epochs, self.lengths(*_pixels(epochs)), self.threshold)


def fit_irmad(pixels: Sample) -> AlterationDetector:
    """IR-MAD fitted on a sample."""
    model = fit_alteration(pixels.before, pixels.after)
    scale = null_scale(model.statistic(pixels.before, pixels.after), len(pixels.bands))
    return AlterationDetector(model, pixels.bands, scale)


def fit_cva(pixels: Sample) -> VectorDetector:
    """Change vectors fitted on a sample."""
    normalised = normalisation(pixels, fit_alteration(pixels.before, pixels.after))
    free = VectorDetector(normalised, pixels.bands, 1.0)
    scale = null_scale(free.lengths(pixels.before, pixels.after) ** 2, len(pixels.bands))
    return VectorDetector(normalised, pixels.bands, scale)


def _pixels(epochs: Epochs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The pixels of both dates ``(n, band)``, 0 where not compared."""
    seen = epochs.valid
    before, after = (
        np.where(seen, raster.values, 0).reshape(len(raster.bands), -1).T.astype(np.float64)
        for raster in (epochs.before, epochs.after)
    )
    return before, after


def _decided(epochs: Epochs, score: NDArray[np.float64], threshold: float) -> Detection:
    seen = epochs.valid
    score = np.where(seen, score.reshape(seen.shape), np.nan)
    changed = np.nan_to_num(score) > threshold
    labels = np.where(seen, changed.astype(np.uint16), np.uint16(NOT_COMPARED))
    with np.errstate(invalid="ignore"):
        share = np.where(changed, score, threshold) / (score + threshold)
    return Detection(score.astype(np.float32), threshold, labels, margin_confidence(share, seen))
