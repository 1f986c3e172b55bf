"""aisf_geo: satellite and aerial imagery to maps, features and SDG indicators that can be defended.

Importing this package loads nothing heavy; each public name brings what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisf_geo.domain.grid import Grid
    from aisf_geo.domain.indicator import IndicatorValue
    from aisf_geo.domain.legend import Legend
    from aisf_geo.domain.period import Period
    from aisf_geo.domain.raster import Raster
    from aisf_geo.errors import AisfGeoError
    from aisf_geo.ingest.catalog import open_catalog
    from aisf_geo.ingest.read import read_window
    from aisf_geo.pipeline.plan import plan_run
    from aisf_geo.pipeline.run import run
    from aisf_geo.recipe import read_recipe

__version__ = "0.1.0"

_HOMES = {
    "AisfGeoError": "aisf_geo.errors",
    "Grid": "aisf_geo.domain.grid",
    "IndicatorValue": "aisf_geo.domain.indicator",
    "Legend": "aisf_geo.domain.legend",
    "Period": "aisf_geo.domain.period",
    "Raster": "aisf_geo.domain.raster",
    "open_catalog": "aisf_geo.ingest.catalog",
    "plan_run": "aisf_geo.pipeline.plan",
    "read_recipe": "aisf_geo.recipe",
    "read_window": "aisf_geo.ingest.read",
    "run": "aisf_geo.pipeline.run",
}

__all__ = [
    "AisfGeoError",
    "Grid",
    "IndicatorValue",
    "Legend",
    "Period",
    "Raster",
    "__version__",
    "open_catalog",
    "plan_run",
    "read_recipe",
    "read_window",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'aisf_geo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
