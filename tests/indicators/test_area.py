from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisf_geo.errors import UsageError
from aisf_geo.indicators import stehman
from aisf_geo.indicators.area import (
    Z95,
    Sample,
    accuracies,
    allocate,
    area_interval,
    bootstrap_scores,
    rare_interval,
    sample_size,
    wilson,
)
from aisf_geo.indicators.coverage import Coverage, measure_coverage, of_area, of_figure
from aisf_geo.indicators.propagate import delta, draw, estimate

CLASSES = ("deforestation", "forest gain", "stable forest", "stable non-forest")
#: Olofsson et al. 2014, RSE 148:42-57, worked example: 30 m pixels, here in ha.
OLOFSSON = Sample(
    CLASSES,
    CLASSES,
    (200_000 * 0.09, 150_000 * 0.09, 3_200_000 * 0.09, 6_450_000 * 0.09),
    ((66, 0, 5, 4), (0, 55, 8, 12), (1, 0, 153, 11), (2, 1, 9, 313)),
)


class TestOlofsson2014:
    def test_areas_and_their_intervals_to_the_printed_digits(self) -> None:
        areas = OLOFSSON.areas()
        assert [round(areas[c], 2) for c in CLASSES] == [21157.76, 11686.15, 285769.93, 581386.15]
        half = [round(Z95 * OLOFSSON.standard_error(c), 2) for c in CLASSES]
        assert half == [6157.63, 3755.83, 15509.84, 16281.66]

    def test_overall_users_and_producers_to_the_printed_digits(self) -> None:
        a = accuracies(OLOFSSON)
        assert (round(a.overall.value or 0, 6), round(a.overall.half_width or 0, 6)) == (0.946512, 0.018484)
        users = [(round(u.value or 0, 4), round(u.half_width or 0, 4)) for u in a.users.values()]
        assert users == [(0.88, 0.0740), (0.7333, 0.1008), (0.9273, 0.0397), (0.9631, 0.0205)]
        producers = [(round(p.value or 0, 4), round(p.half_width or 0, 4)) for p in a.producers.values()]
        assert producers == [(0.7487, 0.2133), (0.8472, 0.2544), (0.9345, 0.0343), (0.9616, 0.0184)]

    def test_the_size_of_the_sample(self) -> None:
        assert sample_size((0.02, 0.015, 0.32, 0.645), (0.7, 0.6, 0.9, 0.95), 0.01) == 641


class TestByHand:
    """Two strata of 100 and 300 ha; 8 of 10 and 1 of 10 units are forest."""

    SMALL = Sample(("f", "n"), ("f", "n"), (100.0, 300.0), ((8, 2), (1, 9)))

    def test_area_is_the_strata_times_their_shares(self) -> None:
        assert self.SMALL.areas() == pytest.approx({"f": 100 * 0.8 + 300 * 0.1, "n": 100 * 0.2 + 300 * 0.9})

    def test_variance_is_the_sum_over_strata(self) -> None:
        assert self.SMALL.standard_error("f") ** 2 == pytest.approx(100**2 * 0.16 / 9 + 300**2 * 0.09 / 9)

    def test_overall_accuracy_weighs_by_area(self) -> None:
        assert accuracies(self.SMALL).overall.value == pytest.approx(0.25 * 0.8 + 0.75 * 0.9)

    def test_a_class_the_reference_never_saw_has_no_producers_accuracy(self) -> None:
        sample = Sample(("f", "n"), ("f", "n"), (100.0, 300.0), ((0, 10), (0, 10)))
        assert accuracies(sample).producers["f"].value is None

    def test_one_unit_gives_no_variance_and_is_refused(self) -> None:
        with pytest.raises(UsageError, match="two units in each stratum; too few in n"):
            Sample(("f", "n"), ("f", "n"), (1.0, 1.0), ((5, 5), (1, 0)))

    def test_strata_that_are_not_the_classes_are_refused(self) -> None:
        with pytest.raises(UsageError, match="strata are not the classes"):
            accuracies(Sample(("a", "b"), ("f", "n"), (1.0, 1.0), ((5, 5), (1, 9))))

    def test_wilson_for_none_of_ten(self) -> None:
        low, high = wilson(np.array([0.0]), np.array([10.0]))
        assert (low[0], high[0]) == (0.0, pytest.approx(Z95**2 / (10 + Z95**2)))

    def test_merged_classes_add_their_counts(self) -> None:
        merged = OLOFSSON.merged(dict(zip(CLASSES, ("other", "forest", "forest", "other"), strict=True)))
        assert merged.classes == ("other", "forest")
        assert merged.counts[3] == (2 + 313, 1 + 9)
        assert merged.areas()["forest"] == pytest.approx(
            OLOFSSON.areas()["forest gain"] + OLOFSSON.areas()["stable forest"]
        )


