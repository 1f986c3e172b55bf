"""Squared outlines by hand, their laws, and what is said of those that stay as they are."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import TRANSFORMS, grid_of, label_maps, traced
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from aisf_geo.errors import UsageError
from aisf_geo.vectorise.buildings import Squared, SquaringRules, square
from aisf_geo.vectorise.overlap import common_areas

UTM = CRS.from_epsg(32633)
L_SHAPE = shapely.Polygon([(0, 0), (30, 0), (30, 12), (14, 12), (14, 24), (0, 24)])


def placed(shape: shapely.Polygon, azimuth_deg: float = 0.0) -> shapely.Polygon:
    """A shape turned clockwise, on the central meridian, where the grid's north is true north."""
    turned = shapely.affinity.rotate(shape, -azimuth_deg, origin=(0, 0))
    return shapely.affinity.translate(turned, 500_000, 4_999_800)


def rasterised(shape: shapely.Polygon) -> np.ndarray:
    """The traced outlines of a shape in pixels of 1 m."""
    west, south, east, north = (round(v) for v in shape.bounds)
    grid_map = rasterize(
        [shape], (north - south + 8, east - west + 8), transform=(1, 0, west - 4, 0, -1, north + 4), dtype="uint8"
    )
    features = traced(grid_map)
    ours = shapely.transform(
        features.geometry[features.code == 1],
        lambda xy: np.stack([(xy[:, 0] - 500_000) / 10 + west - 4, (xy[:, 1] - 5_000_000) / 10 + north + 4], axis=1),
    )
    return np.asarray(ours, dtype=object)


def square_one(shape: shapely.Polygon, tolerance_m: float = 1.0, min_iou: float = 0.85) -> Squared:
    return square(np.array([shape], dtype=object), UTM, SquaringRules(tolerance_m, min_iou))


@pytest.mark.parametrize("azimuth_deg", [0, 7, 30, 45, 71, 90, 120, 179])
@pytest.mark.parametrize("shape", [shapely.box(0, 0, 20, 30), L_SHAPE], ids=["box", "L"])
def test_a_rasterised_building_gets_its_walls_back(shape: shapely.Polygon, azimuth_deg: float) -> None:
    truth = placed(shape, azimuth_deg)
    (staircase,) = rasterised(truth)
    result = square_one(staircase)
    (outline,) = result.geometry
    assert result.squared.all()
    assert len(outline.exterior.coords) == len(shape.exterior.coords)
    iou = outline.intersection(truth).area / outline.union(truth).area
    assert iou >= staircase.intersection(truth).area / staircase.union(truth).area - 1e-9
    assert iou > 0.93
    xy = np.diff(shapely.get_coordinates(outline), axis=0)
    cosine = (xy * np.roll(xy, 1, axis=0)[:, :]).sum(axis=1)[1:] / np.prod(np.hypot(*xy.T)[1:])
    assert np.abs(cosine).max() < 1e-3


def test_attributes_by_hand() -> None:
    result = square_one(placed(shapely.box(0, 0, 10, 40), 30))
    # The scale on the central meridian is 0.9996.
    assert result.area_m2[0] == pytest.approx(400 / 0.9996**2, rel=1e-5)
    assert result.area_change_m2[0] == pytest.approx(0, abs=1e-6)
    assert result.orientation_deg[0] == pytest.approx(30, abs=0.01)
    assert result.compactness[0] == pytest.approx(4 * math.pi * 400 / 100**2)
    assert result.iou[0] == pytest.approx(1)


@pytest.mark.parametrize("crs", TRANSFORMS)
def test_a_right_angle_is_one_on_the_ground_in_any_crs(crs: str) -> None:
    """A square of 40 m, turned by 30 degrees on the ground, whose outline in degrees is a parallelogram."""
    system = CRS.from_user_input(crs)
    back = Transformer.from_crs(4326, system, always_xy=True)
    lon, lat = Transformer.from_crs(system, 4326, always_xy=True).transform(*(TRANSFORMS[crs] @ (5, 5)))
    geod = system.get_geod()
    corners = [geod.fwd(lon, lat, 30 + turn, 20 * math.sqrt(2))[:2] for turn in (45, 135, 225, 315)]
    polygon = shapely.Polygon([back.transform(*corner) for corner in corners])
    result = square(np.array([polygon], dtype=object), system, SquaringRules(1.0))
    assert result.orientation_deg[0] % 90 == pytest.approx(30, abs=0.05)
    assert result.area_m2[0] == pytest.approx(1600, rel=1e-3)
    assert result.iou[0] > 0.999


def test_known_areas_are_scaled() -> None:
    (staircase,) = rasterised(placed(shapely.box(0, 0, 20, 30), 30))
    polygons = np.array([staircase], dtype=object)
    plain = square(polygons, UTM, SquaringRules(1.0))
    known = square(polygons, UTM, SquaringRules(1.0), np.array([1000.0]))
    traced_m2 = plain.area_m2 - plain.area_change_m2
    np.testing.assert_allclose(known.area_m2, 1000 * plain.area_m2 / traced_m2)
    np.testing.assert_allclose(known.area_m2 - known.area_change_m2, 1000)


def test_a_courtyard_stays() -> None:
    court = shapely.Polygon(shapely.box(0, 0, 40, 40).exterior, [shapely.box(12, 12, 28, 28).exterior])
    (staircase,) = rasterised(placed(court, 20))
    (outline,) = square_one(staircase).geometry
    assert [len(ring.coords) for ring in (outline.exterior, *outline.interiors)] == [5, 5]


