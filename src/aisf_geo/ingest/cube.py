"""Scenes of many dates as one lazy cube on one grid, through odc-stac."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pystac
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.ingest.access import is_remote
from aisf_geo.ingest.quality import clear
from aisf_geo.ingest.read import observed_numbers, read_window
from aisf_geo.ingest.scene import Scene

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class CubeSource:
    """What a worker needs to open the cube: small, hashable, no arrays.

    Attributes:
        scenes: every scene of the series, one acquisition each, in order of time.
        grid: the grid all of them are put on; a scene that lies on it already keeps its numbers.
        chunk_px: side of a Dask chunk.
    """

    scenes: tuple[Scene, ...]
    grid: Grid
    chunk_px: int

    def window(self, scene: Scene, bands: Sequence[str], window: Window) -> Raster:
        """The bands of one scene in one window; the same rules of validity as :func:`ingest.read.read_window`.

        Raises:
            UnreadableError: pixels cannot be decoded.
        """
        if any(is_remote(source.href) for _, source in scene.bands):
            # odc-stac would hand the URL to GDAL, which follows redirects to any host.
            return read_window(scene, bands, window, self.grid)
        wanted = tuple(bands) + ((scene.quality_asset,) if scene.quality_asset else ())
        rows, cols = window.slices
        try:
            layers = (
                _open(self, wanted).isel(time=self.scenes.index(scene), y=rows, x=cols).compute(scheduler="synchronous")
            )
        except RasterioError as error:
            raise UnreadableError(
                f"scene {scene.id}: pixels cannot be decoded ({error}); fetch its files again"
            ) from error
        observed = np.zeros((window.height, window.width), np.bool_)
        values = np.empty((len(bands), window.height, window.width), np.float32)
        for i, name in enumerate(bands):
            source, numbers = scene.source(name), layers[name].values
            observed |= observed_numbers(numbers, source.nodata)
            values[i] = numbers.astype(np.float64) * source.scale + source.offset
        valid = observed & np.isfinite(values).all(axis=0)
        obscured = None
        if scene.quality and scene.quality_asset:
            codes, source = layers[scene.quality_asset].values, scene.quality[1]
            obscured = valid & ~(observed_numbers(codes, source.nodata) & clear(codes, scene.quality[0]))
            valid &= ~obscured
        values[:, ~valid] = np.nan
        return Raster(values, valid, self.grid.crop(window), tuple(bands), obscured)


def median_over_time(source: CubeSource, band: str, window: Window) -> NDArray[np.float32]:
    """What a pixel usually looks like: the median of its valid values over the series, ``(y, x)``, NaN without any.

    A scene that cannot be read has no say; interpreting it will report why.
    """
    layers = []
    for scene in source.scenes:
        with contextlib.suppress(UnreadableError):
            layers.append(source.window(scene, (band,), window).band(band))
    if not layers:
        return np.full((window.height, window.width), np.nan, np.float32)
    stack = np.stack(layers)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.asarray(np.nanmedian(stack, axis=0), np.float32)


def cube_of(scenes: Sequence[Scene], chunk_px: int) -> CubeSource:
    """The cube of a series, on the grid of its first scene.

    Raises:
        UsageError: a scene came from no STAC item, has no moment of acquisition, or shares it with another.
    """
    for scene in scenes:
        if scene.stac_item is None or scene.period is None:
            raise UsageError(
                f"scene {scene.id}: a series needs STAC items with a datetime; write a STAC collection for it"
            )
    moments = [scene.period.start for scene in scenes if scene.period]
    twice = sorted({m.isoformat() for m in moments if moments.count(m) > 1})
    if twice:
        raise UsageError(
            f"series: two scenes were acquired at {', '.join(twice)}; keep one of each or mosaic them first"
        )
    return CubeSource(tuple(scenes), scenes[0].grid, chunk_px)


@lru_cache(maxsize=8)
def _open(source: CubeSource, bands: tuple[str, ...]) -> xr.Dataset:
    """The lazy data set ``(time, y, x)`` per band, numbers as stored."""
    import odc.stac
    from odc.geo.geobox import GeoBox

    items = [pystac.Item.from_dict(json.loads(scene.stac_item or "{}")) for scene in source.scenes]
    grid = source.grid
    qualities = {scene.quality_asset for scene in source.scenes if scene.quality_asset}
    dataset: Any = odc.stac.load(
        items,
        bands=list(bands),
        geobox=GeoBox((grid.shape.height, grid.shape.width), grid.transform, grid.crs),
        chunks={"x": source.chunk_px, "y": source.chunk_px},
        groupby="id",
        resampling=dict.fromkeys(qualities, "nearest") | {"*": "bilinear"},
    )
    return cast("xr.Dataset", dataset)
