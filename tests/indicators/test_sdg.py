from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.domain.legend import Role
from aisf_geo.domain.period import Period
from aisf_geo.errors import RecipeError
from aisf_geo.indicators import registry
from aisf_geo.indicators.definition import Definition
from aisf_geo.indicators.sdg06 import change_pct, water_extent
from aisf_geo.indicators.sdg15 import cleared_area, tree_cover_share
from aisf_geo.indicators.series import ClearedArea, Observation, ZoneSeries
from aisf_geo.indicators.values import Value, too_little_seen

ZONE_KM2 = 100.0
BASELINE = [12.0, 11.8, 12.2, 12.4, 11.6]
REPORT = [10.5, 10.8, 10.2, 10.6, 10.4]


def seen(year: int, water_km2: float, *, coverage: float = 1.0, month: int = 7) -> Observation:
    """One date of a zone of 100 km2, water and the rest."""
    observed = ZONE_KM2 * coverage
    by_role: Mapping[Role, float] = {"water": water_km2 * 1e6, "other": (observed - water_km2) * 1e6}
    moment = Period.instant(datetime(year, month, 1, tzinfo=UTC))
    return Observation(f"{year}-{month:02}", moment, by_role, (ZONE_KM2 - observed) * 1e6, ZONE_KM2 * 1e6)


def series_of(*observations: Observation, outside: bool = False) -> ZoneSeries:
    return ZoneSeries("z1", "North", tuple(observations), outside=outside)


def yearly(first: int, *water_km2: float) -> list[Observation]:
    return [seen(first + i, km2) for i, km2 in enumerate(water_km2)]


def means(values: list[Value]) -> list[Value]:
    return [v for v in values if v.name == "Five-year mean extent of open water"]


def changes(values: list[Value]) -> list[Value]:
    return [v for v in values if v.unit == "%"]


class TestWaterPerDate:
    def test_each_date_gives_its_water_in_square_kilometres(self) -> None:
        values = water_extent(series_of(*yearly(2019, 12.0, 11.5)), 0.7)
        assert [(v.value, v.unit, v.items) for v in values] == [
            (12.0, "km2", ("2019-07",)),
            (11.5, "km2", ("2020-07",)),
        ]
        said = {"water_km2": 12.0, "observed_km2": 100.0, "zone_km2": 100.0}
        assert values[0].inputs == said | {"interval_note": "no reference sample was labelled for this map"}

    def test_a_date_seen_too_little_is_withheld_with_the_shares(self) -> None:
        (value,) = water_extent(series_of(seen(2019, 12, coverage=0.5)), 0.7)
        assert value.value is None
        assert value.withheld_reason == "only 50 % of the zone was observed, the recipe asks for 70 %"
        assert value.coverage == pytest.approx(0.5)

    def test_exactly_enough_is_enough(self) -> None:
        assert too_little_seen(0.7, 0.7) is None

    def test_a_zone_without_water_has_zero_and_not_nothing(self) -> None:
        (value,) = water_extent(series_of(seen(2019, 0.0)), 0.7)
        assert value.value == 0.0
        assert value.withheld_reason is None

    def test_no_dates_give_no_values(self) -> None:
        assert water_extent(series_of(), 0.7) == []


