"""Where scenes come from: a file, a folder of files, or a static STAC collection, behind one protocol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pystac

from aisf_geo.domain.period import Period
from aisf_geo.domain.sensors import SENSORS, QualityScheme, SensorProfile, sensor, sentinel2_offset
from aisf_geo.errors import BandError, DataError, NoDataError, UnreadableError, UsageError
from aisf_geo.ingest.read import Header, read_header
from aisf_geo.ingest.scene import BandSource, Scene

TILE_SUFFIXES = {".tif", ".tiff", ".jp2"}


class Catalog(Protocol):
    """A source of scenes."""

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """The scenes acquired in ``period`` (all if None), by acquisition time and id.

        Raises:
            NoDataError: there is none.
            UnreadableError: the source cannot be read.
        """
        ...


@dataclass(frozen=True)
class Hints:
    """What the user says of files that do not say it themselves."""

    bands: tuple[str, ...] | None = None
    sensor: str | None = None


def open_catalog(location: Path, hints: Hints = Hints()) -> Catalog:
    """The catalogue at ``location``: a raster file, a STAC collection or item, or a folder.

    Raises:
        UnreadableError: nothing is there.
        UsageError: hints were given for STAC, which needs none.
    """
    if not location.exists():
        raise UnreadableError(f"{location}: there is no such file or folder")
    collection = location / "collection.json"
    if location.suffix == ".json" or collection.exists():
        if hints.sensor is not None:
            sensor(hints.sensor)
        if hints != Hints():
            raise UsageError(
                f"{location}: is STAC, which names its bands and sensor itself; leave --bands and --sensor out"
            )
        return StacCatalog(collection if location.is_dir() else location)
    if location.is_dir():
        return FileCatalog(_tiles_in(location), hints)
    beside = location.with_suffix(".json")
    if hints == Hints() and _is_stac_item(beside):
        return StacCatalog(beside)
    return FileCatalog((location,), hints)


def _is_stac_item(path: Path) -> bool:
    """True for a STAC item; other JSON may lie beside a tile too."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("type") == "Feature" and "stac_version" in content


def _tiles_in(folder: Path) -> tuple[Path, ...]:
    tiles = tuple(sorted(p for p in folder.iterdir() if p.suffix.lower() in TILE_SUFFIXES))
    if not tiles:
        raise NoDataError(f"{folder}: no tiles found; expected files ending in {', '.join(sorted(TILE_SUFFIXES))}")
    return tiles


@dataclass(frozen=True)
class FileCatalog:
    """Raster files; what they do not say of themselves comes from the hints."""

    files: tuple[Path, ...]
    hints: Hints = Hints()

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """One scene for each file."""
        return _in_period([scene_of_file(path, self.hints) for path in self.files], period, self.files[0].parent)


def scene_of_file(path: Path, hints: Hints = Hints()) -> Scene:
    """The scene in one raster file, from its tags, band descriptions and the hints.

    Raises:
        UnreadableError: the file cannot be opened.
        BandError: ``hints.bands`` does not name each band once.
    """
    header = read_header(str(path))
    if hints.bands is not None and len(hints.bands) == len(header.band_names):
        # Who names every band says that none of them is an alpha channel.
        header = replace(header, data_bands=tuple(range(len(header.band_names))))
    profile = _profile(hints.sensor or header.tags.get("SENSOR"), explicit=hints.sensor is not None)
    names = _band_names(path, header, hints.bands, profile)
    # A file that carries its own scaling knows best; a profile speaks for files of the product as delivered.
    scaled = any(s != 1 for s in header.scales) or any(header.offsets) or not header.whole_numbers
    bands = []
    for i, name in zip(header.data_bands, names, strict=True):
        scale, offset = (header.scales[i], header.offsets[i]) if scaled or profile is None else _scaling(profile)
        masked = not set(header.alpha_bands) & set(header.data_bands)
        nodata = header.nodata[i] if header.nodata[i] is not None else (profile.nodata if profile else None)
        masked = not set(header.alpha_bands) & set(header.data_bands)
        bands.append((name, BandSource(str(path), i + 1, scale, offset, nodata, masked)))
    return Scene(
        id=path.stem,
        grid=header.grid,
        bands=tuple(bands),
        period=_tag_period(header.tags.get("TIFFTAG_DATETIME")),
        sensor=profile.id if profile else None,
        reflectance=bool(profile and profile.reflectance),
        surface=bool(profile and profile.surface),
        attribution=header.tags.get("TIFFTAG_COPYRIGHT"),
    )


