"""The command that makes a road graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@click.argument("mask", metavar="MASK.tif", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=".parquet, .gpkg or .geojson.")
@click.option("--code", type=click.IntRange(0, 255), help="Class that is road.  [default: what the legend calls road]")
@click.option("--threshold", type=click.FloatRange(0, 1), help="MASK holds probabilities: road from this on.")
@click.option("--confidence", type=click.Path(path_type=Path), help="Confidence map of MASK.")
@click.option("--max-half-width-m", type=float, default=20.0, show_default=True, help="Wider areas become one node.")
@click.option("--spur-m", type=click.FloatRange(0), default=20.0, show_default=True, help="Remove shorter dead ends.")
@click.option("--gap-m", type=click.FloatRange(0), default=30.0, show_default=True, help="Bridge gaps up to this wide.")
@click.option("--gap-angle-deg", type=click.FloatRange(0, 90), default=30.0, show_default=True, help="Their bend.")
@click.option("--simplify-m", type=click.FloatRange(0), help="Distance from the centre pixels.  [default: a pixel]")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Threads.")
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@options.as_json
def roads(
    mask: Path,
    output: Path,
    code: int | None,
    threshold: float | None,
    confidence: Path | None,
    workers: int,
    overwrite: bool,
    json_: bool,
    **road_options: Any,
) -> None:
    """Road graph of MASK.tif, a label map or probabilities: edges to -o, nodes to a file beside it."""
    from aisf_geo.pipeline.roads import RoadSource, map_roads
    from aisf_geo.vectorise.roads import RoadOptions

    source = RoadSource(mask, code, threshold, confidence)
    summary = map_roads(source, output, RoadOptions(**road_options), workers=workers, overwrite=overwrite)
    for note in summary["notes"]:
        click.echo(f"note: {note}", err=True)
    if json_:
        print_json(summary)
        return
    click.echo(f"{summary['length_m'] / 1000:,.2f} km of road, {summary['bridged_m'] / 1000:,.2f} km of it bridged")
    click.echo(
        f"{summary['spurs']} spurs and {summary['fragments']} fragments removed, {summary['bridges']} gaps bridged"
    )
    click.echo(f"{summary['edges']} edges: {summary['output']}")
    click.echo(f"{summary['nodes']} nodes: {summary['nodes_output']}")
