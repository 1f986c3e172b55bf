"""Pairs of dates made from single ones: where a building appears or goes, and where nothing does but all looks changed.

No licensed set of pairs is needed. A pair is made in one of two ways. *One place*: the same ground on two days, with
buildings removed from one of them (ground of elsewhere laid over them), pasted from other chips, or drawn
(:mod:`aisf_geo.train.roofs`); ground that changes without a building is a distractor. *Two places*: chips of different
places as if they were one, where all that differs is a building on one side only (Zheng et al. 2021, Change is
Everywhere, ICCV, for the idea of pseudo pairs from unpaired labels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from scipy import ndimage

from aisf_geo.train.ground import Rows, with_road, with_small_things, with_streets, with_trees
from aisf_geo.train.looks import another_day, another_stand
from aisf_geo.train.roofs import Drawn, Style, Sun, draw, over, shaded

Image = NDArray[np.floating]
Labels = NDArray[np.uint8]
Random = np.random.Generator

#: Of a building mask: not known. In urban_landcover whole blocks are "building", which says nothing of one roof.
NOT_KNOWN = 255
#: Shares of pairs that show two places, and of those that show one place without a change of buildings.
TWO_PLACES, STILL = 0.2, 0.3
#: Ground sample distance that chips are brought to, m.
GSD_M = (0.38, 0.7)


@dataclass(frozen=True)
class Chip:
    """A labelled picture: uint8 ``(y, x, 3)``, uint8 mask 0, 1 or 255, and the metres a pixel spans."""

    image: NDArray[np.uint8]
    buildings: Labels
    gsd_m: float


@dataclass(frozen=True)
class Pair:
    """uint8 pictures ``(y, x, 3)``, masks of buildings on each date (255 not known), and what changed.

    Attributes:
        change: 0 none, 1 gained, 2 lost, 255 not known.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    buildings: tuple[Labels, Labels]
    change: Labels


@dataclass(frozen=True)
class Place:
    """A place on one day while a pair is made: picture 0..1, building mask, and the sun."""

    image: Image
    buildings: Labels
    sun: Sun


@dataclass(frozen=True)
class Chips:
    """What pairs are made from, by origin."""

    towns: tuple[Chip, ...]
    cities: tuple[Chip, ...]
    suburbs: tuple[Chip, ...]

    def base(self, rng: Random, size: int, *, labelled: bool = False) -> Place:
        """A place of ``size`` px: a mosaic of town chips, a piece of a city, or, unless ``labelled``, of a suburb."""
        chance = rng.random() * (0.65 if labelled else 1)
        if chance < 0.4 or not (self.cities or self.suburbs):
            image, mask = _mosaic(rng, self.towns, size)
        elif chance < 0.65 and self.cities:
            image, mask = _piece(rng, self.cities, size, rng.uniform(0.7, 1.6))
        else:
            image, mask = _piece(rng, self.suburbs or self.cities, size, rng.uniform(1.3, 2.2))
        return Place(image.astype(np.float32) / 255, mask, Sun.random(rng))


def _piece(rng: Random, chips: Sequence[Chip], size: int, zoom: float) -> tuple[NDArray[np.uint8], Labels]:
    """A random square of a random chip, enlarged by ``zoom``, turned and mirrored."""
    chip = chips[int(rng.integers(len(chips)))]
    side = int(np.ceil(size / zoom))
    height, width = chip.buildings.shape
    side = min(side, height, width)
    row, col = rng.integers(0, height - side + 1), rng.integers(0, width - side + 1)
    image = Pillow.fromarray(chip.image[row : row + side, col : col + side]).resize(
        (size, size), Pillow.Resampling.BICUBIC
    )
    mask = Pillow.fromarray(chip.buildings[row : row + side, col : col + side]).resize(
        (size, size), Pillow.Resampling.NEAREST
    )
    return _turned(rng, np.asarray(image), np.asarray(mask))


