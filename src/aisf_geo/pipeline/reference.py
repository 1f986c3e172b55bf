"""Reference samples of the maps of a run: which maps, which strata, which pixels, and the pictures people judge by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from aisf_geo.domain.grid import Bounds, Grid
from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN
from aisf_geo.domain.provenance import MADE_BY, sha256_json
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import OutputError, UsageError
from aisf_geo.indicators.sdg15 import CLEARED, NO_TREES
from aisf_geo.indicators.sdg15 import STANDING as STANDING_TREES
from aisf_geo.pipeline.clearing import NO_BASELINE_TREES, STANDING, UNCONFIRMED, dates_of
from aisf_geo.pipeline.mapped import MappedItem, legend_of, mapped_items
from aisf_geo.recipe import parse_recipe
from aisf_geo.store.raster import read_picture, read_pixels
from aisf_geo.store.run import RunFolder
from aisf_geo.store.sample import SampleFile, Unit, strip, write_sample

#: Id of the map of first clearing dates among the maps that can be sampled.
CLEARING = "clearing"
#: Pixels on a side of a chip, how much it is enlarged, and how many dates stand side by side.
CHIP_PX, MANY_SCALE, ONE_SCALE, MAX_DATES = 41, 4, 9, 6


@dataclass(frozen=True)
class SampledMap:
    """A map as a population of pixels.

    Attributes:
        strata: code and name of each stratum.
        stratum_of: uint8 ``(256,)``: code of the map to code of the stratum, 255 for pixels outside the population.
        classes: what a person may answer, to the class of the estimate it stands for.
        seen: the items whose pictures a person looks at.
    """

    id: str
    path: Path
    grid: Grid
    strata: Mapping[int, str]
    stratum_of: NDArray[np.uint8]
    classes: Mapping[str, str]
    seen: tuple[MappedItem, ...]


def sampled_map(folder: RunFolder, map_id: str | None) -> SampledMap:
    """A map of a run by id; None for the clearing series where there is one, else the latest map seen best.

    Raises:
        UsageError: no such map.
    """
    items = mapped_items(folder)
    recipe = parse_recipe(folder.read_run()["recipe"], "in run.json")
    clearing = folder.change / "clearing" / "clearing.tif"
    has_clearing = recipe.clearing is not None and clearing.exists()
    if map_id is None:
        best = max(i.coverage for i in items)
        map_id = CLEARING if has_clearing else [i.id for i in items if i.coverage >= 0.95 * best][-1]
    if map_id == CLEARING and has_clearing and recipe.clearing is not None:
        dates = dates_of(items, recipe.clearing)
        return _of_clearing(clearing, dates.baseline + dates.later)
    chosen = [i for i in items if i.id == map_id]
    if not chosen:
        there = [i.id for i in items] + ([CLEARING] if has_clearing else [])
        raise UsageError(f"sample: no map {map_id!r} in {folder.path}; there are {', '.join(there)}")
    return _of_item(chosen[0])


def _of_item(item: MappedItem) -> SampledMap:
    legend = legend_of(item.labels)
    strata = {c.code: c.name for c in legend.classes} | {UNKNOWN: "unknown"}
    table = np.full(256, NOT_OBSERVED, np.uint8)
    table[list(strata)] = list(strata)
    return SampledMap(item.id, item.labels, item.grid, strata, table, {c.name: c.role for c in legend.classes}, (item,))


def _of_clearing(path: Path, dates: tuple[MappedItem, ...]) -> SampledMap:
    names = {
        0: "tree cover, not cleared",
        1: "cleared",
        2: "no tree cover in the baseline year",
        3: "too few clear dates",
    }
    table = np.full(256, 1, np.uint8)
    table[[STANDING, NO_BASELINE_TREES, UNCONFIRMED, NOT_OBSERVED]] = 0, 2, 3, NOT_OBSERVED
    classes = {names[0]: STANDING_TREES, names[1]: CLEARED, names[2]: NO_TREES}
    return SampledMap(CLEARING, path, dates[0].grid, names, table, classes, dates)


def strata_at(population: SampledMap, units: Sequence[Unit]) -> list[int]:
    """The stratum each unit lies in on the map as it is now."""
    found = [NOT_OBSERVED] * len(units)
    for block in blocks(population.grid):
        core = block.core
        inside = [
            i for i, u in enumerate(units)
            if core.row <= u.row < core.row + core.height and core.col <= u.col < core.col + core.width
        ]  # fmt: skip
        if inside:
            codes = population.stratum_of[np.asarray(read_pixels(population.path, core))]
            for i in inside:
                found[i] = int(codes[units[i].row - core.row, units[i].col - core.col])
    return found


def draw_sample(run: Path, map_id: str | None, per_class: int, seed: int, out: Path | None) -> dict[str, object]:
    """Draw a stratified random sample of pixels and write it with pictures and the labelling page.

    Pixels are drawn without replacement and with equal probability inside each stratum, ``per_class`` in each (all of
    them where there are fewer).

    Raises:
        OutputError: the folder is not empty.
        UsageError: no such map, or nothing observed.
    """
    folder = RunFolder(run)
    population = sampled_map(folder, map_id)
    out = out or folder.path / "sample" / population.id
    if out.exists() and any(out.iterdir()):
        raise OutputError(f"output {out}: exists and is not empty; choose another --out")
    sizes = _sizes(population)
    if not sizes:
        raise UsageError(f"sample: nothing was observed on {population.id}")
    units = _draw(population, sizes, per_class, seed)
    design = _design(folder, population, sizes, per_class, seed)
    chips = {unit.id: chip(folder, population, unit) for unit in units}
    write_sample(out, SampleFile(design, units, {}), chips, MADE_BY)
    return {
        "map": population.id,
        "units": len(units),
        "strata": {population.strata[c]: {"pixels": n, "area_m2": m2} for c, (n, m2) in sizes.items()},
        "page": str(out / "label.html"),
        "sample": str(out / "sample.geojson"),
        "notes": _notes(population, sizes),
    }


def _sizes(population: SampledMap) -> dict[int, tuple[int, float]]:
    """Pixels and area in m2 of each stratum that has any."""
    pixels, area = np.zeros(256, np.int64), np.zeros(256)
    for block in blocks(population.grid):
        codes = population.stratum_of[np.asarray(read_pixels(population.path, block.core))].ravel()
        pixels += np.bincount(codes, minlength=256)
        area += np.bincount(codes, weights=population.grid.pixel_area_m2(block.core).ravel(), minlength=256)
    return {code: (int(pixels[code]), float(area[code])) for code in sorted(population.strata) if pixels[code]}


def _draw(
    population: SampledMap, sizes: Mapping[int, tuple[int, float]], per_class: int, seed: int
) -> tuple[Unit, ...]:
    """The units in random order, so that a labeller cannot tell the stratum by the place in the list."""
    # Each map has draws of its own, so that samples of two dates are independent.
    rng = np.random.default_rng([seed, *population.id.encode()])
    ranks = {c: np.sort(rng.choice(n, min(per_class, n), replace=False)) for c, (n, _) in sizes.items()}
    before = dict.fromkeys(sizes, 0)
    places: list[tuple[int, int, int]] = []
    for block in blocks(population.grid):
        codes = population.stratum_of[np.asarray(read_pixels(population.path, block.core))]
        for code in sizes:
            rows, cols = np.nonzero(codes == code)
            mine = ranks[code][(ranks[code] >= before[code]) & (ranks[code] < before[code] + rows.size)] - before[code]
            places += [(code, block.core.row + int(rows[k]), block.core.col + int(cols[k])) for k in mine]
            before[code] += rows.size
    to_degrees = Transformer.from_crs(population.grid.pyproj_crs, 4326, always_xy=True)
    units = []
    for number, k in enumerate(rng.permutation(len(places)), start=1):
        code, row, col = places[k]
        lon, lat = to_degrees.transform(*(population.grid.transform @ (col + 0.5, row + 0.5)))
        n, m2 = sizes[code]
        name = population.strata[code]
        units.append(Unit(f"u{number:04d}", population.id, code, name, n, m2, row, col, lon, lat))
    return tuple(units)


def _design(
    folder: RunFolder, population: SampledMap, sizes: Mapping[int, tuple[int, float]], per_class: int, seed: int
) -> dict[str, object]:
    run = folder.read_run()
    design: dict[str, object] = {
        "map": population.id,
        "run": run["plan_digest"],
        "population": "observed pixels of the map",
        "method": "simple random sample of pixels without replacement in each stratum",
        "per_class": per_class,
        "seed": seed,
        "strata": [
            {"code": c, "name": population.strata[c], "pixels": n, "area_m2": m2} for c, (n, m2) in sizes.items()
        ],
        "classes": list(population.classes),
        "attribution": "; ".join(dict.fromkeys(s["attribution"] for s in run["recipe"]["sources"])),
        "pictures": [item.id for item in _pictured(population)],
    }
    return design | {"id": sha256_json(design)[7:19]}


def _notes(population: SampledMap, sizes: Mapping[int, tuple[int, float]]) -> list[str]:
    window = population.grid.full_window
    area = population.grid.pixel_area_m2(window) if window.height * window.width < 4e6 else None
    notes = []
    if area is not None and area.max() > 1.01 * area.min():
        spread = 100 * (area.max() / area.min() - 1)
        notes.append(
            f"pixels differ in area by up to {spread:.0f} %: shares inside a stratum are of pixels, not of area"
        )
    small = [population.strata[c] for c, (n, _) in sizes.items() if n < 2]
    if small:
        notes.append(f"one pixel only in {', '.join(small)}: no variance can be given for it")
    return notes


def _pictured(population: SampledMap) -> list[MappedItem]:
    """The dates a person looks at: the first and the last and some between, by time."""
    count = min(len(population.seen), MAX_DATES)
    return [population.seen[i] for i in np.unique(np.linspace(0, len(population.seen) - 1, count).round().astype(int))]


def chip(folder: RunFolder, population: SampledMap, unit: Unit) -> NDArray[np.uint8]:
    """The pictures around a unit side by side, its pixel framed; ``(y, x, 3)``."""
    half = CHIP_PX // 2
    (left, top), (right, bottom) = (
        population.grid.transform @ corner
        for corner in ((unit.col - half, unit.row - half), (unit.col + half + 1, unit.row + half + 1))
    )
    bounds = Bounds(min(left, right), min(top, bottom), max(left, right), max(top, bottom))
    dates = _pictured(population)
    pictures = [(item.id, read_picture(folder.item(item.id).imagery, bounds, CHIP_PX)) for item in dates]
    return strip(pictures, ONE_SCALE if len(dates) == 1 else MANY_SCALE)
