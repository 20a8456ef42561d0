"""Executor ``local``: worker processes on this machine.

Each worker has a pipe of its own, so that one which is killed takes nothing with it that others need, and
it is known which task it was at.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from multiprocessing import connection
from typing import TYPE_CHECKING, Any, Self

from ablate.data.parallel import CONTEXT, cores, end_with_parent
from ablate.environment import environment, refuse_other
from ablate.errors import AblateError, UserError
from ablate.hardware import device_kind
from ablate.runner.executors.home import load
from ablate.runner.graph import TRIES, Ended, given_up, perform
from ablate.runner.tasks import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from multiprocessing.connection import Connection

    from ablate.plan import Plan
    from ablate.runner.graph import Start, Task
    from ablate.runner.tasks import Event


def at(address: str | None) -> Start:
    """What starts an executor on this machine. Raises UserError for the address of another."""
    if address is not None:
        fix = "--executor ray runs tasks elsewhere."
        raise UserError("the executor local has no address", where=f"--address {address}", fix=fix)
    return LocalExecutor.of


def default_workers(plan: Plan) -> int:
    """As many as cores allow with the configured threads, no more than there is to do; 1 on a GPU."""
    compute, train = plan.runs[0].keys.config.compute, plan.runs[0].keys.config.train
    if device_kind(compute.device) == "cuda":
        return 1
    search = plan.experiment.spec.search
    at_once = search.round * len(plan.experiment.spec.seeds) if search else len(plan.runs)
    return max(1, min(cores() // (compute.threads * train.devices), at_once))


class LocalExecutor:
    """``workers`` processes that each compute with ``threads`` CPU threads. A context manager.

    A task whose worker dies is begun again on a new one, up to three times; then it has failed.
    """

    def __init__(self, root: str, workers: int, threads: int) -> None:
        # Read when numpy and torch are first imported, that is when a worker starts.
        os.environ["OMP_NUM_THREADS"] = str(threads)
        # Not an Event: setting one waits for all who wait for it, and a worker that was killed never answers.
        self._stop = CONTEXT.RawValue("b", 0)
        self._workers = [_Worker(root, self._stop) for _ in range(workers)]
        self._deaths: Counter[str] = Counter()

    @classmethod
    def of(cls, plan: Plan, workers: int | None) -> LocalExecutor:
        """On a plan's store, with the threads that it configures; by default ``default_workers``."""
        threads = plan.runs[0].keys.config.compute.threads
        return cls(plan.store.address, workers or default_workers(plan), threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error:
            self._stop.value = 1  # what the workers are doing is not waited for: it will be done again
        for worker in self._workers:
            worker.end()

    @property
    def free(self) -> int:
        """How many tasks it can begin now."""
        return sum(worker.task is None for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Gives a task to a worker that is free."""
        next(worker for worker in self._workers if worker.task is None).begin(task)

    def wait(self) -> Iterator[Event | Ended]:
        """What was said and what has ended since the last call; waits for a moment if there is nothing.

        Raises:
            AblateError: a task failed in a way in which every other would.
        """
        connection.wait([worker.pipe for worker in self._workers], timeout=0.2)
        for worker in self._workers:
            for said in worker.said():
                if isinstance(said, Ended | AblateError):
                    worker.task = None
                if isinstance(said, AblateError):
                    raise said
                yield said
            if worker.died:
                yield from self._replaced(worker)

    def _replaced(self, worker: _Worker) -> Iterator[Event | Ended]:
        """Starts a new process in the place of one that died, and has it begin the same task again."""
        task, how = worker.task, _how(worker.process.exitcode)
        worker.start()
        if task is None:
            return
        self._deaths[task.name] += 1
        if self._deaths[task.name] == TRIES:
            yield given_up(task.name, how)
        else:
            tries = f"it is begun again ({self._deaths[task.name] + 1} of {TRIES})"
            yield Note(task.name, f"its worker process died {how}; {tries}", lasting=True)
            worker.begin(task)


class _Worker:
    """A process, the pipe to it, and the task that it is at."""

    def __init__(self, root: str, stop: Any) -> None:
        self._root, self._stop = root, stop
        self.start()

    def start(self) -> None:
        """Starts the process, also in the place of one that died."""
        self.task: Task | None = None
        self.pipe, its_end = CONTEXT.Pipe()
        arguments = (its_end, self._root, self._stop, load, environment())
        self.process = CONTEXT.Process(target=_serve, args=arguments)
        self.process.start()
        its_end.close()  # the process has it now; where it dies, reading ends

    def begin(self, task: Task) -> None:
        """Gives the process a task."""
        self.task = task
        try:
            self.pipe.send(task)
        except (BrokenPipeError, ConnectionResetError):
            self.process.join()  # died while it was idle: ``wait`` will find it

    def said(self) -> Iterator[Event | Ended | AblateError]:
        """What has come through the pipe."""
        try:
            while self.pipe.poll():
                yield self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()  # died, perhaps in the middle of a word

    @property
    def died(self) -> bool:
        """Whether the process has ended, unasked, with nothing left in its pipe."""
        return not self.process.is_alive()

    def end(self) -> None:
        """Waits until the process has ended."""
        self.pipe.close()  # for a process that is idle, the end
        self.process.join()


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"of {signal.Signals(-exitcode).name}"
    return f"with exit code {exitcode}"


def _serve(
    pipe: Connection, root: str, stop: Any, warm_up: Callable[[], None], expected: Mapping[str, str]
) -> None:
    """The process: does what comes through the pipe, until it is closed.

    Args:
        warm_up: loads what tasks need, while the parent still opens its databases.
        expected: the parent's environment.
    """
    threading.Thread(target=end_with_parent, args=(stop,), daemon=True).start()
    warm_up()
    environment()  # as it is now that all is loaded; a task may come hours later
    while True:
        try:
            task: Task = pipe.recv()
        except EOFError:
            return
        try:
            refuse_other(expected)
            answer: Ended | AblateError = perform(task, root, pipe.send)
        except AblateError as error:  # every other task would fail as well
            answer = error
        try:
            pipe.send(answer)
        except OSError:  # nobody listens any more
            return
