"""Formulas by hand: small rasters whose answer can be seen, and the traps of each formula."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.domain.period import Period
from aisf_geo.errors import UsageError
from aisf_geo.indicators import city, degradation, mountains, sdg06, sdg11, sdg13, sdg15, urban
from aisf_geo.indicators.area import Sample
from aisf_geo.indicators.degradation import NODATA
from aisf_geo.indicators.series import Observation, Population, ZoneSeries


class TestGrowth:
    @pytest.mark.parametrize(
        ("built", "people", "value", "quadrant"),
        [
            ((100, 110), (100, 110), 0.1 / math.log(1.1), "land and people grow"),
            ((100, 110), (100, 90), 0.1 / math.log(0.9), "land grows, people decline"),
            ((100, 90), (100, 90), -0.1 / math.log(0.9), "land and people shrink"),
            ((100, 90), (100, 110), -0.1 / math.log(1.1), "land shrinks, people grow"),
            ((100, 100), (100, 110), 0.0, "one of the two did not change"),
        ],
    )
    def test_four_quadrants(self, built: tuple, people: tuple, value: float, quadrant: str) -> None:
        said = sdg11.growth_ratio(built, people, 1)
        assert said["value"] == pytest.approx(value)
        assert said["quadrant"] == quadrant

    @pytest.mark.parametrize(
        ("built", "people", "reason"),
        [
            ((100, 110), (1000, 1000), "changed by 0.000 % a year"),
            ((100, 110), (1000, 1001), "arithmetic, not information"),
            ((0, 110), (1000, 2000), "nothing was built up at the first date"),
            ((100, 110), (0, 2000), "a population of zero"),
            ((100, 110), (1000, 0), "a population of zero"),
        ],
    )
    def test_what_is_not_defined_is_withheld_and_the_rates_stay(self, built: tuple, people: tuple, reason: str) -> None:
        said = sdg11.growth_ratio(built, people, 3)
        assert said["value"] is None
        assert reason in said["withheld"]
        assert "per_capita_m2" in said

    def test_no_growth_is_withheld_even_without_a_threshold(self) -> None:
        assert sdg11.growth_ratio((1, 2), (10, 10), 1, min_growth=0)["value"] is None

    def test_the_legacy_form_needs_something_built_at_the_end(self) -> None:
        assert "second date" in sdg11.growth_ratio_log((1, 0), (10, 20), 1)["withheld"]

    @given(st.floats(1, 1e6), st.floats(1.0001, 3), st.floats(1.01, 3), st.integers(1, 30))
    def test_neither_form_depends_on_units(self, area: float, land: float, people: float, years: int) -> None:
        for formula in (sdg11.growth_ratio, sdg11.growth_ratio_log):
            one = formula((area, area * land), (100, 100 * people), years, 0)["value"]
            other = formula((area * 1e4, area * land * 1e4), (7, 7 * people), years, 0)["value"]
            assert one == pytest.approx(other, rel=1e-6)

    def test_the_legacy_form_is_below_the_linear_one_where_land_grows(self) -> None:
        case = ((100, 150), (100, 120), 10)
        assert sdg11.growth_ratio_log(*case)["value"] < sdg11.growth_ratio(*case)["value"]


def built(year: int, built_m2: float, sample: Sample | None = None) -> Observation:
    period = Period.instant(datetime(year, 7, 1, tzinfo=UTC))
    return Observation(str(year), period, {"built-up": built_m2, "other": 1e6 - built_m2}, 0.0, 1e6, sample)


def people(year: int, count: float | None, coverage: float = 1.0) -> Population:
    return Population(year, count, coverage, "synthetic: made up for this test")


class TestGrowthOfAZone:
    def series(self, *population: Population, sampled: bool = False) -> ZoneSeries:
        units = [((90, 10), (5, 95)), ((92, 8), (6, 94))] if sampled else [None, None]
        areas = [(2e5, 8e5), (3e5, 7e5)]
        samples = [
            Sample(("b", "o"), ("built-up", "other"), a, u) if u else None for a, u in zip(areas, units, strict=True)
        ]
        return ZoneSeries(
            "z", "z", (built(2000, 2e5, samples[0]), built(2010, 3e5, samples[1])), population=tuple(population)
        )

    def test_the_ratio_and_beside_it_the_rates(self) -> None:
        values = sdg11.growth_in_zone(self.series(people(2000, 1000), people(2010, 1500)), 0.7)
        assert [v.name for v in values] == [
            None, "Land consumption rate", "Population growth rate", "Change of built-up area",
        ]  # fmt: skip
        assert values[0].value == pytest.approx((0.5 / 10) / (math.log(1.5) / 10))
        assert values[3].value == pytest.approx(50)
        assert values[0].inputs["population_sources"] == ["synthetic: made up for this test"] * 2
        assert all(v.interval is None for v in values)

    def test_samples_of_both_dates_give_an_interval(self) -> None:
        values = sdg11.growth_in_zone(self.series(people(2000, 1000), people(2010, 1500), sampled=True), 0.7)
        ratio = values[0]
        assert ratio.interval is not None
        assert ratio.interval.low < (ratio.value or 0) < ratio.interval.high
        assert "independently" in ratio.interval.method
        assert ratio.inputs["population_uncertainty"] == "not known, left out of the interval"

    def test_population_of_other_years_is_not_stretched(self) -> None:
        (value,) = sdg11.growth_in_zone(self.series(people(2001, 1000), people(2009, 1500)), 0.7)
        assert "maps are of [2000, 2010], population of [2001, 2009]" in (value.withheld_reason or "")

    def test_population_that_is_not_known_withholds(self) -> None:
        values = sdg11.growth_in_zone(self.series(people(2000, None, 0.0), people(2010, 1500)), 0.7)
        assert all("known for only 0 %" in (v.withheld_reason or "") for v in values)


class TestWater:
    def test_permanence_of_a_year(self) -> None:
        """Three pixels: always wet, wet in half the months, wet where nobody looked."""
        water = np.zeros((12, 1, 3), bool)
        water[:, 0, 0] = True
        water[:6, 0, 1] = True
        observed = np.ones((12, 1, 3), bool)
        observed[:, 0, 2] = False
        assert sdg06.permanence(water, observed).tolist() == [[2, 1, 255]]

    def test_four_years_are_not_five(self) -> None:
        with pytest.raises(UsageError, match="needs 5 yearly extents, found 4"):
            sdg06.extent_change([1] * 4, [1] * 5)

    def test_nothing_measured_is_not_zero(self) -> None:
        assert sdg06.good_quality({"a": []})["value"] is None
        assert sdg06.reservoir_range([None, None])["value"] is None
        assert sdg06.month_deviation(1, 0)["value"] is None


class TestForest:
    def test_patches_under_half_a_hectare_are_left_out(self) -> None:
        """30 m pixels of 900 m2: six joined over a corner are 5,400 m2, five are 4,500 m2."""
        trees = np.zeros((6, 9), bool)
        trees[0:2, 0:2] = trees[2, 2] = trees[2, 3] = True
        trees[5, 4:9] = True
        kept = sdg15.forest_patches(trees, np.full(trees.shape, 900.0))
        assert kept.sum() == 6
        assert not kept[5].any()


class TestDegradation:
    def test_mann_kendall_of_a_rising_line(self) -> None:
        """Ten rising years: S = 45, variance 125, z = 44 / sqrt(125)."""
        years = np.arange(10.0)[:, None]
        assert degradation.mann_kendall_z(years)[0] == pytest.approx(44 / math.sqrt(125))
        assert degradation.trend(years).tolist() == [1]
        assert degradation.trend(-years).tolist() == [-1]

    def test_too_few_years_are_nodata(self) -> None:
        assert degradation.trend(np.array([[1.0], [2.0], [3.0]])).tolist() == [NODATA]

    def test_state(self) -> None:
        base = np.tile([1.0, 3.0], 7)[:13]
        years = np.stack([np.r_[base, [2, 2, 2]], np.r_[base, [9, 9, 9]], np.r_[base, [-5, -5, -5]]], axis=1)
        assert degradation.state(years).tolist() == [0, 1, -1]
        years[3, 0] = np.nan
        assert degradation.state(years).tolist() == [NODATA, 1, -1]

    def test_performance(self) -> None:
        assert degradation.performance(np.array([4.0, 5.0, np.nan]), np.full(3, 10.0)).tolist() == [-1, 0, NODATA]

    def test_soil_loses_a_fifth_under_crops_in_twenty_years(self) -> None:
        stock = np.array([100.0])
        assert degradation.soil_carbon_after(stock, 0.8, 20) == pytest.approx(80)
        assert degradation.soil_carbon_after(stock, 0.8, 10) == pytest.approx(90)
        assert degradation.soil_carbon(stock, np.array([90.0])).tolist() == [-1]
        assert degradation.soil_carbon(stock, np.array([109.9])).tolist() == [0]
        assert degradation.soil_carbon(np.array([0.0]), stock).tolist() == [NODATA]

    @pytest.mark.parametrize("table", degradation.PRODUCTIVITY_TABLES)
    def test_each_table_has_the_eighteen_rows(self, table: str) -> None:
        assert len(degradation.PRODUCTIVITY_TABLES[table]) == 18

    def test_one_out_all_out_and_nodata_wins(self) -> None:
        a, b = np.array([0, 1, 1, -1, 0], np.int8), np.array([0, 0, -1, 1, NODATA], np.int8)
        assert degradation.one_out_all_out(a, b).tolist() == [0, 1, -1, -1, NODATA]

    def test_land_cover_transitions(self) -> None:
        before, after = np.array([0, 2, 1, -1]), np.array([2, 0, 1, 0])
        assert degradation.land_cover_change(before, after).tolist() == [-1, 1, 0, NODATA]

    def test_status_of_nodata_is_nodata(self) -> None:
        codes = np.array([-1, 1, NODATA], np.int8)
        names = [degradation.STATUS_NAMES[k] if k != 255 else None for k in degradation.status(codes, codes)]
        assert names == ["persistent degradation", "persistent improvement", None]

    def test_an_unknown_table_is_refused(self) -> None:
        with pytest.raises(UsageError, match="there are sepal-gpg-v2"):
            degradation.productivity(*[np.zeros(1, np.int8)] * 3, table="mine")


class TestMountains:
    def test_high_flat_ground_by_elevation_alone(self) -> None:
        heights = [5000.0, 4000.0, 3000.0, 2000.0, 1200.0, 500.0]
        found = [int(mountains.mountain_classes(np.full((3, 3), h), 1000)[1, 1]) for h in heights]
        assert found == [1, 2, 3, 0, 0, 0], "plateaus under 2500 m are no mountains"

    def test_low_hills_count_by_the_range_within_seven_kilometres(self) -> None:
        flat = np.full((31, 31), 400.0)
        flat[15, 15] = 750.0
        code = mountains.mountain_classes(flat, 1000)
        assert code[15, 15] == code[15, 22] == code[10, 19] == 6
        assert code[15, 23] == code[9, 20] == 0, "8 and 7.8 km away"

    def test_a_slope_of_five_degrees_at_1200_m(self) -> None:
        ramp = 1200 + np.tan(np.radians(6)) * 30 * np.arange(-2, 3)[None, :] * np.ones((5, 1))
        assert mountains.mountain_classes(ramp, 30)[2, 2] == 5

    def test_unknown_elevation_is_nodata(self) -> None:
        dem = np.full((3, 3), 3000.0)
        dem[0, 0] = np.nan
        assert mountains.mountain_classes(dem, 1000)[0, 0] == 255

    def test_the_halo_is_the_radius_in_pixels(self) -> None:
        assert mountains.halo_px(100) == 70


class TestUrban:
    def test_a_block_of_houses_is_urban_with_a_fringe_around_it(self) -> None:
        built_up = np.zeros((81, 81), bool)
        built_up[20:61, 20:61] = True
        built_up[40, 40] = False
        code = urban.urban_extent(built_up, 50)
        assert code[30, 30] == urban.URBAN
        assert code[20, 20] == urban.SUBURBAN, "a corner sees about a quarter of its disc built up"
        assert code[40, 40] == urban.FRINGE, "open, within 100 m of houses"
        assert code[40, 62] == urban.FRINGE
        assert code[40, 64] == urban.OTHER
        assert code[0, 0] == urban.OTHER

    def test_a_lone_farm_is_rural_and_a_closed_park_is_captured(self) -> None:
        built_up = np.zeros((121, 121), bool)
        built_up[20:101, 20:101] = True
        built_up[50:70, 50:70] = False
        built_up[5, 5] = True
        code = urban.urban_extent(built_up, 50)
        assert code[60, 60] == urban.CAPTURED, "1 km2 of park, more than 100 m from houses"
        assert code[5, 5] == urban.RURAL_BUILT

    def test_what_was_not_observed_is_neither_built_nor_open(self) -> None:
        seen = np.ones((41, 41), bool)
        seen[:, :10] = False
        code = urban.urban_extent(np.ones((41, 41), bool), 50, seen)
        assert (code[:, :10] == 255).all()
        assert (code[:, 10:] == urban.URBAN).all()

    def test_degurba_by_hand(self) -> None:
        """25 cells of 2,000 are a centre of 50,000; 24 are not; a diagonal joins a cluster and not a centre."""
        people = np.zeros((12, 12))
        people[1:6, 1:6] = 2000
        assert (urban.degurba(people)[1:6, 1:6] == 3).all()
        people[1, 1] = 0
        assert urban.degurba(people)[3, 3] == 2
        people[:] = 0
        people[[0, 1, 2], [0, 1, 2]] = 1700
        assert urban.degurba(people)[1, 1] == 2
        people[5, 5] = np.nan
        assert urban.degurba(people)[5, 5] == 255

    def test_walking_goes_along_streets(self) -> None:
        """A square of 100 m streets and one diagonal nobody built: the far corner is 200 m away, an island never."""
        edges = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [0, 1]])
        metres = np.array([100.0, 100, 100, 100, 500])
        assert sdg11.distance_along_streets(edges, metres, 5, [0]).tolist() == [0, 100, 200, 100, np.inf]


class TestClimate:
    def test_severity_classes_and_borders(self) -> None:
        before = np.zeros(4)
        after = np.array([0.3, 0.0, -0.27, np.nan])
        assert sdg13.severity_classes(before, after).tolist() == [0, 2, 4, 255]

    def test_burn_ratio_of_nothing_is_nan(self) -> None:
        assert np.isnan(sdg13.nbr(np.zeros(1), np.zeros(1)))[0]

    def test_uncertainties_of_two_activities_add_as_a_root_of_squares(self) -> None:
        said = sdg13.land_use_carbon([30, 40], [3 / (44 / 12)] * 2, [10, 10], [0, 0])
        assert said["value"] == pytest.approx(210)
        assert said["high"] - said["value"] == pytest.approx(math.hypot(9, 12))

    def test_what_is_not_known_is_not_zero(self) -> None:
        assert sdg13.exposure(None, 1e4, None) == {
            "value": None, "withheld": "population is not known there", "people": None, "built_up_ha": 1.0,
            "road_km": None,
        }  # fmt: skip
        assert sdg13.heat_difference([np.nan], [20])["value"] is None


def test_a_zone_without_land_has_no_density() -> None:
    assert city.road_density(100, 0)["value"] is None
    assert city.green_share(0, 10)["value"] == 0
