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
from aisf_geo.errors import BandError, DataError, NoDataError, RefusedError, UnreadableError, UsageError
from aisf_geo.ingest.access import (
    LOCAL,
    MAX_DOCUMENT_BYTES,
    MAX_DOCUMENTS,
    Access,
    check_size,
    is_remote,
    safe_id,
)
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


def open_catalog(location: Path, hints: Hints = Hints(), access: Access = LOCAL) -> Catalog:
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
        return StacCatalog(collection if location.is_dir() else location, access)
    if location.is_dir():
        items = tuple(sorted(p for p in location.glob("*.json") if _is_stac_item(p)))
        if items and hints == Hints():
            return ItemFolder(items, access)
        return FileCatalog(_tiles_in(location), hints)
    beside = location.with_suffix(".json")
    if hints == Hints() and _is_stac_item(beside):
        return StacCatalog(beside, access)
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
        return in_period([scene_of_file(path, self.hints) for path in self.files], period, self.files[0].parent)


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


#: Bands of a file that says it is a picture in colours.
PICTURE = ("red", "green", "blue")


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
    # Of four bands the fourth may be near infrared in false colours, which GDAL calls alpha: those must be named.
    return PICTURE if header.picture and not any(described) and len(header.band_names) == len(PICTURE) else names


def _tag_period(text: str | None) -> Period | None:
    """TIFF writes ``YYYY:MM:DD HH:MM:SS`` with no zone; imagery means UTC."""
    try:
        return Period.instant(datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)) if text else None
    except ValueError:
        return None


#: What reading JSON of another shape than STAC's ends in, somewhere inside pystac or here.
MALFORMED = (
    *(KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError, RecursionError),
    pystac.STACTypeError,
)


@dataclass(frozen=True)
class StacCatalog:
    """A static STAC item or collection on disk.

    Attributes:
        access: hosts its assets may lie on; local assets and links must lie below its own folder.
    """

    path: Path
    access: Access = LOCAL

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """One scene for each item."""
        access = replace(self.access, folder=str(self.path.resolve().parent))
        try:
            root = pystac.read_file(str(self.path), stac_io=_BoundedIO(access))
            items = [root] if isinstance(root, pystac.Item) else list(_catalog(root).get_items(recursive=True))
            collection = root if isinstance(root, pystac.Collection) else _collection_of(items)
            scenes = [scene_of_item(item, collection, access) for item in items]
        except (pystac.STACError, OSError, *MALFORMED) as error:
            raise UnreadableError(
                f"{self.path}: not a STAC item or collection that can be read ({str(error)[:300]})"
            ) from error
        return in_period(scenes, period, self.path)


@dataclass(frozen=True)
class ItemFolder:
    """A folder into which STAC items are dropped, without a collection that lists them."""

    items: tuple[Path, ...]
    access: Access = LOCAL

    def scenes(self, period: Period | None = None) -> list[Scene]:
        """One scene for each item."""
        scenes = [scene for path in self.items for scene in StacCatalog(path, self.access).scenes()]
        return in_period(scenes, period, self.items[0].parent)


class _BoundedIO(pystac.StacIO):
    """Reads local JSON documents of bounded size and number; writes nothing."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access, self._left = access, MAX_DOCUMENTS

    def read_text(self, source: Any, *_: Any, **__: Any) -> str:
        path = replace(self._access, folder=None).checked(str(source)).removeprefix("file://")
        if is_remote(path) or not path.endswith(".json"):
            raise RefusedError(f"{path}: a catalogue on disk leads to .json files on disk only; use stac_api")
        self._left -= 1
        if self._left < 0:
            raise RefusedError(f"{path}: more than {MAX_DOCUMENTS:,} documents; do its links run in a circle?")
        check_size(Path(path), MAX_DOCUMENT_BYTES)
        return Path(path).read_text(encoding="utf-8")

    def write_text(self, dest: Any, *_: Any, **__: Any) -> None:
        """Asked for by the base class, refused here: a source is only read."""
        raise RefusedError(f"{dest}: catalogues of sources are never written")


def _collection_of(items: Sequence[pystac.Item]) -> pystac.Collection | None:
    """The collection an item names, where it can be had."""
    try:
        return items[0].get_collection() if items else None
    except (pystac.STACError, OSError):
        return None


def _catalog(root: Any) -> pystac.Catalog:
    if not isinstance(root, pystac.Catalog):
        raise pystac.STACError(f"expected an item or a collection, found {type(root).__name__}")
    return root


def scene_of_item(item: pystac.Item, collection: pystac.Collection | None = None, access: Access = LOCAL) -> Scene:
    """The scene a STAC item describes: bands of assets with the role ``data``, quality from ``scl``/``qa_pixel``.

    Raises:
        DataError: the item has no readable data asset.
        RefusedError: its id cannot name a folder, or an asset lies where ``access`` does not reach.
    """
    safe_id(item.id, "STAC item")
    profile = _profile(item.collection_id, explicit=False)
    bands: list[tuple[str, BandSource]] = []
    quality: tuple[QualityScheme, BandSource] | None = None
    quality_asset = grid = None
    for key, asset in item.assets.items():
        roles = asset.roles or []
        if key.lower() not in ("scl", "qa_pixel") and "data" not in roles:
            continue
        href = access.checked(asset.get_absolute_href() or asset.href).removeprefix("file://")
        checksum = asset.extra_fields.get("file:checksum")
        if key.lower() in ("scl", "qa_pixel"):
            # 0 is "no data" in the one and has no bit set in the other, where fill is a bit of its own.
            scl = key.lower() == "scl"
            source = BandSource(href, 1, nodata=0 if scl else None, access=access, checksum=checksum)
            quality = ("scl" if scl else "qa_pixel", source)
            quality_asset = key
        elif not {"thumbnail", "overview"} & set(roles):
            header = read_header(href, access, checksum)
            profile = profile or _profile(header.tags.get("SENSOR"), explicit=False)
            # The finest band gives the grid of the scene.
            grid = header.grid if grid is None or header.grid.gsd_m < grid.gsd_m * 0.99 else grid
            for name, source in _asset_bands(key, asset, href, header, item, profile):
                bands.append((name, replace(source, access=access, checksum=checksum)))
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


def in_period(scenes: Sequence[Scene], period: Period | None, where: Path | str) -> list[Scene]:
    """The scenes acquired in a period, by time and id.

    Raises:
        NoDataError: there is none.
    """
    found = [s for s in scenes if period is None or (s.period is not None and s.period.start in period)]
    if not found:
        wanted = f" between {period.start.date()} and {period.end.date()}" if period else ""
        dated = [s.period.start for s in scenes if s.period]
        there = f"; scenes there run from {min(dated).date()} to {max(dated).date()}" if dated else ""
        raise NoDataError(f"{where}: no scene{wanted}{there}")
    return sorted(found, key=lambda s: (s.period.start if s.period else datetime.max.replace(tzinfo=UTC), s.id))
