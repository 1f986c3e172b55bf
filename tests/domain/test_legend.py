from __future__ import annotations

import pytest

from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN, Legend, LegendClass
from aisf_geo.errors import LegendError


def legend_with(*codes: int) -> Legend:
    return Legend("land", tuple(LegendClass(code, f"class {code}", (0, 0, code), "other") for code in codes))


def test_a_code_gives_its_class() -> None:
    assert legend_with(0, 7)[7].name == "class 7"


def test_a_code_the_legend_lacks_is_named_with_those_it_has() -> None:
    with pytest.raises(LegendError, match=r"no class 3; it has \[0, 7\]"):
        legend_with(0, 7)[3]


def test_every_legend_names_unknown_and_not_observed() -> None:
    legend = legend_with(0)
    assert (legend.class_name(UNKNOWN), legend.class_name(NOT_OBSERVED)) == ("unknown", "not observed")
    assert legend.class_name(0) == "class 0"


def test_a_role_gives_all_its_codes_and_an_absent_role_none() -> None:
    forest, scrub = (LegendClass(i, name, (0, 99, 0), "tree-cover") for i, name in ((1, "forest"), (4, "scrub")))
    legend = Legend("land", (LegendClass(0, "rest", (0, 0, 0)), forest, scrub))
    assert legend.codes_with_role("tree-cover") == (1, 4)
    assert legend.codes_with_role("water") == ()


@pytest.mark.parametrize(
    "codes",
    [
        pytest.param((1, 0), id="descending"),
        pytest.param((1, 1), id="twice"),
        pytest.param((-1, 0), id="negative"),
        pytest.param((0, UNKNOWN), id="the code of unknown"),
        pytest.param((0, NOT_OBSERVED), id="the code of not observed"),
        pytest.param((0, 256), id="beyond a byte"),
    ],
)
def test_codes_that_a_label_map_cannot_hold_are_refused(codes: tuple[int, ...]) -> None:
    with pytest.raises(LegendError, match=r"0\.\.253"):
        legend_with(*codes)


def test_the_largest_code_is_253() -> None:
    assert legend_with(253)[253].code == 253
