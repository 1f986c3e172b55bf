"""Where spectral methods see change between two Romanian dates: standing forest, other forest, new clearings, meadows.

::

    python benchmarks/change_noise.py

Tells noise of a method from a control that did change: in three weeks of summer meadows dry out, forest does not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import rasterio
from measured import about
from numpy.typing import NDArray
from scipy.stats import chi2

from aisf_geo.change.pair import paired, sample
from aisf_geo.change.spectral import FALSE_ALARM, fit_alteration, fit_cva, null_scale
from aisf_geo.ingest.area_of_interest import area_from_file
from aisf_geo.ingest.catalog import Hints
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.change_scenes import one_scene
from aisf_geo.pipeline.series import run_series
from aisf_geo.recipe_series import read_series_recipe
from aisf_geo.shipped import recipe_path, shipped

#: Three weeks of one summer twice, where no forest was felled, and a year in which much was.
PAIRS = (("2019-06-16", "2019-07-06"), ("2017-06-06", "2017-07-06"), ("2018-07-01", "2019-06-16"))
Mask = NDArray[np.bool_]


def main() -> None:
    """Print the table."""
    said = about()
    print(f"{said['date'][:10]}, {said['machine']}, commit {said['commit']}")
    print("Of the pixels seen on both dates, the share called changed, in %:\n")
    print("| dates | method | all | standing forest | other forest, not felled | new clearings | outside the forest |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        series = run_series(read_series_recipe(recipe_path("romania_felling", "series")), None, Path(scratch))
        with rasterio.open(Path(scratch) / "change/breaks/lost.tif") as dataset:
            lost = dataset.read(1)
    days = [row["date"] for row in series["breaks"]["dates"]]
    for before, after in PAIRS:
        felled = lost == days.index(after) + 1
        for method, changed, seen in answers(before, after):
            grounds = [np.ones_like(seen), *grounds_of(before, felled, lost == 0)]
            shares = " | ".join(share(changed, seen & ground) for ground in grounds)
            print(f"| {before} {after} | {method} | {shares} |")


def share(changed: Mask, among: Mask) -> str:
    """In percent."""
    return f"{100 * changed[among].mean():.1f}" if among.any() else "–"


def scene(day: str) -> Scene:
    """A sample tile."""
    return one_scene(shipped("sample_tiles") / "romania" / f"{day}.tif", Hints(None, None))


def grounds_of(day: str, felled: Mask, never_lost: Mask) -> list[Mask]:
    """Standing forest by the control polygons, other forest never felled, new clearings, and what is no forest."""
    grid, zones = scene(day).grid, shipped("configs") / "zones"
    standing, forest = (
        area_from_file(zones / f"romania_{name}.geojson", grid).covers(grid, grid.full_window)
        for name in ("standing", "forest")
    )
    return [standing, forest & ~standing & never_lost, felled, ~forest]


def answers(before: str, after: str) -> list[tuple[str, Mask, Mask]]:
    """Each method's map of change, and where both dates were seen."""
    pair = paired(scene(before), scene(after))
    pixels = sample(pair, pair.shared_bands())
    epochs = pair.read(pixels.bands, pair.grid.full_window)
    seen = epochs.valid
    x, y = (raster.values[:, seen].T.astype(float) for raster in (epochs.before, epochs.after))
    found = []
    for name, rounds in (("MAD, one round", 1), ("IR-MAD", 50)):
        model = fit_alteration(pixels.before, pixels.after, rounds)
        bands = len(pixels.bands)
        limit = null_scale(model.statistic(pixels.before, pixels.after), bands) * chi2.ppf(1 - FALSE_ALARM, bands)
        found.append((f"{name} ({model.rounds} rounds)", on_map(model.statistic(x, y) > limit, seen), seen))
    vectors = fit_cva(pixels)
    found.append(("change vectors", on_map(vectors.lengths(x, y) > vectors.threshold, seen), seen))
    return found


def on_map(changed: Mask, seen: Mask) -> Mask:
    """The answers of the pixels seen, at their places."""
    full = np.zeros_like(seen)
    full[seen] = changed
    return full


if __name__ == "__main__":
    main()