def _turned(rng: Random, image: NDArray[np.uint8], mask: Labels) -> tuple[NDArray[np.uint8], Labels]:
    quarter = int(rng.integers(4))
    image, mask = np.rot90(image, quarter), np.rot90(mask, quarter)
    return (image[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (image, mask)


def _mosaic(rng: Random, chips: Sequence[Chip], size: int) -> tuple[NDArray[np.uint8], Labels]:
    """Town chips side by side at one ground sample distance: a chip alone spans too little ground."""
    gsd_m = rng.uniform(*GSD_M)
    first = chips[int(rng.integers(len(chips)))]
    image, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), np.uint8)
    row = 0
    while row < size:
        col, lowest = 0, size
        while col < size:
            chip = first if rng.random() < 0.5 else chips[int(rng.integers(len(chips)))]
            side = max(24, round(chip.image.shape[0] * chip.gsd_m / gsd_m))
            picture = Pillow.fromarray(chip.image).resize((side, side), Pillow.Resampling.BOX)
            labels = Pillow.fromarray(chip.buildings).resize((side, side), Pillow.Resampling.NEAREST)
            turned = _turned(rng, np.asarray(picture), np.asarray(labels))
            high, wide = min(side, size - row), min(side, size - col)
            image[row : row + high, col : col + wide] = turned[0][:high, :wide]
            mask[row : row + high, col : col + wide] = turned[1][:high, :wide]
            col, lowest = col + wide, min(lowest, high)
        row += lowest
    return image, mask


def make_pair(rng: Random, chips: Chips, size: int) -> Pair:
    """One made pair of ``size`` px."""
    margin = 8
    start = chips.base(rng, size + 2 * margin)
    chance = rng.random()
    if chance < TWO_PLACES:
        other = chips.base(rng, size + 2 * margin, labelled=True)
        start = chips.base(rng, size + 2 * margin, labelled=True)
        before, after = _with_buildings(rng, start, chips), _with_buildings(rng, other, chips)
    elif chance < TWO_PLACES + STILL:
        start = _with_buildings(rng, start, chips) if rng.random() < 0.5 else start
        before = after = start
    else:
        before, after = _developed(rng, start, chips)
    before, after = (_distracted(rng, p, chips) if rng.random() < 0.5 else p for p in (before, after))
    if rng.random() < 0.5:
        before, after = after, before
    marks = _marked(before.buildings, after.buildings, same_ground=chance >= TWO_PLACES)
    one, two = (_acquired(rng, p, m) for p, m in zip((before, after), marks, strict=True))
    cut = slice(margin, -margin)
    pictures = [(p.image[cut, cut] * 255).round().astype(np.uint8) for p in (one, two)]
    masks = [p.buildings[cut, cut] for p in (one, two)]
    change = np.where(masks[1] == CHANGED, np.uint8(1), np.where(masks[0] == CHANGED, np.uint8(2), np.uint8(0)))
    change[((masks[0] == UNSURE) | (masks[1] == UNSURE)) & (change == 0)] = NOT_KNOWN
    return Pair(pictures[0], pictures[1], (_plain(masks[0]), _plain(masks[1])), change)


#: Marks of a mask while a pair is made: a building that the other date lacks, and ground where that is not known.
CHANGED, UNSURE = 2, 254


def _marked(before: Labels, after: Labels, *, same_ground: bool) -> tuple[Labels, Labels]:
    """Both masks with what changed marked, before either date is misplaced: slivers along edges are no change.

    On one ground, where nothing is known of the buildings there are the same ones on both dates.
    """
    unknown = (before == NOT_KNOWN) | (after == NOT_KNOWN)
    changed = [_opened((a == 1) & (b != 1)) for a, b in ((before, after), (after, before))]
    if same_ground:
        unknown &= ndimage.binary_dilation(changed[0] | changed[1], iterations=3)
    marked = []
    for mask, new in zip((before, after), changed, strict=True):
        marks = np.where(new, np.uint8(CHANGED), mask)
        marked.append(np.where(unknown & ~new, np.uint8(UNSURE), marks))
    return marked[0], marked[1]


def _plain(marks: Labels) -> Labels:
    return np.where(marks == CHANGED, np.uint8(1), np.where(marks == UNSURE, np.uint8(NOT_KNOWN), marks))


def _opened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    square = np.ones((5, 5), np.bool_)
    core = ndimage.binary_erosion(mask, square)
    return np.asarray(ndimage.binary_dilation(core, square, iterations=2) & mask)


