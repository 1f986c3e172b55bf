"""Labelled images on disk: which image belongs to which mask, where it was taken, and its pixels.

A folder holds ``NAME.jpg|tif|png`` with the mask ``NAME.png`` beside it, or ``images/`` and ``masks/`` with equal
names, at any depth; for change ``A/``, ``B/`` and ``label/``. The place of an image is the folder that holds it,
unless a ``chips.csv`` above names its ``source_sheet``. Archives of patches are read by
:mod:`aisf_geo.evaluate.archives`.
"""

from __future__ import annotations

import csv
import re
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import BandError, DataError, NoDataError, UnreadableError
from aisf_geo.evaluate.metrics import UNLABELLED
from aisf_geo.ingest.read import observed_numbers, opened

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".tif", ".tiff", ".png")
RGB = ("red", "green", "blue")
#: Parts of a town that are kept together because they show the same ground.
SAME_PLACE = {"banepa_drone": "banepa"}
#: Parts of a town that lie kilometres apart, by the names of their web tiles.
APART = (("zanzibar", re.compile(r"OAM-\d+-(27099\d-19|54199\d-20)$"), "zanzibar-south"),)


@dataclass(frozen=True)
class Labelled:
    """One image with what is known of its pixels.

    Attributes:
        truth: uint8 ``(y, x)``, class codes; 255 where nobody labelled.
    """

    name: str
    place: str
    raster: Raster
    truth: NDArray[np.uint8]


