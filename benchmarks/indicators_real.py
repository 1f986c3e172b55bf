"""Indicators on products that others made: water, forest, fire, mountains, people and the growth of a city.

::

    python benchmarks/indicators_real.py --data DIR

``DIR`` holds ``sdg/`` (crops of JRC Global Surface Water, Hansen tree cover, MODIS MCD64A1, NASADEM, Copernicus LC100
and WorldPop) and ``change/pucallpa_landsat/``. The numbers are those of the products, whose own errors are not known
here: none of them has an interval. The population of Pucallpa is synthetic and the output says so.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
import shapely

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.indicators import mountains, sdg06, sdg11, sdg15
from aisf_geo.indicators.zonal import Zone
from aisf_geo.pipeline.population import parse_population, people_in_zones

#: People of Pucallpa made up for the show: 3 % growth a year from 150,000 in 1985. Not a census.
SYNTHETIC = {1985: 150_000.0, 2010: 150_000.0 * 1.03**25}


@contextmanager
def opened(path: Path) -> Iterator[tuple[np.ndarray, Grid, np.ndarray]]:
    """Pixels of the first band, their grid and their areas in m2."""
    with rasterio.open(path) as dataset:
        grid = Grid(dataset.crs.to_wkt(), dataset.transform, Shape(dataset.height, dataset.width))
        yield dataset.read(1), grid, grid.pixel_area_m2(grid.full_window)


def water(folder: Path) -> None:
    """6.6.1 from the yearly classification of JRC: 2 seasonal, 3 permanent; 0 and 1 no water, 255 outside the crop."""
    print("\n6.6.1 water of each year, JRC Global Surface Water yearly history (km2)")
    for path in sorted((folder / "gsw_time_series").glob("*.tif")):
        with opened(path) as (codes, _, m2):
            permanent, seasonal = (m2[codes == k].sum() / 1e6 for k in (3, 2))
            inside = m2[codes != 255].sum() / 1e6
        year = path.name[3:7]
        print(f"  {year}: EN_LKRV_PWAN {permanent:.3f}, EN_LKRV_SWAN {seasonal:.3f} of {inside:.2f} km2")
    said = sdg06.extent_change([12.0, 11.8, 12.2, 12.4, 11.6], [10.5, 10.8, 10.2, 10.6, 10.4])
    print(f"  five-year means need ten years; two are here. Toy lake of the method note: {said['value']:.1f} %")


def forest(folder: Path) -> None:
    """15.1.1 from Hansen: canopy over 10 % in 2000, less the loss of each year, patches of at least 0.5 ha."""
    print("\n15.1.1 forest share by Hansen tree cover (proxy: canopy, not land use)")
    with opened(next((folder / "gfw_treecover").glob("*.tif"))) as (canopy, _, m2):
        pass
    with opened(next((folder / "gfw_lossyear").glob("*.tif"))) as (loss, _, _):
        known = (canopy != 255) & (loss != 255)
    for year in (2000, 2010, 2020):
        trees = known & (canopy > 10) & ~((loss > 0) & (loss <= year - 2000))
        patches = sdg15.forest_patches(trees, m2)
        share = sdg15.forest_share(float(m2[patches].sum()), float(m2[known].sum()))["value"]
        left_out = 100 * (1 - m2[patches].sum() / m2[trees].sum())
        whole = m2[known].sum() / 1e6
        print(f"  {year}: {share:.2f} % of {whole:.2f} km2; {left_out:.2f} % of the trees in patches under 0.5 ha")


def fire(folder: Path) -> None:
    """Burned area of 2010 from MCD64A1: day of burn above 0; 0 not burned, 255 stands for no data in these crops."""
    print("\nburned area 2010, MODIS MCD64A1 (ha)")
    total = 0.0
    for path in sorted((folder / "mcd64a1").glob("*.tif")):
        with opened(path) as (day, _, m2):
            burned = float(m2[(day > 0) & (day < 255)].sum()) / 1e4
            unknown = float(m2[day == 255].sum() / m2.sum())
        month = (datetime(2010, 1, 1, tzinfo=UTC).toordinal() + int(path.name[13:16]) - 1) % 10**9
        total += burned
        if burned or unknown:
            name = datetime.fromordinal(month).strftime("%B")
            print(f"  {name}: {burned:.1f} ha; no data on {100 * unknown:.2f} %")
    print(f"  the year: {total:.1f} ha (a true zero where every month was seen)")


def mountain(folder: Path) -> None:
    """15.4.2: Kapos classes from NASADEM, green by LC100 (trees, shrub, grass, crop, wetland) resampled by nearest."""
    print("\n15.4.2 mountain green cover, NASADEM and Copernicus LC100 (crop: 7 km halo missing at its edge)")
    with opened(next((folder / "nasa_srtm").glob("*.tif"))) as (raw, grid, _):
        elevation = np.where(raw == 65535, np.nan, raw.astype(float))
        classes = mountains.mountain_classes(elevation, grid.gsd_m)
        centre = [
            grid.transform @ (c + 0.5, r + 0.5) for r in range(grid.shape.height) for c in range(grid.shape.width)
        ]
        dem_m2 = grid.pixel_area_m2(grid.full_window)
    for year in (2015, 2019):
        with rasterio.open(folder / "esalandcover" / f"W080N20_LC100_v3.0.1_{year}.tif") as dataset:
            cover = np.array([v[0] for v in dataset.sample(centre)]).reshape(classes.shape)
        belts: dict[str, dict[str, float]] = {}
        for k in range(1, 7):
            inside = (classes == k) & (cover != 255)
            if inside.any():
                green = np.isin(cover, (20, 30, 40, 90)) | (cover >= 111)
                areas = {"4": float(dem_m2[inside & green].sum()), "8": float(dem_m2[inside & ~green].sum())}
                belts[f"class {k}"] = {c: m2 / 1e6 for c, m2 in areas.items()}
        said = sdg15.green_cover(belts)
        parts = ", ".join(f"{belt} {share:.2f} %" for belt, share in said["belts"].items())
        print(f"  {year}: {said['value']:.3f} % of {sum(sum(b.values()) for b in belts.values()):.1f} km2 ({parts})")


def people(folder: Path) -> None:
    """Population of a zone; nodata (-3.4e38, -99999) is never summed."""
    print("\npopulation, WorldPop (people)")
    with rasterio.open(folder / "worldpop" / "ppp_2010_1km_Aggregated.tif") as dataset:
        grid = Grid(dataset.crs.to_wkt(), dataset.transform, Shape(dataset.height, dataset.width))
        zone = Zone("crop", "crop", shapely.box(*dataset.bounds).buffer(-0.02))
    files = [parse_population(str(folder / "worldpop" / f"ppp_{y}_1km_Aggregated.tif")) for y in (2010, 2020)]
    for found in people_in_zones(files, [zone], grid)[0]:
        print(f"  {found.year}: {found.people:,.0f}, known for {100 * found.coverage:.1f} % of the zone")
    path = folder / "abw_ppp_2020_UNadj_constrained.tif"
    with rasterio.open(path) as dataset:
        grid = Grid(dataset.crs.to_wkt(), dataset.transform, Shape(dataset.height, dataset.width))
        zone = Zone("aruba", "Aruba", shapely.box(*dataset.bounds))
    (found,) = people_in_zones([parse_population(str(path))], [zone], grid)[0]
    print(
        f"  Aruba 2020: {found.people:,.0f}, known for {100 * found.coverage:.1f} % of its box (nodata -99999 left out)"
    )


def city(folder: Path) -> None:
    """11.3.1 of Pucallpa, 1985 to 2010: built-up by NDBI above 0 and NDVI under 0.2 in a box around the town."""
    print(
        "\n11.3.1 Pucallpa 1985-2010, Landsat at 90 m; THE POPULATION IS SYNTHETIC (3 % a year), made up for this show"
    )
    box = shapely.box(-74.62, -8.44, -74.50, -8.34)
    areas = []
    for year in (1985, 2010):
        with rasterio.open(folder / f"{year}.tif") as dataset:
            window = dataset.window(*box.bounds).round_offsets().round_lengths()
            swir, nir, red, _ = dataset.read(window=window).astype(float)
            shape = Shape(*swir.shape)
            grid = Grid(dataset.crs.to_wkt(), dataset.window_transform(window), shape)
        seen = (swir > 0) | (nir > 0) | (red > 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            built = seen & ((swir - nir) / (swir + nir) > 0) & ((nir - red) / (nir + red) < 0.2) & (nir > 40)
        m2 = grid.pixel_area_m2(grid.full_window)
        areas.append(float(m2[built].sum()))
        print(f"  {year}: {areas[-1] / 1e6:.2f} km2 built up or bare of {m2[seen].sum() / 1e6:.1f} km2 seen")
    for formula, name in ((sdg11.growth_ratio, "11.3.1@2025-04-23"), (sdg11.growth_ratio_log, "11.3.1@2018")):
        said = formula(areas, list(SYNTHETIC.values()), 25)
        per_person = " -> ".join(f"{v:.0f}" for v in said["per_capita_m2"])
        print(
            f"  {name}: LCR {said['lcr']:.4f}, PGR {said['pgr']:.4f} (synthetic), ratio {said['value']:.3f}; "
            f"{said['quadrant']}; m2 per person {per_person}; change {said['change_pct']:.1f} %"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    print(f"{datetime.now(UTC).date()}, {platform.machine()}, commit {commit.stdout.strip()}")
    for show in (water, forest, fire, mountain, people):
        show(data / "sdg")
    city(data / "change" / "pucallpa_landsat")


if __name__ == "__main__":
    main()
