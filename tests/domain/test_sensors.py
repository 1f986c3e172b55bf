from __future__ import annotations

import pytest

from aisf_geo.domain.sensors import SCL_OBSCURED, SENSORS, Scl, sensor, sentinel2_offset
from aisf_geo.errors import UsageError


@pytest.mark.parametrize(
    ("baseline", "applied", "offset"),
    [
        (None, False, 0.0),
        ("02.08", False, 0.0),
        ("03.01", False, 0.0),
        ("04.00", False, -0.1),
        ("05.09", False, -0.1),
        ("05.10", False, -0.1),
        ("05.09", True, 0.0),
        ("02.08", True, 0.0),
    ],
)
def test_sentinel_2_numbers_are_shifted_from_baseline_4_unless_the_provider_undid_it(
    baseline: str | None, applied: bool, offset: float
) -> None:
    assert sentinel2_offset(baseline, applied) == offset


def test_a_baseline_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="'new'"):
        sentinel2_offset("new")


@pytest.mark.parametrize(
    ("product", "name", "common"),
    [
        ("sentinel-2-l2a", "B08", "nir"),
        ("sentinel-2-l2a", "b8a", "nir08"),
        ("sentinel-2-l2a", "B11", "swir16"),
        ("sentinel-2-l2a", "red", "red"),
        ("landsat-c2-l2", "SR_B4", "red"),
        ("landsat-c2-l2", "SR_B5", "nir"),
        ("landsat-c2-l2", "SR_B7", "swir22"),
        ("landsat-7-dn", "B6", "lwir"),
        ("landsat-7-dn", "B7", "swir22"),
        ("landsat-7-dn", "B8", None),
    ],
)
def test_bands_of_a_product_are_known_by_their_common_names(product: str, name: str, common: str | None) -> None:
    assert sensor(product).common_name(name) == common


@pytest.mark.parametrize(("number", "reflectance"), [(7273, 0.0000075), (43636, 0.99999)])
def test_landsat_collection_2_numbers_span_reflectance_0_to_1_as_the_product_guide_says(
    number: int, reflectance: float
) -> None:
    """LSDS-1619: the valid range 7273..43636 is 0..1 by 0.0000275 and -0.2."""
    profile = sensor("landsat-c2-l2")
    assert number * profile.scale + profile.offset == pytest.approx(reflectance, abs=1e-6)


def test_scene_classes_through_which_the_ground_is_seen_are_not_obscured() -> None:
    seen = {Scl.DARK_AREA, Scl.VEGETATION, Scl.NOT_VEGETATED, Scl.WATER, Scl.UNCLASSIFIED, Scl.SNOW_OR_ICE}
    assert set(Scl) - set(SCL_OBSCURED) == seen


@pytest.mark.parametrize("profile", SENSORS.values(), ids=lambda p: p.id)
def test_no_profile_names_a_band_twice(profile) -> None:  # type: ignore[no-untyped-def]
    names = [n.lower() for band in profile.bands for n in (band.name, *band.product_names)]
    assert len(names) == len(set(names))


def test_an_unknown_sensor_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"asked for 'sentinel-9'.*sentinel-2-l2a.*landsat-c2-l2"):
        sensor("sentinel-9")
