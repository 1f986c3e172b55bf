"""Places no shipped model was trained on, by data set, and the places that calibrate it.

Neighbouring images of one place resemble each other, so a data set is split by place. The sets are those the cards
name; any other folder is one split, ``all``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from aisf_geo.errors import UsageError

#: ``test`` no training ever sees; ``validation`` chooses among trainings and calibrates; ``train`` is the rest.
Split = Literal["all", "test", "validation", "train"]


@dataclass(frozen=True)
class Fixed:
    """The places of a data set that are kept apart.

    Attributes:
        test: by name; ``every`` n-th in sorted order from the first instead, where it is not 0. Then half as many from
            the second on validate.
    """

    test: frozenset[str] = frozenset()
    validation: frozenset[str] = frozenset()
    every: int = 0

    def of(self, places: Sequence[str]) -> dict[str, Split]:
        """Each place's split."""
        ordered = sorted(set(places))
        if self.every:
            test, validation = set(ordered[:: self.every]), set(ordered[1 :: 2 * self.every])
        else:
            test, validation = set(self.test), set(self.validation)
        return {p: "test" if p in test else "validation" if p in validation else "train" for p in ordered}


FIXED: dict[str, Fixed] = {
    "urban_landcover": Fixed(frozenset({"tile5", "tile7"}), frozenset({"tile3"})),
    "buildings": Fixed(frozenset({"catanduanes"}), frozenset({"zanzibar-south"})),
    "roads": Fixed(every=5),
    "landcover_30m": Fixed(frozenset({"fold-13", "fold-14", "fold-15"}), frozenset({"fold-12"})),
    "clouds": Fixed(frozenset({"landsat7"})),
    "vehicles": Fixed(frozenset({"kit_ais/MunichStreet02", "minsk/DJI_0762"}), frozenset({"minsk/DJI_0013"})),
}


def split_of(dataset: str, places: Sequence[str], split: str) -> frozenset[str]:
    """The places of a split.

    Raises:
        UsageError: no such split, the data set has no fixed places, or none of them is there.
    """
    if split not in get_args(Split):
        raise UsageError(f"split: asked for {split!r}, known are {', '.join(get_args(Split))}")
    if split == "all":
        return frozenset(places)
    if dataset not in FIXED:
        raise UsageError(
            f"split: {dataset!r} has no fixed places, known are {', '.join(FIXED)}; use --split all, or give a folder "
            "that holds the places to judge"
        )
    chosen = frozenset(p for p, s in FIXED[dataset].of(places).items() if s == split)
    if not chosen:
        raise UsageError(f"split: {dataset!r} has no {split} place among {', '.join(sorted(set(places)))[:200]}")
    return chosen
