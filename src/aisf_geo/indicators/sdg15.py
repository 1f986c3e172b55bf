"""SDG 15: life on land."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from aisf_geo.indicators import degradation
from aisf_geo.indicators.definition import Definition, Outputs, share_pct
from aisf_geo.indicators.series import ClearedArea, ZoneSeries
from aisf_geo.indicators.values import Figure, Value, area_figure, measure_figure, published, too_little_seen

#: Smallest patch of trees that is a forest (FAO).
MIN_FOREST_M2 = 5_000.0
#: Classes that are green in 15.4.2, by the numbers of the source of the worked values.
GREEN_CLASSES = ("2", "3", "4", "5", "6")

#: Reference classes of a sample of the clearing map.
CLEARED, STANDING, NO_TREES = "cleared", "standing", "no trees"


def forest_share(forest: float, land: float) -> Outputs:
    """``100 * forest area / land area`` (15.1.1), areas in one unit; land leaves out inland water."""
    return share_pct(forest, land, "there is no land in the zone")


def forest_patches(
    trees: NDArray[np.bool_], pixel_m2: NDArray[np.float64], min_m2: float = MIN_FOREST_M2
) -> NDArray[np.bool_]:
    """The tree pixels that lie in patches of at least ``min_m2``, neighbours across corners included; ``(y, x)``.

    A patch that the edge of the array cuts counts by what is inside it.
    """
    patches, count = ndimage.label(trees, structure=np.ones((3, 3)))
    m2 = np.bincount(patches.ravel(), weights=pixel_m2.ravel(), minlength=count + 1)
    large = m2 >= min_m2 * (1 - 1e-9)
    large[0] = False
    return np.asarray(large[patches])


def degraded_share(degraded: float, land: float) -> Outputs:
    """``100 * degraded area / land area`` (15.3.1), areas in one unit; land leaves out water."""
    return share_pct(degraded, land, "there is no land in the zone")


def degraded_pixel(
    trend: int, state: int, performance: int, land_cover: int, soil: int, table: str = degradation.DEFAULT_TABLE
) -> Outputs:
    """One pixel by its sub-indicators (-1 degraded, 0 stable, 1 improved): one out, all out."""
    codes = [np.array([c], np.int8) for c in (trend, state, performance, land_cover, soil)]
    productivity = degradation.productivity(codes[0], codes[1], codes[2], table)
    whole = degradation.one_out_all_out(productivity, codes[3], codes[4])
    return {"value": int(whole[0]), "productivity": int(productivity[0]), "table": table}


def degradation_status(baseline: int, report: int) -> Outputs:
    """The status of a pixel: its baseline against the reporting period; nodata (-128) in either gives none."""
    name = degradation.STATUS.get((baseline, report))
    return {"value": None, "withheld": "not known in one of the periods"} if name is None else {"value": name}


def green_cover(belts: Mapping[str, Mapping[str, float]], green: Sequence[str] = GREEN_CLASSES) -> Outputs:
    """``100 * green area / mountain area``, in total and for each bioclimatic belt (15.4.2 a).

    Args:
        belts: area of each land-cover class in each belt, in one unit.
        green: the classes that are green cover.
    """
    sums = {
        belt: (sum(a for c, a in areas.items() if c in green), sum(areas.values())) for belt, areas in belts.items()
    }
    total = share_pct(sum(g for g, _ in sums.values()), sum(m for _, m in sums.values()), "there are no mountains")
    return dict(total) | {"belts": {belt: 100 * g / m if m > 0 else None for belt, (g, m) in sums.items()}}


def mountain_degradation(transitions_km2: Mapping[str, Mapping[str, float]], mountain_km2: float) -> Outputs:
    """``100 * degraded mountain area / mountain area`` by the transition matrix of land cover (15.4.2 b).

    ``transitions_km2`` holds areas by class before and class after, named as in ``degradation.LAND_COVER``.
    """
    names, degraded = degradation.LAND_COVER, 0.0
    for before, row in transitions_km2.items():
        for after, area in row.items():
            if degradation.LAND_COVER_TRANSITIONS[names.index(before), names.index(after)] == -1:
                degraded += area
    return dict(share_pct(degraded, mountain_km2, "there are no mountains")) | {"degraded_km2": degraded}


def cleared_share(cleared: float, baseline: float) -> Outputs:
    """``100 * cleared / tree cover of the baseline year``, areas in one unit."""
    return share_pct(cleared, baseline, "no tree cover stood there in the baseline year")


def cleared_hectares(cleared_m2: float) -> Outputs:
    """Cleared area in hectares."""
    return {"value": cleared_m2 / 1e4}


def _trees_of_land(areas: Mapping[str, float]) -> float | None:
    land = _land(areas)
    return 100 * areas["tree-cover"] / land if land > 0 else None


def _land(areas: Mapping[str, float]) -> float:
    return sum(areas.values()) - areas.get("water", 0.0)


TREE_SHARE = Figure(lambda areas: _trees_of_land(areas[0]), "%", lambda areas: _land(areas[0]))


def tree_cover_share(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """``100 * tree cover / observed land`` on each date; land leaves out water where the legend knows it (15.1.1).

    Numerator and denominator are both of the observed part, so that a cloud does not read as a loss.
    """
    values = []
    for seen in series.observations:
        inputs = {
            "tree_cover_m2": seen.by_role["tree-cover"],
            "land_m2": seen.decided_m2 - seen.by_role.get("water", 0.0),
            "zone_m2": seen.zone_m2,
        }
        measured = measure_figure(TREE_SHARE, [seen.by_role], [seen.sample], seen.no_sample)
        reason = too_little_seen(seen.coverage, min_coverage)
        values.append(
            published(
                TREE_SHARE, seen.period, seen.coverage, (seen.item,), measured, inputs, reason,
                undefined=lambda: "no land was observed in the zone",
            )
        )  # fmt: skip
    return values


CLEARED_AREA = area_figure(CLEARED, "ha", 1e-4)
CLEARED_SHARE = Figure(
    lambda areas: cleared_share(areas[0][CLEARED], areas[0][CLEARED] + areas[0][STANDING])["value"],
    "%",
    lambda areas: areas[0][CLEARED] + areas[0][STANDING],
)


def cleared_area(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Cumulative area in hectares of baseline tree cover that confirmed clearings had reached on each date."""
    return [_of_clearing(CLEARED_AREA, point, min_coverage) for point in series.cleared]


