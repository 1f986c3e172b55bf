"""Memory that does not grow with the scene, measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MEMORY = Path(__file__).parents[2] / "benchmarks" / "memory.py"


def measured(size: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, MEMORY, "--one", "--size", str(size)], capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_nine_classes_over_a_sentinel_2_tile_need_less_than_1_5_gib_and_a_larger_scene_as_much() -> None:
    tile, larger = measured(10_980), measured(14_000)
    assert (tile["coverage"], larger["coverage"]) == (1.0, 1.0)
    assert tile["peak_mb"] <= 1536
    assert larger["peak_mb"] == pytest.approx(tile["peak_mb"], rel=0.1)
