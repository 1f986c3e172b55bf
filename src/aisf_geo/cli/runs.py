"""Commands that interpret imagery: run, segment, demo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aisf_geo.cli import options
from aisf_geo.cli.printing import indicator_table, item_table, print_json
from aisf_geo.errors import UsageError

if TYPE_CHECKING:
    from aisf_geo.pipeline.plan import RunPlan
    from aisf_geo.pipeline.run import RunOutcome
    from aisf_geo.store.ledger import BlockRecord


@click.command()
@click.argument("recipe")
@click.option("--out", help="Output folder, or a URL such as s3://bucket/run.  [default: out/RECIPE-NAME]")
@options.running
def run(recipe: str, out: str | None, runtime: str, precision: str | None, probabilities: bool, **how: Any) -> None:
    """Carry out RECIPE, a YAML file or the name of a shipped recipe."""
    from aisf_geo.pipeline.choice import Means
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.recipe import read_recipe
    from aisf_geo.shipped import recipe_path

    asked = read_recipe(recipe_path(recipe))
    asked = asked.with_probabilities() if probabilities else asked
    means = Means(runtime, precision, how["workers"])
    _carry_out(plan_run(asked, means=means), out or f"out/{asked.name}", **how)


@click.command()
@click.argument("tile", type=click.Path(path_type=Path))
@click.option("--method", metavar="NAME", help="water, vegetation, snow, built-up or burn.")
@click.option("--model", metavar="NAME", help="A trained model; see `aisf-geo models list`.")
@options.out_place
@click.option("--threshold", type=float, help="Fixed threshold of the index.  [default: found in the scene]")
@click.option("--aoi", type=click.Path(path_type=Path), help="Polygon file: interpret only inside it.")
@click.option("--bbox", metavar="W,S,E,N", callback=options.four_numbers, help="Box in degrees (WGS 84).")
@click.option("--block-px", type=int, help="Side of a block; the labels do not depend on it.  [default: 1024]")
@click.option("--bands", metavar="A,B,..", callback=options.comma_separated, help="Band names in file order.")
@click.option("--sensor", metavar="NAME", help="Sensor profile, for files that do not name theirs.")
@options.running
def segment(
    tile: Path,
    method: str | None,
    model: str | None,
    out: str,
    threshold: float | None,
    aoi: Path | None,
    bbox: tuple[float, float, float, float] | None,
    block_px: int | None,
    bands: tuple[str, ...] | None,
    sensor: str | None,
    runtime: str,
    precision: str | None,
    probabilities: bool,
    **how: Any,
) -> None:
    """Interpret TILE, a raster file, a folder or a STAC collection, with one method or model."""
    from aisf_geo.pipeline.choice import Means
    from aisf_geo.pipeline.plan import Where, plan_run
    from aisf_geo.pipeline.single import tile_recipe

    if (method is None) == (model is None):
        raise UsageError("segment: give either --method or --model; see `aisf-geo models list`")
    recipe = tile_recipe(tile, method, model, threshold=threshold, block_px=block_px, bands=bands, sensor=sensor)
    recipe = recipe.with_probabilities() if probabilities else recipe
    means = Means(runtime, precision, how["workers"])
    _carry_out(plan_run(recipe, Where(aoi, bbox) if aoi or bbox else None, means), out, **how)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/demo"), show_default=True, help="Folder.")
def demo(out: Path) -> None:
    """Interpret the shipped sample tiles: by indices water and felled forest, by networks land cover and land use."""
    from aisf_geo.pipeline.explain import explain as told
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.recipe import read_recipe
    from aisf_geo.shipped import recipe_path
    from aisf_geo.store.run import is_run

    if out.exists() and not out.is_dir():
        raise UsageError(f"output {out}: is a file, a folder is needed; choose another --out")
    if is_run(out):
        raise UsageError(f"output {out}: is a run, and the demo makes a folder of several; choose another --out")
    for name in ("rotterdam_water", "romania_forest", "city_vhr", "landuse_multispectral"):
        plan = plan_run(read_recipe(recipe_path(name)))
        click.echo(f"{plan.recipe.title}", err=True)
        _carry_out(plan, str(out / name), False, True, False, 1, None, False)
    forest = out / "romania_forest"
    click.echo(f"\n{told(forest, 'cleared-share', 'forest-west')['lines'][0]}")
    click.echo(f"how it came about: aisf-geo explain {forest} --indicator cleared-share --zone forest-west")


def _carry_out(
    plan: RunPlan,
    out: str,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    workers: int,
    scheduler: str | None,
    json_: bool,
) -> None:
    from aisf_geo.pipeline.mapper import block_map
    from aisf_geo.pipeline.remote import run_folder_at
    from aisf_geo.pipeline.run import as_json
    from aisf_geo.pipeline.run import run as run_plan

    if dry_run:
        print_json(plan.summary())
        return
    for warning in plan.warnings:
        click.echo(f"note: {warning}", err=True)
    rule = options.existing(resume, overwrite)
    with (
        run_folder_at(out, rule) as folder,
        block_map(workers, scheduler) as mapper,
        _progress(plan, quiet=json_) as on_block,
    ):
        result = run_plan(plan, folder, rule, mapper, on_block)
    if json_:
        print_json(as_json(result, out))
    else:
        _show(result, out)


@contextmanager
def _progress(plan: RunPlan, quiet: bool) -> Iterator[Any]:
    """A progress bar over blocks on a terminal, silence elsewhere."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    total = sum(len(plan.blocks_of(item)) for item in plan.items)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task("blocks", total=total)

        def on_block(record: BlockRecord) -> None:
            bar.update(task, advance=1, description=record.item)

        yield on_block


def _show(result: RunOutcome, out: str) -> None:
    from aisf_geo.pipeline.measure import read_indicators
    from aisf_geo.store.run import RunFolder

    folder = RunFolder(result.folder)
    item_table(result)
    indicator_table(read_indicators(folder))
    click.echo(f"run folder: {out}")
    click.echo(f"report:     {out.rstrip('/')}/{folder.report.name}")
