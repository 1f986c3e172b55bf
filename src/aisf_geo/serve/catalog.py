"""The runs below a folder and what each has published: rasters, feature tables, values, items."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import rasterio
from rasterio.warp import transform_bounds

from aisf_geo.domain.legend import UNKNOWN
from aisf_geo.errors import DataError
from aisf_geo.store.run import PROGRAM, RunFolder

Kind = Literal["imagery", "labels", "confidence", "change"]
#: How often the folder is looked at for new or changed runs.
LOOK_AGAIN_S = 5.0
PMTILES = "application/vnd.pmtiles"
#: Pixels a side at which a map is looked through for unknown.
SEEN_PX = 256


@dataclass(frozen=True)
class LegendEntry:
    """A class of a label or change map as a viewer needs it."""

    code: int
    name: str
    colour: str


@dataclass(frozen=True)
class RasterLayer:
    """A COG that tiles are made of.

    Attributes:
        id: the only name by which it can be asked for.
        bounds: west, south, east, north in degrees.
        stamp: changes when the file does.
    """

    id: str
    title: str
    path: Path
    kind: Kind
    item: str
    head: str
    bounds: tuple[float, float, float, float]
    legend: tuple[LegendEntry, ...]
    stamp: str


@dataclass(frozen=True)
class TableSource:
    """GeoPackages of one name, one for each item, which together are one collection."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class VectorTiles:
    """The PMTiles of a collection at one date.

    Attributes:
        address: where it is answered, below the root of the server.
    """

    collection: str
    item: str
    address: str


@dataclass(frozen=True)
class Run:
    """A run folder as it was when it was read."""

    id: str
    folder: RunFolder
    about: Mapping[str, Any]
    collection: Mapping[str, Any]
    items: tuple[Mapping[str, Any], ...] = field(repr=False)

    @property
    def title(self) -> str:
        """The recipe's title."""
        return str(self.about.get("recipe", {}).get("title") or self.id)

    @cached_property
    def indicators(self) -> list[dict[str, Any]]:
        """The rows of indicators.json; empty where the run computed none."""
        rows = _json(self.folder.indicators)
        return rows if isinstance(rows, list) else []

    @cached_property
    def rasters(self) -> tuple[RasterLayer, ...]:
        """Every map of every item, and the maps of change."""
        found = [_item_rasters(self, item) for item in self.items]
        return tuple(layer for layers in (*found, _change_rasters(self)) for layer in layers)

    @cached_property
    def tables(self) -> tuple[TableSource, ...]:
        """Feature tables by name: those of the items, and those of change."""
        named: dict[str, list[Path]] = {}
        for pattern in ("items/*/*.gpkg", "change/*/*.gpkg"):
            for path in sorted(self.folder.path.glob(pattern)):
                named.setdefault(path.stem, []).append(path)
        # The features of the main head come first, then those of other heads, then what was made of them.
        order = sorted(named, key=lambda name: (name != "features", not name.startswith("features"), name))
        return tuple(TableSource(name, tuple(named[name])) for name in order)

    @cached_property
    def vector_tiles(self) -> tuple[VectorTiles, ...]:
        """The PMTiles that the items name and that are there."""
        return tuple(
            VectorTiles(
                f"{self.id}.{path.stem}", str(item["id"]), quote(f"/runs/{self.id}/items/{item['id']}/{path.name}")
            )
            for item in self.items
            for asset in item.get("assets", {}).values()
            if asset.get("type") == PMTILES
            if (path := self.folder.item(str(item["id"])).path / str(asset["href"])).is_file()
        )

    @cached_property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """West, south, east, north of all items in degrees."""
        boxes = [item["bbox"] for item in self.items if item.get("bbox")]
        if not boxes:
            return None
        west, south, east, north = zip(*boxes, strict=True)
        return min(west), min(south), max(east), max(north)


