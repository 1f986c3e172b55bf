"""What the codes of a label map mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aisf_geo.errors import LegendError

#: Label code of a pixel that was not observed: nodata, masked cloud or shadow, outside the area of interest.
NOT_OBSERVED = 255
#: Label code of a pixel that was observed but not decided.
UNKNOWN = 254
#: Code of a confidence that does not exist; 0..254 stand for 0..1.
NO_CONFIDENCE = 255
CONFIDENCE_STEPS = 254

#: What a class means to an indicator. ``other`` is the remainder of a one-class map.
Role = Literal["other", "water", "vegetation", "tree-cover", "snow", "built-up", "bare", "burned", "road", "crop"]


@dataclass(frozen=True, slots=True)
class LegendClass:
    """One class: its code in label maps, name, RGB colour and the role indicators know it by."""

    code: int
    name: str
    colour: tuple[int, int, int]
    role: Role = "other"


@dataclass(frozen=True, slots=True)
class Legend:
    """The classes of a label map, by ascending code."""

    name: str
    classes: tuple[LegendClass, ...]

    def __post_init__(self) -> None:
        codes = [c.code for c in self.classes]
        if codes != sorted(set(codes)) or not all(0 <= code < UNKNOWN for code in codes):
            raise LegendError(f"legend {self.name!r}: codes must ascend, differ and lie in 0..253, found {codes}")

    def __getitem__(self, code: int) -> LegendClass:
        for item in self.classes:
            if item.code == code:
                return item
        raise LegendError(f"legend {self.name!r} has no class {code}; it has {[c.code for c in self.classes]}")

    def class_name(self, code: int) -> str:
        """The name of a code, including the two that every label map has."""
        return {UNKNOWN: "unknown", NOT_OBSERVED: "not observed"}.get(code) or self[code].name

    def codes_with_role(self, role: Role) -> tuple[int, ...]:
        """The codes an indicator counts for ``role``; empty if this legend cannot answer."""
        return tuple(c.code for c in self.classes if c.role == role)
