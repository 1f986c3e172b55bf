"""The only place that opens rasters for reading: headers and windows."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterioWindow

from aisf_geo.domain.grid import Grid, Shape, Window
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError, GridError, RefusedError, UnreadableError
from aisf_geo.ingest.access import LOCAL, MAX_BANDS, MAX_PIECE_BYTES, MAX_PIXELS, Access, is_remote
from aisf_geo.ingest.http import http_of
from aisf_geo.ingest.quality import clear
from aisf_geo.ingest.ranges import RangeFile, open_store
from aisf_geo.ingest.scene import BandSource, Scene

#: GDAL's block cache; rasterio takes bytes. The default of 5 % of memory costs 0.6 GB more at the same speed.
GDAL_CACHE_BYTES = 256 * 2**20
#: Rasters that are left open: those of a scene, most of the time.
LEFT_OPEN = 8
#: Nothing inside a raster may reach other files or the network, so only formats that cannot are read, chosen by the
#: first bytes: GDAL's own sniffing would open a VRT under any name.
FORMATS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xffO\xffQ": "JP2OpenJPEG",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
}
#: What users take for a tile, by its first bytes, and what they can do about it.
_NO_RASTERS = {
    b"PK\3\4": "it is a ZIP archive, unpack it and name the raster inside",
    b"\x1f\x8b": "it is compressed by gzip, unpack it first",
    b"<VRTDataset": "it is a VRT, which may reach for other files, make a GeoTIFF of it with gdal_translate",
}


COLOURS = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class Header:
    """What a raster file says of itself; tuples have one entry per band.

    Attributes:
        data_bands: 0-based numbers of the bands that are imagery. GDAL calls the fourth band of 8-bit files alpha;
            where it has a name, it is imagery.
        alpha_bands: those GDAL calls alpha, imagery or not.
        picture: an 8-bit file that calls its first three bands red, green and blue.
    """

    grid: Grid
    band_names: tuple[str | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    nodata: tuple[float | None, ...]
    dtype: str
    data_bands: tuple[int, ...]
    alpha_bands: tuple[int, ...]
    picture: bool
    tags: dict[str, str]

    @property
    def whole_numbers(self) -> bool:
        """True for integer files: numbers of a product rather than physical values."""
        return "int" in self.dtype


@contextmanager
def opened(href: str, access: Access = LOCAL, checksum: str | None = None) -> Iterator[rasterio.DatasetReader]:
    """An open raster; failures of the file become :class:`UnreadableError`.

    Raises:
        UnreadableError: the file is missing, not a raster, or broken.
        RefusedError: it leads where it may not lead, or is larger than anything honest.
    """
    with rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), _open(href, access, checksum) as dataset:
        yield dataset


def _open(href: str, access: Access, checksum: str | None) -> rasterio.DatasetReader:
    place = access.checked(href)
    try:
        with warnings.catch_warnings():
            # Said once, by read_header, in the words of this program.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = _open_remote(place, access, checksum) if is_remote(place) else _open_local(Path(place))
    except (RasterioError, UnicodeDecodeError) as error:  # the latter: the name of the CRS is no text
        raise UnreadableError(f"{href}: not a raster that can be read ({_first_line(error)})") from error
    try:
        _refuse_bombs(href, dataset)
    except RefusedError:
        dataset.close()
        raise
    return dataset


#: Local rasters that were read last, by path and state of the file, and whose turn it is to read one.
_LEFT_OPEN: dict[tuple[str, int, int, int], rasterio.DatasetReader] = {}
_TURN = threading.Lock()


@contextmanager
def _left_open(href: str, access: Access, checksum: str | None) -> Iterator[rasterio.DatasetReader]:
    """As :func:`opened` for a local raster, which stays open, for one thread at a time.

    The next block shares tiles with this one, which GDAL then has decoded already (decision 0086).
    """
    path = Path(access.checked(href))
    if not path.exists():
        raise UnreadableError(f"{path}: there is no such file")
    stat = path.stat()
    key = (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
    with _TURN, rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES), ExitStack() as stack:
        dataset = _LEFT_OPEN.pop(key, None) or _open(href, access, checksum)
        stack.callback(dataset.close)
        yield dataset
        # Not reached where reading fails: then it is closed.
        stack.pop_all()
        _LEFT_OPEN[key] = dataset
        while len(_LEFT_OPEN) > LEFT_OPEN:
            _LEFT_OPEN.pop(next(iter(_LEFT_OPEN))).close()


def _open_local(path: Path) -> rasterio.DatasetReader:
    if not path.exists():
        raise UnreadableError(f"{path}: there is no such file")
    driver = _format(path)
    for beside in (path.with_name(path.name + suffix) for suffix in (".ovr", ".msk")):
        # GDAL opens these with any driver at all.
        if beside.exists() and _format(beside) != "GTiff":
            raise RefusedError(f"{beside}: overviews and masks beside a raster must be TIFF; remove it")
    return rasterio.open(path, driver=driver)


def _format(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return _driver(str(path), stream.read(12))
    except OSError as error:
        raise UnreadableError(f"{path}: not a raster that can be read ({error.strerror})") from error


def _driver(href: str, start: bytes) -> str:
    for magic, driver in FORMATS.items():
        if start.startswith(magic):
            return driver
    kinds = ", ".join(sorted(set(FORMATS.values())))
    known = (f"; {what}" for magic, what in _NO_RASTERS.items() if start.startswith(magic))
    remedy = next(known, "") if start else "; it is empty, fetch it again"
    raise UnreadableError(f"{href}: not a raster that can be read; its bytes begin like none of {kinds}{remedy}")


def _open_remote(url: str, access: Access, checksum: str | None) -> rasterio.DatasetReader:
    """Only this one file is shown to GDAL: no side-car files, no other names."""
    file = open_store(url) if url.startswith("s3://") else RangeFile(http_of(access), url, checksum)
    driver = _driver(url, file.read(12))

    def only(name: str, *_: object, **__: object) -> Any:
        if not url.endswith(name.rpartition("://")[2]):
            raise FileNotFoundError(name)
        return file.again() if isinstance(file, RangeFile) else open_store(url)

    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        return rasterio.open(url, driver=driver, opener=only)


def _refuse_bombs(href: str, dataset: rasterio.DatasetReader) -> None:
    """Refuse what only a hostile or broken file says of itself, before a pixel is decoded."""
    if dataset.tags(ns="OVERVIEWS") or dataset.tags(ns="GEOLOCATION"):
        raise RefusedError(f"{href}: its metadata name other files for overviews or positions; remove these tags")
    pixels, bands = dataset.height * dataset.width, dataset.count
    if pixels > MAX_PIXELS or bands > MAX_BANDS:
        raise RefusedError(
            f"{href}: claims {pixels:,} pixels in {bands:,} bands; at most {MAX_PIXELS:,} in {MAX_BANDS:,} are read"
        )
    together = bands if dataset.profile.get("interleave") == "pixel" else 1
    piece = max(h * w * np.dtype(t).itemsize for (h, w), t in zip(dataset.block_shapes, dataset.dtypes, strict=True))
    if piece * together > MAX_PIECE_BYTES:
        raise RefusedError(
            f"{href}: one of its tiles unpacks to {piece * together:,} bytes, at most {MAX_PIECE_BYTES:,} are read; "
            "rewrite it with smaller tiles"
        )


def read_header(href: str, access: Access = LOCAL, checksum: str | None = None) -> Header:
    """Grid, bands and scaling of a file, without its pixels.

    Raises:
        UnreadableError: the file cannot be opened.
        DataError: it has no coordinate system or no georeferencing.
    """
    with opened(href, access, checksum) as dataset:
        if dataset.crs is None:
            raise DataError(
                f"{href}: no coordinate system found; assign one first, e.g. `rio edit-info --crs EPSG:32631`"
            )
        if dataset.transform == rasterio.Affine.identity():
            raise DataError(
                f"{href}: no geotransform found, pixels cannot be placed or measured; georeference it first"
            )
        try:
            grid = Grid(_portable_crs(dataset.crs), dataset.transform, Shape(dataset.height, dataset.width))
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
            picture=dataset.dtypes[0] == "uint8" and dataset.colorinterp[:3] == COLOURS,
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
            as_stored = source.scale == 1 and source.offset == 0
            values[place] = layer if as_stored else layer.astype(np.float64) * source.scale + source.offset
        if numbers.dtype.kind == "f":
            valid &= np.isfinite(values[list(places)]).all(axis=0)
    obscured = None
    if scene.quality is not None:
        scheme, source = scene.quality
        codes, observed = _read_numbers(source.href, [source], window, grid, Resampling.nearest)
        obscured = valid & ~(observed & clear(codes[0], scheme))
        valid &= ~obscured
    if not valid.all():
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
        with (
            opened(source.href, source.access, source.checksum) as dataset,
            _on_grid(dataset, [source], grid, Resampling.nearest) as view,
        ):
            try:
                layer = view.read(source.index, window=place, out_shape=shape).astype(np.float32)
            except RasterioError as error:
                raise UnreadableError(f"{source.href}: pixels cannot be decoded ({_first_line(error)})") from error
        layers.append(np.where(observed_numbers(layer, source.nodata), layer, np.nan))
    stack = np.stack(layers)
    stack[:, np.isnan(stack).all(axis=0)] = np.nan
    return stack


def read_counts(href: str, window: Window) -> NDArray[np.float64]:
    """Counts per pixel ``(y, x)`` of a one-band raster; NaN where its nodata, its mask or a negative number says so.

    Counts cannot be negative: a nodata number that a file forgot to declare (-99999, -3.4e38) is not a count.

    Raises:
        UnreadableError: pixels cannot be decoded.
    """
    place = RasterioWindow(window.col, window.row, window.width, window.height)
    with opened(href) as dataset:
        try:
            numbers = dataset.read(1, window=place, masked=True)
        except RasterioError as error:
            raise UnreadableError(f"{href}: pixels cannot be decoded ({_first_line(error)})") from error
    counts = np.ma.filled(numbers.astype(np.float64), np.nan)
    counts[~np.isfinite(counts) | (counts < 0)] = np.nan
    return np.asarray(counts, np.float64)


def _read_numbers(
    href: str, sources: Sequence[BandSource], window: Window, grid: Grid, resampling: Resampling
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Raw numbers ``(band, y, x)`` of one file on ``grid``, and where at least one of the bands is observed."""
    where = (href, sources[0].access, sources[0].checksum)
    indexes = [source.index for source in sources]
    place = RasterioWindow(window.col, window.row, window.width, window.height)
    with _decoding(href, window):
        if not is_remote(href):
            with _left_open(*where) as dataset:
                if _same_pixels(dataset, grid):
                    numbers = dataset.read(indexes, window=place)
                    return numbers, _observed(dataset, numbers, sources, place)
        # Off the grid each thread has its own, because interpolation is worth more than one.
        with opened(*where) as dataset, _on_grid(dataset, sources, grid, resampling) as view:
            numbers = view.read(indexes, window=place)
            return numbers, _observed(view, numbers, sources, place)


@contextmanager
def _decoding(href: str, window: Window) -> Iterator[None]:
    try:
        yield
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
    return grid.same_pixels(Grid(_portable_crs(dataset.crs), dataset.transform, grid.shape))


@lru_cache(maxsize=64)
def _portable_crs(crs: CRS) -> str:
    """``EPSG:n`` where the CRS has a code, else WKT: short, and equal for equal systems."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())


def _first_line(error: Exception) -> str:
    text = str(error.__cause__ or error).strip()
    return text.splitlines()[0] if text else type(error).__name__
