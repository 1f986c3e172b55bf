"""Label and confidence maps as Cloud-Optimised GeoTIFFs, assembled from the blocks of a run; and a picture of them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.shutil import copy as gdal_copy
from rasterio.windows import Window as RasterioWindow

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import NO_CONFIDENCE, NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.store.files import appearing, write_text

#: Internal tile of the written COGs.
COG_TILE_PX = 512
_COG_OPTIONS = {
    "COMPRESS": "DEFLATE",
    "LEVEL": 6,
    "PREDICTOR": "NO",
    "BLOCKSIZE": COG_TILE_PX,
    "NUM_THREADS": "1",
    "BIGTIFF": "IF_SAFER",
}
#: Longest side of a quicklook.
QUICKLOOK_PX = 1024

UNKNOWN_COLOUR = (255, 0, 255)
NOT_OBSERVED_COLOUR = (0, 0, 0)


@dataclass(frozen=True)
class Layer:
    """What a single-band map says of itself, beside its pixels."""

    description: str
    dtype: str
    nodata: float
    resampling: str = "NEAREST"
    colours: Mapping[int, tuple[int, int, int, int]] | None = None
    categories: Mapping[int, str] | None = None
    tags: Mapping[str, str] | None = None


def label_layer(legend: Legend, tags: Mapping[str, str]) -> Layer:
    """The layer of a label map with the colours and names of its legend."""
    colours = {c.code: (*c.colour, 255) for c in legend.classes}
    colours |= {UNKNOWN: (*UNKNOWN_COLOUR, 255), NOT_OBSERVED: (*NOT_OBSERVED_COLOUR, 0)}
    names = {c.code: c.name for c in legend.classes} | {UNKNOWN: "unknown", NOT_OBSERVED: "not observed"}
    return Layer("labels", "uint8", NOT_OBSERVED, "MODE", colours, names, tags)


def confidence_layer(tags: Mapping[str, str]) -> Layer:
    """The layer of a confidence map: 0..254 stand for 0..1."""
    return Layer("confidence", "uint8", NO_CONFIDENCE, "AVERAGE", tags=tags)


def write_cog(path: Path, grid: Grid, layer: Layer, windows: Iterable[tuple[Window, NDArray[np.generic]]]) -> None:
    """Write ``windows`` of pixels to a COG on ``grid``; pixels that no window brings stay nodata.

    Memory does not grow with the raster: windows go to a temporary tiled file, which the COG driver copies in tiles.
    """
    profile = {
        "driver": "GTiff",
        "height": grid.shape.height,
        "width": grid.shape.width,
        "count": 1,
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "crs": grid.pyproj_crs.to_wkt(),
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": COG_TILE_PX,
        "blockysize": COG_TILE_PX,
        "compress": "ZSTD",
        "zstd_level": 1,
        "SPARSE_OK": "TRUE",
        "BIGTIFF": "IF_SAFER",
    }
    with appearing(path) as partial, rasterio.Env(GDAL_CACHEMAX=256 * 2**20):
        draft = partial.with_suffix(".draft.tif")
        try:
            with rasterio.open(draft, "w", **profile) as dataset:
                for window, pixels in windows:
                    dataset.write(pixels, 1, window=RasterioWindow(window.col, window.row, window.width, window.height))
                _describe(dataset, layer)
            gdal_copy(draft, partial, driver="COG", OVERVIEW_RESAMPLING=layer.resampling, **_COG_OPTIONS)
        finally:
            draft.unlink(missing_ok=True)
    if layer.categories:
        write_text(path.with_name(path.name + ".aux.xml"), _category_names(layer))


def _describe(dataset: rasterio.io.DatasetWriter, layer: Layer) -> None:
    dataset.set_band_description(1, layer.description)
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
        place = RasterioWindow(window.col, window.row, window.width, window.height) if window else None
        return np.asarray(dataset.read(1, window=place))


def write_quicklook(path: Path, labels: Path, legend: Legend) -> None:
    """A PNG of a label map in the legend's colours, at most 1,024 px on its longest side; not observed is clear."""
    write_png(path, coloured(thumbnail(labels), legend))


def thumbnail(path: Path, longest_px: int = QUICKLOOK_PX) -> NDArray[np.generic]:
    """A map thinned by nearest neighbour to at most ``longest_px`` on its longest side, ``(y, x)``."""
    with rasterio.open(path) as dataset:
        factor = max(1.0, max(dataset.height, dataset.width) / longest_px)
        shape = max(1, round(dataset.height / factor)), max(1, round(dataset.width / factor))
        return np.asarray(dataset.read(1, out_shape=shape, resampling=Resampling.nearest))


def coloured(labels: NDArray[np.generic], legend: Legend) -> NDArray[np.uint8]:
    """RGBA ``(y, x, 4)`` of labels."""
    table = np.zeros((256, 4), np.uint8)
    for item in legend.classes:
        table[item.code] = (*item.colour, 255)
    table[UNKNOWN] = (*UNKNOWN_COLOUR, 255)
    return np.asarray(table[labels])


def write_png(path: Path, rgba: NDArray[np.uint8]) -> None:
    """Write an RGBA picture."""
    with appearing(path) as partial:
        partial.write_bytes(png_bytes(rgba))


def png_bytes(rgba: NDArray[np.uint8]) -> bytes:
    """An RGBA or RGB picture as PNG."""
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG", optimize=True)
    return stream.getvalue()
