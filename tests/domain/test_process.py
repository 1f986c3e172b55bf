"""Transitions are named by roles."""

from __future__ import annotations

import pytest

from aisf_geo.domain.legend import Role
from aisf_geo.domain.process import processes_of


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("tree-cover", "other", ("forest loss",)),
        ("other", "tree-cover", ("recovery",)),
        ("tree-cover", "built-up", ("forest loss", "urban expansion")),
        ("tree-cover", "burned", ("forest loss", "burn")),
        ("tree-cover", "vegetation", ("forest loss",)),
        ("vegetation", "tree-cover", ("recovery",)),
        ("crop", "vegetation", ("recovery",)),
        ("bare", "built-up", ("urban expansion",)),
        ("water", "other", ("water loss",)),
        ("other", "water", ("water gain",)),
        ("water", "built-up", ("water loss", "urban expansion")),
        ("bare", "road", ("other change",)),
        ("water", "water", ()),
    ],
)
def test_a_transition_has_its_processes(before: Role, after: Role, named: tuple[str, ...]) -> None:
    assert processes_of(before, after) == named
