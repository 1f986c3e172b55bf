"""Feature tables as GeoParquet, GeoPackage and RFC 7946 GeoJSON."""

from __future__ import annotations

from pathlib import Path

import geopandas

from aisf_geo.errors import UsageError
from aisf_geo.store.files import appearing

#: Rows of a Parquet row group: small enough that a box query skips most of a large file.
ROW_GROUP_ROWS = 5000
FORMATS = (".parquet", ".gpkg", ".geojson")


def write_features(path: Path, table: geopandas.GeoDataFrame) -> None:
    """Write ``table`` in the format of the path's suffix.

    GeoParquet 1.1 carries a covering bbox and lies in Hilbert order; GeoJSON is in WGS 84 as RFC 7946 asks.

    Raises:
        UsageError: the suffix is none of the formats.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"{path}: features are written as {', '.join(FORMATS)}, found {path.suffix or 'no suffix'}")
    with appearing(path) as partial:
        if path.suffix == ".parquet":
            ordered = table.iloc[table.hilbert_distance().argsort()] if len(table) > 1 else table
            ordered.to_parquet(
                partial, index=False, write_covering_bbox=True, schema_version="1.1.0", row_group_size=ROW_GROUP_ROWS
            )
        elif path.suffix == ".gpkg":
            table.to_file(partial, layer="features", driver="GPKG", engine="pyogrio", index=False)
        else:
            options = {"RFC7946": "YES", "WRITE_NAME": "NO"}
            table.to_crs(4326).to_file(partial, driver="GeoJSON", engine="pyogrio", index=False, **options)


def read_features(path: Path) -> geopandas.GeoDataFrame:
    """A feature table as it was written."""
    return geopandas.read_parquet(path) if path.suffix == ".parquet" else geopandas.read_file(path)
