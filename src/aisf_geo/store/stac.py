"""STAC items and collections for the outputs of a run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import geopandas
import pystac
import shapely
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.period import Period
from aisf_geo.domain.provenance import MADE_BY
from aisf_geo.store.files import sha256_file, write_text

PROCESSING_SCHEMA = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"

_MEDIA = {
    ".tif": pystac.MediaType.COG,
    ".png": pystac.MediaType.PNG,
    ".geojson": pystac.MediaType.GEOJSON,
    ".gpkg": pystac.MediaType.GEOPACKAGE,
    ".parquet": "application/vnd.apache.parquet",
    ".pmtiles": "application/vnd.pmtiles",
}
#: Suffixes of what is written in several formats.
_TABLES = (".geojson", ".gpkg", ".parquet", ".pmtiles")
_ROLES = {"quicklook": ["overview"], "imagery": ["visual"]}


@dataclass(frozen=True)
class ItemRecord:
    """What a STAC item says of one interpreted scene, beside its files.

    Attributes:
        heads: name and legend of each, the main one first.
        coverage: share of the wanted pixels that were observed, 0..1.
        source: attribution of the imagery.
        software: name to version.
        account: what was moved, split, squared, left out or withheld on the way to the vectors, by product.
        audience: who the outputs are for; ``raster_audience`` may be narrower where pixels show single homes.
    """

    id: str
    collection: str
    grid: Grid
    period: Period | None
    heads: Mapping[str, Legend]
    method: Mapping[str, Any]
    coverage: float
    obscured_share: float
    attribution: str
    licence: str
    software: Mapping[str, str]
    account: Mapping[str, Any]
    audience: str
    raster_audience: str


def item_of(record: ItemRecord, folder: Path) -> pystac.Item:
    """The STAC item of the output files in ``folder``, with checksums; files that are not there are left out."""
    footprint = _lonlat(record.grid)
    single = record.period is not None and (record.period.end - record.period.start).total_seconds() < 1
    properties: dict[str, Any] = {
        "processing:software": dict(record.software),
        "processing:facility": "aisf-geo",
        "processing:level": "L4",
        "processing:lineage": f"{MADE_BY} Method: {record.method['name']}. Imagery: {record.attribution}",
        "aisf:made_by": MADE_BY,
        "aisf:method": dict(record.method),
        "aisf:coverage": round(record.coverage, 6),
        "aisf:obscured_share": round(record.obscured_share, 6),
        "aisf:source_attribution": record.attribution,
        "aisf:account": dict(record.account),
        "aisf:audience": record.audience,
        "license": "other",
        "aisf:source_licence": record.licence,
        "gsd": round(record.grid.gsd_m, 4),
    }
    item = pystac.Item(
        id=record.id,
        geometry=json.loads(shapely.to_geojson(footprint)),
        bbox=[float(v) for v in shapely.bounds(footprint)],
        datetime=record.period.start if single and record.period else None,
        properties=properties,
        start_datetime=None if single else (record.period.start if record.period else _UNDATED.start),
        end_datetime=None if single else (record.period.end if record.period else _UNDATED.end),
        stac_extensions=[PROCESSING_SCHEMA],
        collection=record.collection,
    )
    if record.period is None:
        item.properties["aisf:datetime_note"] = (
            "the source states no acquisition date; the range is that of Earth imaging"
        )
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    code = record.grid.pyproj_crs.to_epsg()
    projection.apply(code=f"EPSG:{code}" if code else None, wkt2=None if code else record.grid.pyproj_crs.to_wkt())
    projection.shape = list(record.grid.shape)
    projection.transform = list(record.grid.transform)[:6]
    _add_assets(item, record, folder)
    return item


#: STAC wants a range where there is no date: from the first civil Earth-imaging satellite to a far end.
_UNDATED = Period(datetime(1972, 7, 23, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


#: Files whose pixels show what was decided, single homes included.
_DECIDED = ("labels", "confidence", "probabilities", "quicklook")


def _add_assets(item: pystac.Item, record: ItemRecord, folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        media = _MEDIA.get(path.suffix)
        if media is None or path.name.startswith("."):
            continue
        # Tables come in several formats; every other file has a name of its own.
        key = f"{path.stem}_{path.suffix.lstrip('.')}" if path.suffix in _TABLES else path.stem
        item.add_asset(key, pystac.Asset(f"./{path.name}", media_type=media, roles=_ROLES.get(path.stem, ["data"])))
        if record.raster_audience != record.audience and path.stem.startswith(_DECIDED):
            item.assets[key].extra_fields["aisf:audience"] = record.raster_audience
        described = FileExtension.ext(item.assets[key], add_if_missing=True)
        # Multihash: 0x12 is sha2-256, 0x20 its length in bytes.
        described.checksum = "1220" + sha256_file(path).removeprefix("sha256:")
        described.size = path.stat().st_size
    for i, (head, legend) in enumerate(record.heads.items()):
        if labels := item.assets.get(f"labels_{head}" if i else "labels"):
            classes = [
                Classification.create(value=c.code, name=_slug(c.name), title=c.name, color_hint=_hex(c.colour))
                for c in legend.classes
            ]
            ClassificationExtension.ext(labels, add_if_missing=True).classes = classes


def _slug(name: str) -> str:
    """A class name in the characters the extension allows."""
    return re.sub(r"[^0-9A-Za-z_-]+", "-", name).strip("-")


def _hex(colour: tuple[int, int, int]) -> str:
    return "".join(f"{part:02X}" for part in colour)


def _lonlat(grid: Grid) -> shapely.Geometry:
    """The outline of a grid in longitude and latitude."""
    west, south, east, north = grid.bounds
    box = shapely.segmentize(shapely.box(*grid.bounds), max(east - west, north - south) / 8)
    return cast("shapely.Geometry", geopandas.GeoSeries([box], crs=grid.pyproj_crs).to_crs(4326).iloc[0])


def write_item(item: pystac.Item, path: Path) -> None:
    """Write an item beside its files, linked to the collection two folders up."""
    content = item.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"] = [
        {"rel": "root", "href": "../../collection.json", "type": "application/json"},
        {"rel": "collection", "href": "../../collection.json", "type": "application/json"},
        {"rel": "parent", "href": "../../collection.json", "type": "application/json"},
    ]
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_collection(path: Path, run_id: str, title: str, items: Sequence[pystac.Item], sources: Sequence[str]) -> None:
    """Write the collection of a run, linking its items."""
    boxes = [item.bbox for item in items if item.bbox]
    spatial = pystac.SpatialExtent(
        [[*(min(b[i] for b in boxes) for i in (0, 1)), *(max(b[i] for b in boxes) for i in (2, 3))]]
    )
    moments = [m for item in items for m in _moments(item)]
    temporal = pystac.TemporalExtent([[min(moments), max(moments)]])
    collection = pystac.Collection(
        run_id, f"{title}. {MADE_BY}", pystac.Extent(spatial, temporal), title=title, license="other"
    )
    collection.extra_fields["aisf:sources"] = list(dict.fromkeys(sources))
    content = collection.to_dict(include_self_link=False, transform_hrefs=False)
    content["links"] = [{"rel": "root", "href": "./collection.json", "type": "application/json"}] + [
        {"rel": "item", "href": f"./items/{item.id}/item.json", "type": "application/geo+json"} for item in items
    ]
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _moments(item: pystac.Item) -> list[datetime]:
    common = item.common_metadata
    return [m for m in (item.datetime, common.start_datetime, common.end_datetime) if m is not None]
