"""Label and confidence maps as Cloud-Optimised GeoTIFFs, assembled from the blocks of a run; and a picture of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window as RasterioWindow
from rasterio.windows import from_bounds

from aisf_geo.domain.grid import Bounds, Grid, Window
from aisf_geo.domain.legend import NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.store.files import appearing, write_text
from aisf_geo.store.overviews import halved, level_shapes, squares

#: Internal tile of the written COGs.
COG_TILE_PX = 512
#: Why ZSTD: decision 0010. The bytes do not depend on the threads.
_COG_OPTIONS = {
    "COMPRESS": "ZSTD",
    "LEVEL": 1,
    "PREDICTOR": "NO",
    "BLOCKSIZE": COG_TILE_PX,
    "NUM_THREADS": "ALL_CPUS",
    "BIGTIFF": "IF_SAFER",
}
#: GDAL's cache of decoded tiles.
GDAL_CACHE_BYTES = 256 * 2**20
#: Longest side of a quicklook.
QUICKLOOK_PX = 1024
#: Of its compression: a quarter larger than by default, three times as fast.
QUICKLOOK_LEVEL = 3

UNKNOWN_COLOUR = (255, 0, 255)
NOT_OBSERVED_COLOUR = (0, 0, 0)


@dataclass(frozen=True)
class Layer:
    """What a map says of itself, beside its pixels.

    Attributes:
        bands: descriptions of the bands where there are several.
    """

    description: str
    dtype: str
    nodata: float
    resampling: str = "NEAREST"
    colours: Mapping[int, tuple[int, int, int, int]] | None = None
    categories: Mapping[int, str] | None = None
    tags: Mapping[str, str] | None = None
    bands: tuple[str, ...] = ()


def label_layer(legend: Legend, tags: Mapping[str, str]) -> Layer:
    """The layer of a label map with the colours and names of its legend."""
    colours = {c.code: (*c.colour, 255) for c in legend.classes}
    colours |= {UNKNOWN: (*UNKNOWN_COLOUR, 255), NOT_OBSERVED: (*NOT_OBSERVED_COLOUR, 0)}
    names = {c.code: c.name for c in legend.classes} | {UNKNOWN: "unknown", NOT_OBSERVED: "not observed"}
    return Layer("labels", "uint8", NOT_OBSERVED, "MODE", colours, names, tags)


def confidence_layer(tags: Mapping[str, str]) -> Layer:
    """The layer of a confidence map: 0..254 stand for 0..1."""
    return Layer("confidence", "uint8", NO_CONFIDENCE, "AVERAGE", tags=tags)


def probabilities_layer(legend: Legend, tags: Mapping[str, str]) -> Layer:
    """The layer of probabilities, one band for each class: 0..254 stand for 0..1."""
    names = tuple(entry.name for entry in legend.classes)
    return Layer("probabilities", "uint8", NO_CONFIDENCE, "AVERAGE", tags=tags, bands=names)


def write_cog(path: Path, grid: Grid, layer: Layer, windows: Iterable[tuple[Window, NDArray[np.generic]]]) -> None:
    """Write ``windows`` of pixels, ``(y, x)`` or ``(band, y, x)``, to a COG on ``grid``.

    Pixels that no window brings stay nodata. Memory does not grow with the raster: windows, which may come in any
    order, go to a temporary tiled file, from which overviews are computed square by square; the COG driver then copies
    tiles.
    """
    with appearing(path) as partial, _removed_afterwards(partial), rasterio.Env(GDAL_CACHEMAX=GDAL_CACHE_BYTES):
        draft = partial.with_suffix(".0.tif")
        with rasterio.open(draft, "w", **_draft_profile(grid, layer)) as dataset:
            for window, pixels in windows:
                dataset.write(pixels.reshape(-1, *pixels.shape[-2:]), window=_as_rasterio(window))
            _describe(dataset, layer)
        joined = _joined([draft, *_write_overviews(draft, layer)])
        gdal_copy(joined, partial, driver="COG", OVERVIEW_RESAMPLING="NEAREST", **_COG_OPTIONS)
    if layer.categories:
        write_text(path.with_name(path.name + ".aux.xml"), _category_names(layer))


@contextmanager
def _removed_afterwards(partial: Path) -> Iterator[None]:
    """Removes the temporary files that begin with the name of ``partial``, itself excepted."""
    try:
        yield
    finally:
        for path in partial.parent.glob(f"{partial.stem}.*"):
            if path != partial:
                path.unlink()


def _draft_profile(grid: Grid, layer: Layer) -> dict[str, Any]:
    return {
        "driver": "GTiff",
        "height": grid.shape.height,
        "width": grid.shape.width,
        "count": max(1, len(layer.bands)),
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "crs": grid.pyproj_crs.to_wkt(),
        "transform": grid.transform,
        "interleave": "band",
        "tiled": True,
        "blockxsize": COG_TILE_PX,
        "blockysize": COG_TILE_PX,
        "SPARSE_OK": "TRUE",
        "BIGTIFF": "IF_SAFER",
    }


def _write_overviews(full: Path, layer: Layer) -> list[Path]:
    """Writes each level below ``full`` into a file beside it; every pixel of it is read once."""
    with rasterio.open(full) as source, ExitStack() as stack:
        shapes = level_shapes(source.height, source.width, COG_TILE_PX)
        paths = [full.with_suffix("").with_suffix(f".{i}.tif") for i in range(1, len(shapes) + 1)]
        levels = [
            stack.enter_context(rasterio.open(path, "w", **source.profile | {"height": height, "width": width}))
            for path, (height, width) in zip(paths, shapes, strict=True)
        ]
        for row, col, height, width in squares(source.height, source.width) if levels else ():
            for band in source.indexes:
                pixels = source.read([band], window=RasterioWindow(col, row, width, height))
                for times, level in enumerate(levels, start=1):
                    pixels = halved(pixels, layer.nodata, layer.resampling)
                    place = RasterioWindow(col >> times, row >> times, pixels.shape[2], pixels.shape[1])
                    level.write(pixels, [band], window=place)
    return paths


def _joined(drafts: list[Path]) -> Path:
    """A virtual dataset of the full resolution that names the others as its overviews."""
    joined = drafts[0].with_suffix(".vrt")
    gdal_copy(drafts[0], joined, driver="VRT")
    tree = ElementTree.parse(joined)  # noqa: S314 - written in the line before
    for number, band in enumerate(tree.findall("VRTRasterBand"), start=1):
        for level in drafts[1:]:
            overview = SubElement(band, "Overview")
            SubElement(overview, "SourceFilename", relativeToVRT="1").text = level.name
            SubElement(overview, "SourceBand").text = str(number)
    tree.write(joined)
    return joined


def _as_rasterio(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col, window.row, window.width, window.height)


def write_picture(path: Path, grid: Grid, rgba: NDArray[np.uint8], tags: Mapping[str, str]) -> None:
    """Write ``rgba`` (y, x, 4), a picture of the extent of ``grid`` of any size, to a COG in JPEG with a mask."""
    height, width = rgba.shape[:2]
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 4,
        "dtype": "uint8",
        "crs": grid.pyproj_crs.to_wkt(),
        "transform": grid.transform @ Affine.scale(grid.shape.width / width, grid.shape.height / height),
        "photometric": "RGB",
        "alpha": "YES",
    }
    with appearing(path) as partial:
        draft = partial.with_suffix(".draft.tif")
        try:
            with rasterio.open(draft, "w", **profile) as dataset:
                dataset.write(rgba.transpose(2, 0, 1))
                dataset.update_tags(**tags)
            gdal_copy(draft, partial, driver="COG", COMPRESS="JPEG", QUALITY=90, OVERVIEW_RESAMPLING="AVERAGE")
        finally:
            draft.unlink(missing_ok=True)


def _describe(dataset: rasterio.io.DatasetWriter, layer: Layer) -> None:
    for number, name in enumerate(layer.bands or (layer.description,), start=1):
        dataset.set_band_description(number, name)
    dataset.update_tags(**(layer.tags or {}))
    if layer.colours:
        dataset.write_colormap(1, dict(layer.colours))


def _category_names(layer: Layer) -> str:
    """GDAL's side-car file with class names: TIFF has no place for them and rasterio no call."""
    names = layer.categories or {}
    dataset = Element("PAMDataset")
    categories = SubElement(SubElement(dataset, "PAMRasterBand", band="1"), "CategoryNames")
    for code in range(max(names) + 1):
        SubElement(categories, "Category").text = names.get(code, "")
    return tostring(dataset, encoding="unicode")


