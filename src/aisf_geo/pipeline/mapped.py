"""The label maps of a run, as the run folder alone tells of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Legend, LegendClass
from aisf_geo.domain.period import Period
from aisf_geo.errors import DataError, LegendError, UsageError
from aisf_geo.ingest.read import read_header
from aisf_geo.store.run import RunFolder

#: Tag of a label map that holds its legend as JSON.
LEGEND_TAG = "LEGEND"


@dataclass(frozen=True)
class MappedItem:
    """One label map.

    Attributes:
        coverage: share of the wanted pixels that were observed, 0..1.
        obscured_share: share hidden by cloud or shadow.
        method: name and index or digest of what interpreted it.
    """

    id: str
    grid: Grid
    labels: Path
    stated_period: Period | None
    coverage: float
    obscured_share: float
    method: str

    @property
    def period(self) -> Period:
        """When the scene was acquired.

        Raises:
            UsageError: its source does not say.
        """
        if self.stated_period is None:
            raise UsageError(f"scene {self.id}: no acquisition date is stated, figures over time need one")
        return self.stated_period


def mapped_items(folder: RunFolder) -> list[MappedItem]:
    """The label maps of a run by time and id.

    Raises:
        DataError: there is none, or an item cannot be read.
    """
    items = [_mapped(folder, item_id) for item_id in folder.item_ids() if folder.item(item_id).stac.exists()]
    if not items:
        raise DataError(f"{folder.path}: no interpreted scene found; finish the run first, with --resume")
    return sorted(items, key=lambda i: (i.stated_period.start.isoformat() if i.stated_period else "", i.id))


def _mapped(folder: RunFolder, item_id: str) -> MappedItem:
    place = folder.item(item_id)
    try:
        properties: dict[str, Any] = json.loads(place.stac.read_text(encoding="utf-8"))["properties"]
        method = properties["aisf:method"]
        return MappedItem(
            id=item_id,
            grid=read_header(str(place.labels)).grid,
            labels=place.labels,
            stated_period=_period(properties),
            coverage=properties["aisf:coverage"],
            obscured_share=properties["aisf:obscured_share"],
            method=f"{method['name']} ({method['version']})",
        )
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{place.stac}: not an item of this program ({error!r}); run again with --resume") from error


def _period(properties: dict[str, Any]) -> Period | None:
    if properties.get("datetime"):
        return Period.instant(datetime.fromisoformat(properties["datetime"]))
    if "aisf:datetime_note" in properties:
        return None
    return Period(*(datetime.fromisoformat(properties[key]) for key in ("start_datetime", "end_datetime")))


def legend_json(legend: Legend) -> str:
    """A legend as the text of a tag."""
    classes = [{"code": c.code, "name": c.name, "colour": c.colour, "role": c.role} for c in legend.classes]
    return json.dumps({"name": legend.name, "classes": classes})


def legend_of(labels: Path) -> Legend:
    """The legend a label map carries.

    Raises:
        LegendError: it carries none, so it is not a label map of this program.
    """
    text = read_header(str(labels)).tags.get(LEGEND_TAG)
    if text is None:
        raise LegendError(f"{labels}: carries no legend; expected a labels.tif made by this program")
    said = json.loads(text)
    classes = (LegendClass(c["code"], c["name"], tuple(c["colour"]), c["role"]) for c in said["classes"])
    return Legend(said["name"], tuple(classes))
