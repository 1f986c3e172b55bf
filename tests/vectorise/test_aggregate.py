"""Cells add up to the input, and what is suppressed cannot be worked out from the table."""

from __future__ import annotations

import geopandas
import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from hypothesis import given
from hypothesis import strategies as st

from aisf_geo.errors import GridError, UsageError
from aisf_geo.vectorise.aggregate import Aggregated, aggregate_to


def roofs(places: list[tuple[float, float]], crs: str = "EPSG:32633") -> geopandas.GeoDataFrame:
    """Roofs of 10 m at places in metres, with areas that differ."""
    x, y = np.array(places, dtype=float).reshape(-1, 2).T
    boxes = shapely.box(500_000 + x, 5_000_000 + y, 500_010 + x, 5_000_010 + y)
    return geopandas.GeoDataFrame({"area_m2": 100.1 + np.arange(len(places))}, geometry=boxes, crs=crs)


def zones(**boxes: tuple[float, float, float, float]) -> geopandas.GeoDataFrame:
    outlines = [shapely.box(500_000 + w, 5_000_000 + s, 500_000 + e, 5_000_000 + n) for w, s, e, n in boxes.values()]
    return geopandas.GeoDataFrame({"zone": list(boxes)}, geometry=outlines, crs="EPSG:32633")


#: Three in the first square of 100 m, one in the second.
TOWN = roofs([(10, 10), (40, 10), (70, 10), (110, 10)])


def test_a_square_by_hand() -> None:
    result = aggregate_to(TOWN, "grid", cell_m=100, min_count=3)
    assert result.table["cell"].tolist() == ["100m:5000:50000", "100m:5001:50000"]
    assert result.table["count"].tolist() == [3, pd.NA]
    assert result.table["suppressed"].tolist() == [False, True]
    assert result.table["area_m2"].iloc[0] == pytest.approx(3 * 100.1 + 3)
    assert np.isnan(result.table["area_m2"].iloc[1])
    assert result.table.geometry.iloc[0].bounds == (500_000, 5_000_000, 500_100, 5_000_100)


def test_totals_are_of_published_cells_alone() -> None:
    result = aggregate_to(TOWN, "grid", cell_m=100, min_count=3)
    assert (result.count, result.published, result.suppressed) == (3, 1, 1)
    assert result.area_m2 == pytest.approx(303.3)
    assert "unplaced" not in result.summary()


def test_suppressed_cells_need_not_be_listed() -> None:
    result = aggregate_to(TOWN, "grid", cell_m=100, min_count=3, list_suppressed=False)
    assert len(result.table) == 1
    assert result.summary()["suppressed"] == 0


def test_h3_cells_hold_the_points() -> None:
    result = aggregate_to(TOWN, "h3", resolution=9, min_count=2)
    point = TOWN.to_crs(4326).geometry.iloc[0].representative_point()
    assert h3.latlng_to_cell(point.y, point.x, 9) in result.table["cell"].tolist()
    assert result.table.crs == "EPSG:4326"
    assert shapely.is_valid(result.table.geometry.to_numpy()).all()
    assert result.count == int(result.table["count"].sum())


def test_zones_without_buildings_look_like_zones_with_few() -> None:
    result = aggregate_to(
        TOWN, "zone", zones=zones(full=(0, 0, 100, 100), few=(100, 0, 200, 100), none=(0, 100, 9, 200)), min_count=3
    )
    few, full, none = result.table.drop(columns=["cell", "geometry"]).to_dict("records")
    assert full["count"] == 3
    assert few["suppressed"] is none["suppressed"] is True
    assert pd.isna(few["count"])
    assert pd.isna(none["count"])


def test_a_feature_outside_of_all_zones_or_without_a_shape_is_counted() -> None:
    town = pd.concat([TOWN, roofs([(900, 900)])], ignore_index=True)
    town.loc[0, "geometry"] = None
    result = aggregate_to(town, "zone", zones=zones(all=(0, 0, 200, 100)), min_count=2)
    assert (result.count, result.unplaced) == (3, 2)


def test_a_feature_on_a_border_belongs_to_one_zone() -> None:
    on_border = roofs([(95, 10), (95, 30), (95, 50)])
    result = aggregate_to(on_border, "zone", zones=zones(b=(0, 0, 100, 100), a=(100, 0, 200, 100)), min_count=2)
    assert result.table["count"].tolist() == [3, pd.NA]


towns = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=40)


def figures(result: Aggregated) -> pd.DataFrame:
    return pd.DataFrame(result.table.drop(columns="geometry"))


@given(places=towns, min_count=st.integers(2, 6), by=st.sampled_from(["grid", "h3"]))
def test_published_cells_add_up_and_the_others_are_null(places: list, min_count: int, by: str) -> None:
    town = roofs(places)
    options = {"cell_m": 100, "resolution": 10}
    result = aggregate_to(town, by, min_count=min_count, **options)
    table = figures(result)
    shown = table[~table["suppressed"]]
    assert (shown["count"] >= min_count).all()
    assert table.loc[table["suppressed"], ["count", "area_m2"]].isna().all(axis=None)
    assert result.count == shown["count"].sum()
    assert result.area_m2 == pytest.approx(shown["area_m2"].sum())
    if not result.suppressed:
        assert result.count == len(town)
        assert result.area_m2 == pytest.approx(town["area_m2"].sum())


@given(places=towns, extra=st.integers(1, 2))
def test_the_table_is_the_same_whatever_a_suppressed_cell_holds(places: list, extra: int) -> None:
    """The proof that nothing leaks: the output is one function of the published cells and of which cells have any."""
    far = [(5_010, 5_010)]
    one = aggregate_to(roofs([*places, *far]), "grid", cell_m=100, min_count=4)
    more = aggregate_to(roofs([*places, *far, *far * extra]), "grid", cell_m=100, min_count=4)
    assert_geodataframe_equal(one.table, more.table)
    assert one.summary() == more.summary()


@given(places=towns, seed=st.integers(0, 9))
def test_order_changes_nothing(places: list, seed: int) -> None:
    town = roofs(places)
    shuffled = town.sample(frac=1, random_state=seed)
    a, b = (aggregate_to(t, "grid", cell_m=150, min_count=2) for t in (town, shuffled))
    assert_geodataframe_equal(a.table, b.table)
    assert a.summary() == b.summary()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"by": "grid", "min_count": 1}, "hides nothing"),
        ({"by": "grid", "cell_m": 0}, "larger than 0"),
        ({"by": "h3", "resolution": 16}, r"0\.\.15"),
        ({"by": "zone"}, "zones need"),
        ({"by": "zone", "zones": zones(a=(0, 0, 100, 100), b=(10, 10, 20, 20))}, "overlap"),
        ({"by": "zone", "zones": zones(a=(0, 0, 9, 9)).rename(columns={"zone": "name"})}, "zones need"),
    ],
)
def test_wrong_use_is_refused(options: dict, error: str) -> None:
    with pytest.raises(UsageError, match=error):
        aggregate_to(TOWN, options.pop("by"), **options)


def test_squares_need_metres_and_areas_are_needed() -> None:
    with pytest.raises(GridError, match="metres"):
        aggregate_to(TOWN.to_crs(4326), "grid")
    with pytest.raises(GridError, match="no CRS"):
        aggregate_to(TOWN.set_crs(None, allow_override=True), "h3")
    with pytest.raises(UsageError, match="area_m2"):
        aggregate_to(TOWN.drop(columns="area_m2"), "h3")
