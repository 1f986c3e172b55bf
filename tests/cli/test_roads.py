"""``aisf-geo roads``: which pixels are road, what is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pytest
from click.testing import CliRunner, Result

from aisf_geo.cli.roads import roads
from aisf_geo.errors import AisfGeoError, GridError, LegendError, OutputError, UnreadableError, UsageError

WriteTif = Callable[..., Path]

CROSS = np.zeros((80, 100), np.uint8)
CROSS[38:41, 5:95] = CROSS[5:75, 50:53] = 1
LEGEND = json.dumps(
    {
        "name": "town",
        "classes": [
            {"code": 0, "name": "other", "colour": [0, 0, 0], "role": "other"},
            {"code": 3, "name": "street", "colour": [9, 9, 9], "role": "road"},
        ],
    }
)


def called(*arguments: object) -> Result:
    return CliRunner().invoke(roads, [str(a) for a in arguments])


def refused(result: Result, error: type[AisfGeoError]) -> str:
    assert isinstance(result.exception, error), result.exception
    return str(result.exception)


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
def test_edges_and_nodes_are_written_in_every_format(write_tif: WriteTif, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"roads{suffix}"
    result = called(write_tif("mask.tif", CROSS), "-o", out, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    edges, nodes = read(out), read(said["nodes_output"])
    assert list(edges) == ["id", "from", "to", "length_m", "width_m", "confidence", "bridge", "geometry"]
    assert list(nodes) == ["id", "x", "y", "degree", "wide", "geometry"]
    assert (len(edges), len(nodes)) == (said["edges"], said["nodes"]) == (4, 5)
    assert set(edges["from"]) | set(edges["to"]) == set(nodes["id"])
    assert edges["length_m"].sum() == pytest.approx(said["length_m"], abs=0.01)
    assert said["length_m"] == pytest.approx(1_560, abs=30)


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
def test_a_mask_without_roads_gives_empty_tables_and_says_so(write_tif: WriteTif, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"roads{suffix}"
    result = called(write_tif("mask.tif", np.zeros_like(CROSS)), "-o", out)
    assert result.exit_code == 0, result.exception
    assert "no pixel is road; the tables are empty" in result.stderr
    read = geopandas.read_parquet if suffix == ".parquet" else geopandas.read_file
    assert len(read(out)) == 0


def test_the_legend_says_which_class_is_road(write_tif: WriteTif, tmp_path: Path) -> None:
    mask = write_tif("labels.tif", CROSS * 3, tags={"LEGEND": LEGEND}, nodata=255)
    write_tif("confidence.tif", np.full_like(CROSS, 127), nodata=255)
    assert called(mask, "-o", tmp_path / "a.parquet").exit_code == 0
    assert geopandas.read_parquet(tmp_path / "a.parquet")["confidence"].tolist() == [0.5] * 4
    assert "has no class 7" in refused(called(mask, "-o", tmp_path / "b.gpkg", "--code", 7), LegendError)
    other = write_tif("other.tif", CROSS * 3, tags={"LEGEND": LEGEND.replace('"road"', '"bare"')})
    assert "--code" in refused(called(other, "-o", tmp_path / "b.gpkg"), LegendError)
    assert called(other, "-o", tmp_path / "b.gpkg", "--code", 3).exit_code == 0


def test_without_a_legend_codes_must_be_there_and_clear(write_tif: WriteTif, tmp_path: Path) -> None:
    labels = CROSS.copy()
    labels[:5, :5] = 9
    mask, out = write_tif("mask.tif", labels), tmp_path / "a.gpkg"
    assert "codes [1, 9] and no legend" in refused(called(mask, "-o", out), UsageError)
    assert "has no pixel of code 4, found [1, 9]" in refused(called(mask, "-o", out, "--code", 4), UsageError)
    assert not out.exists()
    assert called(mask, "-o", out, "--code", 1).exit_code == 0


@pytest.mark.parametrize(
    ("numbers", "options"),
    [
        (CROSS * np.float32(0.75), []),
        (CROSS * np.float32(0.75), ["--threshold", 0.7]),
        ((CROSS * 190).astype(np.uint8), ["--threshold", 0.7]),
    ],
    ids=["float", "float with threshold", "bytes with threshold"],
)
def test_probabilities_are_cut_and_are_the_confidence(
    write_tif: WriteTif, tmp_path: Path, numbers: np.ndarray, options: list[object]
) -> None:
    out = tmp_path / "a.parquet"
    assert called(write_tif("p.tif", numbers), "-o", out, *options).exit_code == 0
    assert geopandas.read_parquet(out)["confidence"].to_numpy() == pytest.approx(np.full(4, 0.75), abs=0.003)


def test_what_does_not_fit_is_refused_before_anything_is_written(write_tif: WriteTif, tmp_path: Path) -> None:
    mask, out = write_tif("mask.tif", CROSS), tmp_path / "a.gpkg"
    assert "no suffix" in refused(called(mask, "-o", tmp_path / "a"), UsageError)
    assert "choose one" in refused(called(mask, "-o", out, "--code", 1, "--threshold", 0.5), UsageError)
    refused(called(tmp_path / "none.tif", "-o", out), UnreadableError)
    refused(called(write_tif("two.tif", np.stack([CROSS, CROSS])), "-o", out), UsageError)
    refused(called(write_tif("wide.tif", CROSS.astype(np.int16)), "-o", out), UsageError)
    refused(called(write_tif("big.tif", CROSS * np.float32(200)), "-o", out), UsageError)
    small = write_tif("small.tif", CROSS[:50])
    refused(called(mask, "-o", out, "--confidence", small), GridError)
    assert not list(tmp_path.glob("a*"))


def test_existing_outputs_need_overwrite(write_tif: WriteTif, tmp_path: Path) -> None:
    mask, out = write_tif("mask.tif", CROSS), tmp_path / "a.gpkg"
    (tmp_path / "a_nodes.gpkg").write_text("mine")
    assert "a_nodes.gpkg: exists" in refused(called(mask, "-o", out), OutputError)
    assert called(mask, "-o", out, "--overwrite", "--workers", 2).exit_code == 0


def test_areas_too_wide_are_told(write_tif: WriteTif, tmp_path: Path) -> None:
    square = CROSS.copy()
    square[25:55, 35:70] = 1
    result = called(write_tif("mask.tif", square), "-o", tmp_path / "a.gpkg", "--max-half-width-m", 40)
    assert result.exit_code == 0, result.exception
    assert "too wide to be a road" in result.stderr
