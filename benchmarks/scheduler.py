"""The whole land surface at 10 m on up to 1,000 workers: the arithmetic, and the scheduler simulated without a pixel.

::

    python benchmarks/scheduler.py
    python benchmarks/scheduler.py --tasks 20000 --workers 2   # also measures a real local scheduler

Each number is printed with what it follows from. The simulation is of events: workers ask for a block, compute it for a
time drawn around its mean, die now and then and come back; one scheduler serves requests one after the other, at the
pace measured on a real `distributed` scheduler with tasks of the size the engine sends (then the report is also kept in
`benchmarks/results/scheduler.json`).
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import pickle
import random
import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from measured import about, keep

#: Land without Antarctica and inland water, km2 (CIA World Factbook: land 148.94e6 less Antarctica 14.2e6).
LAND_KM2 = 134.7e6
GSD_M = 10.0
BLOCK_PX = 1024
BANDS = 4
#: Share of blocks that a tile grid and coastlines add: Sentinel-2 tiles of 109.8 km overlap their 100 km squares.
TILE_OVERLAP = (109.8 / 100) ** 2
#: Bytes of a 16-bit pixel after lossless compression; of one map pixel in labels and confidence with overviews.
BYTES_PER_SAMPLE = 1.3
BYTES_PER_OUTPUT_PX = 1.2
#: Range requests to open a COG and read a block with its halo: the header, then one for each band and row of tiles.
REQUESTS_PER_BLOCK = 2 + BANDS * 3
#: Prices differ by provider and change: stated so that they can be replaced. USD per core hour, per 1,000 GET requests.
USD_PER_CORE_HOUR = 0.04
USD_PER_1000_REQUESTS = 0.0004
CORES_PER_WORKER = 2


@dataclass(frozen=True)
class Load:
    """What the work amounts to, and what it asks of each part."""

    blocks: float
    read_tb: float
    written_tb: float
    requests: float
    worker_hours: float
    hours: float
    read_gb_per_s: float
    requests_per_s: float
    tasks_per_s: float
    usd_compute: float
    usd_requests: float


def arithmetic(seconds_per_block: float, workers: int) -> Load:
    """The load of one pass over the land, from the seconds a worker takes for a block."""
    pixels = LAND_KM2 * 1e6 / GSD_M**2 * TILE_OVERLAP
    blocks = pixels / BLOCK_PX**2
    halo = ((BLOCK_PX + 128) / BLOCK_PX) ** 2
    seconds = blocks * seconds_per_block / workers
    read_bytes = pixels * halo * BANDS * BYTES_PER_SAMPLE
    requests = blocks * REQUESTS_PER_BLOCK
    worker_hours = blocks * seconds_per_block / 3600
    return Load(
        blocks=round(blocks),
        read_tb=round(read_bytes / 1e12, 1),
        written_tb=round(pixels * BYTES_PER_OUTPUT_PX / 1e12, 2),
        requests=round(requests),
        worker_hours=round(worker_hours),
        hours=round(seconds / 3600, 3),
        read_gb_per_s=round(read_bytes / seconds / 1e9, 2),
        requests_per_s=round(requests / seconds),
        tasks_per_s=round(workers / seconds_per_block),
        usd_compute=round(worker_hours * CORES_PER_WORKER * USD_PER_CORE_HOUR),
        usd_requests=round(requests / 1000 * USD_PER_1000_REQUESTS),
    )


@dataclass(frozen=True)
class Simulated:
    """How a simulated run ended.

    Attributes:
        efficiency: computing time that was not lost, over workers times duration.
        scheduler_busy: share of the time the scheduler was busy.
        recomputed: blocks that were in flight on a worker that died.
        most_known: largest number of tasks the scheduler knew of at once.
    """

    workers: int
    tasks: int
    hours: float
    efficiency: float
    scheduler_busy: float
    recomputed: int
    most_known: int


def simulate(
    workers: int, tasks: int, seconds_per_block: float, scheduler_s: float, days_between_deaths: float, in_flight: int
) -> Simulated:
    """Events of one run; a worker holds ``in_flight`` tasks and computes one at a time.

    The scheduler takes ``scheduler_s`` for a task: submit, assign, result. A worker lives ``days_between_deaths`` on
    average, then is away for two minutes, and its tasks go to others.
    """
    rng = random.Random(0)  # noqa: S311 - a simulation that repeats
    left, done, recomputed, clock, busy, scheduler_free = tasks, 0, 0, 0.0, 0.0, 0.0
    # When each task that a worker holds reached it.
    held: list[deque[float]] = [deque() for _ in range(workers)]
    death = [rng.expovariate(1 / (days_between_deaths * 86400)) for _ in range(workers)]
    events: list[tuple[float, int]] = []

    def hand_out(worker: int, at: float) -> None:
        nonlocal left
        if left > 0:
            left -= 1
            held[worker].append(at)

    def start(worker: int, now: float) -> None:
        if held[worker]:
            begins = max(now, held[worker].popleft())
            heapq.heappush(events, (begins + seconds_per_block * rng.uniform(0.7, 1.3), worker))

    for worker in range(workers):
        for _ in range(in_flight):
            hand_out(worker, rng.uniform(0, seconds_per_block))
        start(worker, 0.0)
    while events:
        clock, worker = heapq.heappop(events)
        if clock >= death[worker]:
            lost = len(held[worker]) + 1
            held[worker].clear()
            recomputed += lost
            left += lost
            back = clock + 120
            death[worker] = back + rng.expovariate(1 / (days_between_deaths * 86400))
            for _ in range(in_flight):
                hand_out(worker, back)
            start(worker, back)
            continue
        done += 1
        # The scheduler takes in the result and hands out the next task, after those who came before.
        scheduler_free = max(scheduler_free, clock) + scheduler_s
        busy += scheduler_s
        hand_out(worker, scheduler_free)
        start(worker, clock)
    return Simulated(
        workers=workers,
        tasks=done,
        hours=round(clock / 3600, 3),
        efficiency=round(done * seconds_per_block / (workers * clock), 4),
        scheduler_busy=round(busy / clock, 4),
        recomputed=recomputed,
        most_known=workers * in_flight,
    )


def measured_scheduler(tasks: int, workers: int) -> dict[str, Any]:
    """What a real scheduler on this machine takes for a task of the engine's size that does nothing."""
    from distributed import Client, LocalCluster

    from aisf_geo.pipeline.mapper import DaskMap

    payload = [(number, os.urandom(2000)) for number in range(tasks)]
    with (
        LocalCluster(n_workers=workers, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        mapper = DaskMap(client)
        sum(1 for _ in mapper(_nothing, payload[:200], _never))
        started, cpu = time.perf_counter(), time.process_time()
        count = sum(1 for _ in mapper(_nothing, payload, _never))
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    return {
        "tasks": count,
        "task_bytes": len(pickle.dumps(payload[0])),
        "seconds": round(seconds, 2),
        "tasks_per_s": round(count / seconds),
        "scheduler_and_client_cpu_ms_per_task": round(1000 * cpu_seconds / count, 3),
    }


def _nothing(task: tuple[int, bytes]) -> int:
    return task[0]


def _never(_task: object, reason: str) -> int:
    raise RuntimeError(reason)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds-per-block", type=float, default=0.6, help="of one worker with two cores")
    parser.add_argument("--scheduler-ms", type=float, help="of the scheduler per task  [default: measured here]")
    parser.add_argument("--tasks", type=int, default=5000, help="tasks for measuring the scheduler; 0: do not")
    parser.add_argument("--workers", type=int, default=2, help="workers for measuring the scheduler")
    options = parser.parse_args()
    measured = measured_scheduler(options.tasks, options.workers) if options.tasks else None
    cost_ms = options.scheduler_ms or (measured or {}).get("scheduler_and_client_cpu_ms_per_task") or 1.0
    load = arithmetic(options.seconds_per_block, 1000)
    whole = int(load.blocks)
    # Where nothing is full, a tenth of the tasks tells as much.
    counts = {300: whole // 10, 1000: whole, 3000: whole}
    runs = [simulate(n, tasks, options.seconds_per_block, cost_ms / 1000, 7, 3) for n, tasks in counts.items()]
    fragile = simulate(1000, whole, options.seconds_per_block, cost_ms / 1000, 0.25, 3)
    report = about() | {
        "assumed": {
            "land_km2": LAND_KM2,
            "gsd_m": GSD_M,
            "bands": BANDS,
            "block_px": BLOCK_PX,
            "seconds_per_block": options.seconds_per_block,
            "scheduler_ms_per_task": cost_ms,
        },
        "measured_scheduler": measured,
        "load_1000_workers": asdict(load),
        "simulated": [asdict(run) for run in runs],
        "workers_that_live_six_hours": asdict(fragile),
    }
    if measured:
        keep("scheduler", report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