def _acquired(rng: Random, place: Place, marks: Labels) -> Place:
    image, mask = another_stand(rng, place.image, marks, place.buildings == 1)
    return replace(place, image=another_day(rng, image), buildings=mask)


def _developed(rng: Random, start: Place, chips: Chips) -> tuple[Place, Place]:
    """The ground before and after building: real buildings cleared from the first date, and new ones on the second."""
    before, after = start, start
    if (start.buildings == 1).any() and rng.random() < 0.8:
        before = _cleared(rng, start, chips, rng.uniform(0.2, 1.0))
    if rng.random() < 0.65 or before is start:
        after = _with_buildings(rng, after, chips)
    return before, after


def _cleared(rng: Random, place: Place, chips: Chips, share: float) -> Place:
    """``place`` with a share of its buildings, and the shadows beside them, under other ground."""
    parts, count = ndimage.label(place.buildings == 1)
    gone = np.isin(parts, 1 + np.flatnonzero(rng.random(count) < share))
    if not gone.any():
        return place
    hole = ndimage.binary_dilation(gone, iterations=int(rng.integers(3, 9)))
    hole &= ~((place.buildings == 1) & ~gone)
    filled = _filled(rng, place, hole, chips)
    return replace(place, image=filled, buildings=np.where(gone, np.uint8(0), place.buildings))


def _filled(rng: Random, place: Place, hole: NDArray[np.bool_], chips: Chips) -> Image:
    """The picture with ground in ``hole``: of elsewhere in it, or, one time in two, of another place."""
    if not hole.any():
        return place.image
    size = hole.shape[0]
    ground, busy = place.image, place.buildings == 1
    if rng.random() < 0.5:
        other = chips.base(rng, size)
        ground, busy = other.image, other.buildings == 1
    best, clean, least = ground, ~busy, 2.0
    for _ in range(8):
        move = tuple(int(v) for v in rng.integers(0, size, 2))
        rolled = np.roll(busy, move, (0, 1))
        covered = float(rolled[hole].mean())
        if covered < least:
            best, least, clean = np.roll(ground, move, (0, 1)), covered, ~rolled
    plain = best[clean & hole].mean(axis=0) if (clean & hole).any() else best.mean(axis=(0, 1))
    best = np.where((clean | ~hole)[..., None], best, plain + rng.normal(0, 0.02, best.shape))
    soft = ndimage.gaussian_filter(hole.astype(np.float32), rng.uniform(0.6, 2.0))[..., None]
    soft = np.maximum(soft, (place.buildings == 1)[..., None] & hole[..., None])
    return np.asarray(place.image * (1 - soft) + best * soft, np.float32)


def _with_buildings(rng: Random, place: Place, chips: Chips) -> Place:
    """``place`` with new buildings on free ground: a few, or a whole estate on levelled ground."""
    if rng.random() < 0.35:
        place = _levelled(rng, place, chips)
    size = place.buildings.shape[0]
    gsd_m = rng.uniform(*GSD_M)
    depth, style = rng.uniform(0.35, 0.7), Style.random(rng, gsd_m)
    sites = _scattered(rng, size)
    if rng.random() < 0.5:
        rows = _rows(rng, style)
        sites = _in_rows(rng, size, rows)
        if rng.random() < 0.7:
            paved = with_streets(rng, place.image, place.buildings != 1, rows, gsd_m)
            place = replace(place, image=paved.astype(np.float32))
    for at, turn in sites:
        kind = style if rng.random() < 0.75 else Style.random(rng, gsd_m)
        place = _built(rng, place, at, turn, kind, depth, chips)
    return place


def _levelled(rng: Random, place: Place, chips: Chips) -> Place:
    """A blob of new ground, as on a building site, where no building stands."""
    size = place.buildings.shape[0]
    coarse = ndimage.zoom(rng.random((4, 4)), size / 4, order=1)[:size, :size]
    blob = (coarse > rng.uniform(0.4, 0.7)) & ~ndimage.binary_dilation(place.buildings == 1, iterations=3)
    return replace(place, image=_filled(rng, place, blob, chips))


