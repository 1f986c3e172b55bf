"""The first page of a report: three plain sentences, one table, and what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aisf_geo.domain.legend import UNKNOWN, Legend
from aisf_geo.indicators import registry
from aisf_geo.store.page import number

#: Zones of each figure on the first page, those with the largest values; the rest stand in the tables behind it.
ZONES_TOLD = 10
#: Scenes named for a value on the first page; more are counted.
SCENES_TOLD = 3
NO_SAMPLE = "no reference sample has been labelled"

Row = dict[str, Any]


@dataclass(frozen=True)
class ClassAreas:
    """What one head shows of one scene, where a run computes no indicator.

    Attributes:
        coverage: share of the scene that was seen, 0..1.
        area_m2: class name to area, largest first.
    """

    head: str
    legend: Legend
    item: str
    when: str
    coverage: float
    area_m2: Mapping[str, float]

    def share(self, name: str) -> float:
        """Of what was seen, in percent."""
        return 100 * self.area_m2[name] / sum(self.area_m2.values())

    @property
    def finds(self) -> list[str]:
        """The classes that are no remainder, largest first."""
        found = {entry.name for entry in self.legend.classes if entry.role != "other"}
        return [name for name in self.area_m2 if name in found]

    @property
    def undecided(self) -> str | None:
        """Name of the class of what the model could not decide, where there is any."""
        name = self.legend.class_name(UNKNOWN)
        return name if name in self.area_m2 else None


def brief(rows: Sequence[Row], seen: Sequence[ClassAreas], unseen: Sequence[str]) -> dict[str, Any]:
    """What the first page says.

    Args:
        rows: every value of the run, as in indicators.json and with ``when`` and ``interval_text``.
        seen: the areas of the classes, for a run without values; those of the main head first.
        unseen: scenes of which less was seen than a value needs.
    """
    last = latest(rows)
    figures = _figures(last)
    if figures:
        sentences = [*_found(figures[0], rows), _certainty(last, unseen)]
    else:
        sentences = [*_classes(seen), f"How sure this is, is not known: {NO_SAMPLE}."]
    return {
        "sentences": sentences,
        "tables": [_told(figure) for figure in figures] or [_class_table(one, i == 0) for i, one in enumerate(seen)],
        "left_out": sum(max(0, len(figure) - ZONES_TOLD) for figure in figures),
        "unknown": _unknown(figures, unseen) or _undecided(seen),
    }


def latest(rows: Sequence[Row]) -> list[Row]:
    """For each figure and zone the last value that was not withheld, or the last one if all were."""
    chosen: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        key = row["formula"], row["name"], row["zone"]
        if row["value"] is not None or key not in chosen or chosen[key]["value"] is None:
            chosen[key] = row
    return list(chosen.values())


def _figures(last: Sequence[Row]) -> list[list[Row]]:
    """The rows of each figure, largest value first, withheld ones last."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in last:
        groups.setdefault((row["formula"], row["name"]), []).append(row)
    return [sorted(g, key=lambda r: (r["value"] is None, -(r["value"] or 0.0))) for g in groups.values()]


