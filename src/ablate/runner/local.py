"""Executor ``local``: worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any, Self

from ablate.errors import RunError
from ablate.runner.graph import perform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.plan import Plan
    from ablate.runner.graph import Ended, Task
    from ablate.runner.tasks import Event

_events: Any = None  # each worker's end of the event queue, set once when the worker starts


class LocalExecutor:
    """``workers`` processes that each compute with ``threads`` CPU threads. A context manager.

    Workers are spawned, not forked: forked children of a threaded torch process can hang.
    """

    def __init__(self, root: str, workers: int, threads: int) -> None:
        self.root = root
        # Read when numpy and torch are first imported, that is when a worker starts.
        os.environ["OMP_NUM_THREADS"] = str(threads)
        context = multiprocessing.get_context("spawn")
        self._queue = context.Queue()
        # Not an Event: setting one waits for all who wait for it, and a worker that was killed never answers.
        self._stop = context.RawValue("b", 0)
        shared = (self._queue, self._stop, os.getpid())
        self._pool = ProcessPoolExecutor(workers, context, _start_worker, shared)
        self._running: dict[Future[Ended], str] = {}
        for _ in range(workers):
            self._pool.submit(_warm_up)

    @classmethod
    def of(cls, plan: Plan, workers: int) -> LocalExecutor:
        """On a plan's store, with the threads that it configures."""
        return cls(str(plan.store.root), workers, plan.runs[0].keys.config.compute.threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error:
            self._stop.value = 1  # what the workers are doing is not waited for: it will be done again
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._queue.close()

    def submit(self, task: Task) -> None:
        """Gives a task to a worker as soon as one is free.

        Raises:
            RunError: a worker process died before.
        """
        try:
            self._running[self._pool.submit(_work, task, self.root)] = task.name
        except BrokenProcessPool as error:
            raise _died(task.name) from error

    def wait(self) -> Iterator[Event | Ended]:
        """What was said and what has ended since the last call; waits for a moment if there is nothing.

        Raises:
            RunError: a worker process died, or a task failed in a way in which every other would.
        """
        ended, _ = wait(self._running, timeout=0.2, return_when=FIRST_COMPLETED)
        yield from self._said()
        for future in ended:
            name = self._running.pop(future)
            try:
                yield future.result()
            except BrokenProcessPool as error:
                raise _died(name) from error

    def _said(self) -> Iterator[Event]:
        while True:
            try:
                yield self._queue.get_nowait()
            except queue.Empty:
                return


def _died(task: str) -> RunError:
    return RunError(
        f"a worker process died during {task!r}",
        fix="It may have run out of memory: try fewer --workers. The same command goes on from there.",
    )


def _start_worker(events: Any, stop: Any, parent: int) -> None:
    global _events  # noqa: PLW0603 – a pool's initializer has no other place to leave something
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with, args=(parent, stop), daemon=True).start()
    from transformers.utils import logging

    logging.disable_progress_bar()  # loading a part of 1 MB is not news


def _end_with(parent: int, stop: Any) -> None:
    """Ends this worker when it is told to, or when its parent was killed: it must hold no lock."""
    while os.getppid() == parent and not stop.value:
        time.sleep(0.5)
    os._exit(1)


def _warm_up() -> None:
    """Imports what every task needs while the parent still opens its databases."""
    import diffusers  # noqa: F401
    import torch  # noqa: F401


def _work(task: Task, root: str) -> Ended:
    return perform(task, root, _events.put)
