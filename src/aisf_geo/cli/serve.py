"""Commands that open runs to analysts: serve, publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import print_json


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need --tokens.")
@click.option("--tokens", type=click.Path(path_type=Path), help="File with lines of TOKEN [LAYER-PATTERN..].")
@click.option("--public", multiple=True, metavar="PATTERN", help="Layers that need no token, e.g. 'city.indicators'.")
@click.option("--allow-origin", multiple=True, metavar="URL", help="Web origin whose pages may ask this server.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Name under which a proxy reaches this server.")
@click.option("--database", envvar="AISF_GEO_DATABASE", metavar="DSN", help="Features from PostGIS, see publish.")
def serve(
    path: Path,
    port: int,
    host: str,
    tokens: Path | None,
    public: tuple[str, ...],
    allow_origin: tuple[str, ...],
    allow_host: tuple[str, ...],
    database: str | None,
) -> None:
    """Open PATH, a run folder or a folder of runs, in the browser: map, standards API, tiles. Read-only."""
    from aisf_geo.errors import UsageError

    try:
        from aisf_geo.serve.app import create_app
        from aisf_geo.serve.listen import listen
    except ModuleNotFoundError as error:
        raise UsageError(f"serve needs {error.name}; install it with pip install 'aisf-geo[serve]'") from error
    from aisf_geo.serve.settings import access_for

    listen(create_app(path, access_for(host, tokens, public, allow_origin, allow_host), database, _explain), host, port)


def _explain(row: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """How a value came about; what this needs is loaded only when someone asks."""
    from aisf_geo.pipeline.explain import lines_of

    return lines_of(row, run)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "dsn", required=True, metavar="URL", help="postgresql://USER@HOST/DATABASE with PostGIS.")
@options.as_json
def publish(run: Path, dsn: str, json_: bool) -> None:
    """Copy features, indicators and zones of RUN, or of a folder of runs, to a database that programs share."""
    from aisf_geo.errors import UsageError

    if not dsn.startswith(("postgresql://", "postgres://")):
        raise UsageError(f"publish --to: expected postgresql://..., found {dsn.partition(':')[0][:20]}:...")
    from aisf_geo.serve.catalog import Catalog
    from aisf_geo.serve.library import tables_of
    from aisf_geo.serve.postgis import connected, prepare, publish_table

    runs = Catalog(run).runs().values()
    with connected(dsn) as connection:
        prepare(connection)
        rows = {table.id: publish_table(connection, table) for found in runs for table in tables_of(found)}
    if json_:
        print_json({"tables": rows})
        return
    for table, count in rows.items():
        click.echo(f"{table}: {count} rows")
