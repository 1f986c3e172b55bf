"""What city analysts ask for beside the official indicators."""

from __future__ import annotations

from aisf_geo.indicators.definition import Definition, Outputs, share_pct
from aisf_geo.indicators.series import ZoneSeries
from aisf_geo.indicators.values import Figure, Value, measure_figure, published, too_little_seen


def green_share(green: float, land: float) -> Outputs:
    """``100 * green area / land area``, areas in one unit."""
    return share_pct(green, land, "no land was observed in the zone")


def road_density(road_m: float, land_m2: float) -> Outputs:
    """Kilometres of road for each km2 of land."""
    if land_m2 <= 0:
        return {"value": None, "withheld": "there is no land in the zone"}
    return {"value": (road_m / 1e3) / (land_m2 / 1e6)}


GREEN = Figure(
    lambda areas: green_share(
        areas[0].get("vegetation", 0.0) + areas[0].get("tree-cover", 0.0),
        sum(areas[0].values()) - areas[0].get("water", 0.0),
    )["value"],
    "%",
    lambda areas: sum(areas[0].values()) - areas[0].get("water", 0.0),
)


def green(series: ZoneSeries, min_coverage: float) -> list[Value]:
    """Share of the observed land that is vegetation or trees, on each date."""
    values = []
    for seen in series.observations:
        measured = measure_figure(GREEN, [seen.by_role], [seen.sample], seen.no_sample)
        inputs = {"areas_m2": dict(seen.by_role), "zone_m2": seen.zone_m2}
        values.append(
            published(
                GREEN, seen.period, seen.coverage, (seen.item,), measured, inputs,
                too_little_seen(seen.coverage, min_coverage), undefined=lambda: "no land was observed in the zone",
            )
        )  # fmt: skip
    return values


DEFINITIONS = (
    Definition(
        code="green-share",
        version="1",
        name="Green share of the land",
        unit="%",
        tier="Own figure; supports 11.7.1",
        proxy=True,
        inputs={"green": "vegetation and tree area", "land": "land area, same unit"},
        function=green_share,
        equation="100 x (vegetation + trees) / land",
        source="This project: vegetated classes over observed land",
        check="Nothing: it is no official indicator.",
        sees="Leaves from above, in the season of the image. Not whether people may enter, and not lawns under trees.",
        caveat="Of one day: meadows dry out and trees shed their leaves.",
        sentence="{value} of the land seen in {zone} were green ({when}).",
        roles=("vegetation",),
        compute=green,
    ),
    Definition(
        code="road-density",
        version="1",
        name="Road density",
        unit="km/km2",
        tier="Own figure; supports 9.1.1 and 11.2.1",
        proxy=True,
        inputs={"road_m": "length of roads, m", "land_m2": "land area, m2"},
        function=road_density,
        equation="road length / land area",
        source="This project: length of the road graph (`aisf-geo roads`) over land",
        check="Nothing: it is no official indicator.",
        sees="Roads wider than a few pixels. Not paths under trees, and not their state.",
        caveat="Roads under trees are missing; wide squares are not roads.",
    ),
)
