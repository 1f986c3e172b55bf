"""All that is served, found by id and only by id; what a caller may not see is not there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aisf_geo.serve.catalog import Catalog, RasterLayer, Run, VectorTiles
from aisf_geo.serve.errors import NotFoundError
from aisf_geo.serve.gpkg import GeoPackageTable, open_geopackages
from aisf_geo.serve.memory import indicator_table, zone_table
from aisf_geo.serve.settings import Access
from aisf_geo.serve.table import FeatureTable

if TYPE_CHECKING:
    from aisf_geo.serve.postgis import Database

log = logging.getLogger("aisf_geo.serve")


@dataclass
class Library:
    """The catalog with its layers opened once for each state of the folder."""

    catalog: Catalog
    access: Access
    database: Database | None = None
    _generation: int | None = field(default=None, init=False)
    _tables: dict[str, FeatureTable] = field(default_factory=dict, init=False)
    _rasters: dict[str, RasterLayer] = field(default_factory=dict, init=False)
    _vector_tiles: tuple[VectorTiles, ...] = field(default=(), init=False)

    def runs(self, token: str | None) -> Mapping[str, Run]:
        """The runs of which a caller may see anything."""
        self._refresh()
        layers = [*self._tables, *self._rasters]
        return {
            id_: run
            for id_, run in self.catalog.runs().items()
            if any(layer.startswith(f"{id_}.") and self.access.opens(token, layer) for layer in layers)
        }

    def run(self, token: str | None, run_id: str) -> Run:
        """One run.

        Raises:
            NotFoundError: there is none of that id for this caller.
        """
        try:
            return self.runs(token)[run_id]
        except KeyError:
            raise NotFoundError(f"there is no run {run_id[:80]!r}") from None

    def tables(self, token: str | None) -> Iterator[FeatureTable]:
        """The collections a caller may see."""
        self._refresh()
        return (t for id_, t in self._tables.items() if self.access.opens(token, id_))

    def table(self, token: str | None, collection: str) -> FeatureTable:
        """One collection.

        Raises:
            NotFoundError: there is none of that id for this caller.
        """
        self._refresh()
        found = self._tables.get(collection)
        if found is None or not self.access.opens(token, collection):
            raise NotFoundError(f"there is no collection {collection[:80]!r}; /collections lists those there are")
        return found

    def rasters(self, token: str | None) -> Iterator[RasterLayer]:
        """The maps a caller may see."""
        self._refresh()
        return (r for id_, r in self._rasters.items() if self.access.opens(token, id_))

    def raster(self, token: str | None, dataset: str) -> RasterLayer:
        """One map.

        Raises:
            NotFoundError: there is none of that id for this caller.
        """
        self._refresh()
        found = self._rasters.get(dataset)
        if found is None or not self.access.opens(token, dataset):
            raise NotFoundError(f"there is no map {dataset[:80]!r}; /map.json lists those there are")
        return found

    def vector_tiles(self, collection: str) -> list[VectorTiles]:
        """The PMTiles of a collection that a caller may see; none where a database holds it in another state."""
        return [tiles for tiles in self._vector_tiles if tiles.collection == collection]

    def _refresh(self) -> None:
        runs = self.catalog.runs()
        if self.catalog.generation == self._generation:
            return
        in_files: dict[str, FeatureTable] = {table.id: table for run in runs.values() for table in tables_of(run)}
        self._tables = in_files if self.database is None else _published(in_files, self.database.tables())
        # The ids in tiles are those of the files.
        same = {id_ for id_, table in self._tables.items() if table.stamp == in_files[id_].stamp}
        self._vector_tiles = tuple(t for run in runs.values() for t in run.vector_tiles if t.collection in same)
        self._rasters = {r.id: r for run in runs.values() for r in run.rasters}
        self._generation = self.catalog.generation


def _published(in_files: Mapping[str, FeatureTable], there: Mapping[str, FeatureTable]) -> dict[str, FeatureTable]:
    """The tables as the database holds them; what it lacks or holds in another state is said."""
    for id_, table in in_files.items():
        if id_ not in there:
            log.warning("%s is not in the database and not served; use `aisf-geo publish`", id_)
        elif there[id_].stamp != table.stamp:
            log.warning("%s is in the database as it was before; use `aisf-geo publish` again", id_)
    return {id_: there[id_] for id_ in in_files if id_ in there}


def tables_of(run: Run) -> Iterator[GeoPackageTable]:
    """The tables of a run as its files hold them."""
    for source in run.tables:
        about = "Polygons of the classes found in the imagery, one table for all scenes."
        table = open_geopackages(f"{run.id}.{source.name}", f"{run.title}: {source.name}", about, source.files)
        if table.parts:
            yield table
    for made in (indicator_table(run), zone_table(run)):
        if made is not None:
            yield made
