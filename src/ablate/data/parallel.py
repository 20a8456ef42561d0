"""Worker processes that end with their parent, and a function called in them on chunks of a long list."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import TYPE_CHECKING, Any, TypeVar

from ablate.environment import environment, refuse_other
from ablate.errors import RunError
from ablate.interrupts import not_for_children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

T = TypeVar("T")
R = TypeVar("R")


def map_chunks(
    function: Callable[[Sequence[T]], R], items: Sequence[T], *, chunk: int, workers: int
) -> Iterator[R]:
    """``function`` of each ``chunk`` items, in the items' order; the last chunk may be shorter.

    At most two chunks a worker are held at any time, however many there are. What ``function``
    raises is raised here. ``workers=0`` calls it in this process.

    Raises:
        RunError: a worker process died.
        UserError: the code has changed since this process looked at it.
    """
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    if workers == 0:
        yield from map(function, chunks)
        return
    call = partial(_alike, environment(), function)
    try:
        with worker_processes(workers) as pool:
            running = deque(pool.submit(call, some) for some in islice(chunks, 2 * workers))
            while running:
                result = running.popleft().result()
                running.extend(pool.submit(call, some) for some in islice(chunks, 1))
                yield result
    except BrokenProcessPool as error:
        raise RunError(
            "a process that reads images died",
            fix="It may have run out of memory. Free some, and give the same command again.",
        ) from error


def _alike(expected: Mapping[str, str], function: Callable[[Sequence[T]], R], some: Sequence[T]) -> R:
    """Calls ``function`` in a worker, which has loaded it by then, if that is as ``expected``."""
    refuse_other(expected)
    return function(some)


class _Process(SpawnProcess):
    """Ctrl-C is its parent's to answer."""

    def start(self) -> None:
        with not_for_children():
            super().start()


class _Context(SpawnContext):
    """Spawned, not forked: forked children of a threaded torch process can hang."""

    Process = _Process


CONTEXT = _Context()


def _nothing() -> None:
    """What a worker starts with unless told otherwise."""


@contextmanager
def worker_processes(
    workers: int, start: Callable[..., None] = _nothing, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes. They end at once when an exception leaves the block, and when this process is
    killed; else when they have nothing left to do. Each calls ``start`` with ``arguments`` first.
    """
    stop = CONTEXT.RawValue("b", 0)  # no lock, which one that was killed might hold
    pool = ProcessPoolExecutor(workers, CONTEXT, _start_worker, (stop, start, arguments))
    try:
        yield pool
    except BaseException:
        stop.value = 1
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """How many cores this process may use. Containers often allow fewer than the machine has; only Linux
    can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker(stop: Any, start: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=end_with_parent, args=(stop,), daemon=True).start()
    start(*arguments)


def end_with_parent(stop: Any) -> None:
    """Ends this process when ``stop`` is set, or its parent has died: a killed one tells nobody."""
    parent = multiprocessing.parent_process()
    while parent and parent.is_alive() and not stop.value:
        time.sleep(0.2)
    os._exit(1)
