"""What all tests share: the sample tiles, a writer of tiny rasters, and how hypothesis behaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import settings

#: The same examples on every machine, and no limit on the time of one: a busy machine is not a bug.
settings.register_profile("aisf-geo", deadline=None, derandomize=True)
settings.load_profile("aisf-geo")

WriteTif = Callable[..., Path]


def pytest_configure(config: pytest.Config) -> None:
    # odc-geo 0.5 still uses what shapely 2.2 and affine 3 announce to remove; nothing of ours does.
    for message in (
        r"ignore:The 'shapely\.ops\.transform:DeprecationWarning",
        r"ignore:Use `@` matmul instead:PendingDeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", message)


@pytest.fixture(scope="session")
def sample_tiles() -> Path:
    return Path(__file__).parents[1] / "sample_tiles"


@pytest.fixture
def write_tif(tmp_path: Path) -> WriteTif:
    """Writes ``(band, y, x)`` or ``(y, x)`` numbers as a GeoTIFF, by default of 10 m pixels in UTM 31N."""

    def write(
        name: str,
        numbers: np.ndarray[Any, Any],
        *,
        names: tuple[str, ...] = (),
        scales: tuple[float, ...] = (),
        offsets: tuple[float, ...] = (),
        tags: dict[str, str] | None = None,
        **profile: Any,
    ) -> Path:
        layers = numbers if numbers.ndim == 3 else numbers[None]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 5_700_000)} | profile
        count, height, width = layers.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=layers.dtype, **said
        ) as dataset:
            for i, text in enumerate(names, start=1):
                dataset.set_band_description(i, text)
            if scales:
                dataset.scales = scales
            if offsets:
                dataset.offsets = offsets
            if tags:
                dataset.update_tags(**tags)
            dataset.write(layers)
        return path

    return write