def _found(figure: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """The largest value of the first figure, and what it stands beside."""
    first, others = figure[0], [r for r in figure[1:] if r["value"] is not None]
    if first["value"] is None:
        return [f"{first['name']}: no value could be given, because {first['withheld_reason']}."]
    told = [_sentence(first)]
    if len(others) == 1:
        told.append(f"In the other zone, “{others[0]['zone_name']}”, it is {_amount(others[0], with_level=False)}.")
    elif others:
        low = others[-1]
        told.append(
            f"In the {len(others)} other zones it lies between {_amount(low, with_level=False)} "
            f"(“{low['zone_name']}”) and {_amount(others[0], with_level=False)} (“{others[0]['zone_name']}”)."
        )
    else:
        key = first["formula"], first["name"], first["zone"]
        told += _course([r for r in rows if (r["formula"], r["name"], r["zone"]) == key and r["value"] is not None])
    return told


def _course(series: Sequence[Row]) -> list[str]:
    """How a single zone's value stood at its first date."""
    start = series[0]
    return [f"On {start['when']} it was {_amount(start, with_level=False)}."] if len(series) > 1 else []


def _sentence(row: Row) -> str:
    """A value in the words of its formula."""
    what = registry.definition(row["formula"])
    if row["name"] != what.name:
        return f"{row['name']}, {row['zone_name']}: {_amount(row)} ({row['when']})."
    return what.sentence.format(value=_amount(row), zone=f"“{row['zone_name']}”", when=row["when"])


def _amount(row: Row, with_level: bool = True) -> str:
    value = f"{number(row['value'])} {row['unit']}"
    if not row["interval"]:
        return value
    level = f"{100 * row['interval']['level']:g} % interval " if with_level else ""
    return f"{value} ({level}{row['interval_text']})"


def _certainty(last: Sequence[Row], unseen: Sequence[str]) -> str:
    """The third sentence: for how many of the values it is known how sure they are."""
    given = [r for r in last if r["value"] is not None]
    sure = sum(r["interval"] is not None for r in given)
    if not sure:
        told = f"How sure this is, is not known: {NO_SAMPLE}, so no value has an interval"
    elif sure == len(given):
        told = "Every value below has an interval from a labelled reference sample"
    else:
        told = f"Of the {len(given)} values below, {sure} have an interval from a labelled reference sample"
    few = "one scene shows" if len(unseen) == 1 else f"{len(unseen)} scenes show"
    return told + (f"; {few} too little of the ground to give a value." if unseen else ".")


def _classes(seen: Sequence[ClassAreas]) -> list[str]:
    """What the largest class that is a find covers, what the rest is, and what the other heads found."""
    if not seen:
        return []
    first, *others = seen
    main = next(iter(first.finds), next(iter(first.area_m2)))
    rest = [f"{n} {number(first.share(n))} %" for n in first.area_m2 if n != main]
    area = f"{number(first.area_m2[main] / 10_000)} ha"
    told = [f"In “{first.item}” ({first.when}), {number(first.share(main))} % of what was seen is {main}: {area}."]
    told += [f"The rest: {', '.join(rest)}."] if rest else []
    found = [f"{n} on {number(one.share(n))} %" for one in others for n in one.finds]
    return told + ([f"In the same pass the network found {', '.join(found)} of what was seen."] if found else [])


def _told(figure: Sequence[Row]) -> Row:
    """The part of the table for one figure."""
    told = [
        {
            "zone": row["zone"],
            "label": row["zone_name"],
            "value": "no value" if row["value"] is None else number(row["value"]),
            "unit": row["unit"],
            "interval": row["interval_text"] or "not known",
            "when": row["when"],
            "seen": f"{100 * row['coverage']:.0f}",
            "sources": _named(row["provenance"]["items"]),
        }
        for row in figure[:ZONES_TOLD]
    ]
    return {"name": figure[0]["name"], "rows": told}


def _class_table(seen: ClassAreas, main: bool) -> Row:
    """The classes of a head; of those beside the main one without the remainder."""
    shown = seen.area_m2 if main else [*seen.finds, *filter(None, [seen.undecided])]
    same = {"zone": None, "unit": "ha", "interval": "not known", "when": seen.when, "sources": seen.item}
    share = f"{100 * seen.coverage:.0f}"
    areas = {name: seen.area_m2[name] for name in shown}
    told = [same | {"label": n, "value": number(a / 10_000), "seen": share} for n, a in areas.items()]
    return {"name": "Area of each class" if main else f"Separate answer: {seen.head}", "rows": told}


def _named(scenes: Sequence[str]) -> str:
    further = len(scenes) - SCENES_TOLD
    return ", ".join(scenes[:SCENES_TOLD]) + (f" and {further} more" if further > 0 else "")


def _unknown(figures: Sequence[Sequence[Row]], unseen: Sequence[str]) -> list[str]:
    """What a reader must not take for known, one line each."""
    caveats: dict[str, list[str]] = {}
    told, withheld = [], []
    for first, *others in figures:
        proxy = "A proxy, not the official indicator. " if first["proxy"] else ""
        caveats.setdefault(proxy + first["caveat"], []).append(first["name"])
        if unsure := [r for r in (first, *others) if r["value"] is not None and r["interval"] is None]:
            told.append(f"How sure “{first['name']}” is: {unsure[0]['inputs'].get('interval_note', NO_SAMPLE)}.")
        if missing := [r for r in (first, *others) if r["value"] is None]:
            zones = _named([f"“{r['zone_name']}”" for r in missing])
            withheld.append(f"“{first['name']}” for {zones}: {missing[0]['withheld_reason']}.")
    said = [f"{'; '.join(names)}: {caveat}" for caveat, names in caveats.items()]
    hidden = [f"What the ground looked like in {_named(unseen)}: too little of it was seen."] if unseen else []
    return said + told + withheld + hidden


def _undecided(seen: Sequence[ClassAreas]) -> list[str]:
    """The same for a run without values."""
    told = [f"How sure the map is: {NO_SAMPLE}."]
    for i, one in enumerate(seen):
        if one.undecided:
            what = f"Whether there is a “{one.head}”" if i else "What lies"
            share = number(one.share(one.undecided))
            told.append(f"{what} on {share} % of what was seen: the model could not decide.")
    return told
