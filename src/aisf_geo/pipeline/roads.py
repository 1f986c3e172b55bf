"""Road mask to road graph files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from aisf_geo.domain.grid import Grid, Window
from aisf_geo.domain.legend import CONFIDENCE_STEPS, NO_CONFIDENCE
from aisf_geo.errors import GridError, LegendError, OutputError, UnreadableError, UsageError
from aisf_geo.ingest.read import Header, read_header
from aisf_geo.pipeline.mapped import LEGEND_TAG, legend_of
from aisf_geo.pipeline.tracing import LabelMap, told
from aisf_geo.recipe import Roads
from aisf_geo.store.features import FORMATS, write_features, write_table
from aisf_geo.store.raster import read_pixels
from aisf_geo.store.run import ItemFolder
from aisf_geo.vectorise.roads import RoadGraph, RoadOptions, road_graph

#: Probability from which on a pixel is road where nobody says otherwise.
DEFAULT_THRESHOLD = 0.5

Pixels = NDArray[np.generic]


@dataclass(frozen=True)
class RoadSource:
    """Where roads come from and which pixels are road.

    Attributes:
        mask: label map or probabilities, one band.
        code: class that is road; None for the legend's classes with the role "road" or, without a legend, for the
            one value that is neither 0 nor nodata.
        threshold: takes the mask as probabilities (float 0..1, or uint8 with 0..254 for 0..1), road from this on;
            None for 0.5 in float rasters and for labels in uint8 ones.
        confidence: uint8 confidence map of a label map; None for ``confidence.tif`` beside ``labels.tif``, if any.
    """

    mask: Path
    code: int | None = None
    threshold: float | None = None
    confidence: Path | None = None


def map_roads(
    source: RoadSource, output: Path, options: RoadOptions, *, workers: int = 1, overwrite: bool = False
) -> dict[str, Any]:
    """Write the edges of a road graph to ``output`` and its nodes beside it; returns a summary.

    Raises:
        OutputError: an output exists and may not be replaced.
        UsageError: the format, the class or the options do not fit.
    """
    nodes_output = output.with_name(f"{output.stem}_nodes{output.suffix}")
    if output.suffix not in FORMATS:
        raise UsageError(f"{output}: roads are written as {', '.join(FORMATS)}, found {output.suffix or 'no suffix'}")
    for path in (output, nodes_output):
        if path.exists() and not overwrite:
            raise OutputError(f"output {path}: exists; add --overwrite or choose another -o")
    graph, grid = graph_of(source, options, workers)
    said = summary(graph)
    about = told(read_header(str(source.mask)).tags) | {"mask": source.mask.name, "account": json.dumps(said)}
    write_features(output, edge_table(graph, grid), about)
    write_features(nodes_output, node_table(graph, grid), about)
    return said | {"output": str(output), "nodes_output": str(nodes_output)}


def write_item_roads(asked: Roads, source: LabelMap, out: ItemFolder, tiles: bool) -> dict[str, Any]:
    """Write the road graph of a map of a run; returns the account by product."""
    options = RoadOptions(**asked.model_dump(exclude={"head"}))
    graph, grid = graph_of(RoadSource(source.labels, confidence=source.confidence), options)
    for name, table in (("roads", edge_table(graph, grid)), ("roads_nodes", node_table(graph, grid))):
        write_table(partial(out.table, name), table, source.about, tiles)
    return {"roads": summary(graph)}


def graph_of(source: RoadSource, options: RoadOptions, workers: int = 1) -> tuple[RoadGraph, Grid]:
    """The road graph of a source and the grid it lies on.

    Raises:
        UsageError: no class of the map is road, or it is not clear which.
    """
    header = read_header(str(source.mask))
    if len(header.band_names) != 1:
        raise UsageError(f"{source.mask}: a road mask has one band, found {len(header.band_names)}")
    if source.code is not None and source.threshold is not None:
        raise UsageError("roads: --code takes the mask as labels, --threshold as probabilities; choose one")
    if source.threshold is not None or np.issubdtype(np.dtype(header.dtype), np.floating):
        read = _probabilities(source, header)
        return road_graph(read, header.grid, options, workers=workers), header.grid
    labels = _Labels.of(source, header)
    graph = road_graph(labels.read, header.grid, options, workers=workers)
    labels.check_seen()
    return graph, header.grid


def edge_table(graph: RoadGraph, grid: Grid) -> geopandas.GeoDataFrame:
    """One row for every edge: id, from, to, length_m, width_m, confidence, bridge, line from ``from`` to ``to``."""
    columns = {
        "id": np.array(graph.edge_ids(), dtype=object),
        "from": graph.start,
        "to": graph.end,
        "length_m": graph.length_m.round(3),
        "width_m": graph.width_m.round(2),
        "confidence": graph.confidence.round(4),
        "bridge": graph.bridge,
    }
    return geopandas.GeoDataFrame(columns, geometry=geopandas.GeoSeries(graph.lines), crs=grid.pyproj_crs)


def node_table(graph: RoadGraph, grid: Grid) -> geopandas.GeoDataFrame:
    """One row for every node: id, x, y in the CRS of the map, degree, wide, point."""
    columns = {
        "id": graph.node_id,
        "x": graph.node_xy[:, 0],
        "y": graph.node_xy[:, 1],
        "degree": graph.degree,
        "wide": graph.wide,
    }
    return geopandas.GeoDataFrame(columns, geometry=shapely.points(graph.node_xy), crs=grid.pyproj_crs)


def summary(graph: RoadGraph) -> dict[str, Any]:
    """Counts and lengths for ``--json``, with notes on what a reader should know."""
    tally = graph.tally
    notes = []
    if tally.road_px == 0:
        notes.append("no pixel is road; the tables are empty")
    elif not graph.start.size:
        notes.append("no road is left after spurs and fragments; lower --spur-m")
    if tally.too_wide_px:
        notes.append(
            f"{tally.too_wide_px} of {tally.road_px} road pixels lie in areas too wide to be a road; each such area is "
            "one node (wide = true); raise --max-half-width-m if they are roads"
        )
    return {
        "edges": int(graph.start.size),
        "nodes": int(graph.node_id.size),
        "length_m": float(graph.length_m.sum()),
        "bridged_m": float(graph.length_m[graph.bridge].sum()),
        "wide_nodes": int(graph.wide.sum()),
        **asdict(tally),
        "notes": notes,
    }


def _pixels(path: Path, window: Window) -> Pixels:
    """Pixels of a window.

    Raises:
        UnreadableError: they cannot be decoded.
    """
    try:
        return read_pixels(path, window)
    except RasterioError as error:
        raise UnreadableError(f"{path}: pixels cannot be decoded ({error}); fetch the file again") from error


def _fractions(numbers: Pixels, path: Path, nodata: float | None) -> NDArray[np.float64]:
    """Probabilities 0..1, NaN where there is none.

    Raises:
        UsageError: the numbers are no probabilities.
    """
    if not (numbers.dtype == np.uint8 or np.issubdtype(numbers.dtype, np.floating)):
        raise UsageError(f"{path}: probabilities are float 0..1 or uint8 0..254, found {numbers.dtype}")
    share = numbers.astype(np.float64)
    if nodata is not None:
        share[numbers == nodata] = np.nan
    if numbers.dtype == np.uint8:
        share[numbers == NO_CONFIDENCE] = np.nan
        return share / CONFIDENCE_STEPS
    known = share[np.isfinite(share)]
    if known.size and not (known.min() >= 0 and known.max() <= 1):
        raise UsageError(f"{path}: probabilities lie in 0..1, found {known.min():g} to {known.max():g}")
    return share


def _probabilities(source: RoadSource, header: Header) -> Callable[[Window], tuple[Any, Any]]:
    """A reader of probabilities, which are the confidences too."""
    threshold = DEFAULT_THRESHOLD if source.threshold is None else source.threshold

    def read(window: Window) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        share = _fractions(_pixels(source.mask, window), source.mask, header.nodata[0])
        return share >= threshold, share

    return read


@dataclass(frozen=True)
class _Labels:
    """A reader of labels that remembers the codes it meets.

    Attributes:
        is_road: bool ``(256,)``, by code.
        confidence: map of confidences, and its nodata number.
        seen: bool ``(256,)``, set while reading; threads only ever set it.
    """

    source: RoadSource
    confidence: Path | None
    confidence_nodata: float | None
    is_road: NDArray[np.bool_]
    has_legend: bool
    seen: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(256, np.bool_))

    @classmethod
    def of(cls, source: RoadSource, header: Header) -> _Labels:
        """The reader of a uint8 label map."""
        if header.dtype != "uint8":
            raise UsageError(f"{source.mask}: labels are uint8 and probabilities float, found {header.dtype}")
        confidence = source.confidence
        beside = source.mask.with_name("confidence.tif")
        if confidence is None and source.mask.name == "labels.tif" and beside.exists():
            confidence = beside
        nodata = None
        if confidence is not None:
            of_confidence = read_header(str(confidence))
            nodata = of_confidence.nodata[0]
            if not header.grid.same_pixels(of_confidence.grid):
                raise GridError(f"{confidence}: does not lie on the pixels of {source.mask}; choose its own confidence")
        has_legend = LEGEND_TAG in header.tags
        return cls(source, confidence, nodata, _road_codes(source, header, has_legend), has_legend)

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.float64] | None]:
        """Where there is road, and the confidences."""
        labels = _pixels(self.source.mask, window)
        self.seen[np.bincount(labels.ravel(), minlength=256) > 0] = True
        road = self.is_road[labels.astype(np.uint8)]
        if self.confidence is None:
            return road, None
        return road, _fractions(_pixels(self.confidence, window), self.confidence, self.confidence_nodata)

    def check_seen(self) -> None:
        """Refuse a map without legend in which it is not clear what is road."""
        if self.has_legend:
            return
        found = np.flatnonzero(self.seen[1:]) + 1
        if self.source.code is not None and not self.seen[self.source.code] and found.size:
            raise UsageError(f"{self.source.mask}: has no pixel of code {self.source.code}, found {found.tolist()}")
        roads = np.flatnonzero(self.seen & self.is_road)
        if roads.size > 1:
            raise UsageError(f"{self.source.mask}: holds codes {roads.tolist()} and no legend; say --code")


def _road_codes(source: RoadSource, header: Header, has_legend: bool) -> NDArray[np.bool_]:
    """Which codes are road, bool ``(256,)``."""
    table = np.zeros(256, np.bool_)
    if has_legend:
        legend = legend_of(source.mask)
        codes = legend.codes_with_role("road") if source.code is None else (legend[source.code].code,)
        if not codes:
            names = ", ".join(f"{c.code} {c.name}" for c in legend.classes)
            raise LegendError(f"{source.mask}: no class of its legend is a road ({names}); say which with --code")
        table[list(codes)] = True
    elif source.code is not None:
        table[source.code] = True
    else:
        table[1:] = True
    nodata = header.nodata[0]
    if nodata is not None and source.code != nodata and 0 <= nodata <= 255:
        table[int(nodata)] = False
    return table
