"""Reference samples on disk: the design, the units, what people said of them, and the page they say it on."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from aisf_geo.errors import UnreadableError, UsageError
from aisf_geo.store.features import write_features
from aisf_geo.store.files import write_text
from aisf_geo.store.raster import png_bytes
from aisf_geo.store.run import write_json

#: Answer of a person who cannot tell; such units are left out and counted.
UNSURE = "unsure"
DESIGN, LABELLED = "aisf:design", "aisf:labelled"


@dataclass(frozen=True)
class Unit:
    """One sampled pixel.

    Attributes:
        map: id of the sampled map.
        stratum: code of the stratum; ``stratum_px`` and ``stratum_m2`` are its size in the population.
        row, col: of the pixel in the map.
        reference: what a person says it is; empty until somebody does.
    """

    id: str
    map: str
    stratum: int
    stratum_name: str
    stratum_px: int
    stratum_m2: float
    row: int
    col: int
    lon: float
    lat: float
    reference: str = ""


@dataclass(frozen=True)
class SampleFile:
    """A sample: its design, its units, and who labelled them how."""

    design: Mapping[str, Any]
    units: tuple[Unit, ...]
    labelled: Mapping[str, str]


def write_sample(folder: Path, sample: SampleFile, chips: Mapping[str, NDArray[np.uint8]], made_by: str) -> None:
    """Write sample.geojson, sample.gpkg, ``chips/ID.png`` and label.html, the page people label on."""
    for unit_id, chip in chips.items():
        path = folder / "chips" / f"{unit_id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png_bytes(chip))
    write_json(folder / "sample.geojson", as_geojson(sample))
    points = geopandas.points_from_xy([u.lon for u in sample.units], [u.lat for u in sample.units], crs=4326)
    table = geopandas.GeoDataFrame([asdict(u) for u in sample.units], geometry=points)
    table["chip"] = [f"chips/{u.id}.png" for u in sample.units]
    write_features(folder / "sample.gpkg", table)
    environment = Environment(loader=PackageLoader("aisf_geo.store", "."), autoescape=select_autoescape(["html", "j2"]))
    pictures = {k: "data:image/png;base64," + base64.b64encode(png_bytes(v)).decode() for k, v in chips.items()}
    page = environment.get_template("label.html.j2").render(
        map=sample.design["map"],
        made_by=made_by,
        sample=as_geojson(sample),
        pictures=pictures,
        classes=sample.design["classes"],
        unsure=UNSURE,
        attribution=sample.design["attribution"],
    )
    write_text(folder / "label.html", page)


def as_geojson(sample: SampleFile) -> dict[str, Any]:
    """The sample as GeoJSON with its design and labeller as foreign members."""
    return {
        "type": "FeatureCollection",
        DESIGN: dict(sample.design),
        LABELLED: dict(sample.labelled),
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [round(u.lon, 7), round(u.lat, 7)]},
                "properties": asdict(u),
            }
            for u in sample.units
        ],
    }


def read_sample(path: Path) -> SampleFile:
    """A sample from GeoJSON or GeoPackage, labelled or not.

    Raises:
        UnreadableError: not such a file.
        UsageError: a column of the design is missing.
    """
    design, labelled = {}, {}
    try:
        if path.suffix in (".geojson", ".json"):
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = [f["properties"] for f in content["features"]]
            design, labelled = content.get(DESIGN, {}), content.get(LABELLED, {})
        else:
            rows = geopandas.read_file(path).drop(columns="geometry").to_dict("records")
    except (OSError, ValueError, KeyError, TypeError, DataSourceError, DataLayerError) as error:
        raise UnreadableError(f"sample {path}: not a sample of this program ({error})") from error
    if not rows:
        raise UsageError(f"sample {path}: holds no units")
    return SampleFile(design, tuple(_unit(row, path) for row in rows), labelled)


def _unit(row: Mapping[str, Any], path: Path) -> Unit:
    names = tuple(Unit.__dataclass_fields__)
    missing = [n for n in names if n not in row and n != "reference"]
    if missing:
        raise UsageError(f"sample {path}: column {missing[0]!r} is missing; keep the columns that `sample` wrote")
    said = row.get("reference")
    return Unit(**{n: row[n] for n in names if n != "reference"}, reference="" if _empty(said) else str(said))


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and np.isnan(value))


def strip(pictures: Sequence[tuple[str, NDArray[np.uint8]]], scale: int) -> NDArray[np.uint8]:
    """Square pictures of one place side by side, enlarged, each with its caption and its central pixel framed."""
    from PIL import Image, ImageDraw

    side, caption = pictures[0][1].shape[0] * scale, 16
    canvas = Image.new("RGB", (len(pictures) * (side + 6) - 6, side + caption), "white")
    pen = ImageDraw.Draw(canvas)
    for k, (text, pixels) in enumerate(pictures):
        left = k * (side + 6)
        canvas.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST), (left, caption))
        pen.text((left + 2, 2), text, fill="black")
        first = left + pixels.shape[0] // 2 * scale
        top = caption + pixels.shape[0] // 2 * scale
        pen.rectangle((first - 2, top - 2, first + scale + 1, top + scale + 1), outline="black")
        pen.rectangle((first - 1, top - 1, first + scale, top + scale), outline="white")
    return np.asarray(canvas, np.uint8)
