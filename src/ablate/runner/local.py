"""Executor ``local``: worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeVar

from ablate.errors import AblateError, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ablate.runner.tasks import Event, Task

T = TypeVar("T")

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
        for _ in range(workers):
            self._pool.submit(_warm_up)

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error:
            self._stop.value = 1  # what the workers are doing is not waited for: it will be done again
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._queue.close()

    def call(self, function: Callable[..., T], *arguments: object) -> T:
        """What ``function`` gives, or raises, in a worker: the parent need not import torch for it."""
        return _result(self._pool.submit(function, *arguments), "the start")

    def ask(
        self,
        task: str,
        function: Callable[..., T],
        arguments: Sequence[object],
        on_event: Callable[[Event], None],
    ) -> T:
        """As ``call``, for a function that takes what those of tasks do, and says what it is doing."""
        future = self._pool.submit(_tell, function, (*arguments, self.root, task))
        while wait([future], timeout=0.2).not_done:
            self._deliver(on_event)
        self._deliver(on_event)
        return _result(future, task)

    def run(
        self,
        tasks: Sequence[Task],
        on_event: Callable[[Event], None],
        on_end: Callable[[Task, str], None],
    ) -> None:
        """Runs all tasks, each after those it needs. ``on_end`` gets the reason if a task failed or
        a task it needs did, and "" otherwise; tasks that do not stand on a failed one go on.

        Raises:
            RunError: a worker process died.
        """
        named = {task.name: task for task in tasks}
        order = TopologicalSorter({task.name: task.needs for task in tasks})
        order.prepare()
        failed: dict[str, str] = {}
        running: dict[Future[str], str] = {}
        while order.is_active():
            for name in order.get_ready():
                task = named[name]
                reason = next((failed[need] for need in task.needs if need in failed), "")
                if reason:
                    failed[name] = reason
                    order.done(name)
                    on_end(task, reason)
                else:
                    running[self._pool.submit(_work, task, self.root)] = name
            ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            self._deliver(on_event)
            for future in ended:
                name = running.pop(future)
                reason = _result(future, repr(name))
                if reason:
                    failed[name] = reason
                order.done(name)
                on_end(named[name], reason)

    def _deliver(self, on_event: Callable[[Event], None]) -> None:
        while True:
            try:
                on_event(self._queue.get_nowait())
            except queue.Empty:
                return


def _result(future: Future[T], during: str) -> T:
    """What a worker gives, or raises. Raises RunError if the worker died."""
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RunError(
            f"a worker process died during {during}",
            fix="It may have run out of memory (try fewer --workers). "
            "The same command goes on where it stopped.",
        ) from error


def _start_worker(events: Any, stop: Any, parent: int) -> None:
    global _events  # noqa: PLW0603 – a pool's initializer has no other place to leave something
    _events = events
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with, args=(parent, stop), daemon=True).start()
    from transformers.utils import logging

    logging.disable_progress_bar()  # loading a part of 1 MB is no news


def _end_with(parent: int, stop: Any) -> None:
    """Ends this worker when it is told to, or when its parent was killed: it must hold no lock."""
    while os.getppid() == parent and not stop.value:
        time.sleep(0.5)
    os._exit(1)


def _warm_up() -> None:
    """Imports what every task needs while the parent still opens its databases."""
    import diffusers  # noqa: F401
    import torch  # noqa: F401


def _tell(function: Callable[..., T], arguments: Sequence[object]) -> T:
    """Calls a function in a worker, with the worker's end of the event queue."""
    return function(*arguments, _events.put)


def _work(task: Task, root: str) -> str:
    """Runs a task in a worker; the reason why it failed, or ""."""
    try:
        task.function(*task.arguments, root, task.name, _events.put)
    except AblateError as error:
        return str(error)
    except Exception as error:
        # One variant's failure must not end the others: it is recorded with its whole traceback.
        return _reason(error)
    return ""


def _reason(error: Exception) -> str:
    """Why a task failed. Raises RunError where every other would fail as well."""
    import torch

    from ablate.stages.failures import explained

    failure = explained(error)
    if failure and not isinstance(error, torch.OutOfMemoryError):
        raise failure from error
    return str(failure) if failure else "".join(traceback.format_exception(error))
