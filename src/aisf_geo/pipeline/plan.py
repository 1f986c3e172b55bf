"""From a recipe to what will be done: scenes, grids, blocks, zones. Reads headers, never pixels."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import shapely

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import Legend
from aisf_geo.domain.licence import is_settled
from aisf_geo.domain.provenance import sha256_json
from aisf_geo.domain.tiling import Block, blocks
from aisf_geo.errors import GridError, RecipeError, UsageError
from aisf_geo.indicators import registry
from aisf_geo.indicators.zonal import Zone
from aisf_geo.ingest.access import Access
from aisf_geo.ingest.area_of_interest import AreaOfInterest, area_from_bbox, area_from_file, read_polygons
from aisf_geo.ingest.catalog import Hints, open_catalog
from aisf_geo.ingest.cube import CubeSource, cube_of
from aisf_geo.ingest.quality import SHADOW_BANDS, SNOW_BAND, VISIBLE, CloudScreen
from aisf_geo.ingest.scene import Scene
from aisf_geo.pipeline.choice import Choice, Means, ModelChoice, choose, shared_heads
from aisf_geo.pipeline.work import View
from aisf_geo.recipe import Recipe, Source
from aisf_geo.settings import Settings


@dataclass(frozen=True)
class Where:
    """The part of the imagery an answer is wanted for: a polygon file, a lon/lat box, or everything."""

    file: Path | None = None
    bbox: tuple[float, float, float, float] | None = None

    def on(self, grid: Grid) -> AreaOfInterest | None:
        """The area on a grid; None means everywhere.

        Raises:
            UsageError: both a file and a box were given.
        """
        if self.file and self.bbox:
            raise UsageError("area: --aoi and --bbox were both given; choose one")
        if self.file:
            return area_from_file(self.file, grid)
        return area_from_bbox(self.bbox, grid) if self.bbox else None


@dataclass(frozen=True)
class ItemPlan:
    """One scene and how it will be interpreted.

    Attributes:
        extent: the window of the view's grid that outputs cover.
    """

    view: View
    extent: Window
    choice: Choice
    attribution: str
    licence: str

    @property
    def id(self) -> str:
        """The item's id: that of its scene."""
        return self.view.scene.id

    @property
    def grid(self) -> Grid:
        """The grid of the outputs."""
        return self.view.grid.crop(self.extent)

    def blocks(self, block_px: int) -> list[Block]:
        """The blocks that hold a wanted pixel, cut at the extent; the lattice is that of the whole grid."""
        cut = []
        for block in blocks(self.view.grid, block_px):
            core = block.core.intersection(self.extent)
            if core is not None and (self.view.area is None or self.view.wanted(core).any()):
                cut.append(Block(block.id, core))
        return cut


@dataclass(frozen=True)
class RunPlan:
    """Everything a run will do, before the first pixel.

    Attributes:
        zones: in the CRS of the first item's grid; one whole-image zone where the recipe names none.
        warnings: what the reader of the outputs must know, in plain sentences.
        missing: scenes a catalogue lists and nobody delivers, with the reason.
        where: the area that took the place of the recipe's own, if any.
        growing: more scenes will come; figures that cannot be computed yet are left out.
    """

    recipe: Recipe
    items: tuple[ItemPlan, ...]
    zones: tuple[Zone, ...]
    warnings: tuple[str, ...]
    missing: Mapping[str, str] = field(default_factory=dict)
    where: Where | None = None
    growing: bool = False

    def asked(self, out: Path) -> dict[str, Any]:
        """What run.json must hold, beside the recipe, to ask the same again: paths relative to the run folder."""
        aoi = self.where.file if self.where else None
        return {
            "recipe_folder": os.path.relpath(self.recipe.folder, out),
            "aoi": os.path.relpath(aoi, out) if aoi else None,
            "bbox": list(self.where.bbox) if self.where and self.where.bbox else None,
        }

    @property
    def digest(self) -> str:
        """Identity of the question: the recipe and the scenes it found."""
        question = {"recipe": self.recipe.model_dump(mode="json"), "scenes": [i.id for i in self.items]}
        return sha256_json([question, [i.extent.slices for i in self.items]])

    @property
    def shadow_cube(self) -> CubeSource | None:
        """The series in which shadows are looked for, or None where they are not."""
        cube = self.items[0].view.cube
        return cube if cube is not None and _tests_shadow(self.recipe, cube) else None

    @property
    def heads(self) -> Mapping[str, Legend]:
        """Name and legend of each head of the label maps, the main one first."""
        return shared_heads(item.choice for item in self.items)

    @property
    def detects(self) -> bool:
        """True where objects are detected: they are the features of the main head."""
        return any(isinstance(item.choice, ModelChoice) and item.choice.card.detection for item in self.items)

    @property
    def legend(self) -> Legend:
        """The main head's legend."""
        return next(iter(self.heads.values()))

    def blocks_of(self, item: ItemPlan) -> list[Block]:
        """The blocks of an item, of the size that suits what it is interpreted with."""
        return item.blocks(item.choice.block_px(self.recipe.segment.block_px))

    def overlap_factor(self, item: ItemPlan) -> float | None:
        """Network-input pixels for each output pixel of an item; None where there is no network."""
        return item.choice.overlap_factor(item.view.grid, [block.core for block in self.blocks_of(item)])

    def item(self, item_id: str) -> ItemPlan:
        """The plan of one item."""
        return next(i for i in self.items if i.id == item_id)

    def summary(self) -> dict[str, Any]:
        """What a dry run prints: blocks, bytes read and a rough time."""
        items = [(i, self.blocks_of(i)) for i in self.items]
        pace = self.items[0].choice.seconds_per_mpx
        sizes = [sum(b.core.height * b.core.width for b in cut) for _, cut in items]
        given = sum(size * (self.overlap_factor(i) or 1) for size, (i, _) in zip(sizes, items, strict=True))
        return {
            "recipe": self.recipe.name,
            "items": [{"id": i.id, "blocks": len(cut), "shape": list(i.grid.shape)} for i, cut in items],
            "blocks": sum(len(cut) for _, cut in items),
            "pixels": sum(sizes),
            "estimated_bytes_read": sum(sizes) * 2 * len(self.items[0].choice.bands),
            "estimated_seconds_one_worker": None if pace is None else round(given / 1e6 * pace, 3),
            "zones": [zone.id for zone in self.zones],
            "warnings": list(self.warnings),
        }


