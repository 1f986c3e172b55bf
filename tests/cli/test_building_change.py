"""Buildings gained and lost between two pictures, from the command line and with the shipped weights."""

from __future__ import annotations

import csv
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image

from aisf_geo.train.roofs import Style, Sun, draw, over, shaded
from command_line import CommandLine

SIDE = 128


def town(houses: int, seed: int = 0) -> NDArray[np.uint8]:
    """Bare ground of half a metre ``(y, x, 3)`` with drawn houses."""
    rng, sun = np.random.default_rng(seed), Sun(0.8, 0.9)
    picture = 0.45 + 0.03 * rng.normal(size=(SIDE, SIDE, 1)) + np.array([0.06, 0.02, -0.06])
    for k in range(houses):
        style = Style(26, 18, "hip", np.array([0.75, 0.72, 0.7], np.float32))
        drawn = draw(rng, (SIDE, SIDE), (30 + 60 * (k // 2), 32 + 62 * (k % 2)), 0.2, style, sun)
        picture = over(shaded(picture, drawn.alpha, 8, sun, 0.5), drawn)
    return np.asarray((picture * 255).clip(0, 255), np.uint8)


def geotiff(path: Path, picture: NDArray[np.generic]) -> Path:
    """A plain picture on the ground: no band names, no sensor."""
    kept = {"crs": "EPSG:32614", "transform": rasterio.Affine(0.5, 0, 600_000, 0, -0.5, 3_300_000)}
    shape = {"count": picture.shape[2], "height": SIDE, "width": SIDE, "dtype": picture.dtype}
    colours = {"photometric": "RGB"} if picture.shape[2] == 3 else {}
    with rasterio.open(path, "w", driver="GTiff", **kept | shape | colours) as dataset:
        dataset.write(picture.transpose(2, 0, 1))
    return path


def labelled(folder: Path, after: NDArray[np.uint8]) -> Path:
    """Two labelled pairs as A/, B/ and label/."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[20:40, 20:44] = 255
    for name, picture in (("A", town(0)), ("B", after), ("label", mask)):
        (folder / name).mkdir(parents=True)
        for k in range(2):
            Image.fromarray(picture).save(folder / name / f"{k}.png")
    return folder


class TestPairOfGeotiffs:
    def test_it_is_mapped_and_the_margins_are_the_areas_compared(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        before, after = geotiff(tmp_path / "before.tif", town(0)), geotiff(tmp_path / "after.tif", town(4))
        done = aisf_geo("change", before, after, "--method", "siamese", "--out", tmp_path / "out", "--json")
        assert done.code == 0, done.err
        found, folder = done.document, tmp_path / "out/change/before_after_siamese"
        assert found["reason"].startswith("model building-change")
        assert found["version"].startswith("building-change@") or "sha256" in found["version"]
        with rasterio.open(folder / "change.tif") as change:
            codes, tags = change.read(1), change.tags()
        assert set(np.unique(codes)) <= {0, 1, 256, 257}
        assert "AI" in tags["MADE_BY"]
        rows = list(csv.reader((folder / "matrix.csv").read_text().splitlines()))[1:]
        areas = np.array([[float(v) for v in row[1:]] for row in rows])
        pixel_m2 = found["compared_m2"] / SIDE**2
        assert pixel_m2 == pytest.approx(0.25, rel=0.01)
        assert areas.sum(axis=1) == pytest.approx([pixel_m2 * (codes // 256 == c).sum() for c in (0, 1)], rel=1e-3)
        assert areas.sum(axis=0) == pytest.approx([pixel_m2 * (codes % 256 == c).sum() for c in (0, 1)], rel=1e-3)
        table = geopandas.read_parquet(folder / "change.parquet")
        assert set(table["process"]) <= {"urban expansion", "built-up loss"}
        assert (folder / "report.html").exists()

    def test_a_picture_compared_with_itself_shows_nothing(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        before, after = geotiff(tmp_path / "before.tif", town(4)), geotiff(tmp_path / "after.tif", town(4))
        done = aisf_geo("change", before, after, "--method", "siamese", "--out", tmp_path / "out", "--json")
        assert done.document["changed_m2"] == 0

    @pytest.mark.parametrize(
        ("picture", "bands", "said"),
        [
            (town(0)[..., :1], "red", "lack green, blue"),
            (town(0).astype(np.float32) / 255, "red,green,blue", "numbers of 0."),
            (town(0).astype(np.uint16) * 20, "red,green,blue", "needs 8-bit pictures"),
        ],
        ids=["one band", "shares", "16 bits"],
    )
    def test_other_imagery_is_refused(
        self, aisf_geo: CommandLine, tmp_path: Path, picture: NDArray[np.generic], bands: str, said: str
    ) -> None:
        paths = [geotiff(tmp_path / f"{name}.tif", picture) for name in ("before", "after")]
        done = aisf_geo("change", *paths, "--method", "siamese", "--bands", bands, "--out", tmp_path / "out")
        assert done.code == 2
        assert said in done.error


class TestLabelledPairs:
    def test_the_figures_are_printed(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        done = aisf_geo("evaluate", "--model", "building-change", "--data", labelled(tmp_path / "d", town(4)), "--json")
        assert done.code == 0, done.err
        assert done.document["pixels"] == 2 * SIDE**2
        assert [row["name"] for row in done.document["classes"]] == ["unchanged", "changed"]
        assert done.document["classes"][1]["pixels"] == 2 * 20 * 24

    def test_dates_of_two_sizes_are_refused(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        data = labelled(tmp_path / "d", town(4)[:-8])
        done = aisf_geo("evaluate", "--model", "building-change", "--data", data)
        assert done.code == 1
        assert "differ in size" in done.error

    def test_a_picture_that_cannot_be_read_is_named(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        data = labelled(tmp_path / "d", town(4))
        (data / "B/1.png").write_bytes(b"not a picture")
        done = aisf_geo("evaluate", "--model", "building-change", "--data", data)
        assert done.code == 1
        assert "1.png" in done.error

    def test_single_pictures_are_no_pairs(self, aisf_geo: CommandLine, tmp_path: Path) -> None:
        data = labelled(tmp_path / "d", town(4))
        for path in (data / "B").iterdir():
            path.unlink()
        done = aisf_geo("evaluate", "--model", "building-change", "--data", data)
        assert done.code == 1
        assert "expected A/NAME, B/NAME and label/NAME.png" in done.error