class TestStehman2014:
    """The worked example of Stehman 2014, IJRS 35:4923-4939: four strata, ten units each."""

    UNITS = stehman.Units(
        {"A": 40_000, "B": 30_000, "C": 20_000, "D": 10_000},
        list("A" * 10 + "B" * 10 + "C" * 10 + "D" * 10),
        list("AAAAAAABBB" + "A" + "B" * 11 + "CCCCCC" + "BB" + "D" * 10),
        list("AAAAA" + "CBABC" + "A" + "BBBBB" + "AABB" + "CCCCC" + "DD" + "BBA" + "DDDDDDD" + "CCB"),
    )

    def test_the_printed_figures(self) -> None:
        a = stehman.accuracies(self.UNITS)
        for found, printed in (
            ((a.overall.value, a.overall.se), (0.63, 0.085)),
            ((a.users["B"].value, a.users["B"].se), (0.574, 0.125)),
            ((a.producers["B"].value, a.producers["B"].se), (0.794, 0.117)),
            (self.UNITS.area_share("A"), (0.35, 0.082)),
            (self.UNITS.area_share("C"), (0.20, 0.064)),
        ):
            assert found == pytest.approx(printed, abs=5e-4)
        assert self.UNITS.cell("B", "C")[0] == pytest.approx(0.08)

    def test_where_strata_are_the_classes_it_is_olofssons(self) -> None:
        size = {c: 1e9 * a for c, a in zip(CLASSES, OLOFSSON.area, strict=True)}
        cells = [(m, r, OLOFSSON.counts[i][j]) for i, m in enumerate(CLASSES) for j, r in enumerate(CLASSES)]
        mapped = [m for m, _, k in cells for _ in range(k)]
        reference = [r for _, r, k in cells for _ in range(k)]
        units = stehman.Units(size, mapped, mapped, reference)
        theirs, ours = stehman.accuracies(units), accuracies(OLOFSSON)
        assert theirs.overall.se == pytest.approx(ours.overall.se, rel=1e-6)
        for c in CLASSES:
            assert theirs.users[c].se == pytest.approx(ours.users[c].se, rel=1e-6)
            assert units.area_share(c)[1] * OLOFSSON.total == pytest.approx(OLOFSSON.standard_error(c), rel=1e-6)
            assert theirs.producers[c].value == pytest.approx(ours.producers[c].value)
            assert theirs.producers[c].se == pytest.approx(ours.producers[c].se, rel=1e-6)

    def test_a_stratum_without_size_or_units_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no size for"):
            stehman.Units({"A": 10}, ["A", "A", "B"], ["x"] * 3, ["x"] * 3)


@pytest.fixture(scope="module")
def measured() -> dict[str, Coverage]:
    """Coverage of the area of each class of Olofsson's example."""
    areas = OLOFSSON.areas()
    return {name: measure_coverage(OLOFSSON, areas[name], of_area(name), 2000, seed=1) for name in CLASSES}


class TestCoverage:
    def test_adequate_classes_keep_their_word_and_thin_ones_do_not(self, measured: dict[str, Coverage]) -> None:
        assert [c for c in CLASSES if OLOFSSON.thin_cells(c)] == ["deforestation", "forest gain"]
        for name in ("stable forest", "stable non-forest"):
            assert 0.94 <= measured[name].normal <= 0.96
        assert measured["forest gain"].normal < 0.76
        assert measured["deforestation"].normal < 0.91

    def test_the_interval_that_is_given_keeps_its_word_whatever_a_sample_happens_to_find(
        self, measured: dict[str, Coverage]
    ) -> None:
        for name, found in measured.items():
            assert 0.93 < found.given < 0.98
            if OLOFSSON.thin_cells(name):
                assert found.given > found.normal + 0.03

    def test_no_find_in_a_large_stratum_is_no_proof_that_there_is_nothing(self) -> None:
        lucky = Sample(("small", "large"), ("rare", "rest"), (10.0, 990.0), ((45, 5), (0, 50)))
        assert lucky.thin_cells("rare") == ["large"]
        assert area_interval(lucky, "rare").high > 50

    def test_area_interval_chooses_by_the_counts_and_says_so(self) -> None:
        assert "normal" in area_interval(OLOFSSON, "stable forest").method
        rare = area_interval(OLOFSSON, "forest gain")
        assert "Wilson" in rare.method
        assert "stable non-forest" in rare.method

    @settings(max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=5))
    def test_a_rare_interval_holds_the_estimate_and_stays_within_the_area(self, rows: list[tuple[int, int]]) -> None:
        rows = [(a, b + 2) for a, b in rows]
        names = tuple(f"s{i}" for i in range(len(rows)))
        sample = Sample(names, ("x", "y"), tuple(float(i + 1) for i in range(len(rows))), tuple(rows))
        interval = rare_interval(sample, "x")
        assert 0 <= interval.low <= sample.areas()["x"] + 1e-9
        assert sample.areas()["x"] <= interval.high + 1e-9 <= sample.total + 1e-6