class Catalog:
    """The runs at or below ``path``, looked at again when a run.json appears or changes.

    Raises:
        DataError: there is no run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs: dict[str, Run] = {}
        self._state: tuple[Any, ...] = ()
        self._looked = 0.0
        if not self.runs():
            raise DataError(f"{path}: no run is there; give a run folder or a folder of runs, as `aisf-geo run` writes")

    def runs(self) -> Mapping[str, Run]:
        """Run id to run, by name."""
        if time.monotonic() - self._looked > LOOK_AGAIN_S or not self._looked:
            state = tuple(_state(self.path))
            if state != self._state:
                self._runs = {run.id: run for run in map(_read, (path for path, _ in state)) if run}
                self._state = state
            self._looked = time.monotonic()
        return self._runs

    @property
    def generation(self) -> int:
        """Changes when the runs do."""
        return hash(self._state)


def _state(path: Path) -> Iterator[tuple[Path, int]]:
    candidates = [path] if (path / "run.json").is_file() else sorted(p for p in path.glob("*") if p.is_dir())
    for folder in candidates:
        try:
            yield folder, (folder / "run.json").stat().st_mtime_ns
        except OSError:
            continue


def _read(path: Path) -> Run | None:
    about = _json(path / "run.json")
    if not isinstance(about, dict) or about.get("program") != PROGRAM:
        return None
    folder = RunFolder(path)
    items = [_json(p) for p in sorted(path.glob("items/*/item.json"))]
    return Run(
        path.resolve().name,
        folder,
        about,
        _json(folder.collection) or {},
        tuple(i for i in items if isinstance(i, dict)),
    )


def _json(path: Path) -> Any:
    """The content of a JSON file; None where it is missing or being written."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _item_rasters(run: Run, item: Mapping[str, Any]) -> Iterator[RasterLayer]:
    folder = run.folder.item(str(item["id"])).path
    kinds: tuple[Kind, ...] = ("imagery", "labels", "confidence")
    for kind in kinds:
        for path in sorted(folder.glob(f"{kind}*.tif")):
            head = path.stem.removeprefix(kind).removeprefix("_")
            if is_internal(item, path.stem):
                continue  # a public run whose pixels show single homes; its cells and features are served
            asset = item.get("assets", {}).get(path.stem, {})
            classes = asset.get("classification:classes", [])
            legend = tuple(
                LegendEntry(c["value"], c.get("title") or c["name"], f"#{c.get('color_hint', '888888').lower()}")
                for c in classes
            )
            layer = _raster(run, path, kind, str(item["id"]), head, legend)
            if layer:
                yield layer


def is_internal(item: Mapping[str, Any], asset: str) -> bool:
    """Whether an item says of an asset that it is narrower in audience than the rest."""
    return bool(item.get("assets", {}).get(asset, {}).get("aisf:audience") == "internal")


def _change_rasters(run: Run) -> Iterator[RasterLayer]:
    for path in sorted(run.folder.change.glob("*/*.tif")):
        layer = _raster(run, path, "change", "", path.parent.name, _legend_of_file(path))
        if layer:
            yield layer


def _raster(
    run: Run, path: Path, kind: Kind, item: str, head: str, legend: tuple[LegendEntry, ...]
) -> RasterLayer | None:
    try:
        with rasterio.open(path) as dataset:
            bounds = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    except rasterio.errors.RasterioError:
        return None
    stat = path.stat()
    name = ".".join((run.id, path.parent.name, path.stem))
    return RasterLayer(
        name, path.stem, path, kind, item, head, bounds, legend, f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
    )


@lru_cache(maxsize=4096)
def unknown_colour(path: Path, _stamp: str) -> str | None:
    """The colour of unknown in a map of classes as it is seen from afar; None where nothing is unknown there."""
    try:
        with rasterio.open(path) as dataset:
            seen = dataset.read(1, out_shape=(min(dataset.height, SEEN_PX), min(dataset.width, SEEN_PX)))
            return "#{:02x}{:02x}{:02x}".format(*dataset.colormap(1)[UNKNOWN][:3]) if (seen == UNKNOWN).any() else None
    except (rasterio.errors.RasterioError, ValueError):
        return None  # broken, or without colours: its own tiles will say so, and the other maps are shown


def _legend_of_file(path: Path) -> tuple[LegendEntry, ...]:
    """Names and colours that a map carries itself; codes without a name or that are not drawn are left out."""
    from xml.etree import ElementTree

    aux = path.with_name(path.name + ".aux.xml")
    try:
        tree = ElementTree.parse(aux)  # noqa: S314  written by this program beside its map
    except (OSError, ElementTree.ParseError):
        return ()
    names = [node.text or "" for node in tree.iter("Category")]
    with rasterio.open(path) as dataset:
        try:
            colours = dataset.colormap(1)
        except ValueError:
            return ()
    shown = [(code, name, colours.get(code, (0, 0, 0, 0))) for code, name in enumerate(names) if name]
    return tuple(LegendEntry(code, name, "#{:02x}{:02x}{:02x}".format(*c[:3])) for code, name, c in shown if c[3] > 0)
