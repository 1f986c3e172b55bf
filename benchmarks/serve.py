"""Requests a second and p99 of a box query of about 50 features: both stores of `aisf-geo serve`, and tipg.

    scripts/need-postgis python benchmarks/serve.py --tipg /tmp/tipg-env/bin/python --seconds 60

tipg lives in an environment of its own (`python -m venv /tmp/tipg-env && /tmp/tipg-env/bin/pip install tipg uvicorn`).
tipg asks the same PostGIS. The servers are asked in turn, in rounds, over four connections that stay open; every
answer must be 200 with features.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import psycopg
import shapely
from measured import about, keep

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from aisf_geo.store.features import write_features
from served_run import make_run

FEATURES, IN_BOX, CONNECTIONS, ROUNDS = 100_000, 50, 4, 4
SIDE = round(FEATURES**0.5)
#: Metres from one feature to the next; a box that covers about IN_BOX of them.
STEP_M, WEST, SOUTH = 30.0, 600_000.0, 5_700_000.0


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--tipg", type=Path, help="Python of the environment that has tipg; left out without it.")
    options.add_argument("--seconds", type=float, default=60.0, help="Seconds for each server, over all rounds.")
    given = options.parse_args()
    before = about()
    dsn = os.environ.get("AISF_GEO_TEST_DATABASE")
    if not dsn:
        sys.exit("start me with scripts/need-postgis")
    with tempfile.TemporaryDirectory() as work:
        run = make_run(Path(work) / "town")
        _fill(run)
        command = [sys.executable, "-c", "from aisf_geo.cli.main import main; main()"]
        subprocess.run([*command, "publish", str(run), "--to", dsn], check=True, stdout=subprocess.DEVNULL)
        _plain_copy(dsn)
        servers = {"GeoPackage": _ours(command, run, []), "PostGIS": _ours(command, run, ["--database", dsn])}
        if given.tipg:
            servers["tipg"] = _tipg(given.tipg, dsn)
        try:
            figures = _measure({name: base for name, (base, _) in servers.items()}, given.seconds)
        finally:
            for _, process in servers.values():
                process.terminate()
    _tell(figures, before)


def _fill(run: Path) -> None:
    """Replace the features of the first scene by many, and those of the second by none near."""
    rows, cols = np.divmod(np.arange(FEATURES), SIDE)
    x, y = WEST + STEP_M * cols, SOUTH + STEP_M * rows
    table = geopandas.GeoDataFrame(
        {
            "id": [f"2020-06-30-{i}" for i in range(FEATURES)], "class": np.uint8(1), "class_name": "water",
            "area_m2": 400.0, "confidence": 0.9, "confidence_p10": 0.8, "datetime": "2020-06-30T00:00:00Z",
            "scene": "2020-06-30", "edge": False,
        },
        geometry=shapely.box(x, y, x + 20, y + 20), crs=32631,
    )  # fmt: skip
    (run / "items/2020-06-30/features.gpkg").unlink()
    (run / "items/2021-06-30/features.gpkg").unlink()
    write_features(run / "items/2020-06-30/features.gpkg", table)


def _plain_copy(dsn: str) -> None:
    """The same table in `public`, as tipg expects it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS public.features")
        connection.execute('CREATE TABLE public.features AS SELECT * FROM aisf_geo."town.features"')
        connection.execute("ALTER TABLE public.features ADD PRIMARY KEY (fid)")
        connection.execute("CREATE INDEX ON public.features USING gist (geom)")
        connection.execute("ANALYZE public.features")


def _ours(command: list[str], run: Path, more: list[str]) -> tuple[str, subprocess.Popen[bytes]]:
    log = tempfile.TemporaryFile()  # noqa: SIM115  as long as the server
    process = subprocess.Popen([*command, "serve", str(run), "--port", "0", *more], stderr=log)
    while True:
        log.seek(0)
        if found := re.search(rb"serving (http://127\.0\.0\.1:\d+)/", log.read()):
            return f"{found[1].decode()}/collections/town.features/items", process
        if process.poll() is not None:
            sys.exit("the server ended")
        time.sleep(0.2)


