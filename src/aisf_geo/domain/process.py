"""What a transition between two classes is called on the ground, by the roles the legend gives them."""

from __future__ import annotations

from typing import Literal

from aisf_geo.domain.legend import Role

Process = Literal[
    "urban expansion",
    "built-up loss",
    "forest loss",
    "vegetation loss",
    "recovery",
    "water gain",
    "water loss",
    "burn",
    "other change",
]

_LOST: dict[Role, Process] = {
    "tree-cover": "forest loss",
    "vegetation": "vegetation loss",
    "crop": "vegetation loss",
    "water": "water loss",
    "built-up": "built-up loss",
}
_GAINED: dict[Role, Process] = {
    "built-up": "urban expansion",
    "water": "water gain",
    "burned": "burn",
    "tree-cover": "recovery",
    "vegetation": "recovery",
}
#: Roles of growing plants: going from one to another of lower rank loses forest, to a higher one is recovery.
_GREEN: tuple[Role, ...] = ("crop", "vegetation", "tree-cover")


def processes_of(before: Role, after: Role) -> tuple[Process, ...]:
    """The processes a transition stands for, the loss first; empty where the role stays the same.

    Forest that becomes built-up is two of them: forest loss and urban expansion. Areas by process therefore overlap.
    """
    if before == after:
        return ()
    if before in _GREEN and after in _GREEN:
        if _GREEN.index(after) > _GREEN.index(before):
            return ("recovery",)
        return ("forest loss",) if before == "tree-cover" else ("vegetation loss",)
    named = tuple(table[role] for table, role in ((_LOST, before), (_GAINED, after)) if role in table)
    return named or ("other change",)
