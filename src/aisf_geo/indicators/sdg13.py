"""SDG 13: climate action. All of these support an official indicator; none is one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aisf_geo.indicators.definition import Definition, Outputs, share_pct
from aisf_geo.indicators.series import Observation, ZoneSeries
from aisf_geo.indicators.values import Figure, Value, area_figure, measure_figure, published, too_little_seen

#: Borders of burn-severity classes in dNBR and their names (USGS FIREMON, Key & Benson 2006).
SEVERITY_BORDERS = (-0.25, -0.10, 0.10, 0.27, 0.44, 0.66)
SEVERITY_NAMES = (
    "high regrowth",
    "low regrowth",
    "unburned",
    "low severity",
    "moderate-low severity",
    "moderate-high severity",
    "high severity",
)
NODATA = 255
#: Tonnes of CO2 in a tonne of carbon.
CO2_OF_C = 44 / 12
Z95 = 1.96
Floats = NDArray[np.float64]


def nbr(nir: Floats, swir2: Floats) -> Floats:
    """Normalised burn ratio ``(NIR - SWIR2) / (NIR + SWIR2)``; NaN where the sum is not positive."""
    total = nir + swir2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, (nir - swir2) / total, np.nan)


def severity_classes(nbr_before: Floats, nbr_after: Floats) -> NDArray[np.uint8]:
    """Index into :data:`SEVERITY_NAMES` by ``dNBR = before - after``; a border belongs to the class above it."""
    change = nbr_before - nbr_after
    code = np.digitize(change, SEVERITY_BORDERS).astype(np.uint8)
    code[np.isnan(change)] = NODATA
    return code


def burn_severity(nbr_before: float, nbr_after: float) -> Outputs:
    """DNBR of a pixel and the name of its severity."""
    code = int(severity_classes(np.array([nbr_before]), np.array([nbr_after]))[0])
    return {"value": nbr_before - nbr_after, "class": SEVERITY_NAMES[code]}


def exposure(people: float | None, built_up_m2: float | None, road_m: float | None) -> Outputs:
    """People, built-up hectares and road kilometres inside a flood or burn mask; what is not known stays None."""
    known = {
        "people": people,
        "built_up_ha": None if built_up_m2 is None else built_up_m2 / 1e4,
        "road_km": None if road_m is None else road_m / 1e3,
    }
    if people is None:
        return {"value": None, "withheld": "population is not known there"} | known
    return {"value": people} | known


def land_use_carbon(
    area_ha: Sequence[float],
    factor_t_c_per_ha: Sequence[float],
    area_uncertainty_pct: Sequence[float],
    factor_uncertainty_pct: Sequence[float],
) -> Outputs:
    """CO2 of land-use activities with IPCC approach 1: ``sum area x factor x 44/12``.

    The relative uncertainties (half a 95 % interval) of area and factor of one activity combine as a root of squares;
    the absolute ones of activities do too. Source: IPCC 2006 Guidelines, volume 1, chapter 3, eq. 3.1 and 3.2.
    """
    co2 = [a * f * CO2_OF_C for a, f in zip(area_ha, factor_t_c_per_ha, strict=True)]
    relative = [math.hypot(a, f) for a, f in zip(area_uncertainty_pct, factor_uncertainty_pct, strict=True)]
    half = math.sqrt(sum((e * r / 100) ** 2 for e, r in zip(co2, relative, strict=True)))
    total = sum(co2)
    of_total = 100 * half / abs(total) if total else None
    return {"value": total, "low": total - half, "high": total + half, "uncertainty_pct": of_total}


def heat_difference(urban_c: Sequence[float], ring_c: Sequence[float]) -> Outputs:
    """Mean land-surface temperature of the city minus that of the rural ring, in kelvin; NaN takes no part."""
    urban, ring = (np.asarray(v, float) for v in (urban_c, ring_c))
    urban, ring = urban[np.isfinite(urban)], ring[np.isfinite(ring)]
    if not urban.size or not ring.size:
        return {"value": None, "withheld": "no temperature was observed in the city or in the ring"}
    return {"value": float(urban.mean() - ring.mean()), "urban_c": float(urban.mean()), "ring_c": float(ring.mean())}


def impervious_share(impervious: float, land: float) -> Outputs:
    """``100 * sealed area / land area``, areas in one unit."""
    return share_pct(impervious, land, "no land was observed in the zone")


BURNED = area_figure("burned", "ha", 1e-4)
IMPERVIOUS = Figure(
    lambda areas: impervious_share(
        areas[0].get("built-up", 0.0) + areas[0].get("road", 0.0), sum(areas[0].values()) - areas[0].get("water", 0.0)
    )["value"],
    "%",
    lambda areas: sum(areas[0].values()) - areas[0].get("water", 0.0),
)


def burned_hectares(burned_m2: float) -> Outputs:
    """Burned area in hectares."""
    return {"value": burned_m2 / 1e4}


def burned_area(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Burned area on each date."""
    return [_of_date(BURNED, seen, min_coverage) for seen in series.observations]


