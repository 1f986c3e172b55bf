"""The only place that opens rasters for reading: headers and windows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError, GridError, UnreadableError
from aisf_geo.ingest.quality import clear
from aisf_geo.ingest.scene import BandSource, Scene

#: GDAL's block cache; rasterio takes bytes. The default of 5 % of memory costs 0.6 GB more at the same speed.
GDAL_CACHE_BYTES = 256 * 2**20
#: Nothing inside a raster may reach other files or the network, so only formats that cannot are read.
ALLOWED_DRIVERS = ["GTiff", "COG", "JP2OpenJPEG", "PNG", "JPEG"]


@dataclass(frozen=True)
class Header:
    """What a raster file says of itself; tuples have one entry per band.

    Attributes:
        data_bands: 0-based numbers of the bands that are imagery. GDAL calls the fourth band of 8-bit files alpha;
            where it has a name, it is imagery.
        alpha_bands: those GDAL calls alpha, imagery or not.
    """

    grid: Grid
    band_names: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: tuple[float | None, ...]
    dtype: str
    data_bands: tuple[int, ...]
    alpha_bands: tuple[int, ...]
    tags: dict[str, str]

    @property
    def whole_numbers(self) -> bool:
        """True for integer files: numbers of a product rather than physical values."""
        return "int" in self.dtype


@contextmanager
def opened(href: str) -> Iterator[rasterio.DatasetReader]:
    """An open raster; failures of the file become :class:`UnreadableError`.

    Raises:
        UnreadableError: the file is missing, not a raster, or broken.
    """
    if "://" not in href and not Path(href).exists():
        raise UnreadableError(f"{href}: there is no such file")
    # Listing a remote folder to look for side-car files costs a request for each open.
    listing = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"} if "://" in href else {}
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES, **listing):
        try:
            with warnings.catch_warnings():
                # Said once, by read_header, in the words of this program.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(href)
        except RasterioError as error:
            raise UnreadableError(
                f"{href}: not a raster that can be read ({_first_line(error)}); "
                f"expected one of {', '.join(ALLOWED_DRIVERS)}"
            ) from error
        with dataset:
            if dataset.driver not in ALLOWED_DRIVERS:
                raise UnreadableError(
                    f"{href}: format {dataset.driver} is not allowed, only {', '.join(ALLOWED_DRIVERS)}"
                )
            yield dataset


def read_header(href: str) -> Header:
    """Grid, bands and scaling of a file, without its pixels.

    Raises:
        UnreadableError: the file cannot be opened.
        DataError: it has no coordinate system or no georeferencing.
    """
    with opened(href) as dataset:
        if dataset.crs is None:
            raise DataError(
                f"{href}: no coordinate system found; assign one first, e.g. `rio edit-info --crs EPSG:32631`"
            )
        if dataset.transform == rasterio.Affine.identity():
            raise DataError(
                f"{href}: no geotransform found, pixels cannot be placed or measured; georeference it first"
            )
        try:
            grid = Grid(_portable_crs(dataset), dataset.transform, Shape(dataset.height, dataset.width))
        except GridError as error:
            raise DataError(f"{href}: {error}") from error
        return Header(
            grid=grid,
            band_names=tuple(dataset.descriptions),
            scales=tuple(dataset.scales),
            offsets=tuple(dataset.offsets),
            nodata=tuple(dataset.nodatavals),
            dtype=dataset.dtypes[0],
            alpha_bands=tuple(i for i, use in enumerate(dataset.colorinterp) if use == ColorInterp.alpha),
            data_bands=tuple(
                i
                for i, (use, name) in enumerate(zip(dataset.colorinterp, dataset.descriptions, strict=True))
                if use != ColorInterp.alpha or name
            ),
            tags=dict(dataset.tags()),
        )


def read_window(scene: Scene, bands: Sequence[str], window: Window, grid: Grid | None = None) -> Raster:
    """The bands of ``scene`` in ``window`` of ``grid`` (the scene's own grid if None), in physical units.

    A pixel is valid where, in every file that is read, at least one requested band differs from nodata and no
    requested band is NaN, and where the quality band does not call it obscured. On the scene's own grid the
    numbers are those of the file; on another grid they are interpolated (quality: nearest).

    Raises:
        UnreadableError: pixels cannot be decoded.
        BandError: the scene lacks a band.
    """
    grid = grid or scene.grid
    values = np.empty((len(bands), window.height, window.width), np.float32)
    valid = np.ones((window.height, window.width), np.bool_)
    wanted = sorted(((scene.source(name), i) for i, name in enumerate(bands)), key=lambda pair: pair[0].href)
    for href, group in groupby(wanted, key=lambda pair: pair[0].href):
        sources, places = zip(*group, strict=True)
        numbers, observed = _read_numbers(href, sources, window, grid, Resampling.bilinear)
        valid &= observed
        for source, place, layer in zip(sources, places, numbers, strict=True):
            values[place] = layer.astype(np.float64) * source.scale + source.offset
    valid &= np.isfinite(values).all(axis=0)
    obscured = None
    if scene.quality is not None:
        scheme, source = scene.quality
        codes, observed = _read_numbers(source.href, [source], window, grid, Resampling.nearest)
        obscured = valid & ~(observed & clear(codes[0], scheme))
        valid &= ~obscured
    values[:, ~valid] = np.nan
    return Raster(values, valid, grid.crop(window), tuple(bands), obscured)


def read_thumbnail(
    scene: Scene, bands: Sequence[str], grid: Grid, window: Window, longest_px: int
) -> NDArray[np.float32]:
    """``(band, y, x)`` of a window thinned by nearest neighbour to at most ``longest_px``; NaN where there is no data.

    For pictures only: values are as stored, clouds are shown.

    Raises:
        UnreadableError: pixels cannot be decoded.
    """
    factor = max(1.0, max(window.height, window.width) / longest_px)
    shape = max(1, round(window.height / factor)), max(1, round(window.width / factor))
    place = RasterioWindow(window.col, window.row, window.width, window.height)
    layers = []
    for source in (scene.source(name) for name in bands):
        with opened(source.href) as dataset, _on_grid(dataset, [source], grid, Resampling.nearest) as view:
            try:
                layer = view.read(source.index, window=place, out_shape=shape).astype(np.float32)
            except RasterioError as error:
                raise UnreadableError(f"{source.href}: pixels cannot be decoded ({_first_line(error)})") from error
        layers.append(np.where(observed_numbers(layer, source.nodata), layer, np.nan))
    stack = np.stack(layers)
    stack[:, np.isnan(stack).all(axis=0)] = np.nan
    return stack


def _read_numbers(
    href: str, sources: Sequence[BandSource], window: Window, grid: Grid, resampling: Resampling
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Raw numbers ``(band, y, x)`` of one file on ``grid``, and where at least one of the bands is observed."""
    indexes = [source.index for source in sources]
    place = RasterioWindow(window.col, window.row, window.width, window.height)
    with opened(href) as dataset:
        try:
            with _on_grid(dataset, sources, grid, resampling) as view:
                numbers = view.read(indexes, window=place)
                return numbers, _observed(view, numbers, sources, place)
        except RasterioError as error:
            raise UnreadableError(
                f"{href}: pixels at rows {window.row}-{window.row + window.height - 1}, columns {window.col}-"
                f"{window.col + window.width - 1} cannot be decoded ({_first_line(error)}); fetch the file again"
            ) from error


@contextmanager
def _on_grid(
    dataset: rasterio.DatasetReader, sources: Sequence[BandSource], grid: Grid, resampling: Resampling
) -> Iterator[rasterio.DatasetReader | WarpedVRT]:
    """``dataset`` itself where it lies on ``grid``, else warped onto it; outside its footprint nothing is observed."""
    if _same_pixels(dataset, grid):
        yield dataset
        return
    with WarpedVRT(
        dataset,
        crs=grid.pyproj_crs.to_wkt(),
        transform=grid.transform,
        height=grid.shape.height,
        width=grid.shape.width,
        resampling=resampling,
        src_nodata=sources[0].nodata,
        nodata=sources[0].nodata,
        add_alpha=sources[0].nodata is None and MaskFlags.per_dataset not in dataset.mask_flag_enums[0],
    ) as warped:
        yield warped


def _observed(
    dataset: rasterio.DatasetReader, numbers: NDArray[np.generic], sources: Sequence[BandSource], place: RasterioWindow
) -> NDArray[np.bool_]:
    """Where at least one band is observed: by nodata number, or by the file's own mask or alpha band."""
    flags = dataset.mask_flag_enums[sources[0].index - 1]
    if MaskFlags.per_dataset in flags and sources[0].masked:
        return np.asarray(dataset.read_masks(sources[0].index, window=place) > 0)
    observed = np.zeros(numbers.shape[1:], np.bool_)
    for source, layer in zip(sources, numbers, strict=True):
        observed |= observed_numbers(layer, source.nodata)
    return observed


def observed_numbers(numbers: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """Where numbers are not the one that means "not observed"; shape of ``numbers``."""
    if nodata is None:
        return np.ones(numbers.shape, np.bool_)
    return np.asarray(~np.isnan(numbers.astype(np.float64)) if np.isnan(nodata) else numbers != nodata)


def _same_pixels(dataset: rasterio.DatasetReader, grid: Grid) -> bool:
    if (dataset.height, dataset.width) != tuple(grid.shape):
        return False
    return grid.same_pixels(Grid(_portable_crs(dataset), dataset.transform, grid.shape))


def _portable_crs(dataset: rasterio.DatasetReader) -> str:
    """``EPSG:n`` where the CRS has a code, else WKT: short, and equal for equal systems."""
    code = dataset.crs.to_epsg()
    return f"EPSG:{code}" if code else str(dataset.crs.to_wkt())


def _first_line(error: Exception) -> str:
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
