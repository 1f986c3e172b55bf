"""The first page of a report says what was found, beside what, and how sure it is; what is not known is listed."""

from __future__ import annotations

from typing import Any

from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.pipeline.brief import ZONES_TOLD, ClassAreas, brief

LEGEND = Legend("town", (LegendClass(0, "land", (1, 1, 1)), LegendClass(1, "water", (2, 2, 2), "water")))
CAVEAT = "Felling, storm and disease look alike."


def row(zone: str, value: float | None, when: str = "2020-06-30", sure: bool = True, **more: Any) -> dict[str, Any]:
    low_high = {"low": value * 0.8, "high": value * 1.2, "level": 0.95, "method": "stratified"} if value else None
    return {
        "formula": "cleared-area@1", "name": "Tree cover cleared since the baseline year", "zone": zone,
        "zone_name": zone.title(), "value": value, "unit": "ha", "interval": low_high if sure else None,
        "interval_text": f"{value * 0.8:.3g} to {value * 1.2:.3g}" if sure and value else "", "coverage": 0.9,
        "withheld_reason": None if value is not None else "only 3 % was seen", "proxy": True, "caveat": CAVEAT,
        "when": when, "inputs": {}, "provenance": {"items": [when]},
    } | more  # fmt: skip


def told(*rows: dict[str, Any], unseen: tuple[str, ...] = ()) -> dict[str, Any]:
    return brief(rows, [], unseen)


def test_the_largest_zone_leads_with_its_interval_and_the_other_follows() -> None:
    first, second, third = told(row("west", 5.0), row("east", 10.0))["sentences"]
    assert "10.0 ha (95 % interval 8 to 12)" in first
    assert "“East”" in first
    assert second == "In the other zone, “West”, it is 5.00 ha (4 to 6)."
    assert third == "Every value below has an interval from a labelled reference sample."


def test_many_zones_are_told_as_a_range_and_the_table_says_what_it_leaves_out() -> None:
    said = told(*(row(f"z{i:02}", 1.0 + i) for i in range(14)))
    assert "In the 13 other zones it lies between 1.00 ha" in said["sentences"][1]
    assert "“Z12”" in said["sentences"][1]
    assert [r["zone"] for r in said["tables"][0]["rows"]] == [f"z{13 - i:02}" for i in range(ZONES_TOLD)]
    assert said["left_out"] == 4


def test_one_zone_is_told_beside_its_first_date() -> None:
    said = told(row("west", 1.0, "2018-06-30"), row("west", 5.0))
    assert said["sentences"][1] == "On 2018-06-30 it was 1.00 ha (0.8 to 1.2)."
    assert len(said["tables"][0]["rows"]) == 1


def test_a_value_without_an_interval_is_listed_as_not_known() -> None:
    said = told(row("west", 5.0, sure=False), unseen=("2019-08-05",))
    assert said["sentences"][-1] == (
        "How sure this is, is not known: no reference sample has been labelled, so no value has an interval; "
        "one scene shows too little of the ground to give a value."
    )
    assert said["tables"][0]["rows"][0]["interval"] == "not known"
    assert said["unknown"] == [
        f"Tree cover cleared since the baseline year: A proxy, not the official indicator. {CAVEAT}",
        "How sure “Tree cover cleared since the baseline year” is: no reference sample has been labelled.",
        "What the ground looked like in 2019-08-05: too little of it was seen.",
    ]


def test_a_withheld_value_is_no_zero() -> None:
    said = told(row("west", None))
    assert said["sentences"][0].endswith("no value could be given, because only 3 % was seen.")
    assert said["tables"][0]["rows"][0]["value"] == "no value"
    assert any("for “West”: only 3 % was seen" in line for line in said["unknown"])


def test_a_zero_is_a_value() -> None:
    said = told(row("west", 0.0, sure=False))
    assert said["sentences"][0].startswith("By 2020-06-30, 0 ha of the tree cover")
    assert said["tables"][0]["rows"][0]["value"] == "0"


def test_a_run_without_indicators_tells_its_classes() -> None:
    seen = ClassAreas(
        "water", LEGEND, "ms2", "2019-08-31", 0.68, {"land": 30_000.0, "water": 20_000.0, "unknown": 50_000.0}
    )
    said = brief([], [seen], [])
    assert said["sentences"] == [
        "In “ms2” (2019-08-31), 20.0 % of what was seen is water: 2.00 ha.",
        "The rest: land 30.0 %, unknown 50.0 %.",
        "How sure this is, is not known: no reference sample has been labelled.",
    ]
    assert [(r["label"], r["value"], r["seen"]) for r in said["tables"][0]["rows"]] == [
        ("land", "3.00", "68"), ("water", "2.00", "68"), ("unknown", "5.00", "68"),
    ]  # fmt: skip
    assert "50.0 % of what was seen: the model could not decide" in said["unknown"][1]


def test_other_heads_are_told_without_what_they_did_not_find() -> None:
    roads = Legend("roads", (LegendClass(0, "other", (1, 1, 1)), LegendClass(1, "road", (2, 2, 2), "road")))
    heads = [
        ClassAreas("cover", LEGEND, "ms2", "2019-08-31", 1.0, {"water": 60_000.0, "land": 40_000.0}),
        ClassAreas("road", roads, "ms2", "2019-08-31", 1.0, {"other": 70_000.0, "unknown": 20_000.0, "road": 10_000.0}),
    ]
    said = brief([], heads, [])
    assert said["sentences"][2] == "In the same pass the network found road on 10.0 % of what was seen."
    assert [(t["name"], [r["label"] for r in t["rows"]]) for t in said["tables"]] == [
        ("Area of each class", ["water", "land"]), ("Separate answer: road", ["road", "unknown"]),
    ]  # fmt: skip
    assert said["unknown"][1:] == ["Whether there is a “road” on 20.0 % of what was seen: the model could not decide."]


def test_nothing_at_all_is_still_a_page() -> None:
    said = brief([], [], [])
    assert said["sentences"] == ["How sure this is, is not known: no reference sample has been labelled."]
    assert said["tables"] == []
