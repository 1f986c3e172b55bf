"""Where in an image an answer is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import Transformer
from rasterio.features import geometry_mask

from aisf_geo.domain.grid import Bounds, Grid, Window
from aisf_geo.errors import GridError, UnreadableError, UsageError
from aisf_geo.ingest.access import check_vector


@dataclass(frozen=True)
class AreaOfInterest:
    """A polygon in the CRS of a grid; hashable and small, so that it travels to workers.

    Attributes:
        wkb: the polygon.
    """

    wkb: bytes

    @property
    def geometry(self) -> shapely.Geometry:
        """The polygon."""
        return shapely.from_wkb(self.wkb)

    def extent(self, grid: Grid) -> Window:
        """The smallest window of ``grid`` that holds the polygon.

        Raises:
            GridError: the polygon lies outside the image.
        """
        bounds = shapely.bounds(self.geometry)
        window = grid.window_of(Bounds(*bounds)) if np.isfinite(bounds).all() else None
        if window is None or not shapely.intersects(self.geometry, shapely.box(*grid.bounds)):
            asked = ", ".join(f"{v:.6g}" for v in shapely.bounds(self.geometry))
            there = ", ".join(f"{v:.6g}" for v in grid.bounds)
            raise GridError(
                f"area of interest ({asked}) lies outside the image ({there}), both in {grid.pyproj_crs.name}"
            )
        return window

    def covers(self, grid: Grid, window: Window) -> NDArray[np.bool_]:
        """True for the pixels of ``window`` whose centre lies in the polygon, shape ``(y, x)``."""
        shape, transform = (window.height, window.width), grid.window_transform(window)
        return np.asarray(geometry_mask([self.geometry], shape, transform, invert=True))


def area_from_file(path: Path, grid: Grid) -> AreaOfInterest:
    """The union of the polygons in a vector file, on ``grid``.

    Raises:
        UnreadableError: the file cannot be read.
        UsageError: it holds no polygon or names no CRS.
    """
    table = read_polygons(path)
    return AreaOfInterest(shapely.to_wkb(shapely.union_all(table.to_crs(grid.pyproj_crs).geometry.values)))


def area_from_bbox(bbox: tuple[float, float, float, float], grid: Grid) -> AreaOfInterest:
    """A box in longitude and latitude (WGS 84: west, south, east, north), on ``grid``.

    Raises:
        UsageError: the numbers are not a box on the Earth.
    """
    west, south, east, north = bbox
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise UsageError(
            f"bbox: expected west < east and south < north in degrees, found {west}, {south}, {east}, {north}"
        )
    # Far from its zone a projection folds over, so only the part around the image is carried to the grid.
    near = shapely.intersection(shapely.box(west, south, east, north), _surroundings(grid))
    box = shapely.box(west, south, east, north) if near.is_empty else near
    west, south, east, north = shapely.bounds(box)
    # A side that is straight in degrees is curved on the grid: break it up before warping.
    fine = shapely.segmentize(box, max(east - west, north - south) / 64)
    return AreaOfInterest(shapely.to_wkb(geopandas.GeoSeries([fine], crs=4326).to_crs(grid.pyproj_crs).iloc[0]))


def _surroundings(grid: Grid) -> shapely.Geometry:
    """The image and half its width around it, in degrees; the world where it crosses the antimeridian."""
    to_degrees = Transformer.from_crs(grid.pyproj_crs, 4326, always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(*grid.bounds)
    if not (np.isfinite([west, south, east, north]).all() and west < east):
        return shapely.box(-180, -90, 180, 90)
    margin = max(east - west, north - south) / 2
    return shapely.box(west - margin, max(south - margin, -90), east + margin, min(north + margin, 90))


def read_polygons(path: Path) -> geopandas.GeoDataFrame:
    """The polygons of a vector file, with a CRS.

    Raises:
        UnreadableError: the file cannot be read.
        RefusedError: it is of a kind that can lead to other files, or too large.
        UsageError: it holds something else than polygons, or names no CRS.
        GridError: a polygon is empty or crosses itself.
    """
    check_vector(path)
    try:
        table = geopandas.read_file(path)
    except (DataSourceError, DataLayerError, OSError, UnicodeDecodeError, shapely.errors.GEOSException) as error:
        raise UnreadableError(f"{path}: not a vector file that can be read ({error})") from error
    if not isinstance(table, geopandas.GeoDataFrame) or table.empty:
        raise UsageError(f"{path}: holds no features; polygons are needed")
    kinds = sorted(set(table.geom_type.dropna()))
    if not set(kinds) <= {"Polygon", "MultiPolygon"} or table.geometry.isna().any():
        raise UsageError(f"{path}: polygons are needed, found {', '.join(kinds) or 'features without geometry'}")
    if table.crs is None:
        raise UsageError(f"{path}: names no coordinate system; write one into the file")
    broken = [
        f"feature {i} ({'empty' if g.is_empty else shapely.is_valid_reason(g)})"
        for i, g in enumerate(table.geometry, start=1)
        if g.is_empty or not g.is_valid
    ]
    if broken:
        raise GridError(f"{path}: invalid polygons: {'; '.join(broken)}; mend them, e.g. with shapely.make_valid")
    return table