def impervious(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Share of the observed land that is built up or road, on each date."""
    return [_of_date(IMPERVIOUS, seen, min_coverage) for seen in series.observations]


def _of_date(figure: Figure, seen: Observation, min_coverage: float) -> Value:
    measured = measure_figure(figure, [seen.by_role], [seen.sample], seen.no_sample)
    inputs = {"areas_m2": dict(seen.by_role), "zone_m2": seen.zone_m2}
    return published(
        figure, seen.period, seen.coverage, (seen.item,), measured, inputs,
        too_little_seen(seen.coverage, min_coverage), undefined=lambda: "no land was observed in the zone",
    )  # fmt: skip


_NEVER = "Supports {0}; never to be called {0}."

DEFINITIONS = (
    Definition(
        code="burned-area",
        version="1",
        name="Burned area",
        unit="ha",
        tier="Own figure; supports 13.1.1 and 15.3.1",
        proxy=True,
        inputs={"burned_m2": "burned area, m2"},
        function=burned_hectares,
        equation="area mapped as burned",
        source="This project: area of the class that counts as burned",
        check="Nothing: it is no official indicator.",
        sees="Char and lost leaves for weeks after a fire. Not fires under a closed canopy, and not who lit them.",
        caveat=_NEVER.format("13.1.1") + " Dark soil and shadow can look burned.",
        sentence="{value} in {zone} were burned ({when}).",
        roles=("burned",),
        compute=burned_area,
    ),
    Definition(
        code="exposed-people",
        version="1",
        name="People inside a flood or burn mask",
        unit="people",
        tier="Own figure; supports 13.1.1",
        proxy=True,
        inputs={
            "people": "people inside the mask, or null",
            "built_up_m2": "built-up area inside the mask, m2, or null",
            "road_m": "length of roads inside the mask, m, or null",
        },
        function=exposure,
        equation="sum of the population inside the mask, each cell by the share that lies in it",
        source="This project: overlay of a mask and a gridded population",
        check="13.1.1 counts people harmed, reported by countries; this counts people who live where the mask is.",
        sees="Where it burned or was flooded. Not who was at home, harmed or helped.",
        caveat=_NEVER.format("13.1.1") + " People are spread over cells by a model.",
    ),
    Definition(
        code="burn-severity",
        version="1",
        name="Burn severity (dNBR)",
        unit="index",
        tier="Own figure; supports 13.1.1 and 15.3.1",
        proxy=True,
        inputs={"nbr_before": "normalised burn ratio before", "nbr_after": "after the fire"},
        function=burn_severity,
        equation="dNBR = NBR before - NBR after, NBR = (NIR - SWIR2) / (NIR + SWIR2); classes at "
        + ", ".join(f"{b:g}" for b in SEVERITY_BORDERS),
        source="Key & Benson 2006, FIREMON landscape assessment; borders from general knowledge",
        check="The borders were made for forests of North America; calibrate them elsewhere.",
        sees="Lost leaf water and char. Not depth of burn in the soil.",
        caveat="Classes were calibrated in North American forests.",
    ),
    Definition(
        code="land-use-carbon",
        version="1",
        name="CO2 of land-use change",
        unit="t CO2",
        tier="Own figure; supports 13.2.2 (AFOLU)",
        proxy=True,
        inputs={
            "area_ha": "area of each activity, ha",
            "factor_t_c_per_ha": "carbon lost per hectare, t C/ha",
            "area_uncertainty_pct": "half of the 95 % interval of each area, %",
            "factor_uncertainty_pct": "half of the 95 % interval of each factor, %",
        },
        function=land_use_carbon,
        equation="sum of area x factor x 44/12; relative uncertainties combine as a root of squares (approach 1)",
        source="IPCC 2006 Guidelines, volume 1, chapter 3, and volume 4",
        check="The emission factors of the country; approach 1 asks for relative uncertainties under 30 %.",
        sees="Area of change. Not biomass, soil or what became of the wood.",
        caveat=_NEVER.format("13.2.2") + " Factors are usually less certain than areas.",
    ),
    Definition(
        code="urban-heat",
        version="1",
        name="Surface temperature of the city minus its rural ring",
        unit="K",
        tier="Own figure; supports 11 and 13",
        proxy=True,
        inputs={
            "urban_c": "land-surface temperatures in the city, degrees C",
            "ring_c": "land-surface temperatures in the rural ring, degrees C",
        },
        function=heat_difference,
        equation="mean of the city - mean of the ring",
        source="This project; land-surface temperature as in Landsat Collection 2 Level 2",
        check="Nothing: it is no official indicator.",
        sees="The skin temperature of roofs and crowns under a clear sky at the hour of the overpass. Not air "
        "temperature.",
        caveat="Surface temperature at one hour on clear days; people feel air temperature.",
    ),
    Definition(
        code="impervious-share",
        version="1",
        name="Impervious share of the land",
        unit="%",
        tier="Own figure; supports 11.3.1 and 13",
        proxy=True,
        inputs={"impervious": "built-up and road area", "land": "land area, same unit"},
        function=impervious_share,
        equation="100 x (built-up + road) / land",
        source="This project: sealed classes over observed land",
        check="Nothing: it is no official indicator.",
        sees="Roofs and pavement. Not pavement under trees; bare soil can look sealed.",
        caveat="Bare ground and roofs of soil look alike in some places; sealed ground under trees is not seen.",
        sentence="{value} of the land seen in {zone} were sealed ({when}).",
        roles=("built-up",),
        compute=impervious,
    ),
)