def plan_run(
    recipe: Recipe, where: Where | None = None, means: Means | None = None, *, growing: bool = False
) -> RunPlan:
    """The plan of a recipe; ``where`` takes the place of the recipe's own area.

    A ``growing`` series may still lack the dates its figures need.

    Raises:
        NoDataError: no scene.
        BandError: a scene lacks a band the method needs.
        GridError: the area or every zone lies outside the imagery, or a series lies on different grids.
        RecipeError: an unknown indicator, or one the method's classes cannot answer.
    """
    means = means or Means()
    given = where
    where = where or Where(file=recipe.resolve(recipe.area) if recipe.area else None)
    warnings: list[str] = []
    missing: dict[str, str] = {}
    found = [(scene, source) for source in recipe.sources for scene in _scenes(recipe, source, warnings, missing)]
    _refuse_repeated_ids([scene for scene, _ in found])
    series = recipe.clearing is not None
    cube = cube_of([scene for scene, _ in found], recipe.segment.block_px) if series else None
    items = []
    for scene, source in found:
        choice = choose(recipe.segment, scene, means)
        grid = cube.grid if cube else scene.grid
        area = where.on(grid)
        view = View(scene, grid, area, cube, _screen(recipe, scene, warnings))
        extent = area.extent(grid) if area else grid.full_window
        items.append(ItemPlan(view, extent, choice, source.attribution, source.licence))
    if cube is not None and recipe.clouds.shadow and not _tests_shadow(recipe, cube):
        warnings.append(
            f"no test for missed shadows: it needs reflectance in {' and '.join(SHADOW_BANDS)} in every scene"
        )
    zones = _zones(recipe, items[0].grid, warnings)
    plan = RunPlan(recipe, tuple(items), zones, tuple(dict.fromkeys(warnings)), missing, given, growing)
    _check_indicators(plan)
    sample = recipe.reference_sample
    if sample and not recipe.resolve(sample).is_file():
        raise RecipeError(
            f"reference_sample: no file {recipe.resolve(sample)}; give the labelled file of `aisf-geo sample`"
        )
    if not growing:
        check_question(plan)
    _check_vectors(plan)
    return plan


def _tests_shadow(recipe: Recipe, cube: CubeSource) -> bool:
    able = all(scene.reflectance and set(SHADOW_BANDS) <= set(scene.band_names) for scene in cube.scenes)
    return recipe.clouds.shadow and able


def _scenes(recipe: Recipe, source: Source, warnings: list[str], missing: dict[str, str]) -> list[Scene]:
    """The scenes of one source; what its reader must know is added to ``warnings`` and ``missing``."""
    period = recipe.period.as_period() if recipe.period else None
    access = Access(source.hosts, Settings.from_environment().private_hosts)
    if not is_settled(source.licence, source.allowed_use):
        warnings.append(f"what the licence of the imagery allows ({source.licence}) is not known: read it first")
    if source.stac_api is None:
        location = recipe.resolve(source.path or "")
        return open_catalog(location, Hints(source.bands, source.sensor), access).scenes(period)
    from aisf_geo.ingest.search import Search, StacApiCatalog

    catalog = StacApiCatalog(Search(**source.stac_api.model_dump()), access)
    scenes = catalog.scenes(period)
    warnings.extend(catalog.notes)
    warnings.extend(f"scene {name} is missing: {why}" for name, why in catalog.missing.items())
    missing.update(catalog.missing)
    return scenes


def _refuse_repeated_ids(scenes: Sequence[Scene]) -> None:
    ids = [scene.id for scene in scenes]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise RecipeError(f"sources: more than one scene is called {', '.join(twice)}; rename one, ids must differ")


