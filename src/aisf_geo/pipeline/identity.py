"""What made a result: program, libraries, machine class. A resumed run must match it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

#: Libraries whose version can change a pixel or an area.
_LIBRARIES = (
    "numpy",
    "scipy",
    "rasterio",
    "pyproj",
    "shapely",
    "exactextract",
    "odc-stac",
    "numba",
    "torch",
    "openvino",
)


def numpy_identity() -> dict[str, Any]:
    """Runtime, precision and CPU class of the index methods: ``--resume`` refuses to mix them."""
    return {
        "runtime": "numpy",
        "precision": "fp32",
        "cpu": platform.machine(),
        "cpu_features": sorted(_cpu_features()),
        "threads": 1,
    }


def _cpu_features() -> list[str]:
    """The vector extensions numpy found; kernels are chosen by them."""
    import numpy as np

    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    return [str(name) for name in found]


def versions() -> dict[str, str]:
    """Program, Python and library versions."""
    known = {"aisf-geo": version("aisf-geo"), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            continue
    return known