def read_pixels(path: Path, window: Window | None = None) -> NDArray[np.generic]:
    """Pixels ``(y, x)`` of one of the program's own single-band maps."""
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1, window=_as_rasterio(window) if window else None))


def write_quicklook(path: Path, labels: Path, legend: Legend) -> None:
    """A PNG of a label map in the legend's colours, at most 1,024 px on its longest side; not observed is clear."""
    picture = Image.fromarray(np.asarray(thumbnail(labels), np.uint8), "P")
    # With a palette: four times smaller than RGBA, and ten times faster to pack.
    picture.putpalette(coloured(np.arange(256, dtype=np.uint8), legend).tobytes(), "RGBA")
    with appearing(path) as partial:
        picture.save(partial, compress_level=QUICKLOOK_LEVEL)


def thumbnail(path: Path, longest_px: int = QUICKLOOK_PX, window: Window | None = None) -> NDArray[np.generic]:
    """A map, or a window of it, thinned by nearest neighbour so that no side exceeds ``longest_px``, ``(y, x)``."""
    with rasterio.open(path) as dataset:
        seen = window or Window(0, 0, dataset.height, dataset.width)
        factor = max(1.0, max(seen.height, seen.width) / longest_px)
        shape = max(1, round(seen.height / factor)), max(1, round(seen.width / factor))
        return np.asarray(dataset.read(1, window=_as_rasterio(seen), out_shape=shape, resampling=Resampling.nearest))


def coloured(labels: NDArray[np.generic], legend: Legend) -> NDArray[np.uint8]:
    """RGBA ``(y, x, 4)`` of labels."""
    table = np.zeros((256, 4), np.uint8)
    for item in legend.classes:
        table[item.code] = (*item.colour, 255)
    table[UNKNOWN] = (*UNKNOWN_COLOUR, 255)
    return np.asarray(table[labels])


def read_picture(path: Path, bounds: Bounds, size_px: int) -> NDArray[np.uint8]:
    """``(size_px, size_px, 3)`` of a published picture inside ``bounds`` in its CRS; black beyond its edge."""
    with rasterio.open(path) as dataset:
        window = from_bounds(*bounds, transform=dataset.transform)
        shape = (3, size_px, size_px)
        pixels = dataset.read((1, 2, 3), window=window, out_shape=shape, boundless=True, fill_value=0)
        return np.asarray(pixels.transpose(1, 2, 0), np.uint8)


def write_png(path: Path, rgba: NDArray[np.uint8]) -> None:
    """Write an RGBA picture."""
    with appearing(path) as partial:
        partial.write_bytes(png_bytes(rgba))


def png_bytes(rgba: NDArray[np.uint8]) -> bytes:
    """An RGBA or RGB picture as PNG."""
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG", optimize=True)
    return stream.getvalue()
