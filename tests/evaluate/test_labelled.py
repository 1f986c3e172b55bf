from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from aisf_geo.errors import BandError, DataError, NoDataError, UnreadableError, UsageError
from aisf_geo.evaluate.archives import archive_patches
from aisf_geo.evaluate.labelled import find_change_pairs, find_pairs
from aisf_geo.evaluate.places import split_of

RGB = ("red", "green", "blue")


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def save_tif(path: Path, values: np.ndarray, names: tuple[str, ...] = (), **profile: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = {"count": len(values), "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype.name}
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32631", transform=(1, 0, 0, 0, -1, 9), **shape, **profile
    ) as d:
        d.write(values)
        if names:
            d.descriptions = names


def image(height: int = 4, width: int = 5) -> np.ndarray:
    return np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)


def test_masks_lie_beside_their_images_or_in_a_folder_of_their_own(tmp_path: Path) -> None:
    save(tmp_path / "town/one.png", image())
    save(tmp_path / "north/a.jpg", image())
    save(tmp_path / "north/a.png", np.zeros((4, 5), np.uint8))
    save(tmp_path / "south/images/b.png", image())
    save(tmp_path / "south/masks/b.png", np.ones((4, 5), np.uint8))
    found = find_pairs(tmp_path)
    assert [(pair.name, pair.place) for pair in found] == [("north/a", "north"), ("south/images/b", "south")]
    labelled = found[1].read(("blue", "red"))
    assert np.array_equal(labelled.raster.values, np.moveaxis(image(), -1, 0)[[2, 0]])
    assert labelled.truth.tolist() == np.ones((4, 5)).tolist()


def test_the_place_of_a_chip_is_its_sheet(tmp_path: Path) -> None:
    for name in ("x1", "x2"):
        save(tmp_path / f"images/{name}.png", image())
        save(tmp_path / f"masks/{name}.png", np.zeros((4, 5), np.uint8))
    with (tmp_path / "chips.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("chip", "source_sheet"), ("x1", "s7"), ("x2", "s8")])
    assert [pair.place for pair in find_pairs(tmp_path)] == ["s7", "s8"]


def test_named_bands_scale_and_nodata_of_a_file_are_respected(tmp_path: Path) -> None:
    values = np.array([[[1000, 0], [2000, 3000]], [[500, 0], [600, 700]]], np.uint16)
    save_tif(tmp_path / "a.tif", values, ("nir", "green"), nodata=0)
    with rasterio.open(tmp_path / "a.tif", "r+") as dataset:
        dataset.scales = (1e-4, 1e-4)
    save(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    raster = find_pairs(tmp_path)[0].read(("green", "nir")).raster
    assert np.allclose(raster.values[:, 1, 1], [0.07, 0.3])
    assert raster.valid.tolist() == [[True, False], [True, True]]
    with pytest.raises(BandError, match="needs the bands red, found nir, green"):
        find_pairs(tmp_path)[0].read(("red",))


def test_triples_of_change_are_found(tmp_path: Path) -> None:
    for folder in ("A", "B", "label"):
        save(tmp_path / "town" / folder / "x.png", np.zeros((4, 5), np.uint8))
    (pair,) = find_change_pairs(tmp_path)
    assert (pair.name, pair.place, pair.mask.parent.name) == ("town/x", "town", "label")


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", image())
    save(tmp_path / "a.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(DataError, match=r"has 5 x 5 px, its image a\.jpg has 5 x 4"):
        find_pairs(tmp_path)[0].read(RGB)


def test_a_mask_in_colour_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", image())
    save(tmp_path / "a.png", image())
    with pytest.raises(DataError, match="one band of 8-bit class codes, found 3"):
        find_pairs(tmp_path)[0].read(RGB)


def test_reflectance_that_is_nan_is_refused_where_it_is_labelled(tmp_path: Path) -> None:
    values = np.full((1, 2, 2), 0.1, np.float32)
    values[0, 0, 0] = np.nan
    save_tif(tmp_path / "a.tif", values, ("nir",))
    save(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="1 labelled pixels are NaN"):
        find_pairs(tmp_path)[0].read(("nir",))
    save(tmp_path / "a.png", np.array([[255, 0], [0, 0]], np.uint8))
    assert find_pairs(tmp_path)[0].read(("nir",)).truth[0, 0] == 255


@pytest.mark.parametrize(("find", "what"), [(find_pairs, "pairs of image and mask"), (find_change_pairs, "for change")])
def test_a_folder_without_pairs_is_refused_with_what_was_expected(find: object, what: str, tmp_path: Path) -> None:
    save(tmp_path / "a.jpg", image())
    with pytest.raises(NoDataError, match=what):
        find(tmp_path)  # type: ignore[operator]


def test_a_missing_folder_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="no such folder"):
        find_pairs(tmp_path / "gone")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    values = np.full((30, 11, 3, 3), 800, np.int16)
    values[:, 7] = 64
    values[:, 7, 0] = [64 | 2, 64 | 8, 64 | 16]
    values[:, 9] = 30
    values[:, 7, 2, 2] = 255
    water = np.zeros((30, 3, 3), np.uint8)
    np.savez(tmp_path / "patches.npz", values=values, water=water, ids=np.arange(30)[::-1])
    return tmp_path


def test_patches_are_in_contiguous_folds_by_id(archive: Path) -> None:
    found = archive_patches(archive, "water")
    assert [p.name for p in found] == [f"{i:04d}" for i in range(30)]
    assert [p.place for p in found] == [f"fold-{i // 2 + 1}" for i in range(30)]
    assert split_of("landcover_30m", [p.place for p in found], "test") == {"fold-13", "fold-14", "fold-15"}


def test_a_patch_answers_the_question_of_the_head(archive: Path) -> None:
    clouds = archive_patches(archive, "cloud")[0].read(("nir", "blue"))
    assert clouds.truth[0].tolist() == [1, 2, 3]
    assert not clouds.raster.valid[2, 2]
    assert np.allclose(clouds.raster.values[:, 0, 0], 0.08)
    assert (archive_patches(archive, "landuse")[0].read(("nir",)).truth == 30).all()
    with pytest.raises(UsageError, match="labelled for water, landuse, cloud, asked for 'road'"):
        archive_patches(archive, "road")


def test_an_archive_of_another_kind_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(3))
    with pytest.raises(DataError, match="holds a; expected"):
        archive_patches(tmp_path, "water")


def test_every_fifth_sheet_from_the_first_is_kept_apart() -> None:
    sheets = [f"s{i:02d}" for i in range(12)]
    assert split_of("roads", sheets, "test") == {"s00", "s05", "s10"}
    assert not split_of("roads", sheets, "train") & split_of("roads", sheets, "test")


@pytest.mark.parametrize(
    ("dataset", "split", "message"),
    [
        ("mine", "test", "has no fixed places"),
        ("roads", "tset", "known are all"),
        ("buildings", "test", "has no test place"),
    ],
)
def test_a_split_that_is_not_there_is_refused(dataset: str, split: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        split_of(dataset, ["somewhere"], split)
