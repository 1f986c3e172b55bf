"""Zones where maps break: the antimeridian, the poles, other coordinate systems, and nothing to see."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod, Transformer

from aisf_geo.domain.grid import Grid, Shape
from aisf_geo.errors import UsageError
from aisf_geo.indicators.zonal import Zone, add_counts, add_window, on_grid, start_zones, zone_area_m2
from aisf_geo.pipeline.population import PopulationFile, parse_population, people_in_zones

GEOD = Geod(ellps="WGS84")
DEGREES = Grid("EPSG:4326", Affine(0.01, 0, 0, 0, -0.01, 0), Shape(1, 1))
POLAR = {"north": "EPSG:3413", "south": "EPSG:3031"}


def measured(grid: Grid, zone: Zone) -> tuple[float, float]:
    """Area of the zone, and of the pixels in it."""
    (account,) = accounts = start_zones([zone], grid)
    add_window(accounts, [zone], grid, grid.full_window, np.ones(tuple(grid.shape), np.uint8))
    return account.zone_m2, account.observed_m2


def geodesic_m2(lon: list[float], lat: list[float]) -> float:
    return abs(GEOD.polygon_area_perimeter(lon, lat)[0])


def along_parallels(west: float, south: float, east: float, north: float, steps: int = 400) -> tuple[list, list]:
    """Corners of a box in degrees with its parallels broken up: a geodesic between far corners leaves the parallel."""
    up, down = np.linspace(west, east, steps), np.linspace(east, west, steps)
    return [*up, *down], [*np.full(steps, south), *np.full(steps, north)]


@pytest.mark.parametrize("latitude", [0, 45, 70, 84, 88.5])
def test_areas_in_degrees_are_geodesic_up_to_the_pole(latitude: float) -> None:
    grid = Grid("EPSG:4326", Affine(0.02, 0, 10, 0, -0.02, latitude + 1), Shape(50, 50))
    zone = Zone("z", "z", shapely.box(10, latitude, 11, latitude + 1))
    expected = geodesic_m2(*along_parallels(10, latitude, 11, latitude + 1))
    for area in measured(grid, zone):
        assert area == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("pole", POLAR)
def test_areas_near_a_pole_in_a_polar_projection(pole: str) -> None:
    grid = Grid(POLAR[pole], Affine(1000, 0, 300_000, 0, -1000, 500_000), Shape(100, 100))
    zone = Zone("z", "z", shapely.box(300_000, 400_000, 400_000, 500_000))
    fine = shapely.segmentize(zone.geometry, 1000)
    lon, lat = Transformer.from_crs(POLAR[pole], 4326, always_xy=True).transform(*np.array(fine.exterior.coords).T)
    expected = geodesic_m2(list(lon), list(lat))
    for area in measured(grid, zone):
        assert area == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("pole", POLAR)
def test_a_zone_around_a_pole_is_the_cap_and_not_the_rest_of_the_earth(pole: str) -> None:
    grid = Grid(POLAR[pole], Affine(2000, 0, -100_000, 0, -2000, 100_000), Shape(100, 100))
    zone = Zone("z", "z", shapely.Point(0, 0).buffer(90_000, quad_segs=90))
    area, pixels = measured(grid, zone)
    assert 2e10 < area < 3e10
    assert pixels == pytest.approx(area, rel=1e-3)


def test_a_zone_across_the_antimeridian_in_a_projection() -> None:
    """UTM zone 60 reaches beyond 180 degrees."""
    grid = Grid("EPSG:32660", Affine(1000, 0, 690_000, 0, -1000, 100_000), Shape(50, 50))
    zone = Zone("z", "z", shapely.box(690_000, 50_000, 740_000, 100_000))
    area, pixels = measured(grid, zone)
    assert pixels == pytest.approx(area, rel=1e-3)
    assert area == pytest.approx(2.5e9, rel=3e-3)


def test_halves_split_at_the_antimeridian_join_on_a_projected_map() -> None:
    halves = shapely.MultiPolygon([shapely.box(179.5, 0, 180, 1), shapely.box(-180, 0, -179.5, 1)])
    projected = Grid("EPSG:32660", Affine(1000, 0, 690_000, 0, -1000, 120_000), Shape(1, 1))
    (moved,) = on_grid([Zone("z", "z", halves)], DEGREES, projected)
    expected = geodesic_m2(*along_parallels(179.5, 0, 180.5, 1))
    assert zone_area_m2(moved, projected) == pytest.approx(expected, rel=1e-3)
    assert zone_area_m2(Zone("z", "z", halves), DEGREES) == pytest.approx(expected, rel=1e-3)


def test_mixed_systems_give_one_area() -> None:
    zone = Zone("z", "z", shapely.box(500_000, 5_700_000, 510_000, 5_710_000))
    utm = Grid("EPSG:32631", Affine(10, 0, 500_000, 0, -10, 5_710_000), Shape(1, 1))
    laea = Grid("EPSG:3035", Affine(10, 0, 0, 0, -10, 0), Shape(1, 1))
    (moved,) = on_grid([zone], utm, laea)
    assert zone_area_m2(moved, laea) == pytest.approx(zone_area_m2(zone, utm), rel=1e-4)


class TestPeople:
    GRID = Grid("EPSG:3035", Affine(1000, 0, 4_321_000, 0, -1000, 3_213_000), Shape(3, 3))

    def test_by_hand(self) -> None:
        """Nine cells; a zone from the centre of the first: a quarter of 4, half of 8, all of 16; one cell not known."""
        counts = np.array([[4, 8, 0], [np.nan, 16, 0], [0, 0, 0]], float)
        corner = [self.GRID.transform @ c for c in ((0.5, 0.5), (2, 0.5), (2, 2), (0.5, 2))]
        sums, known = [0.0], [0.0]
        add_counts(sums, known, [Zone("z", "z", shapely.Polygon(corner))], self.GRID, self.GRID.full_window, counts)
        assert sums == pytest.approx([1 + 4 + 16])
        assert known == pytest.approx([1_750_000], rel=1e-4)

    @pytest.mark.parametrize("nodata", [-99999.0, -3.4e38, None])
    def test_nodata_is_never_summed_declared_or_not(self, write_tif, nodata: float | None) -> None:
        empty = nodata or -99999.0
        path = write_tif("people_2020.tif", np.array([[5, empty], [7, empty]], np.float32), nodata=nodata)
        grid = Grid("EPSG:32631", Affine(10, 0, 500_000, 0, -10, 5_700_000), Shape(2, 2))
        half = shapely.box(500_010, 5_699_980, 500_020, 5_700_000)
        zones = [Zone("all", "all", shapely.box(*grid.bounds)), Zone("right", "right", half)]
        everywhere, right = people_in_zones([parse_population(str(path))], zones, grid)
        assert (everywhere[0].year, everywhere[0].people) == (2020, pytest.approx(12))
        assert everywhere[0].coverage == pytest.approx(0.5, rel=1e-3)
        assert (right[0].people, right[0].coverage) == (None, 0.0)

    def test_a_table_says_where_it_is_from(self, tmp_path: Path) -> None:
        path = tmp_path / "people.csv"
        path.write_text(
            "zone,year,population,source\nz,1985,1000,synthetic\nz,2010,,synthetic\nother,1985,5,synthetic\n"
        )
        ((found,),) = people_in_zones([parse_population(str(path))], [Zone("z", "z", shapely.box(0, 0, 1, 1))], DEGREES)
        assert (found.year, found.people, found.source) == (1985, 1000, "people.csv: synthetic")

    @pytest.mark.parametrize("name", ["people.tif", "people_2010_2020.tif"])
    def test_a_file_whose_year_cannot_be_told_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="expected one year in the file name"):
            parse_population(name)

    def test_a_stated_year_wins(self) -> None:
        assert parse_population("1985=people_2010.tif") == PopulationFile(Path("people_2010.tif"), 1985)

    def test_a_table_without_its_columns_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "people.csv"
        path.write_text(json.dumps([1]))
        with pytest.raises(UsageError, match="a table needs the columns zone, year, population, source"):
            people_in_zones([parse_population(str(path))], [], DEGREES)
