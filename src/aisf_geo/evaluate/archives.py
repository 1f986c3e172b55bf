"""Labelled patches in ``.npz`` archives: the 30 m land-cover patches and the two cloud scenes.

Each archive answers several questions, so the head that is judged names the labels it wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aisf_geo.domain.raster import Raster
from aisf_geo.errors import BandError, DataError, UnreadableError, UsageError
from aisf_geo.evaluate.labelled import Labelled, Sample, pixel_grid, refuse_nan
from aisf_geo.evaluate.metrics import UNLABELLED

HLS_BANDS = ("coastal", "blue", "green", "red", "nir", "swir16", "swir22")
CLOUD_BANDS = HLS_BANDS[1:]
#: Contiguous parts of the land-cover patches; the last three are the last fifth.
FOLDS = 15
#: Of the patches and of the Landsat scene; the Sentinel-2 scene is finer, which no rule here asks for.
GSD_M = 30.0
#: Bits of the HLS Fmask band (HLS User Guide 2.0, table 9).
FMASK_CLOUD, FMASK_SHADOW, FMASK_SNOW = 1 << 1, 1 << 3, 1 << 4
FMASK_NODATA = 255
#: Codes of a cloud head.
CLEAR, CLOUD, SHADOW, SNOW = 0, 1, 2, 3
#: What the classes of the cloud scenes are to a cloud head: shadow, snow, water, land, cloud.
_CLOUD_CODES = np.array([SHADOW, SNOW, CLEAR, CLEAR, CLOUD], np.uint8)

Arrays = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Patch:
    """One patch of an archive, labelled for one question."""

    name: str
    place: str
    archive: Path
    index: int
    target: str

    @property
    def bands(self) -> tuple[str, ...]:
        """See :class:`Sample`."""
        return HLS_BANDS if "values" in _arrays(self.archive) else CLOUD_BANDS

    def read(self, bands: tuple[str, ...]) -> Labelled:
        """See :class:`Sample`.

        Raises:
            BandError: the archive lacks a band.
            DataError: a labelled pixel is NaN.
        """
        arrays = _arrays(self.archive)
        read = _landcover if "values" in arrays else _cloud_scene
        values, valid, truth, names = read(arrays, self.index, self.target)
        if missing := [band for band in bands if band not in names]:
            raise BandError(f"{self.archive}: has {', '.join(names)}, the model also needs {', '.join(missing)}")
        chosen = np.ascontiguousarray(values[[names.index(band) for band in bands]])
        raster = Raster(chosen, valid, pixel_grid(valid.shape, GSD_M), bands)
        refuse_nan(raster, truth, f"{self.archive}, patch {self.name}")
        return Labelled(self.name, self.place, raster, truth)


def archive_patches(data: Path, target: str) -> list[Sample]:
    """The patches of the archives in a folder that are labelled for ``target``, none where there is no archive.

    Raises:
        UsageError: the archives are not labelled for it.
        DataError: an archive is of an unknown kind.
    """
    found: list[Sample] = []
    for path in sorted(data.glob("*.npz")):
        arrays = _arrays(path)
        if {"values", "water", "ids"} <= arrays.keys():
            found += _folds(path, arrays, target)
        elif {"img", "msk"} <= arrays.keys():
            _require(path, target, ("cloud",))
            found.append(Patch(path.stem, path.stem, path, 0, target))
        else:
            raise DataError(f"{path}: holds {', '.join(arrays)}; expected values, water and ids, or img and msk")
    return found


def _folds(path: Path, arrays: Arrays, target: str) -> list[Sample]:
    """Patches by ascending id, in contiguous folds, which are the places."""
    _require(path, target, ("water", "landuse", "cloud"))
    ids = arrays["ids"].astype(np.int64)
    order = np.argsort(ids, kind="stable")
    return [
        Patch(f"{ids[i]:04d}", f"fold-{rank * FOLDS // len(ids) + 1}", path, int(i), target)
        for rank, i in enumerate(order)
    ]


def _require(path: Path, target: str, known: tuple[str, ...]) -> None:
    if target not in known:
        raise UsageError(f"{path}: is labelled for {', '.join(known)}, asked for {target!r}; choose another --head")


def _landcover(
    arrays: Arrays, index: int, target: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8], tuple[str, ...]]:
    """Reflectance, validity, truth and bands of one patch."""
    patch = arrays["values"][index]
    fmask = patch[7].astype(np.int64)
    valid = np.asarray((fmask != FMASK_NODATA) & (patch[:7] > 0).any(axis=0))
    if target == "water":
        truth = arrays["water"][index].astype(np.uint8)
    elif target == "landuse":
        truth = np.where(patch[9] > 0, patch[9], UNLABELLED).astype(np.uint8)
    else:
        truth = np.full(fmask.shape, CLEAR, np.uint8)
        for bit, code in ((FMASK_SNOW, SNOW), (FMASK_SHADOW, SHADOW), (FMASK_CLOUD, CLOUD)):
            truth[(fmask & bit) > 0] = code
    return patch[:7].astype(np.float32) / 1e4, valid, truth, HLS_BANDS


def _cloud_scene(
    arrays: Arrays, _index: int, _target: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.uint8], tuple[str, ...]]:
    """Top-of-atmosphere reflectance, validity, truth and bands of one scene."""
    values = np.moveaxis(arrays["img"].astype(np.float32), -1, 0)
    truth = _CLOUD_CODES[arrays["msk"][..., 0].astype(np.int64)]
    return values, np.asarray(np.isfinite(values).all(axis=0)), truth, CLOUD_BANDS


@lru_cache(maxsize=4)
def _arrays(path: Path) -> Arrays:
    """The arrays of an archive.

    Raises:
        UnreadableError: it is not an archive of arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return cast("Arrays", {name: archive[name] for name in archive.files})
    except (OSError, ValueError, EOFError) as error:
        raise UnreadableError(f"{path}: not an archive of arrays ({error}); fetch it again") from error