def _tipg(python: Path, dsn: str) -> tuple[str, subprocess.Popen[bytes]]:
    port = 18_997
    environment = {**os.environ, "DATABASE_URL": dsn, "TIPG_DB_SCHEMAS": '["public"]'}
    command = [str(python), "-m", "uvicorn", "tipg.main:app", "--port", str(port), "--no-access-log"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}/collections/public.features/items"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{base}?limit=1")  # noqa: S310  an address of this script
            break
        except OSError:
            time.sleep(0.2)
    return base, process


def _boxes(count: int) -> list[str]:
    """Boxes that hold about IN_BOX features each, anywhere, as text in degrees."""
    side = STEP_M * IN_BOX**0.5
    rng = np.random.default_rng(1)
    far = STEP_M * SIDE - side
    corners = np.array([WEST, SOUTH]) + far * rng.random((count, 2))
    boxes = geopandas.GeoSeries(shapely.box(*corners.T, *(corners + side).T), crs=32631).to_crs(4326).bounds
    return [",".join(f"{v:.6f}" for v in row) for row in boxes.itertuples(index=False)]


def _measure(bases: dict[str, str], seconds: float) -> dict[str, dict[str, float]]:
    boxes = _boxes(5000)
    taken: dict[str, list[float]] = {name: [] for name in bases}
    elapsed = dict.fromkeys(bases, 0.0)
    features = dict.fromkeys(bases, 0)
    errors = dict.fromkeys(bases, 0)
    for name in bases:
        asyncio.run(_load(bases[name], boxes[:200], 2.0))
    for _ in range(ROUNDS):
        for name, base in bases.items():
            started = time.perf_counter()
            times, got, bad = asyncio.run(_load(base, boxes, seconds / ROUNDS))
            elapsed[name] += time.perf_counter() - started
            taken[name] += times
            features[name] += got
            errors[name] += bad
    return {
        name: {
            "requests_per_s": round(len(taken[name]) / elapsed[name], 1),
            "p50_ms": round(1000 * float(np.percentile(taken[name], 50)), 2),
            "p99_ms": round(1000 * float(np.percentile(taken[name], 99)), 2),
            "features_per_answer": round(features[name] / max(len(taken[name]), 1), 1),
            "errors": errors[name],
            "seconds": round(elapsed[name], 1),
        }
        for name in bases
    }


async def _load(base: str, boxes: list[str], seconds: float) -> tuple[list[float], int, int]:
    host, port = re.match(r"http://([^:]+):(\d+)", base).groups()  # type: ignore[union-attr]
    path = base.partition(f":{port}")[2]
    end = time.perf_counter() + seconds
    counts = {"features": 0, "errors": 0}
    times: list[float] = []

    async def one(first: int) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        at = first
        while time.perf_counter() < end:
            started = time.perf_counter()
            asked = f"{path}?limit=100&f=geojson&bbox={boxes[at % len(boxes)]}"
            writer.write(f"GET {asked} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head.lower())
            body = await (reader.readexactly(int(size[1])) if size else _chunked(reader))
            times.append(time.perf_counter() - started)
            found = len(re.findall(rb'"Feature"', body))
            counts["features"] += found
            counts["errors"] += not (head.startswith(b"HTTP/1.1 200") and found)
            at += CONNECTIONS
        writer.close()

    await asyncio.gather(*(one(i) for i in range(CONNECTIONS)))
    return times, counts["features"], counts["errors"]


async def _chunked(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readline(), 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


def _tell(figures: dict[str, dict[str, float]], before: dict[str, Any]) -> None:
    report = {**before, "features": FEATURES, "connections": CONNECTIONS, "figures": figures}
    print(json.dumps(before))
    for name, row in figures.items():
        ratio = f", {row['requests_per_s'] / figures['tipg']['requests_per_s']:.2f} x tipg" if "tipg" in figures else ""
        print(f"{name:<11}{json.dumps(row)}{ratio}")
    keep("serve", report)


if __name__ == "__main__":
    main()
