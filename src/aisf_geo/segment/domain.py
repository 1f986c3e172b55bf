"""Whether a scene looks like what a model was trained on: band statistics and sharpness of small windows.

A network answers as surely on what it never saw. Windows of the scene are compared with those of the training
imagery: their band means, all together, by the distance of Mahalanobis (1936), so that exchanged bands show even where
each alone lies in range; and their sharpness, which falls with blur and upsampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.segment.card import Domain, ModelCard

#: Side of a window.
WINDOW_PX = 128
#: Share of a window that must be observed.
OBSERVED_SHARE = 0.5
#: Windows looked at along each side of a scene.
PER_SIDE = 4
#: Share of a scene's windows outside the domain from which on the scene is.
FAR_SHARE = 0.5


@dataclass(frozen=True)
class Look:
    """What a window looks like.

    Attributes:
        means: of the bands, float64 ``(band,)``.
        sharpness: mean absolute Laplacian of the bands' mean over its standard deviation; None where all is equal.
    """

    means: NDArray[np.float64]
    sharpness: float | None


def look_at(raster: Raster, bands: tuple[str, ...]) -> Look | None:
    """The look of a window in ``bands``; None where too little was observed."""
    if raster.valid.mean() < OBSERVED_SHARE:
        return None
    values = np.stack([raster.band(name) for name in bands]).astype(np.float64)
    means = values[:, raster.valid].mean(axis=1)
    filled = np.where(raster.valid, values, means[:, None, None])
    grey = filled.mean(axis=0)
    spread = float(grey.std())
    return Look(means, float(np.abs(laplace(grey)).mean()) / spread if spread > 1e-9 else None)


def windows(grid: Grid) -> Iterator[Window]:
    """Up to :data:`PER_SIDE` squared windows spread evenly over a grid."""
    side = Window(0, 0, min(WINDOW_PX, grid.shape.height), min(WINDOW_PX, grid.shape.width))
    rows, cols = (
        sorted({int(start) for start in np.linspace(0, length - part, min(PER_SIDE, max(1, length // part)))})
        for length, part in ((grid.shape.height, side.height), (grid.shape.width, side.width))
    )
    for row in rows:
        for col in cols:
            yield Window(row, col, side.height, side.width)


def domain_of(looks: Sequence[Look]) -> Domain:
    """What the training windows look like; at least one more than there are bands."""
    means = np.stack([look.means for look in looks])
    covariance = np.atleast_2d(np.cov(means, rowvar=False))
    covariance += np.eye(len(covariance)) * np.trace(covariance) * 1e-4 / len(covariance)
    centre = means.mean(axis=0)
    distances = [_distance(look.means, centre, covariance) for look in looks]
    low, high = np.quantile([look.sharpness for look in looks if look.sharpness is not None], [0.01, 0.99])
    return Domain(
        window_px=WINDOW_PX,
        mean=tuple(_rounded(centre)),
        covariance=tuple(tuple(_rounded(row)) for row in covariance),
        limit=round(float(np.quantile(distances, 0.99)), 3),
        sharpness=(round(float(low), 4), round(float(high), 4)),
    )


def doubts(card: ModelCard, looks: Sequence[Look], bands: tuple[str, ...], gsd_m: float | None) -> list[str]:
    """One sentence for each way in which a scene lies far outside what the model was trained on.

    Args:
        card: of the model; one without a measured domain is only asked for the ground sample distance.
        looks: of windows of the scene, in ``bands``.
        bands: those of the card that the scene has, in the card's order.
        gsd_m: of the scene; None where it is not known.
    """
    found = []
    finest, coarsest = card.gsd_m
    if gsd_m is not None and not finest / 1.5 <= gsd_m <= coarsest * 1.5:
        found.append(
            f"pixels of {gsd_m:.3g} m, but model {card.name} was trained on {finest:g} to {coarsest:g} m; "
            "expect errors, resample the scene"
        )
    if card.domain is None or not looks:
        return found
    places = [card.band_names.index(name) for name in bands]
    centre, covariance = np.array(card.domain.mean)[places], np.array(card.domain.covariance)[np.ix_(places, places)]
    far = [_distance(look.means, centre, covariance) > card.domain.limit for look in looks]
    if np.mean(far) > FAR_SHARE:
        strangest = np.median([(look.means - centre) / np.sqrt(np.diag(covariance)) for look in looks], axis=0)
        order = np.argsort(-np.abs(strangest))[:2]
        named = ", ".join(f"{bands[i]} {strangest[i]:+.1f} standard deviations" for i in order)
        found.append(
            f"band values unlike the training imagery of model {card.name} in {100 * np.mean(far):.0f} % of "
            f"{len(looks)} windows ({named}); check band order, scale and season before using the map"
        )
    sharp = [look.sharpness for look in looks if look.sharpness is not None]
    low, high = card.domain.sharpness
    if sharp and not low <= (middle := float(np.median(sharp))) <= high:
        kind = "blurrier" if middle < low else "noisier"
        found.append(
            f"the scene is {kind} than the training imagery of model {card.name} (sharpness {middle:.3f}, expected "
            f"{low:.3f} to {high:.3f}); was it resampled?"
        )
    return found


def _distance(means: NDArray[np.float64], centre: NDArray[np.float64], covariance: NDArray[np.float64]) -> float:
    away = means - centre
    return float(np.sqrt(away @ np.linalg.solve(covariance, away)))


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Six significant digits."""
    return [float(f"{value:.6g}") for value in values]