def test_the_guard_keeps_the_traced_outline_to_the_last_digit() -> None:
    (round_hut,) = rasterised(placed(shapely.Point(0, 0).buffer(4)))
    strict = square_one(round_hut, tolerance_m=2.0, min_iou=0.999)
    assert shapely.to_wkb(strict.geometry[0]) == shapely.to_wkb(round_hut)
    assert (strict.squared[0], strict.area_change_m2[0], strict.iou[0]) == (False, 0, 1)
    assert strict.summary.kept_by_guard == 1


def test_nothing_is_dropped_and_every_row_is_counted_once() -> None:
    bowtie = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    spike = shapely.Polygon([(0, 0), (20, 0), (20, 10), (30, 10), (20, 10), (20, 20), (0, 20)])
    two = shapely.MultiPolygon([shapely.box(0, 0, 9, 9), shapely.box(20, 0, 29, 9)])
    shapes = [placed(s) if s else s for s in (L_SHAPE, bowtie, None, two, spike)] + [shapely.Polygon()]
    result = square(np.array(shapes, dtype=object), UTM, SquaringRules(1.0))
    s = result.summary
    assert len(result.geometry) == len(shapes)
    assert s.squared + s.kept_by_guard + s.kept_invalid + s.not_polygons == len(shapes)
    # A bow tie is made valid as two triangles, an outline with a spike as an outline and a line.
    assert (s.repaired, s.not_polygons) == (2, 5)
    assert s.squared == int(result.squared.sum()) == 1
    assert np.isnan(result.area_m2[1:]).all()


def test_overlaps_are_counted() -> None:
    boxes = np.array([placed(shapely.box(0, 0, 20, 20)), placed(shapely.box(15, 0, 40, 20))], dtype=object)
    summary = square(boxes, UTM, SquaringRules(1.0)).summary
    assert summary.overlaps == 1
    assert summary.overlap_m2 == pytest.approx(100, rel=1e-3)


def test_no_footprints_are_no_trouble() -> None:
    assert square(np.empty(0, dtype=object), UTM, SquaringRules(1.0)).summary.as_json()["squared"] == 0


@settings(max_examples=40)
@pytest.mark.parametrize("crs", TRANSFORMS)
@given(labels=label_maps(14), tolerance_px=st.floats(0.5, 3), min_iou=st.floats(0, 1))
def test_laws(crs: str, labels: np.ndarray, tolerance_px: float, min_iou: float) -> None:
    grid = grid_of(labels, crs)
    before = traced(labels, grid=grid)
    rules = SquaringRules(tolerance_px * grid.gsd_m, min_iou)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = square(before.geometry, grid.pyproj_crs, rules, before.area_m2)
    assert shapely.is_valid(result.geometry).all()
    assert (shapely.get_type_id(result.geometry) == shapely.GeometryType.POLYGON).all()
    assert (result.iou >= min_iou).all()
    kept = ~result.squared
    assert shapely.to_wkb(result.geometry[kept]).tolist() == shapely.to_wkb(before.geometry[kept]).tolist()
    common = shapely.area(shapely.intersection(result.geometry, before.geometry))
    union = shapely.area(shapely.union(result.geometry, before.geometry))
    np.testing.assert_allclose(result.iou, common / union, rtol=1e-5)
    np.testing.assert_allclose(result.area_m2 - result.area_change_m2, before.area_m2)
    assert (result.area_m2 > 0).all()
    assert ((result.orientation_deg >= 0) & (result.orientation_deg < 180)).all()
    assert ((result.compactness > 0) & (result.compactness <= 1)).all()
    again = square(before.geometry, grid.pyproj_crs, rules, before.area_m2)
    assert shapely.to_wkb(again.geometry).tolist() == shapely.to_wkb(result.geometry).tolist()


@pytest.mark.parametrize("corners", [3, 6, 9])
def test_common_areas_are_those_of_an_overlay(corners: int) -> None:
    random = np.random.default_rng(corners)

    def stars() -> np.ndarray:
        angle = np.sort(random.uniform(0, 2 * np.pi, (150, corners)), axis=1)
        radius = random.uniform(0.3, 1, (150, corners))
        xy = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=2) + random.normal(0, 0.2, (150, 1, 2))
        return np.array([shapely.Polygon(ring) for ring in xy], dtype=object)

    a, b = stars(), stars()
    valid = shapely.is_valid(a) & shapely.is_valid(b)
    a, b = shapely.orient_polygons(a[valid]), shapely.orient_polygons(b[valid])
    (_, xy, (rings, parts)), (_, other, (other_rings, _)) = shapely.to_ragged_array(a), shapely.to_ragged_array(b)
    rings, other_rings, parts = (np.asarray(offsets, np.int64) for offsets in (rings, other_rings, parts))
    common = common_areas(xy, rings, other, other_rings, parts)
    np.testing.assert_allclose(common, shapely.area(shapely.intersection(a, b)), atol=1e-12)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"tolerance_m": 0}, "tolerance"),
        ({"tolerance_m": math.nan}, "tolerance"),
        ({"tolerance_m": 1, "min_iou": 1.1}, "IoU"),
        ({"tolerance_m": 1, "snap_deg": 46}, "snap"),
    ],
)
def test_rules_are_checked(options: dict[str, float], error: str) -> None:
    with pytest.raises(UsageError, match=error):
        SquaringRules(**options)
