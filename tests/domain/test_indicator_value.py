from __future__ import annotations

import json
from typing import Any

import pytest

from aisf_geo.domain.indicator import IndicatorValue, Interval
from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import Provenance, sha256_bytes, sha256_json

CONTRACT_KEYS = {
    "indicator", "formula", "name", "zone", "zone_name", "period", "value", "unit", "interval", "coverage",
    "withheld_reason", "proxy", "caveat", "inputs", "provenance",
}  # fmt: skip


def value_with(**changes: Any) -> IndicatorValue:
    fields: dict[str, Any] = {
        "indicator": "15.1.1",
        "formula": "15.1.1@2023",
        "name": "Tree-cover share",
        "zone": "z1",
        "zone_name": "North",
        "period": Period.year(2020),
        "value": 12.5,
        "unit": "%",
        "coverage": 0.9,
        "proxy": True,
        "caveat": "Not forest land use.",
        "provenance": Provenance(("2020-06-30",), ("vegetation",), "sha256:0"),
    }
    return IndicatorValue(**fields | changes)


def test_json_has_the_keys_of_the_contract_and_no_others() -> None:
    said = value_with().as_json()
    assert set(said) == CONTRACT_KEYS
    assert said["period"] == {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
    kept = {"items": ["2020-06-30"], "models": ["vegetation"], "run": "sha256:0", "attribution": []}
    assert said["provenance"].items() >= kept.items()
    assert "AI" in said["provenance"]["made_by"]
    assert json.loads(json.dumps(said)) == said


def test_no_interval_is_invented() -> None:
    assert value_with().as_json()["interval"] is None


def test_an_interval_says_its_level_and_method() -> None:
    said = value_with(interval=Interval(11.0, 14.0, 0.95, "stratified sample")).as_json()
    assert said["interval"] == {"low": 11.0, "high": 14.0, "level": 0.95, "method": "stratified sample"}


@pytest.mark.parametrize("changes", [{"value": None}, {"withheld_reason": "too few clear dates"}])
def test_a_number_is_given_or_withheld_with_a_reason_never_neither_or_both(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="given or withheld"):
        value_with(**changes)


def test_zero_is_a_number_and_not_a_gap() -> None:
    assert value_with(value=0.0).as_json()["value"] == 0.0


def test_the_digest_of_json_does_not_depend_on_the_order_of_keys_and_does_on_values() -> None:
    assert sha256_json({"a": 1, "b": [2]}) == sha256_json({"b": [2], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": 2})


def test_digests_are_sha_256_with_their_name() -> None:
    assert sha256_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
