"""Mapping blocks over workers: in this process, or over Dask."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol, TypeVar

from aisf_geo.errors import IncompleteError, UsageError
from aisf_geo.settings import usable_cores

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Blocks a process works on at a time, at least: while one is in the network, the other is read or written.
BLOCKS_AT_A_TIME = 2
#: Patches in a block of usual size, each of which keeps a core busy.
PATCHES_PER_BLOCK = 4
#: Blocks handed to each Dask worker before a result is waited for: enough to keep it busy, little to lose.
IN_FLIGHT_PER_WORKER = BLOCKS_AT_A_TIME + 1
#: Deaths of a worker that a block may have been part of before it is tried alone; then as many again.
DEATHS_ALLOWED = 1
#: How often the scheduler is asked for the number of its workers: an answer costs it more than a task.
COUNTED_EVERY_S = 1.0
#: How long a scheduler may take to answer, and to find its first worker.
PATIENCE_S = 30


class BlockMap(Protocol):
    """Applies a function to tasks and yields results as they come, in no particular order."""

    def __call__(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], lost: Callable[[Task, str], Result]
    ) -> Iterator[Result]:
        """The result of ``function`` for each task, or of ``lost`` with the reason where it kills its worker."""
        ...


def map_here(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    lost: Callable[[Task, str], Result],  # noqa: ARG001 - of the protocol
) -> Iterator[Result]:
    """A few blocks at a time in this process, in threads: the work on pixels lets others run. None is ever lost.

    One more waits, for a thread to go on with while a result is taken.
    """
    queue, count = iter(tasks), max(BLOCKS_AT_A_TIME, 1 + usable_cores() // PATCHES_PER_BLOCK)
    pool = ThreadPoolExecutor(count, thread_name_prefix="block")
    try:
        running: set[Future[Result]] = {pool.submit(function, task) for task in islice(queue, count + 1)}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(function, task) for task in islice(queue, len(ended))}
            yield from (future.result() for future in ended)
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def block_map(workers: int = 1, scheduler: str | None = None) -> Iterator[BlockMap]:
    """A way to map blocks: this process for one worker, else a local Dask cluster or the scheduler at an address.

    Raises:
        UsageError: no scheduler answers there, or it has no worker.
    """
    if scheduler is None and workers <= 1:
        yield map_here
        return
    import dask
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with _client_of(scheduler) as client:
            yield DaskMap(client)
        return
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": DEATHS_ALLOWED}),
        LocalCluster(
            n_workers=workers, threads_per_worker=BLOCKS_AT_A_TIME, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield DaskMap(client)


def _client_of(scheduler: str) -> Any:
    from distributed import Client

    try:
        client = Client(scheduler, set_as_default=False, timeout=PATIENCE_S)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"scheduler {scheduler}: does not answer ({str(error).splitlines()[0]}); "
            "start one with `dask scheduler`, or leave --scheduler out for workers on this machine"
        ) from error
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        client.close()
        raise UsageError(f"scheduler {scheduler}: has no worker; start one with `dask worker {scheduler}`") from error
    return client


class DaskMap:
    """Keeps a few tasks per worker in flight, so that a scene of any size never fills the scheduler.

    Dask itself computes again what a dead worker had in hand. A task that was in hand at more deaths than the scheduler
    allows is tried once more when nothing else runs, so that it cannot be another task that kills; then it is lost.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(
        self, function: Callable[[Task], Result], tasks: Iterable[Task], lost: Callable[[Task, str], Result]
    ) -> Iterator[Result]:
        """See :class:`BlockMap`.

        Raises:
            IncompleteError: the scheduler is gone.
        """
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        suspects: list[Task] = []
        for future, task in self._ended(function, tasks):
            try:
                yield future.result()
            except KilledWorker:
                suspects.append(task)
            except FutureCancelledError as error:
                raise IncompleteError(
                    "the Dask scheduler went away; finished blocks are kept, run again with --resume"
                ) from error
        for suspect in suspects:
            try:
                yield self._client.submit(function, suspect, pure=False).result()
            except KilledWorker as error:
                yield lost(suspect, f"its worker died each time, also on this block alone ({_in_short(error)})")

    def _ended(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[tuple[Any, Task]]:
        from distributed import as_completed

        queue = iter(tasks)
        task_of: dict[str, Task] = {}
        running = as_completed([], loop=self._client.loop)
        workers, counted_at = 0, -math.inf

        def fill() -> None:
            nonlocal workers, counted_at
            if time.monotonic() - counted_at > COUNTED_EVERY_S:
                workers, counted_at = len(self._client.scheduler_info(n_workers=-1)["workers"]), time.monotonic()
            for task in islice(queue, max(0, IN_FLIGHT_PER_WORKER * max(1, workers) - len(task_of))):
                future = self._client.submit(function, task, pure=False)
                task_of[future.key] = task
                running.add(future)

        fill()
        for future in running:
            task = task_of.pop(future.key)
            fill()
            yield future, task


def _in_short(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200]
