"""What every report of a benchmark says of itself, and where it is kept."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
#: More runnable processes than this for each core, and the machine does not belong to the benchmark alone.
BUSY_PER_CORE = 0.75


def about() -> dict[str, Any]:
    """Date, machine, how busy it was before the start, and the commit."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{len(names)} x {names[0]}, Python {platform.python_version()}",
        "load_per_core": round(load, 2),
        "machine_is_shared": load > BUSY_PER_CORE,
        "commit": commit(),
    }


def commit() -> str:
    """Of the code that was measured, with a mark where it is not what is committed."""
    git = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def keep(name: str, report: dict[str, Any]) -> None:
    """Store a report as ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