class Sample(Protocol):
    """An image that can be read, of a known place."""

    @property
    def name(self) -> str:
        """Unique in its data set."""
        ...

    @property
    def place(self) -> str:
        """Where it was taken."""
        ...

    @property
    def bands(self) -> tuple[str, ...]:
        """STAC common names of what it holds; empty where the file names nothing and is no RGB picture."""
        ...

    def read(self, bands: tuple[str, ...]) -> Labelled:
        """Its pixels in ``bands``; of a file that names none and has as many, in this order."""
        ...


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file."""

    name: str
    place: str
    image: Path
    mask: Path

    @property
    def bands(self) -> tuple[str, ...]:
        """See :class:`Sample`."""
        return bands_in(self.image)

    def read(self, bands: tuple[str, ...]) -> Labelled:
        """See :class:`Sample`.

        Raises:
            DataError: the two differ in size, the mask has several bands, or a labelled pixel is NaN.
            BandError: the image lacks a band.
        """
        raster, truth = read_image(self.image, bands), read_mask(self.mask)
        if raster.valid.shape != truth.shape:
            size = " x ".join(str(n) for n in raster.valid.shape[::-1])
            raise DataError(
                f"{self.mask}: has {truth.shape[1]} x {truth.shape[0]} px, its image {self.image.name} has {size}; "
                "give masks on the pixels of their images"
            )
        refuse_nan(raster, truth, str(self.image))
        return Labelled(self.name, self.place, raster, truth)


def find_pairs(data: Path) -> list[Pair]:
    """The image and mask pairs below a folder, by name.

    Raises:
        NoDataError: there are none.
    """
    if not data.is_dir():
        raise UnreadableError(f"data {data}: there is no such folder; give one with images and masks")
    pairs = []
    for image in sorted(p for p in data.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES):
        mask = _mask_of(image)
        if mask is not None:
            pairs.append(Pair(str(image.relative_to(data).with_suffix("")), place_of(image, data), image, mask))
    if not pairs:
        raise NoDataError(
            f"data {data}: no pairs of image and mask found; expected NAME.jpg, .tif or .png with NAME.png beside it, "
            "or images/ and masks/ with equal names"
        )
    return pairs


def _mask_of(image: Path) -> Path | None:
    """The mask of an image; None where it has none, or is a mask itself."""
    if image.parent.name == "images":
        mask = image.parent.with_name("masks") / f"{image.stem}.png"
    elif image.suffix.lower() == ".png" or image.parent.name == "masks":
        return None
    else:
        mask = image.with_suffix(".png")
    return mask if mask.exists() else None


def place_of(image: Path, data: Path) -> str:
    """Where an image was taken: its sheet, or the folder that holds it below ``data``."""
    folder = image.parent.parent if image.parent.name in ("images", "A", "B") else image.parent
    if sheet := _sheets(folder).get(image.stem):
        return sheet
    inside = str(folder.relative_to(data)) if folder != data else data.name
    for town, tiles, part in APART:
        if inside == town and tiles.match(image.stem):
            return part
    return SAME_PLACE.get(inside, inside)


@cache
def _sheets(folder: Path) -> dict[str, str]:
    """The source sheet of each chip, where a ``chips.csv`` tells."""
    table = folder / "chips.csv"
    if not table.exists():
        return {}
    with table.open(encoding="utf-8", newline="") as lines:
        return {row["chip"]: row["source_sheet"] for row in csv.DictReader(lines)}


@dataclass(frozen=True)
class ChangePair:
    """Two images of one place and the mask of what changed between them."""

    name: str
    place: str
    before: Path
    after: Path
    mask: Path


def find_change_pairs(data: Path) -> list[ChangePair]:
    """The triples ``A/NAME``, ``B/NAME``, ``label/NAME.png`` below a folder, by name.

    Raises:
        NoDataError: there are none.
    """
    pairs = []
    for before in sorted(p for p in data.rglob("A/*") if p.suffix.lower() in IMAGE_SUFFIXES):
        root = before.parent.parent
        after, mask = root / "B" / before.name, root / "label" / f"{before.stem}.png"
        if after.exists() and mask.exists():
            name = str(root.relative_to(data) / before.stem)
            pairs.append(ChangePair(name, place_of(before, data), before, after, mask))
    if not pairs:
        raise NoDataError(f"data {data}: no pairs for change found; expected A/NAME, B/NAME and label/NAME.png")
    return pairs


def read_image(path: Path, bands: tuple[str, ...]) -> Raster:
    """The pixels of an image on its grid, or on one that counts pixels; scale, offset and nodata as the file says.

    Raises:
        BandError: the file lacks a band, or names none and has another number of them.
    """
    with warnings.catch_warnings(), opened(str(path)) as dataset:
        names = tuple(dataset.descriptions)
        order = _order(path, names, bands, dataset.count)
        try:
            numbers = dataset.read(order)
        except RasterioError as error:
            raise UnreadableError(f"{path}: pixels cannot be decoded ({error}); fetch the file again") from error
        grid = _grid(dataset)
        scales = np.array([(dataset.scales[i - 1], dataset.offsets[i - 1]) for i in order], np.float32)
        nodata = [dataset.nodatavals[i - 1] for i in order]
    observed = np.any([observed_numbers(n, missing) for n, missing in zip(numbers, nodata, strict=True)], axis=0)
    values = numbers.astype(np.float32) * scales[:, :1, None] + scales[:, 1:, None]
    return Raster(values, np.asarray(observed), grid, bands)


def bands_in(path: Path) -> tuple[str, ...]:
    """The names of the bands of an image, red, green and blue for a picture without names, else nothing."""
    with opened(str(path)) as dataset:
        named = tuple(name for name in dataset.descriptions if name)
        picture = dataset.count == 3 or (dataset.count == 4 and dataset.colorinterp[3] == ColorInterp.alpha)
        return named or (RGB if picture else ())


def _order(path: Path, names: tuple[str | None, ...], bands: tuple[str, ...], count: int) -> list[int]:
    """The 1-based places of the bands in a file."""
    if all(name in names for name in bands):
        return [names.index(name) + 1 for name in bands]
    named = [name for name in names if name]
    if not named and set(bands) <= set(RGB) and count in (3, 4):
        return [RGB.index(name) + 1 for name in bands]
    if not named and count == len(bands):
        return list(range(1, count + 1))
    raise BandError(
        f"{path}: needs the bands {', '.join(bands)}, found {', '.join(named) or f'{count} without names'}; "
        "name the bands in the file (`rio edit-info --bidx`), or give exactly these in this order"
    )


def read_mask(path: Path) -> NDArray[np.uint8]:
    """The class codes of a mask, uint8 ``(y, x)``.

    Raises:
        DataError: it has several bands, or codes beyond 255.
    """
    with opened(str(path)) as dataset:
        if dataset.count != 1 or dataset.dtypes[0] != "uint8":
            raise DataError(
                f"{path}: expected one band of 8-bit class codes, found {dataset.count} of {dataset.dtypes[0]}"
            )
        return np.asarray(dataset.read(1))


def refuse_nan(raster: Raster, truth: NDArray[np.uint8], what: str) -> None:
    """Check that labelled pixels have values.

    Raises:
        DataError: some are NaN, which is neither an observation nor stated nodata.
    """
    broken = raster.valid & (truth != UNLABELLED) & ~np.isfinite(raster.values).all(axis=0)
    if broken.any():
        raise DataError(
            f"{what}: {int(broken.sum())} labelled pixels are NaN or infinite; state nodata in the file, or mark them "
            f"{UNLABELLED} in the mask"
        )


def _grid(dataset: rasterio.DatasetReader) -> Grid:
    """The grid of a file, or one that only counts pixels."""
    shape = (dataset.height, dataset.width)
    if dataset.crs is None or dataset.transform.is_identity:
        return pixel_grid(shape)
    return Grid(dataset.crs.to_wkt(), dataset.transform, Shape(*shape))


def pixel_grid(shape: tuple[int, ...], gsd_m: float = 1.0) -> Grid:
    """A grid that only counts pixels, at no particular place."""
    height, width = shape
    return Grid("EPSG:32631", Affine(gsd_m, 0, 5e5, 0, -gsd_m, 5e6), Shape(height, width))
