"""Calls a function on chunks of a long list, in worker processes, and gives the results in order."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from ablate.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    """
    chunks = (items[start : start + chunk] for start in range(0, len(items), chunk))
    if workers == 0:
        yield from map(function, chunks)
        return
    # Spawned, not forked: forked children of a threaded torch process can hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        running = deque(pool.submit(function, some) for some in islice(chunks, 2 * workers))
        while running:
            result = running.popleft().result()
            running.extend(pool.submit(function, some) for some in islice(chunks, 1))
            yield result
    except BrokenProcessPool as error:
        raise RunError(
            "a process that reads images died",
            fix="It may have run out of memory. Free some, and give the same command again.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """How many cores this process may use. Containers often allow fewer than the machine has; only Linux
    can tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent tells nobody, and its workers would wait for ever."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
