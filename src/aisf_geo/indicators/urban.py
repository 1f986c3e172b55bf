"""Where the city is: the 500 m rule of UN-Habitat, and the degree of urbanisation (DEGURBA).

Both work on rasters whose pixels are square and equal in area, so in a projection that keeps areas.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

#: Codes of :func:`urban_extent`.
RURAL_BUILT, URBAN, SUBURBAN, FRINGE, CAPTURED, OTHER, NODATA = 1, 2, 3, 4, 5, 0, 255
CITY_CODES = (URBAN, SUBURBAN, FRINGE, CAPTURED)
DISC_RADIUS_M = 500.0
FRINGE_M = 100.0
CAPTURED_MAX_M2 = 2_000_000.0
#: Codes of :func:`degurba`.
DEGURBA_RURAL, DEGURBA_CLUSTER, DEGURBA_CENTRE = 1, 2, 3

Bools = NDArray[np.bool_]
CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])
SQUARE = np.ones((3, 3))


def built_share_around(built_up: Bools, observed: Bools, pixel_m: float) -> NDArray[np.float64]:
    """Share of the observed pixels within 500 m that are built up; NaN where nothing was observed there."""
    radius = int(DISC_RADIUS_M // pixel_m)
    rows, cols = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = (np.hypot(rows, cols) * pixel_m <= DISC_RADIUS_M).astype(float)
    built = signal.fftconvolve((built_up & observed).astype(float), disc, mode="same")
    seen = signal.fftconvolve(observed.astype(float), disc, mode="same")
    # The transform rounds: counts are whole numbers.
    built, seen = np.rint(built), np.rint(seen)
    return np.where(seen > 0, built / np.maximum(seen, 1), np.nan)


def urban_extent(built_up: Bools, pixel_m: float, observed: Bools | None = None) -> NDArray[np.uint8]:
    """The city by the 500 m rule: uint8 ``(y, x)``.

    2 urban: built up, more than half of the disc around it is built up; 3 suburban: 25-50 %; 1 rural built-up;
    4 fringe: open and within 100 m of urban or suburban; 5 captured: other open land fully enclosed by these, under
    200 ha; 0 other; 255 not observed. The city is 2-5. Pixels near the edge of the raster see less than a whole disc:
    give a margin of 500 m. Source: UN-Habitat, metadata 11.3.1 and 11.7.1; Angel et al., Atlas of Urban Expansion.
    """
    seen = np.ones(built_up.shape, np.bool_) if observed is None else observed
    built = built_up & seen
    share = built_share_around(built, seen, pixel_m)
    code = np.full(built.shape, OTHER, np.uint8)
    code[built] = RURAL_BUILT
    code[built & (share >= 0.25)] = SUBURBAN
    code[built & (share > 0.5)] = URBAN
    core = np.isin(code, (URBAN, SUBURBAN))
    if core.any():
        near = ndimage.distance_transform_edt(~core) * pixel_m <= FRINGE_M
        code[near & seen & ~built] = FRINGE
        inside = np.isin(code, (URBAN, SUBURBAN, FRINGE))
        code[_enclosed(inside, pixel_m) & seen & ~built] = CAPTURED
    code[~seen] = NODATA
    return code


def _enclosed(inside: Bools, pixel_m: float) -> Bools:
    """Holes in ``inside`` that are smaller than 200 ha."""
    holes, count = ndimage.label(ndimage.binary_fill_holes(inside) & ~inside, structure=CROSS)
    m2 = np.bincount(holes.ravel(), minlength=count + 1) * pixel_m**2
    small = m2 < CAPTURED_MAX_M2
    small[0] = False
    return np.asarray(small[holes])


def degurba(people: NDArray[np.float64], land_share: NDArray[np.float64] | None = None) -> NDArray[np.uint8]:
    """Degree of urbanisation of 1 km cells: 3 urban centre, 2 urban cluster, 1 rural, 255 no population known.

    Urban centre: cells of at least 1,500 people per km2 of land, joined over sides, at least 50,000 people together;
    gaps are filled. Urban cluster: cells of at least 300 per km2, joined over sides and corners, at least 5,000 people.

    Args:
        people: people of each cell, NaN where not known; cells are 1 km2.
        land_share: share of each cell that is land; None for all.
    """
    known = np.isfinite(people)
    count = np.where(known, people, 0.0)
    land = np.ones(people.shape) if land_share is None else land_share
    density = np.where(land > 0, count / np.maximum(land, 1e-9), 0.0)
    code = np.full(people.shape, DEGURBA_RURAL, np.uint8)
    code[_groups(density >= 300, count, SQUARE, 5_000)] = DEGURBA_CLUSTER
    centre = ndimage.binary_fill_holes(_groups(density >= 1_500, count, CROSS, 50_000))
    code[centre] = DEGURBA_CENTRE
    code[~known] = NODATA
    return code


def _groups(cells: Bools, people: NDArray[np.float64], joined: NDArray[np.generic], at_least: float) -> Bools:
    labels, count = ndimage.label(cells, structure=joined)
    total = np.bincount(labels.ravel(), weights=people.ravel(), minlength=count + 1)
    enough = total >= at_least
    enough[0] = False
    return np.asarray(enough[labels])
