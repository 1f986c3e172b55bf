"""People in zones: gridded counts (WorldPop, GHS-POP) or a table; what a source does not know is not zero."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aisf_geo.domain.grid import Grid
from aisf_geo.domain.tiling import blocks
from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.indicators.series import Population
from aisf_geo.indicators.zonal import Zone, add_counts, on_grid, zone_area_m2
from aisf_geo.ingest.read import read_counts, read_header

TABLE_COLUMNS = ("zone", "year", "population", "source")


@dataclass(frozen=True)
class PopulationFile:
    """A population source; ``year`` is None for tables, which state their own."""

    path: Path
    year: int | None


def parse_population(text: str) -> PopulationFile:
    """``FILE`` whose name holds one year, ``YEAR=FILE``, or a table ``FILE.csv``.

    Raises:
        UsageError: the year cannot be told.
    """
    stated = re.match(r"^(\d{4})=(.+)$", text)
    if stated:
        return PopulationFile(Path(stated[2]), int(stated[1]))
    path = Path(text)
    if path.suffix.lower() == ".csv":
        return PopulationFile(path, None)
    years = set(re.findall(r"(?<!\d)((?:19|20)\d{2})(?!\d)", path.name))
    if len(years) != 1:
        found = ", ".join(sorted(years)) or "none"
        raise UsageError(
            f"population {path}: expected one year in the file name, found {found}; write YEAR={path.name}"
        )
    return PopulationFile(path, int(years.pop()))


def people_in_zones(
    files: Sequence[PopulationFile], zones: Sequence[Zone], known: Grid
) -> list[tuple[Population, ...]]:
    """For each zone, given in the CRS of ``known``, its people by year.

    Raises:
        UnreadableError: a file cannot be read.
        UsageError: a table lacks a column, or two files give the same year.
    """
    found: list[dict[int, Population]] = [{} for _ in zones]
    for file in files:
        given = _from_raster(file, zones, known) if file.year is not None else _from_table(file.path, zones)
        for place, of_zone in enumerate(given):
            for people in of_zone:
                if people.year in found[place]:
                    raise UsageError(
                        f"population {file.path}: {people.year} was given already; one source for each year"
                    )
                found[place][people.year] = people
    return [tuple(of_zone[year] for year in sorted(of_zone)) for of_zone in found]


def _from_table(path: Path, zones: Sequence[Zone]) -> list[list[Population]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableError(f"population {path}: cannot be read ({error})") from error
    missing = [c for c in TABLE_COLUMNS if not rows or c not in rows[0]]
    if missing:
        raise UsageError(f"population {path}: a table needs the columns {', '.join(TABLE_COLUMNS)}; no {missing[0]}")
    try:
        return [
            [
                Population(int(r["year"]), float(r["population"]), 1.0, f"{path.name}: {r['source']}")
                for r in rows
                if r["zone"] == zone.id and r["population"] != ""
            ]
            for zone in zones
        ]
    except ValueError as error:
        raise UsageError(f"population {path}: years and people are numbers ({error})") from error


def _from_raster(file: PopulationFile, zones: Sequence[Zone], known: Grid) -> list[list[Population]]:
    header = read_header(str(file.path))
    placed = on_grid(zones, known, header.grid)
    people, seen_m2 = [0.0] * len(zones), [0.0] * len(zones)
    for block in blocks(header.grid):
        counts = read_counts(str(file.path), block.core)
        add_counts(people, seen_m2, placed, header.grid, block.core, counts)
    named: list[list[Population]] = []
    for zone, sum_, m2 in zip(placed, people, seen_m2, strict=True):
        coverage = min(1.0, m2 / zone_area_m2(zone, header.grid))
        named.append([Population(file.year or 0, sum_ if m2 > 0 else None, coverage, file.path.name)])
    return named
