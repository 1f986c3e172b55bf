"""Commands that work on label maps: vectorise, indicators, change."""

from __future__ import annotations

from pathlib import Path

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import indicator_table, print_json


@click.command()
@click.argument("labels", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help=".parquet, .gpkg, .geojson, .fgb or .pmtiles.",
)
@click.option("--min-area-m2", type=click.FloatRange(0), default=0.0, help="Absorb smaller features by a neighbour.")
@click.option("--simplify-m", type=click.FloatRange(0), default=0.0, help="Simplify borders, neighbours alike.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@options.as_json
def vectorise(labels: Path, output: Path, min_area_m2: float, simplify_m: float, overwrite: bool, json_: bool) -> None:
    """Polygons of LABELS, a labels.tif of a run."""
    from aisf_geo.pipeline.features import vectorise_map

    summary = vectorise_map(labels, output, min_area_m2, simplify_m, overwrite=overwrite)
    if json_:
        print_json(summary)
        return
    for name, area in summary["area_m2"].items():
        click.echo(f"{name:40} {area:16,.1f} m2")
    click.echo(f"{summary['features']} features: {output}")


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--zones", type=click.Path(path_type=Path), required=True, help="Polygon file.")
@click.option("--zone-id", metavar="COLUMN", help="Column with the unique id.  [default: row number]")
@click.option("--zone-name", metavar="COLUMN", help="Column with the name.  [default: the id]")
@click.option(
    "--population",
    multiple=True,
    metavar="FILE",
    help="Raster of counts with its year in the name, YEAR=FILE, or .csv.",
)
@options.as_json
def indicators(
    folder: Path,
    zones: Path,
    zone_id: str | None,
    zone_name: str | None,
    population: tuple[str, ...],
    json_: bool,
) -> None:
    """Compute the indicators of RUN again for other zones; replaces indicators.json and .csv, and report.html."""
    from aisf_geo.pipeline.measure import measure_again
    from aisf_geo.pipeline.run import report_again

    warnings, rows = measure_again(folder, zones, zone_id, zone_name, population)
    for warning in warnings + report_again(folder):
        click.echo(f"note: {warning}", err=True)
    if json_:
        print_json(rows)
    else:
        indicator_table(rows)
