"""What the figures mean, to look at: the worst images beside truth and answer, and confidence against accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aisf_geo.domain.legend import NOT_OBSERVED, UNKNOWN, Legend
from aisf_geo.domain.objects import Objects
from aisf_geo.domain.raster import Raster
from aisf_geo.evaluate.answerers import Answerer
from aisf_geo.evaluate.boxes import BoxedImage
from aisf_geo.evaluate.calibration import Levels, reliability
from aisf_geo.evaluate.judge import Judged, Samples
from aisf_geo.evaluate.labelled import Sample

#: Images on a sheet, and the longest side of each.
WORST, THUMBNAIL_PX = 8, 320
#: Bands that make the colours of a picture, in order of preference.
_COLOURS = (("red", "green", "blue"), ("nir", "red", "green"))

Rgb = NDArray[np.uint8]


def write_worst(path: Path, answerer: Answerer, judged: Judged, samples: Samples) -> None:
    """A contact sheet of the images with the lowest figures: image, truth, answer, and the figure."""
    every: list[Sample | BoxedImage] = [*samples]
    ranked = sorted(every, key=lambda sample: judged.tallies[sample.name].score)[:WORST]
    rows = [(_row(answerer, judged, sample), f"{sample.place}  {_score(judged, sample.name)}") for sample in ranked]
    width = max(sum(p.width for p in pictures) + 8 * 2 for pictures, _ in rows)
    height = sum(max(p.height for p in pictures) + 20 for pictures, _ in rows)
    sheet = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(sheet), 0
    for pictures, title in rows:
        draw.text((4, top + 4), title, fill="black")
        left = 0
        for picture in pictures:
            sheet.paste(picture, (left, top + 20))
            left += picture.width + 8
        top += max(p.height for p in pictures) + 20
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _score(judged: Judged, name: str) -> str:
    tally = judged.tallies[name]
    return f"{'F1' if tally.boxes else 'mean IoU'} {tally.score:.2f}"


def _row(answerer: Answerer, judged: Judged, sample: Sample | BoxedImage) -> list[Image.Image]:
    if isinstance(sample, BoxedImage):
        raster = sample.read_raster(answerer.bands)
        found = answerer.answer(raster).objects
        truth = sample.read_boxes(judged.legend, *raster.grid.shape)
        return [_boxed(raster, boxes, judged.legend) for boxes in (truth, found) if boxes is not None]
    labelled = sample.read(answerer.bands)
    answer = answerer.answer(labelled.raster).heads[judged.head].labels
    maps = [labelled.truth, answer]
    return [
        _small(_look(labelled.raster)),
        *(_small(_coloured(m, judged.legend), Image.Resampling.NEAREST) for m in maps),
    ]


def _boxed(raster: Raster, objects: Objects, legend: Legend) -> Image.Image:
    picture = Image.fromarray(_look(raster))
    draw = ImageDraw.Draw(picture)
    for each in objects:
        half_y, half_x = each["height_px"] / 2, each["width_px"] / 2
        corners = (each["col"] - half_x, each["row"] - half_y, each["col"] + half_x, each["row"] + half_y)
        draw.rectangle(corners, outline=legend[int(each["code"])].colour, width=3)
    picture.thumbnail((2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
    return picture


def _look(raster: Raster) -> Rgb:
    """The image stretched from its 2nd to its 98th percentile, band by band."""
    names = next((c for c in _COLOURS if set(c) <= set(raster.bands)), raster.bands[:1] * 3)
    stack = np.stack([raster.band(name) for name in names], axis=-1)
    low, high = np.nanpercentile(stack, [2, 98], axis=(0, 1))
    scaled = (stack - low) / np.maximum(high - low, 1e-6)
    return np.asarray(255 * np.clip(np.nan_to_num(scaled), 0, 1), np.uint8)


def _coloured(labels: NDArray[np.uint8], legend: Legend) -> Rgb:
    table = np.zeros((256, 3), np.uint8)
    table[[NOT_OBSERVED, UNKNOWN]] = 255
    for entry in legend.classes:
        table[entry.code] = entry.colour
    return np.asarray(table[labels])


def _small(pixels: Rgb, resampling: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    picture = Image.fromarray(pixels)
    factor = THUMBNAIL_PX / max(picture.size)
    return picture.resize((max(1, round(picture.width * factor)), max(1, round(picture.height * factor))), resampling)


def write_reliability(path: Path, levels: Levels, title: str) -> None:
    """Accuracy over confidence, with the line on which a confidence is a probability.

    Raises:
        UsageError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows: list[dict[str, Any]] = reliability(levels)
    figure = Figure(figsize=(4, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999999", linewidth=1)
    share = np.array([row["pixels"] for row in rows]) / max(1, sum(row["pixels"] for row in rows))
    axes.scatter([r["confidence"] for r in rows], [r["accuracy"] for r in rows], s=15 + 300 * share, color="#335577")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right", title=title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
