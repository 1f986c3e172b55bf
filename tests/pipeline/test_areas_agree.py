"""Features, labels and grid tell the same area, in a projected and in a geographic coordinate system."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from aisf_geo.ingest.read import read_header
from aisf_geo.pipeline.plan import plan_run
from aisf_geo.pipeline.run import run
from aisf_geo.pipeline.single import tile_recipe

TILES = {"ms2": "rotterdam/ms2.tif", "ms3": "rotterdam/ms3.tif", "west": "great_salt_lake/west.tif"}


@pytest.fixture(scope="module", params=TILES)
def item(request: pytest.FixtureRequest, sample_tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outputs of one interpreted tile."""
    out = tmp_path_factory.mktemp("areas") / "out"
    run(plan_run(tile_recipe(sample_tiles / TILES[request.param], "water")), out, "refuse")
    return out / "items" / request.param


def area_by_class(item: Path) -> dict[int, float]:
    """Sum of the areas on the ellipsoid of the pixels of each class."""
    header = read_header(str(item / "labels.tif"))
    with rasterio.open(item / "labels.tif") as dataset:
        labels = dataset.read(1)
    pixel_m2 = header.grid.pixel_area_m2(header.grid.full_window)
    return {int(code): float(pixel_m2[labels == code].sum()) for code in np.unique(labels[labels != 255])}


@pytest.mark.parametrize("suffix", [".parquet", ".gpkg", ".geojson"])
def test_class_areas_from_features_equal_those_from_labels(item: Path, suffix: str) -> None:
    path = item / f"features{suffix}"
    table = geopandas.read_parquet(path) if suffix == ".parquet" else geopandas.read_file(path)
    from_features = table.groupby("class")["area_m2"].sum().to_dict()
    assert from_features == pytest.approx(area_by_class(item), rel=1e-6)


def test_no_feature_reaches_into_what_was_not_observed(item: Path) -> None:
    table = geopandas.read_parquet(item / "features.parquet")
    with rasterio.open(item / "labels.tif") as dataset:
        a_pixel = abs(dataset.transform.determinant)
        observed = a_pixel * int((dataset.read(1) != 255).sum())
    assert shapely.area(table.geometry.values).sum() == pytest.approx(observed, rel=1e-9)


def test_the_area_on_the_ellipsoid_is_that_of_the_polygon(item: Path) -> None:
    """Oracle: pyproj's geodesic area of the largest polygon, its sides broken up."""
    table = geopandas.read_parquet(item / "features.parquet")
    largest = table.loc[[table["area_m2"].idxmax()]]
    fine = largest.geometry.segmentize(largest.total_bounds[2:].max() * 1e-4)
    shape = fine.to_crs(4326).iloc[0]
    geodesic, _ = table.crs.get_geod().geometry_area_perimeter(shape)
    assert largest["area_m2"].iloc[0] == pytest.approx(abs(geodesic), rel=1e-4)


def test_a_scene_known_only_to_a_range_has_no_datetime(item: Path) -> None:
    days = set(geopandas.read_parquet(item / "features.parquet")["datetime"])
    assert days == {"" if item.name == "west" else "2019-08-31T00:00:00Z"}
