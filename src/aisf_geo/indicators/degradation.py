"""Degraded land (15.3.1): three sub-indicators by pixel, one out all out, and the status against the baseline.

Codes everywhere: -1 degraded, 0 stable, 1 improved, :data:`NODATA` not known. Sources: UNCCD Good Practice Guidance for
SDG indicator 15.3.1, version 2 (2021); IPCC 2006 for the soil factors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from aisf_geo.errors import UsageError

NODATA = -128
Codes = NDArray[np.int8]
Floats = NDArray[np.float64]

#: |z| from which a trend or a state differs at 95 %.
SIGNIFICANT_Z = 1.96

#: Named lookups of (trend, state, performance) to productivity; performance is -1 or 0. Published programs disagree on
#: some of the 18 rows, so the name of the table belongs to the result.
PRODUCTIVITY_TABLES: Mapping[str, Mapping[tuple[int, int, int], int]] = {}


def _table(*changed: tuple[tuple[int, int, int], int]) -> dict[tuple[int, int, int], int]:
    """The rows on which all agree, and those that a program takes its own way."""
    rows = {(t, s, p): t for t in (-1, 0, 1) for s in (-1, 0, 1) for p in (-1, 0)}
    return rows | dict(changed)


PRODUCTIVITY_TABLES = {
    # SEPAL sdg_15.3.1, function productivity_final.
    "sepal-gpg-v2": _table(((-1, 0, 0), 0), ((0, -1, -1), -1), ((0, 0, -1), -1), ((1, -1, -1), -1)),
    # SEPAL sdg_15.3.1, function productivity_final_GPG1.
    "sepal-gpg-v1": _table(((0, -1, -1), -1), ((1, -1, -1), -1)),
    # Trends.Earth 2: calc_prod5, then classes 1-2 degraded, 3-4 stable, 5 improved.
    "trends-earth-2": _table(((0, -1, -1), -1), ((0, -1, 0), -1), ((1, -1, -1), -1)),
    # Trends.Earth 1: calc_prod5, then classes 1-3 degraded, 4 stable, 5 improved.
    "trends-earth-1": _table(((0, -1, 0), -1), ((0, 0, -1), -1), ((1, -1, -1), 0)),
}
DEFAULT_TABLE = "sepal-gpg-v2"

#: Share of soil carbon left after 20 years under crops, by climate (IPCC 2006, land-use factor).
LAND_USE_FACTORS = {
    "temperate dry": 0.80,
    "temperate moist": 0.69,
    "tropical dry": 0.58,
    "tropical moist": 0.48,
    "tropical montane": 0.64,
}

#: The seven classes of UNCCD land cover, and what each transition counts as (row: before, column: after).
LAND_COVER = ("tree-covered", "grassland", "cropland", "wetland", "artificial", "other land", "water")
LAND_COVER_TRANSITIONS = np.array(
    [
        [0, -1, -1, -1, -1, -1, 0],
        [1, 0, 1, -1, -1, -1, 0],
        [1, -1, 0, -1, -1, -1, 0],
        [-1, -1, -1, 0, -1, -1, 0],
        [1, 1, 1, 1, 0, 1, 0],
        [1, 1, 1, 1, -1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    np.int8,
)

#: Status of a pixel by (baseline, reporting period).
STATUS = {
    (-1, -1): "persistent degradation",
    (0, -1): "recent degradation",
    (1, -1): "recent degradation",
    (-1, 0): "baseline degradation",
    (0, 0): "stable",
    (1, 0): "baseline improvement",
    (-1, 1): "recent improvement",
    (0, 1): "recent improvement",
    (1, 1): "persistent improvement",
}
STATUS_NAMES = tuple(dict.fromkeys(STATUS.values()))
STATUS_NODATA = 255


def _three(z: Floats) -> Codes:
    code = np.where(z > SIGNIFICANT_Z, 1, np.where(z < -SIGNIFICANT_Z, -1, 0)).astype(np.int8)
    code[np.isnan(z)] = NODATA
    return code


def mann_kendall_z(yearly: Floats) -> Floats:
    """Mann-Kendall z of ``(year, ...)``, with the correction for continuity and none for ties; NaN below four years.

    ``S = sum_{i<j} sign(x_j - x_i)``; ``z = (S - sign S) / sqrt(n (n - 1) (2 n + 5) / 18)``. Years that are NaN take no
    part. Source: Mann 1945; Kendall 1975.
    """
    s = np.zeros(yearly.shape[1:])
    for i in range(len(yearly) - 1):
        s += np.nansum(np.sign(yearly[i + 1 :] - yearly[i]), axis=0)
    n = np.isfinite(yearly).sum(axis=0)
    spread = np.sqrt(np.maximum(n * (n - 1) * (2 * n + 5) / 18.0, 1e-12))
    return np.where(n < 4, np.nan, (s - np.sign(s)) / spread)


def trend(yearly: Floats) -> Codes:
    """Productivity trend: -1 or 1 where ``|z| > 1.96``."""
    return _three(mann_kendall_z(yearly))


def state(yearly: Floats) -> Codes:
    """Productivity state: the mean of the last 3 years against the 13 before them.

    ``z = (mean of last 3 - mean of 13) / (sd of 13 / sqrt 3)``, sd of the population. NaN in a year makes nodata.

    Raises:
        UsageError: fewer than 16 years.
    """
    if len(yearly) < 16:
        raise UsageError(f"15.3.1 state: needs 16 years, found {len(yearly)}")
    before, recent = yearly[-16:-3], yearly[-3:]
    spread = before.std(axis=0) / np.sqrt(3)
    difference = recent.mean(axis=0) - before.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(spread > 0, difference / spread, np.where(difference == 0, 0.0, np.sign(difference) * np.inf))
    z[np.isnan(yearly[-16:]).any(axis=0)] = np.nan
    return _three(z)


def performance(npp: Floats, npp_p90: Floats) -> Codes:
    """-1 where productivity is under half of the 90th percentile of its similar region, else 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = npp / npp_p90
    code = np.where(ratio < 0.5, -1, 0).astype(np.int8)
    code[~np.isfinite(ratio)] = NODATA
    return code


