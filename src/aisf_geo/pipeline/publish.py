"""The outputs of a run as STAC: an item per scene, a collection per run."""

from __future__ import annotations

import json

import pystac

from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.audience import homes_to_hide
from aisf_geo.pipeline.features import ACCOUNT
from aisf_geo.pipeline.identity import versions
from aisf_geo.pipeline.imagery import publish_imagery
from aisf_geo.pipeline.plan import ItemPlan, RunPlan
from aisf_geo.pipeline.segment import DOUBTS, SETTLED, outcome
from aisf_geo.store.ledger import open_ledger
from aisf_geo.store.run import RunFolder
from aisf_geo.store.stac import ItemRecord, item_of, write_collection, write_item


def publish_item(plan: RunPlan, item: ItemPlan, folder: RunFolder) -> None:
    """Write the picture and the STAC item of one interpreted scene."""
    publish_imagery(item, folder)
    with open_ledger(folder.ledger) as ledger:
        account = outcome(item.id, ledger, computed=0)
        settled = json.loads(ledger.fact(item.id, SETTLED) or "{}")
        if doubts := json.loads(ledger.fact(item.id, DOUBTS) or "[]"):
            settled["warnings"] = doubts
        vectors = json.loads(ledger.fact(item.id, ACCOUNT) or "{}")
    out = folder.item(item.id)
    shows_homes = any(homes_to_hide(plan.recipe, legend, item.grid).in_pixels for legend in plan.heads.values())
    record = ItemRecord(
        id=item.id,
        collection=plan.recipe.name,
        grid=item.grid,
        period=item.view.scene.period,
        heads=plan.heads,
        method={
            "name": item.choice.name,
            "version": read_header(str(out.labels)).tags["METHOD_VERSION"],
            "settled": settled,
            "overlap_factor": plan.overlap_factor(item),
            "source": item.choice.source,
        },
        coverage=account.coverage,
        obscured_share=account.obscured_share,
        attribution=item.attribution,
        licence=item.licence,
        software=versions(),
        account=vectors,
        audience=plan.recipe.audience,
        raster_audience="internal" if shows_homes else plan.recipe.audience,
    )
    write_item(item_of(record, out.path), out.stac)


def publish_collection(plan: RunPlan, folder: RunFolder) -> None:
    """Write the STAC collection of a run over the items that are there."""
    items = [pystac.Item.from_file(str(folder.item(i.id).stac)) for i in plan.items]
    sources = [f"{item.attribution} ({item.licence})" for item in plan.items]
    write_collection(folder.collection, plan.recipe.name, plan.recipe.title, items, sources)