def _profile(name: str | None, *, explicit: bool) -> SensorProfile | None:
    """A named profile; a tag that names an unknown sensor is no error, a user who does is told."""
    if name is None or (not explicit and name not in SENSORS):
        return None
    return sensor(name)


def _scaling(profile: SensorProfile) -> tuple[float, float]:
    return profile.scale, profile.offset


def _band_names(
    path: Path, header: Header, asked: tuple[str, ...] | None, profile: SensorProfile | None
) -> tuple[str, ...]:
    described = [header.band_names[i] for i in header.data_bands]
    count = len(described)
    if asked is not None:
        if len(asked) != count or len(set(asked)) != count:
            raise BandError(f"{path}: --bands names {len(asked)} bands ({', '.join(asked)}), the file has {count}")
        return asked
    names = tuple(
        (profile.common_name(text) if profile and text else None) or text or f"band{i}"
        for i, text in enumerate(described, start=1)
    )
    if profile and not any(described) and len(profile.bands) == count:
        return tuple(band.name for band in profile.bands)
    return names


def _tag_period(text: str | None) -> Period | None:
    """TIFF writes ``YYYY:MM:DD HH:MM:SS`` with no zone; imagery means UTC."""
    try:
        return Period.instant(datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)) if text else None
    except ValueError:
        return None


#: What reading JSON of another shape than STAC's ends in, somewhere inside pystac or here.
_MALFORMED = (KeyError, ValueError, TypeError, AttributeError)


@dataclass(frozen=True)
class StacCatalog:
    """A static STAC item or collection on disk."""

    path: Path

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """One scene for each item."""
        try:
            root = pystac.read_file(str(self.path))
            items = [root] if isinstance(root, pystac.Item) else list(_catalog(root).get_items(recursive=True))
            collection = root if isinstance(root, pystac.Collection) else items[0].get_collection() if items else None
            scenes = [scene_of_item(item, collection) for item in items]
        except (pystac.STACError, pystac.STACTypeError, OSError, *_MALFORMED) as error:
            raise UnreadableError(f"{self.path}: not a STAC item or collection that can be read ({error})") from error
        return _in_period(scenes, period, self.path)


def _catalog(root: Any) -> pystac.Catalog:
    if not isinstance(root, pystac.Catalog):
        raise pystac.STACError(f"expected an item or a collection, found {type(root).__name__}")
    return root


