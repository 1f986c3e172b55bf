"""Sensor profiles: what the numbers of a product mean and which bits say that a pixel is clear."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from aisf_geo.errors import UsageError


class Scl(IntEnum):
    """Sentinel-2 scene classification (ESA, Sentinel-2 Level-2A ATBD, table of SCL classes)."""

    NO_DATA = 0
    SATURATED_OR_DEFECTIVE = 1
    DARK_AREA = 2
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM_PROBABILITY = 8
    CLOUD_HIGH_PROBABILITY = 9
    THIN_CIRRUS = 10
    SNOW_OR_ICE = 11


#: Classes through which the ground cannot be trusted.
SCL_OBSCURED = frozenset(
    {
        Scl.NO_DATA,
        Scl.SATURATED_OR_DEFECTIVE,
        Scl.CLOUD_SHADOW,
        Scl.CLOUD_MEDIUM_PROBABILITY,
        Scl.CLOUD_HIGH_PROBABILITY,
        Scl.THIN_CIRRUS,
    }
)

#: Bits of Landsat Collection 2 QA_PIXEL that obscure the ground (USGS LSDS-1619, table 6-3):
#: fill, dilated cloud, cirrus, cloud, cloud shadow.
QA_PIXEL_OBSCURED_BITS = 0b0001_1111

#: How a quality band is encoded.
QualityScheme = Literal["scl", "qa_pixel"]


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band.

    Attributes:
        name: STAC common name.
        wavelength_nm: centre wavelength.
        product_names: what the band is called in file and asset names of the product.
    """

    name: str
    wavelength_nm: float
    product_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SensorProfile:
    """A product of a sensor.

    Attributes:
        id: the name used in recipes, on the command line and in the ``SENSOR`` tag of a file.
        gsd_m: nominal ground sample distance of the finest band.
        scale: physical value = ``number * scale + offset``.
        nodata: number that means "not observed", where the product fixes one.
        reflectance: True where the physical value is a reflectance (0..1), False for uncalibrated numbers.
        surface: True where that reflectance is the ground's, the atmosphere taken out.
        quality: encoding of the product's quality band, if it has one.
    """

    id: str
    title: str
    gsd_m: float
    bands: tuple[Band, ...]
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    reflectance: bool = False
    quality: QualityScheme | None = None
    surface: bool = False

    def common_name(self, product_name: str) -> str | None:
        """The STAC common name of a band of the product, e.g. ``B08`` or ``SR_B4``; None if it has none."""
        wanted = product_name.lower()
        for band in self.bands:
            if wanted == band.name or wanted in (n.lower() for n in band.product_names):
                return band.name
        return None


_SENTINEL_2 = (
    Band("coastal", 443, ("B01", "B1")),
    Band("blue", 492, ("B02", "B2")),
    Band("green", 560, ("B03", "B3")),
    Band("red", 665, ("B04", "B4")),
    Band("rededge071", 704, ("B05", "B5")),
    Band("rededge075", 740, ("B06", "B6")),
    Band("rededge078", 783, ("B07", "B7")),
    Band("nir", 833, ("B08", "B8")),
    Band("nir08", 865, ("B8A",)),
    Band("nir09", 945, ("B09", "B9")),
    Band("cirrus", 1375, ("B10",)),
    Band("swir16", 1610, ("B11",)),
    Band("swir22", 2190, ("B12",)),
)
_LANDSAT_8 = (
    Band("coastal", 443, ("SR_B1",)),
    Band("blue", 482, ("SR_B2",)),
    Band("green", 561, ("SR_B3",)),
    Band("red", 655, ("SR_B4",)),
    Band("nir", 865, ("SR_B5",)),
    Band("swir16", 1609, ("SR_B6",)),
    Band("swir22", 2201, ("SR_B7",)),
)
_LANDSAT_7 = (
    Band("blue", 483, ("B1",)),
    Band("green", 560, ("B2",)),
    Band("red", 662, ("B3",)),
    Band("nir", 835, ("B4",)),
    Band("swir16", 1648, ("B5",)),
    Band("lwir", 11450, ("B6",)),
    Band("swir22", 2206, ("B7",)),
)
_WORLDVIEW_2 = (Band("blue", 480), Band("green", 545), Band("red", 660), Band("nir", 833))

SENSORS: dict[str, SensorProfile] = {
    profile.id: profile
    for profile in (
        SensorProfile(
            "sentinel-2-l2a", "Sentinel-2 surface reflectance", 10, _SENTINEL_2, 1e-4, 0.0, 0, True, "scl", True
        ),
        SensorProfile(
            "sentinel-2-l1c", "Sentinel-2 top-of-atmosphere reflectance", 10, _SENTINEL_2, 1e-4, 0.0, 0, True
        ),
        # Scale and offset: USGS Landsat 8-9 Collection 2 Level 2 Science Product Guide (LSDS-1619), section 5.
        SensorProfile(
            "landsat-c2-l2",
            "Landsat 8/9 C2 L2 surface reflectance",
            30,
            _LANDSAT_8,
            2.75e-5,
            -0.2,
            0,
            True,
            "qa_pixel",
            True,
        ),
        SensorProfile("landsat-7-dn", "Landsat 7, uncalibrated numbers", 30, _LANDSAT_7),
        SensorProfile("spacenet6-msi", "SpaceNet 6 WorldView-2, uncalibrated numbers", 1, _WORLDVIEW_2, nodata=0),
        SensorProfile(
            "spacenet6-rgb", "SpaceNet 6 WorldView-2 RGB, uncalibrated numbers", 1, _WORLDVIEW_2[:3], nodata=0
        ),
    )
}


def sensor(name: str) -> SensorProfile:
    """The profile of a sensor product.

    Raises:
        UsageError: there is no such profile; the message lists those there are.
    """
    if name not in SENSORS:
        raise UsageError(f"sensor: asked for {name!r}, known are {', '.join(SENSORS)}")
    return SENSORS[name]


def sentinel2_offset(processing_baseline: str | None, offset_applied: bool = False) -> float:
    """Reflectance offset of a Sentinel-2 product: -0.1 from processing baseline 04.00 (2022-01-25), else 0.

    Args:
        processing_baseline: as in ``s2:processing_baseline``, e.g. ``"05.09"``; None means before 04.00.
        offset_applied: the provider already shifted the numbers (``earthsearch:boa_offset_applied``).

    Raises:
        UsageError: the baseline is not a number.
    """
    if offset_applied or processing_baseline is None:
        return 0.0
    try:
        shifted = float(processing_baseline) >= 4.0
    except ValueError as error:
        raise UsageError(
            f"processing baseline: expected a number such as 05.09, found {processing_baseline!r}"
        ) from error
    return -0.1 if shifted else 0.0