class TestAllocation:
    @given(st.integers(2, 20), st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.integers(0, 400))
    def test_it_sums_up_and_respects_the_minimum(self, at_least: int, weights: list[float], spare: int) -> None:
        total = at_least * len(weights) + spare
        given_ = allocate(total, weights, at_least)
        assert sum(given_) == total
        assert min(given_) >= at_least

    def test_too_few_units_are_refused(self) -> None:
        with pytest.raises(UsageError, match="10 units do not give 3 strata 5 each"):
            allocate(10, (1, 1, 1), 5)


def test_bootstrap_intervals_hold_the_scores() -> None:
    p = OLOFSSON.p
    scores = bootstrap_scores(OLOFSSON, 500, seed=3)
    for j, name in enumerate(CLASSES):
        iou = p[j, j] / (p[j].sum() + p[:, j].sum() - p[j, j])
        assert scores[name]["iou"].low < iou < scores[name]["iou"].high
        assert scores[name]["f1"].low < 2 * iou / (1 + iou) < scores[name]["f1"].high


class TestPropagation:
    BEFORE = Sample(("b", "o"), ("built", "other"), (400.0, 600.0), ((180, 20), (12, 188)))
    AFTER = Sample(("b", "o"), ("built", "other"), (520.0, 480.0), ((185, 15), (15, 185)))

    FORMULAS = {  # noqa: RUF012  a table of this test
        "share": (
            [BEFORE],
            lambda a: 100 * a[0]["built"] / (a[0]["built"] + a[0]["other"]),
            lambda a: a[0]["built"] + a[0]["other"],
        ),
        "ratio in one sample": ([BEFORE], lambda a: a[0]["built"] / a[0]["other"], lambda a: a[0]["other"]),
        "change between dates": (
            [BEFORE, AFTER],
            lambda a: 100 * (a[1]["built"] - a[0]["built"]) / a[0]["built"],
            lambda a: a[0]["built"],
        ),
    }

    @pytest.mark.parametrize("name", FORMULAS)
    def test_the_delta_method_agrees_with_monte_carlo_within_two_percent(self, name: str) -> None:
        samples, formula, denominator = self.FORMULAS[name]
        by_delta = delta(formula, samples)
        drawn = draw(formula, samples, 20_000, seed=5)
        # Draws vary by n, the estimator of the variance divides by n - 1.
        expected = float(np.nanstd(drawn)) * np.sqrt(200 / 199)
        assert by_delta == pytest.approx(expected, rel=0.02, abs=1e-9)
        found = estimate(formula, samples, denominator)
        assert found.interval is not None
        assert "delta method" in found.interval.method
        assert ("independently" in found.interval.method) == (len(samples) > 1)

    @pytest.mark.parametrize("name", CLASSES)
    def test_joined_limits_of_an_area_are_those_of_a_rare_class(self, name: str) -> None:
        found = estimate(lambda a: a[0][name], [OLOFSSON])
        expected = rare_interval(OLOFSSON, name)
        assert found.interval is not None
        assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high), rel=1e-9)

    def test_a_share_and_its_complement_have_the_same_interval_seen_from_both_ends(self) -> None:
        both = lambda a: a[0]["deforestation"] + a[0]["stable forest"]  # noqa: E731
        lost = estimate(lambda a: a[0]["deforestation"] / both(a), [OLOFSSON], both).interval
        kept = estimate(lambda a: a[0]["stable forest"] / both(a), [OLOFSSON], both).interval
        assert lost is not None
        assert kept is not None
        assert (lost.low, lost.high) == pytest.approx((1 - kept.high, 1 - kept.low), rel=1e-6)

    def test_a_share_from_thin_counts_keeps_its_word_where_the_delta_method_does_not(self) -> None:
        both = lambda a: a[0]["forest gain"] + a[0]["stable non-forest"]  # noqa: E731
        share = lambda a: a[0]["forest gain"] / both(a)  # noqa: E731
        found = measure_coverage(OLOFSSON, share([OLOFSSON.areas()]), of_figure(share, both), times=800)
        assert found.normal < 0.8
        assert 0.93 < found.given < 0.98

    def test_an_uncertain_denominator_gives_percentiles_and_says_so(self) -> None:
        thin = Sample(("b", "o"), ("built", "other"), (10.0, 990.0), ((15, 5), (6, 194)))
        found = estimate(lambda a: a[1]["built"] / a[0]["built"], [thin, self.AFTER], lambda a: a[0]["built"])
        assert found.interval is not None
        assert "samples drawn anew" in found.interval.method
        assert found.value is not None
        assert found.interval.high - found.value > found.value - found.interval.low, "skewed, as such ratios are"

    def test_a_denominator_that_may_be_zero_gives_no_interval_and_the_reason(self) -> None:
        lone = Sample(("o",), ("built", "other"), (1000.0,), ((1, 199),))
        found = estimate(
            lambda a: a[0]["other"] / a[0]["built"] if a[0]["built"] else None, [lone], lambda a: a[0]["built"]
        )
        assert found.value == pytest.approx(199)
        assert found.interval is None
        assert "undefined in 3" in (found.note or "")
