"""Things that go wrong during a run, each done to a real run in its own process, and what a resume makes of it.

Every fault is a function that starts the command line in a run folder, does the damage and returns what happened.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Runs the command line; ``CHAOS`` is JSON: seconds a block takes longer, bytes a file may have, error of the clock,
#: after how many blocks the run waits until it is let go on by a file.
START = """
import json, os, time
chaos = json.loads(os.environ.get("CHAOS", "{}"))
if "file_bytes" in chaos:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (chaos["file_bytes"],) * 2)
if "clock_s" in chaos:
    now, start = time.time, time.time()
    time.time = lambda: now() + (chaos["clock_s"] if now() - start > chaos.get("after_s", 0) else 0)
from aisf_geo.store.ledger import Ledger
record = Ledger.record
def slowly(self, block):
    time.sleep(chaos.get("block_s", 0))
    record(self, block)
    chaos["hold_at"] = chaos.get("hold_at", 0) - 1
    while chaos["hold_at"] == 0 and not os.path.exists(chaos["let_go"]):
        time.sleep(0.02)
Ledger.record = slowly
from aisf_geo.cli.main import main
main()
"""


@dataclass(frozen=True)
class Bench:
    """What is run: a tile of nine blocks, its undisturbed outcome, and where things are."""

    tile: Path
    whole: Path
    scratch: Path

    def arguments(self, out: Path, *more: str) -> list[str]:
        return ["segment", str(self.tile), "--method", "water", "--block-px", "128", "--out", str(out), *more]


@dataclass(frozen=True)
class Outcome:
    """One line of the table."""

    fault: str
    happened: str
    blocks_kept: int
    blocks_recomputed: int
    in_flight: int
    digests_equal: bool
    ledger_truthful: bool

    @property
    def good(self) -> bool:
        """Nothing lost, nothing silently wrong, no finished block computed twice beyond those in flight."""
        return self.digests_equal and self.ledger_truthful


Fault = Callable[[Bench, Path, random.Random], str]


def start(bench: Bench, out: Path, *more: str, under: tuple[str, ...] = (), **chaos: Any) -> subprocess.Popen[str]:
    env = os.environ | {"CHAOS": json.dumps(chaos)}
    return subprocess.Popen(
        [*under, sys.executable, "-c", START, *bench.arguments(out, *more)],
        env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> str:
    """Waits for the end; returns exit code and the last line."""
    _, err = process.communicate(timeout=300)
    lines = [line for line in err.splitlines() if line.startswith("error")]
    return f"exit {process.returncode}" + (f": {lines[-1][7:]}" if lines else "")


def recorded(out: Path) -> dict[str, str]:
    """Digest of each block the ledger has as finished."""
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
        return dict(ledger.execute("SELECT block, digest FROM block WHERE state != 'failed'"))
    return {}


def wait_for_blocks(process: subprocess.Popen[str], out: Path, count: int) -> None:
    """Until the ledger has ``count`` blocks or the process has ended."""
    while process.poll() is None and len(recorded(out)) < count:
        time.sleep(0.02)


@contextmanager
def held(bench: Bench, out: Path, blocks: int, *more: str, under: tuple[str, ...] = ()) -> Any:
    """A run that waits once it has ``blocks`` blocks, while the body does its damage, and then goes on."""
    let_go = bench.scratch / "let-go"
    let_go.unlink(missing_ok=True)
    process = start(bench, out, *more, under=under, hold_at=blocks, let_go=str(let_go))
    try:
        wait_for_blocks(process, out, blocks)
        yield process
    finally:
        let_go.touch()


def kill_flow(bench: Bench, out: Path, chance: random.Random) -> str:
    """The process of the run is killed."""
    process = start(bench, out, block_s=0.1)
    wait_for_blocks(process, out, chance.randint(1, 8))
    process.kill()
    return ended(process)


def kill_worker(bench: Bench, out: Path, chance: random.Random) -> str:
    """A Dask worker process is killed while it works; the run itself goes on or ends in one sentence."""
    import psutil

    with held(bench, out, chance.randint(1, 5), "--workers", "2") as process:
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [p for p in family if "spawn_main" in " ".join(p.cmdline())]
        chance.choice(workers).kill()
    return f"{len(workers)} workers, one killed; {ended(process)}"


def kill_scheduler(bench: Bench, out: Path, chance: random.Random) -> str:
    """A Dask scheduler started by hand is killed under the run."""
    with cluster(bench.scratch) as (address, scheduler):
        with held(bench, out, chance.randint(1, 5), "--scheduler", address) as process:
            scheduler.kill()
            scheduler.wait()
        try:
            return ended(process)
        except subprocess.TimeoutExpired:
            process.kill()
            return "did not notice; killed. " + ended(process)


def disk_full(bench: Bench, out: Path, chance: random.Random) -> str:
    """No file may grow beyond a few kilobytes."""
    return ended(start(bench, out, file_bytes=chance.randint(18_000, 40_000)))


def read_only(bench: Bench, out: Path, chance: random.Random) -> str:
    """Nothing may be written into the run folder any more, half-way; it may again for the resume."""
    # Root writes everywhere unless it lays that right down.
    humble = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    with held(bench, out, chance.randint(1, 6), under=humble) as process:
        folders = [out, *(p for p in out.rglob("*") if p.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
    try:
        return ended(process)
    finally:
        for folder in folders:
            folder.chmod(0o755)


def source_gone(bench: Bench, out: Path, chance: random.Random) -> str:
    """The imagery disappears half-way, and is back for the resume."""
    away = bench.tile.with_suffix(".away")
    with held(bench, out, chance.randint(1, 6)) as process:
        bench.tile.rename(away)
    try:
        return ended(process)
    finally:
        away.rename(bench.tile)


def clock_jumps(bench: Bench, out: Path, chance: random.Random) -> str:
    """The wall clock jumps by up to a year, in the middle, and the run is then killed."""
    jump = chance.choice((-1, 1)) * chance.randint(3_600, 31_536_000)
    process = start(bench, out, block_s=0.1, clock_s=jump, after_s=0.5)
    wait_for_blocks(process, out, chance.randint(3, 8))
    process.kill()
    return f"clock {jump:+,} s; {ended(process)}"


def two_writers(bench: Bench, out: Path, chance: random.Random) -> str:
    """A second run is started into the same folder."""
    with held(bench, out, chance.randint(1, 3)) as first:
        second = ended(start(bench, out, "--resume"))
    return f"second: {second}; first: {ended(first)}"


def damaged_block(bench: Bench, out: Path, chance: random.Random) -> str:
    """The run is killed and a finished block is overwritten with noise."""
    what = kill_flow(bench, out, chance)
    stored = sorted(out.glob("items/*/.blocks/*"))
    if stored:
        chance.choice(stored).write_bytes(chance.randbytes(500))
    return f"{what}; 1 of {len(stored)} stored blocks overwritten" if stored else what


FAULTS: dict[str, Fault] = {
    "kill -9 of the flow": kill_flow,
    "kill -9 of a worker": kill_worker,
    "kill -9 of the scheduler": kill_scheduler,
    "disk full": disk_full,
    "output read-only half-way": read_only,
    "source gone half-way": source_gone,
    "clock jump": clock_jumps,
    "two runs into one folder": two_writers,
    "stored block damaged": damaged_block,
}


@contextmanager
def cluster(scratch: Path, workers: int = 2) -> Any:
    """``dask scheduler`` and workers started by hand on the loopback; yields the address and the scheduler process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    here = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": scratch}
    scheduler = subprocess.Popen(
        [*here, "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"], **quiet
    )
    hands = [
        subprocess.Popen(
            [*here, "worker", address, "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"], **quiet
        )
        for _ in range(workers)
    ]
    try:
        yield address, scheduler
    finally:
        for process in (*hands, scheduler):
            process.terminate()
        for process in (*hands, scheduler):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def inflict(bench: Bench, name: str, out: Path, chance: random.Random, *, fresh: bool = True) -> Outcome:
    """Do one fault to a run, resume it, and compare with the run that nothing disturbed."""
    if fresh:
        shutil.rmtree(out, ignore_errors=True)
    happened = FAULTS[name](bench, out, chance).replace(str(out), "RUN").replace(str(bench.scratch), "")
    stored = {p.stem for p in out.glob("items/*/.blocks/*")}
    before = recorded(out)
    finished = {block for block in before if block in stored} if stored else set(before)
    begun = out.exists() and any(out.iterdir())
    resumed = subprocess.run(
        [sys.executable, "-c", START, *bench.arguments(out, "--json", *(["--resume"] if begun else []))],
        capture_output=True,
        text=True,
        check=False,
    )
    computed = json.loads(resumed.stdout)["items"][0]["computed"] if resumed.returncode == 0 else -1
    whole = recorded(bench.whole)
    return Outcome(
        fault=name,
        happened=happened,
        blocks_kept=len(whole) - computed,
        blocks_recomputed=max(0, computed - (len(whole) - len(finished))),
        in_flight=len(before) - len(finished),
        digests_equal=resumed.returncode == 0 and same_maps(out, bench.whole),
        ledger_truthful=recorded(out) == whole and set(before.items()) <= set(whole.items()),
    )


def same_maps(out: Path, whole: Path) -> bool:
    """Byte for byte the files a person uses."""
    names = ("labels.tif", "confidence.tif", "features.parquet", "features.geojson", "quicklook.png")
    places = [p.parent.relative_to(whole) for p in whole.glob("items/*/labels.tif")]
    return bool(places) and all(
        (out / place / n).exists() and (out / place / n).read_bytes() == (whole / place / n).read_bytes()
        for place in places
        for n in names
    )


def prepare(scratch: Path, source: Path) -> Bench:
    """A copy of the tile that can be taken away, and the outcome of the undisturbed run."""
    tile = scratch / source.name
    shutil.copy(source, tile)
    for beside in source.parent.glob("collection.json"):
        shutil.copy(beside, scratch)
    bench = Bench(tile, scratch / "whole", scratch)
    done = subprocess.run([sys.executable, "-c", START, *bench.arguments(bench.whole)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return bench