def scene_of_item(item: pystac.Item, collection: pystac.Collection | None = None) -> Scene:
    """The scene a STAC item describes: bands of assets with the role ``data``, quality from ``scl``/``qa_pixel``.

    Raises:
        DataError: the item has no readable data asset.
    """
    profile = _profile(item.collection_id, explicit=False)
    bands: list[tuple[str, BandSource]] = []
    quality: tuple[QualityScheme, BandSource] | None = None
    quality_asset = grid = None
    for key, asset in item.assets.items():
        href = _local(asset.get_absolute_href() or asset.href)
        roles = asset.roles or []
        if key.lower() in ("scl", "qa_pixel"):
            # 0 is "no data" in the one and has no bit set in the other, where fill is a bit of its own.
            quality = (
                ("scl", BandSource(href, 1, nodata=0)) if key.lower() == "scl" else ("qa_pixel", BandSource(href, 1))
            )
            quality_asset = key
        elif "data" in roles and not {"thumbnail", "overview"} & set(roles):
            header = read_header(href)
            profile = profile or _profile(header.tags.get("SENSOR"), explicit=False)
            # The finest band gives the grid of the scene.
            grid = header.grid if grid is None or header.grid.gsd_m < grid.gsd_m * 0.99 else grid
            bands += _asset_bands(key, asset, href, header, item, profile)
    if grid is None:
        raise DataError(
            f"STAC item {item.id}: no asset with the role 'data'; it has {', '.join(item.assets) or 'none'}"
        )
    return Scene(
        id=item.id,
        grid=grid,
        bands=tuple(bands),
        period=_item_period(item),
        quality=quality,
        quality_asset=quality_asset,
        sensor=profile.id if profile else None,
        reflectance=bool(profile and profile.reflectance),
        surface=bool(profile and profile.surface),
        licence=collection.license if collection else None,
        attribution=(collection.extra_fields.get("attribution") if collection else None),
        stac_item=json.dumps(item.to_dict(transform_hrefs=False)),
    )


def _asset_bands(
    key: str, asset: pystac.Asset, href: str, header: Header, item: pystac.Item, profile: SensorProfile | None
) -> Iterable[tuple[str, BandSource]]:
    """The bands of one asset: STAC 1.1 ``bands`` first, then the file's own descriptions, then the asset key."""
    declared = asset.extra_fields.get("bands") or []
    shift = sentinel2_offset(
        item.properties.get("s2:processing_baseline"), bool(item.properties.get("earthsearch:boa_offset_applied"))
    )
    for i in header.data_bands:
        said = declared[i] if i < len(declared) else {}
        alone = key if len(header.data_bands) == 1 else f"{key}.{i + 1}"
        called = said.get("eo:common_name") or said.get("name") or header.band_names[i] or alone
        name = (profile.common_name(called) if profile else None) or called
        # What the item or the file states is the whole truth; the product's scaling is for those that state none.
        stated = header.scales[i] != 1 or header.offsets[i] != 0 or not header.whole_numbers
        usual = (header.scales[i], header.offsets[i]) if stated or profile is None else _scaling(profile)
        masked = not set(header.alpha_bands) & set(header.data_bands)
        nodata = header.nodata[i] if header.nodata[i] is not None or profile is None else profile.nodata
        scale = said.get("raster:scale", usual[0])
        offset = said.get("raster:offset", usual[1] or shift)
        yield name, BandSource(href, i + 1, scale, offset, _number(said.get("nodata", nodata)), masked)


def _number(value: Any) -> float | None:
    """STAC writes ``"nan"`` and ``"inf"`` as text, because JSON has no such numbers."""
    return None if value is None else float(value)


def _item_period(item: pystac.Item) -> Period | None:
    if item.datetime is not None:
        return Period.instant(_in_utc(item.datetime))
    start, end = item.common_metadata.start_datetime, item.common_metadata.end_datetime
    if start is None or end is None:
        return None
    return Period.instant(_in_utc(start)) if start == end else Period(_in_utc(start), _in_utc(end))


def _in_utc(moment: datetime) -> datetime:
    """STAC means UTC where a producer forgot to say so."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _local(href: str) -> str:
    return href.removeprefix("file://")


def _in_period(scenes: Sequence[Scene], period: Period | None, where: Path) -> list[Scene]:
    found = [s for s in scenes if period is None or (s.period is not None and s.period.start in period)]
    if not found:
        wanted = f" between {period.start.date()} and {period.end.date()}" if period else ""
        dated = [s.period.start for s in scenes if s.period]
        there = f"; scenes there run from {min(dated).date()} to {max(dated).date()}" if dated else ""
        raise NoDataError(f"{where}: no scene{wanted}{there}")
    return sorted(found, key=lambda s: (s.period.start if s.period else datetime.max.replace(tzinfo=UTC), s.id))