class TestFiveYearMeans:
    def test_the_change_of_the_worked_example_is_minus_twelve_and_a_half_percent(self) -> None:
        values = water_extent(series_of(*yearly(2005, *BASELINE, *REPORT)), 0.7)
        assert [m.value for m in means(values)] == pytest.approx([12.0, 10.5])
        (change,) = changes(values)
        assert change.value == pytest.approx(-12.5)
        assert change.inputs["baseline_km2"] == pytest.approx(12.0)
        assert change.inputs["report_km2"] == pytest.approx(10.5)
        assert change.period == Period(datetime(2010, 1, 1, tzinfo=UTC), datetime(2015, 1, 1, tzinfo=UTC))
        assert len(change.items) == 5

    @pytest.mark.parametrize("years", range(1, 5))
    def test_fewer_than_five_years_give_no_mean(self, years: int) -> None:
        values = water_extent(series_of(*yearly(2005, *BASELINE[:years])), 0.7)
        assert len(values) == years
        assert means(values) == []

    @pytest.mark.parametrize("years", range(5, 10))
    def test_from_five_to_nine_years_give_one_mean_and_no_change(self, years: int) -> None:
        values = water_extent(series_of(*yearly(2005, *(BASELINE + REPORT)[:years])), 0.7)
        assert [m.value for m in means(values)] == pytest.approx([12.0])
        assert changes(values) == []

    def test_a_period_with_a_missing_year_gives_no_mean_and_the_next_one_still_does(self) -> None:
        dates = [o for o in yearly(2005, *BASELINE, *REPORT) if o.period.start.year != 2007]
        values = water_extent(series_of(*dates), 0.7)
        (mean,) = means(values)
        assert mean.value == pytest.approx(10.5)
        assert mean.period.start.year == 2010
        assert changes(values) == []

    def test_a_year_seen_too_little_is_a_missing_year(self) -> None:
        dates = yearly(2005, *BASELINE)
        dates[2] = seen(2007, 2.0, coverage=0.3)
        assert means(water_extent(series_of(*dates), 0.7)) == []

    def test_a_year_of_many_dates_weighs_no_more_than_a_year_of_one(self) -> None:
        dates = [*yearly(2005, *BASELINE), seen(2005, 18.0, month=9), seen(2005, 15.0, month=10)]
        (mean,) = means(water_extent(series_of(*dates), 0.7))
        assert mean.inputs["yearly_km2"] == pytest.approx(
            {"2005": 15.0, "2006": 11.8, "2007": 12.2, "2008": 12.4, "2009": 11.6}
        )
        assert mean.value == pytest.approx(12.6)
        assert len(mean.items) == 7

    def test_a_zone_that_was_dry_has_no_relative_change_and_says_why(self) -> None:
        values = water_extent(series_of(*yearly(2005, *[0.0] * 5, *REPORT)), 0.7)
        (change,) = changes(values)
        assert change.value is None
        assert change.withheld_reason == "the baseline extent is zero, so a relative change is not defined"

    def test_every_later_period_is_compared_with_the_first(self) -> None:
        values = water_extent(series_of(*yearly(2000, *[10.0] * 5, *[5.0] * 5, *[20.0] * 5)), 0.7)
        assert [c.value for c in changes(values)] == pytest.approx([-50.0, 100.0])

    @pytest.mark.parametrize(("baseline", "report", "change"), [(10, 15, 50), (10, 10, 0), (10, 0, -100), (0, 5, None)])
    def test_gain_is_positive(self, baseline: float, report: float, change: float | None) -> None:
        assert change_pct(baseline, report) == change

    @given(water=st.lists(st.floats(0.1, 90), min_size=10, max_size=10), factor=st.floats(0.1, 1.0))
    def test_the_change_does_not_depend_on_the_unit_of_area(self, water: list[float], factor: float) -> None:
        one, other = (water_extent(series_of(*yearly(2005, *w)), 0.0) for w in (water, [factor * w for w in water]))
        assert changes(one)[0].value == pytest.approx(changes(other)[0].value, abs=1e-6)


def land(trees: float, rest: float, *, water: float | None = None, zone: float = 100.0) -> Observation:
    by_role: dict[Role, float] = {"tree-cover": trees, "other": rest}
    if water is not None:
        by_role["water"] = water
    return Observation("a", Period.year(2020), by_role, 0.0, zone)


class TestTreeCoverShare:
    @pytest.mark.parametrize(
        ("observation", "share"),
        [
            pytest.param(land(25, 75), 25.0, id="all seen"),
            pytest.param(land(20, 60), 25.0, id="of what was seen, so that a cloud is no loss"),
            pytest.param(land(25, 50, water=25), 100 / 3, id="of land, water left out"),
            pytest.param(land(0, 100), 0.0, id="no trees"),
            pytest.param(land(100, 0), 100.0, id="all trees"),
        ],
    )
    def test_it_is_trees_over_observed_land(self, observation: Observation, share: float) -> None:
        (value,) = tree_cover_share(series_of(observation), 0.7)
        assert value.value == pytest.approx(share)
        assert value.unit == "%"

    @pytest.mark.parametrize(
        ("observation", "reason"),
        [
            pytest.param(land(20, 30), "only 50 % of the zone was observed, the recipe asks for 70 %", id="half seen"),
            pytest.param(land(0, 0), "only 0 % of the zone was observed, the recipe asks for 70 %", id="not seen"),
            pytest.param(land(0, 0, water=100), "no land was observed in the zone", id="all water"),
            pytest.param(
                land(0, 0, zone=0), "only 0 % of the zone was observed, the recipe asks for 70 %", id="no area"
            ),
        ],
    )
    def test_it_is_withheld_with_the_reason(self, observation: Observation, reason: str) -> None:
        (value,) = tree_cover_share(series_of(observation), 0.7)
        assert (value.value, value.withheld_reason) == (None, reason)

    def test_nothing_observed_is_never_divided_by_even_if_the_recipe_asks_for_nothing(self) -> None:
        (value,) = tree_cover_share(series_of(land(0, 0)), 0.0)
        assert value.withheld_reason == "no land was observed in the zone"

    @given(trees=st.floats(0, 50), rest=st.floats(0, 50), water=st.floats(0, 50))
    def test_it_is_a_percentage_or_withheld_never_both_or_neither(
        self, trees: float, rest: float, water: float
    ) -> None:
        (value,) = tree_cover_share(series_of(land(trees, rest, water=water)), 0.7)
        assert (value.value is None) == (value.withheld_reason is not None)
        assert value.value is None or -1e-9 <= value.value <= 100 + 1e-9


