from __future__ import annotations

import json

import pytest

from command_line import fresh_process

HEAVY = ("torch", "rasterio", "prefect", "dask", "distributed", "geopandas", "numba", "openvino", "xarray")
COMMANDS = (
    "demo",
    "run",
    "segment",
    "change",
    "vectorise",
    "indicators",
    "models",
    "models list",
    "serve",
    "train",
    "info",
    "version",
)

LOADED = f"""
import json, sys
print(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))), file=sys.stderr)
"""
HELP = f"""
from aisf_geo.cli.main import main
try:
    main()
finally:
    {LOADED.replace(chr(10), chr(10) + "    ")}
"""


def test_importing_the_package_loads_nothing_heavy() -> None:
    ended = fresh_process(program="import aisf_geo" + LOADED)
    assert (ended.code, json.loads(ended.err)) == (0, [])


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_asking_for_help_loads_nothing_heavy(command: str) -> None:
    ended = fresh_process(*command.split(), "--help", program=HELP)
    assert ended.code == 0
    assert ended.out.startswith("Usage:")
    assert json.loads(ended.err) == []


def test_the_check_sees_what_is_loaded() -> None:
    ended = fresh_process(program="import rasterio" + LOADED)
    assert json.loads(ended.err) == ["rasterio"]


def test_the_pipeline_does_not_load_the_flow_engine() -> None:
    ended = fresh_process(program="import aisf_geo.pipeline.run" + LOADED)
    assert "prefect" not in json.loads(ended.err)
    assert "torch" not in json.loads(ended.err)