def _screen(recipe: Recipe, scene: Scene, warnings: list[str]) -> CloudScreen | None:
    """The cloud test where it can be made; where it cannot, the outputs say so."""
    if not recipe.clouds.bright_white:
        return None
    if scene.surface and set(VISIBLE) <= set(scene.band_names):
        return CloudScreen(tells_snow=SNOW_BAND in scene.band_names)
    why = "its values are not surface reflectances" if not scene.surface else "it lacks visible bands"
    warnings.append(f"scene {scene.id}: no cloud test beyond the quality band, because {why}")
    return None


def _zones(recipe: Recipe, grid: Grid, warnings: list[str]) -> tuple[Zone, ...]:
    if recipe.zones is None:
        return (Zone("all", "whole image", shapely.box(*grid.bounds)),)
    return read_zones(recipe.resolve(recipe.zones.path), recipe.zones.id, recipe.zones.name, grid, warnings)


def read_zones(
    path: Path, id_column: str | None, name_column: str | None, grid: Grid, warnings: list[str]
) -> tuple[Zone, ...]:
    """The zones in a vector file, in the CRS of ``grid``; what a reader must know is added to ``warnings``.

    Raises:
        GridError: an invalid polygon, or no zone touches the imagery.
        RecipeError: a named column is missing or ids repeat.
    """
    table = read_polygons(path)
    for column in (id_column, name_column):
        if column is not None and column not in table.columns:
            there = ", ".join(str(c) for c in table.columns if c != table.geometry.name)
            raise RecipeError(f"zones {path}: no column {column!r}; there are {there}")
    ids = [str(v) for v in (table[id_column] if id_column else table.index)]
    names = [str(v) for v in table[name_column]] if name_column else ids
    if len(set(ids)) < len(ids):
        raise RecipeError(f"zones {path}: column {id_column!r} repeats {sorted({i for i in ids if ids.count(i) > 1})}")
    placed = table.geometry.to_crs(grid.pyproj_crs)
    zones = tuple(Zone(i, n, g) for i, n, g in zip(ids, names, placed, strict=True))
    image = shapely.box(*grid.bounds)
    outside = [zone.id for zone in zones if not shapely.intersects(zone.geometry, image)]
    if len(outside) == len(zones):
        raise GridError(f"zones {path}: none of {len(zones)} zones touches the imagery; check their coordinates")
    if outside:
        warnings.append(f"zones outside the imagery, withheld: {', '.join(outside)}")
    warnings.extend(_overlaps(zones, placed))
    return zones


def _overlaps(zones: Sequence[Zone], placed: geopandas.GeoSeries) -> list[str]:
    """One sentence for each pair of zones that share ground: summing them counts it twice."""
    pairs = placed.sindex.query(placed, predicate="intersects").T
    found = []
    for i, j in pairs:
        if i < j:
            shared = zones[i].geometry.intersection(zones[j].geometry).area
            smaller = min(zones[i].geometry.area, zones[j].geometry.area)
            if shared > 1e-6 * smaller:
                share = 100 * shared / smaller
                found.append(
                    f"zones {zones[i].id} and {zones[j].id} overlap by {share:.1f} % of the smaller: do not add them up"
                )
    return found


def _check_vectors(plan: RunPlan) -> None:
    recipe = plan.recipe
    if recipe.vectorise.pmtiles:
        from aisf_geo.store.features import tiling_program

        tiling_program()
    if recipe.buildings or recipe.roads or recipe.cells:
        # The compiled tracer takes half a second to load, which a plan without vectors need not wait for.
        from aisf_geo.pipeline.buildings import check_vectors

        check_vectors(plan)


def _check_indicators(plan: RunPlan) -> None:
    roles = {c.role for c in plan.legend.classes}
    for code in plan.recipe.indicators:
        what = registry.definition(code)
        missing = [role for role in what.roles if role not in roles]
        if what.compute is None:
            raise RecipeError(f"indicators: {what.formula} cannot be computed from label maps; see docs/indicators")
        if missing:
            raise RecipeError(
                f"indicators: {what.formula} needs a class that counts as {missing[0]!r}; its classes count as "
                f"{', '.join(sorted(roles))}. Set segment.counts_as if the method's class may stand for it"
            )
        undated = [item.id for item in plan.items if item.view.scene.period is None]
        if undated:
            raise RecipeError(
                f"indicators: {what.formula} needs dates; the source states none for {', '.join(undated)}"
            )
        if what.needs_clearing and plan.recipe.clearing is None:
            raise RecipeError(f"indicators: {what.formula} needs the section 'clearing' in the recipe")


def check_question(plan: RunPlan) -> None:
    """Check that the scenes there are can answer what is asked over time.

    Raises:
        RecipeError: no scene in the baseline year, or none after it.
    """
    clearing = plan.recipe.clearing
    if clearing is not None:
        years = sorted({i.view.scene.period.start.year for i in plan.items if i.view.scene.period})
        for fits, where in ((clearing.baseline_year in years, "in"), (clearing.baseline_year < max(years), "after")):
            if not fits:
                year = clearing.baseline_year
                raise RecipeError(f"clearing.baseline_year: no scene {where} {year}; there are scenes in {years}")