class TestClearedArea:
    POINT = ClearedArea(
        ("2016-06-16", "2019-06-16"),
        Period.year(2019),
        cleared_m2=25_000,
        baseline_m2=90_000,
        followed_m2=80_000,
        zone_m2=100_000,
    )

    def test_it_is_in_hectares_with_what_it_was_computed_from(self) -> None:
        (value,) = cleared_area(ZoneSeries("z", "z", (), (self.POINT,)), 0.7)
        assert (value.value, value.unit, value.coverage) == (2.5, "ha", 0.8)
        assert value.items == ("2016-06-16", "2019-06-16")
        said = {"cleared_m2": 25_000, "baseline_tree_cover_m2": 90_000, "followed_m2": 80_000, "zone_m2": 100_000}
        assert value.inputs == said | {"interval_note": "no reference sample was labelled for this map"}

    def test_it_is_withheld_where_too_little_was_followed(self) -> None:
        (value,) = cleared_area(ZoneSeries("z", "z", (), (self.POINT,)), 0.9)
        assert value.value is None
        assert value.withheld_reason == "only 80 % of the zone was observed, the recipe asks for 90 %"


class TestObservation:
    def test_coverage_is_of_decided_ground_and_at_most_one(self) -> None:
        assert land(20, 30).coverage == 0.5
        assert land(60, 60).coverage == 1.0
        assert land(1, 1, zone=0).coverage == 0.0


class TestRegistry:
    @pytest.mark.parametrize("known", registry.DEFINITIONS, ids=lambda d: d.formula)
    def test_a_formula_is_found_by_code_and_by_code_with_version(self, known: Definition) -> None:
        assert registry.definition(known.formula) is known
        assert registry.definition(known.code).code == known.code

    def test_a_code_without_a_version_means_the_newest(self) -> None:
        for code in {d.code for d in registry.DEFINITIONS}:
            newest = max(d.version for d in registry.DEFINITIONS if d.code == code)
            assert registry.definition(code).version == newest

    @pytest.mark.parametrize("code", ["99.9.9", "6.6.1@1999-01", "", "6.6"])
    def test_an_unknown_code_is_refused_with_those_there_are(self, code: str) -> None:
        with pytest.raises(RecipeError, match=r"known are 6\.6\.1@2021-07, .*15\.1\.1@2023"):
            registry.definition(code)

    def test_formulas_differ_and_each_has_a_source_and_a_caveat(self) -> None:
        assert len({d.formula for d in registry.DEFINITIONS}) == len(registry.DEFINITIONS)
        assert all(d.source and d.caveat.endswith(".") for d in registry.DEFINITIONS)
        assert {d["formula"] for d in registry.describe()} == {d.formula for d in registry.DEFINITIONS}

    def test_nothing_computed_from_single_dates_poses_as_an_official_indicator(self) -> None:
        assert all(d.proxy for d in registry.DEFINITIONS)

    def test_a_published_value_carries_zone_formula_caveat_and_provenance(self) -> None:
        what = registry.definition("15.1.1")
        (value,) = registry.evaluate(what, series_of(land(25, 75)), 0.7, ("vegetation (NDVI>0.82)",), "sha256:1")
        assert (value.indicator, value.formula, value.zone, value.zone_name) == ("15.1.1", "15.1.1@2023", "z1", "North")
        assert (value.value, value.name, value.caveat, value.proxy) == (25.0, what.name, what.caveat, True)
        assert value.interval is None
        said = value.provenance.as_json()
        assert (said["items"], said["models"], said["run"]) == (["a"], ["vegetation (NDVI>0.82)"], "sha256:1")

    def test_a_zone_outside_the_imagery_is_withheld_for_that(self) -> None:
        what = registry.definition("15.1.1")
        (value,) = registry.evaluate(what, series_of(land(0, 0), outside=True), 0.7, (), "r")
        assert (value.value, value.withheld_reason) == (None, "the zone lies outside the imagery")