def cleared_share_series(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Cumulative clearing in % of the tree cover of the baseline year, on each date."""
    return [_of_clearing(CLEARED_SHARE, point, min_coverage) for point in series.cleared]


def _of_clearing(figure: Figure, point: ClearedArea, min_coverage: float) -> Value:
    coverage = min(1.0, point.followed_m2 / point.zone_m2) if point.zone_m2 > 0 else 0.0
    mapped = {CLEARED: point.cleared_m2, STANDING: point.baseline_m2 - point.cleared_m2}
    measured = measure_figure(figure, [mapped], [point.sample], point.no_sample)
    inputs: dict[str, Any] = {
        "cleared_m2": point.cleared_m2,
        "baseline_tree_cover_m2": point.baseline_m2,
        "followed_m2": point.followed_m2,
        "zone_m2": point.zone_m2,
    }
    return published(
        figure, point.period, coverage, point.items, measured, inputs, too_little_seen(coverage, min_coverage),
        undefined=lambda: "no tree cover stood there in the baseline year",
    )  # fmt: skip


_GPG = "UNCCD Good Practice Guidance for SDG indicator 15.3.1, version 2 (2021)"

DEFINITIONS = (
    Definition(
        code="15.1.1",
        version="2023",
        name="Tree-cover share of the zone",
        unit="%",
        tier="Tier I (FAO)",
        proxy=True,
        inputs={"forest": "forest area", "land": "land area without inland water, same unit"},
        function=forest_share,
        equation="100 x forest area / land area; sum both over zones before dividing",
        source="UN SDG metadata 15.1.1 (FAO); the date of the sheet is to be checked",
        check="Date of the sheet; FAO takes the land area of 2015 for all years; forest is land use, at least 0.5 ha "
        "with "
        "trees over 5 m and a canopy over 10 % (`forest_patches` leaves out smaller patches).",
        sees="Tree canopy. Not land use: a felled stand that will be replanted is forest to FAO, an orchard or a park "
        "is "
        "not, and height and canopy share are not measured by an index of greenness.",
        caveat="Supports 15.1.1 but is not it: tree cover seen from above is not forest land use, and small or low "
        "stands "
        "are not left out.",
        sentence="{value} of the land seen in {zone} were under tree cover ({when}).",
        roles=("tree-cover",),
        compute=tree_cover_share,
    ),
    Definition(
        code="cleared-area",
        version="1",
        name="Tree cover cleared since the baseline year",
        unit="ha",
        tier="Own figure; supports 15.1.1 and 15.2.1",
        proxy=True,
        inputs={"cleared_m2": "confirmed clearing of baseline tree cover, m2"},
        function=cleared_hectares,
        equation="area of baseline tree cover that was later without trees on several clear dates",
        source="This project: tree cover on every clear date of the baseline year, later without it on several clear "
        "dates",
        check="Nothing: it is no official indicator.",
        sees="That a canopy is gone. Not why, and not whether it is replanted; felling, storm, fire and disease look "
        "alike.",
        caveat="Cumulative: ground that greens up again stays counted. Felling, storm and disease look alike from "
        "above.",
        sentence="By {when}, {value} of the tree cover that stood in {zone} in the baseline year had been cleared.",
        roles=("tree-cover",),
        compute=cleared_area,
        needs_clearing=True,
    ),
    Definition(
        code="cleared-share",
        version="1",
        name="Share of the baseline tree cover that was cleared",
        unit="%",
        tier="Own figure; supports 15.1.1 and 15.2.1",
        proxy=True,
        inputs={
            "cleared": "confirmed clearing of baseline tree cover",
            "baseline": "tree cover of the baseline year, same unit",
        },
        function=cleared_share,
        equation="100 x cleared area / tree cover of the baseline year",
        source="This project: a ratio of two areas of one sample, so their covariance is part of the interval",
        check="Nothing: it is no official indicator.",
        sees="As cleared-area.",
        caveat="Cumulative: ground that greens up again stays counted. Felling, storm and disease look alike from "
        "above.",
        sentence="By {when}, {value} of the tree cover of the baseline year in {zone} had been cleared.",
        roles=("tree-cover",),
        compute=cleared_share_series,
        needs_clearing=True,
    ),
    Definition(
        code="15.3.1",
        version="2021-09",
        name="Proportion of land that is degraded",
        unit="%",
        tier="Tier I (UNCCD)",
        proxy=True,
        inputs={"degraded": "degraded land", "land": "land area without water, same unit"},
        function=degraded_share,
        equation="100 x degraded land / land area; sum both over zones before dividing",
        source=_GPG,
        check="The lookup table of productivity, the baseline period 2000-2015 and the land area used.",
        sees="Greenness over many years and land cover. Soil carbon is modelled from land cover, not seen. Rain, not "
        "management, moves greenness in dry lands.",
        caveat="Needs at least 16 years of productivity; from shorter series only its land-cover part can be given.",
    ),
    Definition(
        code="15.3.1-pixel",
        version="2021-09",
        name="Degradation of a pixel by its sub-indicators",
        unit="-1 degraded, 0 stable, 1 improved",
        tier="Step of 15.3.1, Tier I (UNCCD)",
        proxy=True,
        inputs={
            "trend": "productivity trend, -1, 0 or 1 (Mann-Kendall |z| > 1.96)",
            "state": "productivity state, -1, 0 or 1 (mean of the last 3 years against the 13 before)",
            "performance": "productivity performance, -1 or 0 (under half of the region's 90th percentile)",
            "land_cover": "land-cover change, -1, 0 or 1 (transition matrix)",
            "soil": "soil organic carbon, -1, 0 or 1 (10 % either way)",
            "table": "name of the lookup of productivity: " + ", ".join(degradation.PRODUCTIVITY_TABLES),
        },
        function=degraded_pixel,
        equation="degraded if any sub-indicator is degraded; improved if one improves and none is degraded",
        source=_GPG + "; lookups as the programs SEPAL sdg_15.3.1 and Trends.Earth have them",
        check="Which of the published lookups the reporting country uses: they disagree, see `aisf-geo conformance`.",
        sees="As 15.3.1.",
        caveat="The name of the lookup table belongs to the result: published tables disagree.",
    ),
    Definition(
        code="15.3.1-status",
        version="2021-09",
        name="Status of a pixel: baseline against reporting period",
        unit="status",
        tier="Step of 15.3.1, Tier I (UNCCD)",
        proxy=True,
        inputs={
            "baseline": "-1, 0, 1, or -128 for not known",
            "report": "-1, 0, 1, or -128 for not known",
        },
        function=degradation_status,
        equation="; ".join(f"{pair}: {name}" for pair, name in degradation.STATUS.items()),
        source=_GPG + " and its addendum (2025)",
        check="The seven names against the addendum.",
        sees="As 15.3.1.",
        caveat="Nodata in either period is nodata, never stable.",
    ),
    Definition(
        code="15.4.2",
        version="2022",
        name="Mountain green cover index (a)",
        unit="%",
        tier="Tier II (FAO)",
        proxy=True,
        inputs={
            "belts": "area of each land-cover class in each bioclimatic belt, km2",
            "green": "classes that count as green cover",
        },
        function=green_cover,
        equation="100 x green cover / mountain area, by bioclimatic belt and in total",
        source="UN SDG metadata 15.4.2 (FAO); mountain classes of Kapos et al. 2000",
        check="Tier, date, and that the total is of sums and not a mean of belts.",
        sees="Land cover and, from an elevation model, mountains. True ground area on slopes is larger than its map "
        "area.",
        caveat="Green is not healthy: cropland counts as green, bare rock above the tree line as not green.",
    ),
    Definition(
        code="15.4.2b",
        version="2022",
        name="Proportion of degraded mountain land",
        unit="%",
        tier="Tier II (FAO)",
        proxy=True,
        inputs={
            "transitions_km2": "mountain area by land cover before and after, km2",
            "mountain_km2": "mountain area, km2",
        },
        function=mountain_degradation,
        equation="100 x mountain area whose land-cover transition counts as degradation / mountain area",
        source="UN SDG metadata 15.4.2 (FAO); transition matrix of the UNCCD guidance on seven classes",
        check="The transition matrix: FAO's own has ten SEEA classes, here the seven of the UNCCD stand in.",
        sees="Land-cover change larger than the errors of two maps; without a sample of the change itself it cannot be "
        "told from them.",
        caveat="By the seven UNCCD classes; FAO's matrix of ten classes can give another figure.",
    ),
)