def productivity(trend_: Codes, state_: Codes, performance_: Codes, table: str = DEFAULT_TABLE) -> Codes:
    """The productivity sub-indicator by a named table.

    Raises:
        UsageError: no table of that name.
    """
    if table not in PRODUCTIVITY_TABLES:
        raise UsageError(f"15.3.1: no table {table!r}; there are {', '.join(PRODUCTIVITY_TABLES)}")
    known = (trend_ != NODATA) & (state_ != NODATA) & (performance_ != NODATA)
    code = np.full(np.shape(trend_), NODATA, np.int8)
    for (t, s, p), value in PRODUCTIVITY_TABLES[table].items():
        code[known & (trend_ == t) & (state_ == s) & (performance_ == p)] = value
    return code


def land_cover_change(before: NDArray[np.integer], after: NDArray[np.integer]) -> Codes:
    """The land-cover sub-indicator: transitions between classes numbered as in :data:`LAND_COVER`; -1 is nodata."""
    known = (before >= 0) & (after >= 0)
    code = np.full(np.shape(before), NODATA, np.int8)
    code[known] = LAND_COVER_TRANSITIONS[before[known], after[known]]
    return code


def soil_carbon_after(stock: Floats, factor: float, years: float) -> Floats:
    """Soil carbon ``years`` after a change of land use: ``factor`` is reached in equal steps over 20 years."""
    return np.asarray(stock * (1 + (factor - 1) * min(years, 20) / 20))


def soil_carbon(before: Floats, after: Floats) -> Codes:
    """The soil sub-indicator: -1 at a loss of 10 % or more, 1 at a gain of 10 % or more."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change = 100 * (after - before) / before
    code = np.where(change <= -10, -1, np.where(change >= 10, 1, 0)).astype(np.int8)
    code[~np.isfinite(change)] = NODATA
    return code


def one_out_all_out(*sub_indicators: Codes) -> Codes:
    """Degraded if any is degraded, improved if one improves and none is degraded; nodata in any is nodata."""
    stack = np.stack(sub_indicators)
    code = np.where((stack == -1).any(axis=0), -1, np.where((stack == 1).any(axis=0), 1, 0)).astype(np.int8)
    code[(stack == NODATA).any(axis=0)] = NODATA
    return code


def status(baseline: Codes, report: Codes) -> NDArray[np.uint8]:
    """Index into :data:`STATUS_NAMES` of each pixel, 255 where either period is nodata."""
    code = np.full(np.shape(baseline), STATUS_NODATA, np.uint8)
    for (b, r), name in STATUS.items():
        code[(baseline == b) & (report == r)] = STATUS_NAMES.index(name)
    return code
