"""Images with boxes in the YOLO text format: ``NAME.jpg`` beside ``NAME.txt``, class names in one ``*.names`` file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aisf_geo.domain.legend import Legend
from aisf_geo.domain.objects import OBJECT, Objects
from aisf_geo.domain.raster import Raster
from aisf_geo.errors import DataError, NoDataError, UnreadableError
from aisf_geo.evaluate.labelled import IMAGE_SUFFIXES, bands_in, read_image


@dataclass(frozen=True)
class BoxedImage:
    """An image file and the text file with its boxes.

    Attributes:
        place: folder and camera track: neighbouring frames show the same ground.
        classes: name of each class number.
    """

    name: str
    place: str
    image: Path
    boxes: Path
    classes: tuple[str, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """STAC common names of what the image holds; empty where it names nothing and is no RGB picture."""
        return bands_in(self.image)

    def read_raster(self, bands: tuple[str, ...]) -> Raster:
        """The pixels; raises as :func:`~aisf_geo.evaluate.labelled.read_image`."""
        return read_image(self.image, bands)

    def read_boxes(self, legend: Legend, height: int, width: int) -> Objects:
        """The boxes in pixels, with the codes that ``legend`` gives to the classes' names.

        Raises:
            DataError: a line is not a box, or its class is not in the legend.
        """
        codes = {entry.name: entry.code for entry in legend.classes}
        found = []
        for number, line in enumerate(self.boxes.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                kind, x, y, across, down = line.split()
                name = self.classes[int(kind)]
                place = (float(y) * height, float(x) * width, float(down) * height, float(across) * width)
            except (ValueError, IndexError) as error:
                raise DataError(
                    f"{self.boxes}, line {number}: expected `class x y width height` with a class of "
                    f"{', '.join(self.classes)}, found {line[:60]!r}"
                ) from error
            if name not in codes:
                raise DataError(
                    f"{self.boxes}, line {number}: class {name!r} is not in the legend {legend.name!r}, which has "
                    f"{', '.join(codes)}; leave such boxes out, or judge a model that knows them"
                )
            found.append((*place, codes[name], 1.0))
        return np.array(found, OBJECT)


def find_boxed(data: Path) -> list[BoxedImage]:
    """The images with boxes below a folder, by name.

    Raises:
        NoDataError: there are none.
        DataError: not exactly one file names the classes.
    """
    if not data.is_dir():
        raise UnreadableError(f"data {data}: there is no such folder; give one with images and boxes")
    images = [p for p in sorted(data.rglob("*")) if p.suffix.lower() in IMAGE_SUFFIXES]
    boxed = [p for p in images if p.with_suffix(".txt").exists()]
    if not boxed:
        raise NoDataError(f"data {data}: no images with boxes found; expected NAME.jpg with NAME.txt beside it")
    named = sorted(data.rglob("*.names"))
    if len(named) != 1:
        raise DataError(f"data {data}: expected one file *.names with the names of the classes, found {len(named)}")
    classes = tuple(named[0].read_text(encoding="utf-8").split())
    return [
        BoxedImage(str(p.relative_to(data).with_suffix("")), _track(p, data), p, p.with_suffix(".txt"), classes)
        for p in boxed
    ]


def _track(image: Path, data: Path) -> str:
    """Folder and name without the number of the frame: ``minsk/DJI_0762`` of ``minsk/DJI_0762-00001.jpg``."""
    track = re.sub(r"[-_][A-Za-z]*\d+$", "", image.stem)
    track = re.sub(r"\d+$", "", image.stem) if track == image.stem else track
    folder = str(image.parent.relative_to(data))
    return track if folder == "." else f"{folder}/{track}"
