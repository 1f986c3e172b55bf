"""Small regions become part of their neighbours, as if the map had been drawn so."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_maps import TRANSFORMS, drawn, grid_of, label_maps, traced
from rasterio.features import rasterize

from aisf_geo.errors import UsageError
from aisf_geo.vectorise.absorb import absorb_small
from aisf_geo.vectorise.polygons import Features
from aisf_geo.vectorise.simplify import simplify

#: Area of a test pixel: 100 m2 planar, a little more on the ellipsoid.
PX_M2 = 100.05


def redrawn(features: Features, labels: np.ndarray, crs: str = "EPSG:32633") -> np.ndarray:
    if not len(features):
        return labels
    pairs = zip(features.geometry, features.code.tolist(), strict=True)
    return rasterize(pairs, labels.shape, fill=255, transform=grid_of(labels, crs).transform, dtype=np.uint8)


def test_a_speck_goes_to_the_neighbour_with_the_longest_common_border() -> None:
    labels = drawn(
        """
        00011
        00211
        00011
        """
    )
    result = absorb_small(traced(labels), 1.5 * PX_M2, grid_of(labels))
    assert redrawn(result.features, labels).tolist() == drawn("00011 00011 00011").tolist()
    assert list(result.moved_m2) == [(2, 0)]
    assert result.moved_m2[2, 0] == pytest.approx(100, rel=1e-2)
    assert (result.absorbed, result.isolated) == (1, 0)


def test_regions_that_meet_through_an_absorbed_one_become_one() -> None:
    labels = drawn("00100 00100")
    result = absorb_small(traced(labels), 3 * PX_M2, grid_of(labels))
    assert result.features.pixels.tolist() == [10]
    assert shapely.get_num_coordinates(result.features.geometry).tolist() == [5]


def test_a_region_without_neighbours_stays_and_is_counted() -> None:
    labels = drawn(
        """
        0..
        ..1
        ..1
        """
    )
    result = absorb_small(traced(labels), 9 * PX_M2, grid_of(labels))
    assert result.features.pixels.tolist() == [1, 2]
    assert (result.absorbed, result.isolated, result.moved_m2) == (0, 2, {})


def test_confidences_are_those_of_pixels_that_had_the_class() -> None:
    labels = drawn("000 010 000")
    confidence = np.where(labels == 1, 0, 254).astype(np.uint8)
    result = absorb_small(traced(labels, confidence=confidence), 2 * PX_M2, grid_of(labels))
    assert result.features.confidence.tolist() == [1.0]
    assert result.features.pixels.tolist() == [9]


def test_simplified_features_are_refused() -> None:
    labels = drawn("0111 0011 0001 0000")
    features = simplify(traced(labels), 20, grid_of(labels)).features
    with pytest.raises(UsageError, match="absorb before simplifying"):
        absorb_small(features, 1, grid_of(labels))


@settings(max_examples=60, deadline=None)
@given(label_maps(), st.integers(0, 12))
def test_absorbing_equals_tracing_the_map_redrawn(labels: np.ndarray, minimum_px: int) -> None:
    grid = grid_of(labels)
    before = traced(labels)
    result = absorb_small(before, minimum_px * PX_M2, grid)
    expected = traced(redrawn(result.features, labels))
    assert shapely.to_wkb(result.features.geometry).tolist() == shapely.to_wkb(expected.geometry).tolist()
    for name in ("code", "first_pixel", "last_row", "pixels", "perimeter_m", "open_border_share", "edge"):
        np.testing.assert_array_equal(result.features.columns()[name], expected.columns()[name], err_msg=name)
    np.testing.assert_allclose(result.features.area_m2, expected.area_m2, rtol=1e-12)
    small = result.features.area_m2 < minimum_px * PX_M2
    assert small.sum() == result.isolated
    assert (result.features.open_border_share[small] == 1).all()


@settings(max_examples=40, deadline=None)
@given(label_maps(), st.integers(1, 12))
def test_moved_areas_explain_the_class_totals(labels: np.ndarray, minimum_px: int) -> None:
    before = traced(labels)
    result = absorb_small(before, minimum_px * PX_M2, grid_of(labels))
    for code in np.unique(labels[labels != 255]).tolist():
        gained = sum(m2 for (_, to), m2 in result.moved_m2.items() if to == code)
        lost = sum(m2 for (origin, _), m2 in result.moved_m2.items() if origin == code)
        total_m2 = before.area_m2[before.code == code].sum() + gained - lost
        assert result.features.area_m2[result.features.code == code].sum() == pytest.approx(total_m2, abs=1e-6)


@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("crs", TRANSFORMS)
@given(labels=label_maps())
def test_a_minimum_of_nothing_changes_nothing_on_any_grid(crs: str, labels: np.ndarray) -> None:
    grid = grid_of(labels, crs)
    before = traced(labels, grid=grid)
    after = absorb_small(before, 0, grid).features
    assert shapely.to_wkb(after.geometry).tolist() == shapely.to_wkb(before.geometry).tolist()
    np.testing.assert_array_equal(after.area_m2, before.area_m2)
