"""Scores of road networks small enough to work out by hand; all in m."""

from __future__ import annotations

import math

import networkx
import pytest
from shapely import LineString

from aisf_geo.vectorise.road_metrics import apls, buffer_score


def streets(*lines: list[tuple[float, float]]) -> networkx.MultiGraph:
    graph = networkx.MultiGraph()
    for line in lines:
        graph.add_edge(
            line[0], line[-1], geometry=LineString(line), length_m=LineString(line).length, **{"from": line[0]}
        )
        graph.edges[line[0], line[-1], graph.number_of_edges(line[0], line[-1]) - 1]["to"] = line[-1]
    return graph


STREET = streets([(0, 0), (100, 0)])
EMPTY = networkx.MultiGraph()


def test_a_network_matches_itself() -> None:
    town = streets([(0, 0), (100, 0)], [(100, 0), (100, 80)], [(0, 0), (0, 80), (100, 80)], [(100, 80), (200, 80)])
    assert apls(town, town) == pytest.approx(1)
    score = buffer_score(town, town, 5)
    assert (score.completeness, score.correctness, score.quality) == pytest.approx((1, 1, 1))


def test_a_detour_costs_its_share_of_the_route() -> None:
    # With control points at the ends alone there is one route: 100 m in truth and 100 + 2 * 15 m in the proposal.
    detour = streets([(0, 0), (50, 0), (50, 15), (50, 0), (100, 0)])
    there = 1 - 30 / 100
    back = 1 - 30 / 130
    assert apls(STREET, detour, spacing_m=1000) == pytest.approx(2 / (1 / there + 1 / back))


def test_a_break_loses_the_routes_over_it() -> None:
    # Control points at 0, 50 and 100; the proposal has them all but cannot get from either half to the other.
    broken = streets([(0, 0), (49, 0)], [(51, 0), (100, 0)])
    # Routes of the truth: 0-50 (its end snaps to 49 or 51), 0-100, 50-100: one of the halves is found, to 49 of 50 m.
    there = (49 / 50) / 3
    assert apls(STREET, broken, spacing_m=60) == pytest.approx(2 / (1 / there + 1 / 1), rel=1e-6)


def test_a_street_that_lies_too_far_off_is_not_found() -> None:
    assert apls(STREET, streets([(0, 5), (100, 5)])) == 0
    assert apls(STREET, streets([(0, 3), (100, 3)])) == pytest.approx(1)


def test_parallel_streets_between_the_same_crossings_keep_the_shorter_way() -> None:
    both = streets([(0, 0), (100, 0)], [(0, 0), (50, 80), (100, 0)])
    assert apls(STREET, both, spacing_m=1000) == pytest.approx(1)


def test_nothing_matches_nothing_and_nothing_else() -> None:
    assert apls(EMPTY, EMPTY) == 1
    assert apls(STREET, EMPTY) == apls(EMPTY, STREET) == 0
    score = buffer_score(STREET, EMPTY, 3)
    assert score.completeness == 0
    assert math.isnan(score.correctness)
    assert score.quality == 0


def test_completeness_and_correctness_by_length() -> None:
    # Half of the street is found, and 25 m where there is none; flat caps would be 50, round ones reach 2 m farther.
    found = streets([(0, 0), (50, 0)], [(0, 40), (25, 40)])
    score = buffer_score(STREET, found, 2)
    assert score.completeness == pytest.approx(52 / 100, rel=1e-3)
    assert score.correctness == pytest.approx(50 / 75)
    assert score.quality == pytest.approx(50 / (75 + 48), rel=1e-3)
