"""Mapping blocks over workers: in this process, or over Dask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

#: Blocks handed to each Dask worker before a result is waited for: enough to keep it busy, little to lose.
IN_FLIGHT_PER_WORKER = 2


class BlockMap(Protocol):
    """Applies a function to tasks and yields results as they come, in no particular order."""

    def __call__(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """The result of ``function`` for each task."""
        ...


def map_here(function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
    """One block after the other in this process."""
    return map(function, tasks)


@contextmanager
def block_map(workers: int = 1, scheduler: str | None = None) -> Iterator[BlockMap]:
    """A way to map blocks: this process for one worker, else a local Dask cluster or the scheduler at an address."""
    if scheduler is None and workers <= 1:
        yield map_here
        return
    from distributed import Client, LocalCluster

    if scheduler is not None:
        with Client(scheduler, set_as_default=False) as client:
            yield _DaskMap(client)
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield _DaskMap(client)


class _DaskMap:
    """Keeps a few tasks per worker in flight, so that a scene of any size never fills the scheduler."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __call__(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        from distributed import as_completed

        queue = iter(tasks)
        limit = IN_FLIGHT_PER_WORKER * max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))
        first = [task for _, task in zip(range(limit), queue, strict=False)]
        started = [self._client.submit(function, task, pure=False) for task in first]
        running = as_completed(started, loop=self._client.loop)
        for future in running:
            yield future.result()
            for task in queue:
                running.add(self._client.submit(function, task, pure=False))
                break