def _rows(rng: Random, style: Style) -> Rows:
    along, across = style.length + rng.uniform(6, 20), style.width + rng.uniform(16, 50)
    return Rows(float(rng.uniform(0, np.pi)), float(along), float(across))


def _scattered(rng: Random, size: int) -> list[tuple[tuple[float, float], float]]:
    """Centres and directions of a few buildings."""
    turn = float(rng.uniform(0, np.pi))
    return [
        ((float(rng.uniform(0, size)), float(rng.uniform(0, size))), turn + rng.normal(0, 0.2))
        for _ in range(int(rng.integers(1, 7)))
    ]


def _in_rows(rng: Random, size: int, rows: Rows) -> list[tuple[tuple[float, float], float]]:
    """Centres and directions of the buildings of an estate."""
    sites = []
    for i in np.arange(-size, size, rows.along):
        for j in np.arange(-size // rows.across, size // rows.across + 1) * rows.across:
            row, col = (v + rng.normal(0, 1.5) for v in rows.at(size, i, j))
            if 0 <= row < size and 0 <= col < size and rng.random() < 0.75:
                turn = rows.turn + float(rng.choice([0, np.pi / 2], p=[0.85, 0.15]))
                sites.append(((float(row), float(col)), turn))
    rng.shuffle(sites)
    return sites[:24]


def _built(
    rng: Random, place: Place, at: tuple[float, float], turn: float, style: Style, depth: float, chips: Chips
) -> Place:
    """``place`` with one more building, drawn or cut from a chip, unless another stands there."""
    reach = int(max(style.length, style.width) * 0.9) + 30
    size = place.buildings.shape[0]
    top, left = max(0, int(at[0]) - reach), max(0, int(at[1]) - reach)
    rows, cols = slice(top, min(size, int(at[0]) + reach)), slice(left, min(size, int(at[1]) + reach))
    shape = rows.stop - rows.start, cols.stop - cols.start
    here = at[0] - top, at[1] - left
    new = _cut_out(rng, shape, here, chips) if rng.random() < 0.35 else draw(rng, shape, here, turn, style, place.sun)
    if new is None:
        return place
    solid = new.alpha > 0.5
    if solid.sum() < 30 or (solid & (place.buildings[rows, cols] == 1)).sum() > 0.02 * solid.sum():
        return place
    image, mask = place.image.copy(), place.buildings.copy()
    image[rows, cols] = over(shaded(image[rows, cols], new.alpha, new.height_px, place.sun, depth), new)
    mask[rows, cols][solid] = 1
    return replace(place, image=image, buildings=mask)


def _cut_out(rng: Random, shape: tuple[int, int], at: tuple[float, float], chips: Chips) -> Drawn | None:
    """A real building of a town, turned, at ``at``; None where the chip drawn has none that fits."""
    image, mask = _mosaic(rng, chips.towns, 160)
    parts, count = ndimage.label(mask == 1)
    if not count:
        return None
    chosen = int(rng.integers(1, count + 1))
    rows, cols = ndimage.find_objects(parts)[chosen - 1]
    rows, cols = (slice(max(0, s.start - 2), s.stop + 2) for s in (rows, cols))
    alpha = (parts[rows, cols] == chosen).astype(np.float32)
    touches = rows.start == 0 or cols.start == 0 or rows.stop >= 160 or cols.stop >= 160
    if touches or alpha.sum() < 60:
        return None
    angle = float(rng.uniform(0, 360))
    pixels = image[rows, cols].astype(np.float32) / 255
    alpha = ndimage.rotate(alpha, angle, order=1)
    pixels = ndimage.rotate(pixels, angle, order=1)
    pixels = np.clip(pixels * rng.uniform(0.75, 1.3) * rng.uniform(0.9, 1.1, 3), 0, 1)
    top, left = int(at[0] - alpha.shape[0] / 2), int(at[1] - alpha.shape[1] / 2)
    drawn, cover = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    inside_rows = slice(max(0, top), min(shape[0], top + alpha.shape[0]))
    inside_cols = slice(max(0, left), min(shape[1], left + alpha.shape[1]))
    from_rows = slice(inside_rows.start - top, inside_rows.stop - top)
    from_cols = slice(inside_cols.start - left, inside_cols.stop - left)
    if from_rows.stop <= from_rows.start or from_cols.stop <= from_cols.start:
        return None
    drawn[inside_rows, inside_cols] = pixels[from_rows, from_cols]
    cover[inside_rows, inside_cols] = np.clip(alpha[from_rows, from_cols], 0, 1)
    return Drawn(drawn, cover, float(rng.uniform(4, 16)))


def _distracted(rng: Random, place: Place, chips: Chips) -> Place:
    """Ground that changed without a building: a cleared field, roads, an estate without houses, trees, cars."""
    chance, free = rng.random(), place.buildings != 1
    if chance < 0.3:
        return _levelled(rng, place, chips)
    if chance < 0.5:
        image = with_road(rng, place.image, free)
    elif chance < 0.65:
        gsd_m = rng.uniform(*GSD_M)
        image = with_streets(rng, place.image, free, _rows(rng, Style.random(rng, gsd_m)), gsd_m)
    elif chance < 0.85:
        image = with_trees(rng, place.image, free, place.sun)
    else:
        image = with_small_things(rng, place.image, free)
    return replace(place, image=image.astype(np.float32))


#: Whose chips: those to learn from, to choose the threshold on, or to judge on. No ground is in two of them.
Places = Literal["train", "tune", "test"]
#: Urban tiles of the places that training never sees; the town of Catanduanes and an eighth of the suburbs are shared.
KEPT_URBAN = {"tile5": "tune", "tile7": "test"}
KEPT_TOWN = "catanduanes"
#: Side of a zoom-19 tile of the Web Mercator pyramid: metres a pixel at the equator.
Z19_M = 0.2986


def read_chips(data: Path, places: Places) -> Chips:
    """The labelled chips of ``places`` below ``data``."""
    latitudes = {"zanzibar": -6.2, "kampala": 0.3, "banepa": 27.6, KEPT_TOWN: 13.9}
    towns = []
    for town, latitude in latitudes.items():
        gsd_m = Z19_M * float(np.cos(np.radians(latitude)))
        # Zoom-20 tiles are quadrants of the zoom-19 ones.
        tiles = sorted((data / "buildings" / town / "images").glob("*-19.jpg"))
        kept = [p for i, p in enumerate(tiles) if (_half(i) if town == KEPT_TOWN else "train") == places]
        towns += [_chip(p, _mask_of(p), gsd_m) for p in kept]
    drone = sorted((data / "buildings" / "banepa_drone" / "images").glob("*.tif"))
    towns += [_chip(p, _mask_of(p), 0.132) for p in drone] if places == "train" else []
    cities = [
        _city(p)
        for p in sorted((data / "urban_landcover").glob("*/*.jpg"))
        if KEPT_URBAN.get(p.parent.name, "train") == places
    ]
    roads = enumerate(sorted((data / "roads" / "images").glob("*.jpg")))
    suburbs = [_chip(p, None, 1.0) for i, p in roads if ("train" if i % 8 else _half(i // 8)) == places]
    return Chips(tuple(towns), tuple(cities), tuple(suburbs))


def _half(number: int) -> Places:
    return "test" if number % 2 else "tune"


def _mask_of(image: Path) -> Path:
    return image.parents[1] / "masks" / f"{image.stem}.png"


def _chip(image: Path, mask: Path | None, gsd_m: float) -> Chip:
    pixels = np.asarray(Pillow.open(image).convert("RGB"))
    labels = (
        np.full(pixels.shape[:2], NOT_KNOWN, np.uint8) if mask is None else np.asarray(Pillow.open(mask).convert("L"))
    )
    return Chip(pixels, labels, gsd_m)


def _city(image: Path) -> Chip:
    """Outside of built-up blocks there is no building; inside of them nothing is known."""
    chip = _chip(image, image.with_suffix(".png"), 1.0)
    height, width = (min(a, b) for a, b in zip(chip.buildings.shape, chip.image.shape[:2], strict=True))
    labels = chip.buildings[:height, :width]
    unknown = ndimage.binary_dilation((labels == 3) | (labels == NOT_KNOWN), iterations=3)
    return Chip(chip.image[:height, :width], np.where(unknown, np.uint8(NOT_KNOWN), np.uint8(0)), 1.0)
