"""What is known of a scene before a pixel is read."""

from __future__ import annotations

from dataclasses import dataclass

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.period import Period
from aisf_geo.domain.sensors import QualityScheme
from aisf_geo.errors import BandError
from aisf_geo.ingest.access import LOCAL, Access


@dataclass(frozen=True, slots=True)
class BandSource:
    """One band inside one file.

    Attributes:
        href: local path or URL of the file.
        index: 1-based band number in the file.
        scale: physical value = ``number * scale + offset``.
        nodata: number that means "not observed" in this band, or None.
        masked: the file's own mask or alpha band says what was observed; False where that band is imagery.
        access: where the href may lead.
        checksum: multihash of the file that its catalogue states, if any.
    """

    href: str
    index: int
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    masked: bool = True
    access: Access = LOCAL
    checksum: str | None = None


@dataclass(frozen=True)
class Scene:
    """One acquisition: its place, time, bands and the terms it may be used under.

    Attributes:
        id: stable name, used as item id in outputs.
        period: the moment or the range in which it was acquired; None where nothing is stated.
        grid: the grid of its finest band.
        bands: (STAC common name, source) pairs, in file order.
        quality: the quality band and its encoding, if any.
        sensor: id of a sensor profile, or None where only band names are known.
        reflectance: True where values are reflectances after scale and offset.
        surface: True where these are the ground's, the atmosphere taken out.
        quality_asset: key of the quality band among the assets of its STAC item.
        attribution: the line its licence asks for.
        stac_item: the source's STAC item as JSON text, where it came from one; cubes are loaded from it.
    """

    id: str
    grid: Grid
    bands: tuple[tuple[str, BandSource], ...]
    period: Period | None = None
    quality: tuple[QualityScheme, BandSource] | None = None
    sensor: str | None = None
    reflectance: bool = False
    surface: bool = False
    quality_asset: str | None = None
    licence: str | None = None
    attribution: str | None = None
    stac_item: str | None = None

    @property
    def band_names(self) -> tuple[str, ...]:
        """The names of the bands, in file order."""
        return tuple(name for name, _ in self.bands)

    def source(self, band: str) -> BandSource:
        """Where a band is read from.

        Raises:
            BandError: the scene has no such band.
        """
        for name, source in self.bands:
            if name == band:
                return source
        raise BandError(f"scene {self.id}: band {band!r} is needed, it has {', '.join(self.band_names)}")

    def require(self, bands: tuple[str, ...], purpose: str) -> None:
        """Check that all ``bands`` are there.

        Raises:
            BandError: naming what is needed, what the scene has and what to do.
        """
        missing = [band for band in bands if band not in self.band_names]
        if missing:
            raise BandError(
                f"{purpose} needs the bands {', '.join(bands)}; scene {self.id} has {', '.join(self.band_names)} "
                f"and lacks {', '.join(missing)}. If bands are named differently, pass --bands in file order"
            )
