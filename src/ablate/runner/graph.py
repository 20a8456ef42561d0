"""A graph of tasks, and the walk over it: each task after those it needs, on any executor. Of those that can
begin, ``runner/priorities.py`` says which goes first.

An executor is a context manager that says how many tasks it can begin (``free``), begins one (``submit``)
and says what comes of it (``wait``). ``executors/local.py`` has one, ``executors/on_ray.py`` another; a third
is a file beside them and a row in ``EXECUTORS`` of ``executors/__init__.py``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Protocol, Self

from ablate import interrupts
from ablate.errors import AblateError, RunError
from ablate.patience import UnreachableError
from ablate.plugins import blamed
from ablate.runner.priorities import ranks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ablate.plan import Plan
    from ablate.runner.tasks import Event

TRIES = 3
"""How often a task is begun whose worker dies."""


Start = Callable[["Plan", int | None], "Executor"]
"""Makes an executor for a plan, on this number of workers; None leaves their number to the executor."""


@dataclass(frozen=True)
class Task:
    """A function of ``runner/tasks.py`` with its arguments, and the names of the tasks it needs.

    A worker calls it with the arguments, the store's folder, the task's name, and ``emit``.
    """

    name: str
    needs: tuple[str, ...]
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    runs: tuple[str, ...]
    """Names of the runs that need it: they fail with it."""
    length: float = 1.0
    """How long it takes, in optimizer steps: see ``runner/priorities.py``."""
    turn: int = 0
    """The place of its seed: tasks of an earlier one go first."""


@dataclass(frozen=True)
class Ended:
    """A task has ended: what its function gave, or why it failed."""

    task: str
    result: Any = None
    error: AblateError | None = None


def given_up(task: str, how: str) -> Ended:
    """The end of a task whose worker has died ``TRIES`` times, the last time ``how``: ``of SIGKILL``."""
    what = f"its worker process died {TRIES} times, the last time {how}"
    fix = "It may have run out of memory: try fewer --workers. The same command tries it again."
    return Ended(task, error=RunError(what, where=task, fix=fix))


class Executor(Protocol):
    """Runs tasks on workers. Used in a ``with``; left by an error, it does not wait for its workers."""

    def __enter__(self) -> Self: ...

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None: ...

    @property
    def free(self) -> int:
        """How many tasks it can begin now."""

    def submit(self, task: Task) -> None:
        """Begins a task. Only called while ``free``."""

    def wait(self) -> Iterable[Event | Ended]:
        """What was said and what has ended since the last call; waits for a moment if there is nothing.

        Raises:
            AblateError: a task failed in a way in which every other would.
        """


def walk(
    tasks: Sequence[Task],
    executor: Executor,
    on_event: Callable[[Event], None],
    on_end: Callable[[Task, str], None],
) -> None:
    """Runs all tasks, each after those it needs; of those that can begin, the one with the smallest rank.

    ``on_end`` gets the reason if a task failed or a task it needs did, and "" otherwise; tasks that
    do not need a failed one go on.

    Raises:
        AblateError: as ``Executor.wait``.
    """
    named = {task.name: task for task in tasks}
    rank = ranks(tasks, executor.free)
    order = TopologicalSorter({task.name: task.needs for task in tasks})
    order.prepare()
    ready: set[str] = set()
    failed: dict[str, str] = {}

    def end(name: str, reason: str) -> None:
        if reason:
            failed[name] = reason
        order.done(name)
        on_end(named[name], reason)

    while order.is_active():
        interrupts.check()
        ready |= set(order.get_ready())
        for name in sorted(ready, key=rank.__getitem__):
            reason = next((failed[need] for need in named[name].needs if need in failed), "")
            if not reason and not executor.free:
                continue
            ready.remove(name)
            if reason:
                end(name, reason)
            else:
                executor.submit(named[name])
        for said in executor.wait():
            if isinstance(said, Ended):
                end(said.task, str(said.error) if said.error else "")
            else:
                on_event(said)


def perform(task: Task, root: str, emit: Callable[[Event], None]) -> Ended:
    """What a worker does with a task. Raises AblateError where every other task would fail as well.

    Args:
        root: the store's address.
        emit: where the task says what is going on.
    """
    try:
        result = task.function(*task.arguments, root, task.name, emit)
    except UnreachableError:  # the store: every other task needs it, too
        raise
    except AblateError as error:
        return Ended(task.name, error=error)
    except SystemExit as error:  # a plug-in's: it must end neither the others nor this process
        return Ended(task.name, error=RunError(f"the code called exit({error})", where=blamed(error)))
    except Exception as error:
        # One variant's failure must not end the others: it is recorded with its whole traceback.
        return Ended(task.name, error=_explain(error))
    return Ended(task.name, result)


def _explain(error: Exception) -> AblateError:
    """Why a task failed. Raises AblateError where every other would fail as well."""
    import torch

    from ablate.stages.failures import explained

    failure = explained(error)
    if failure and not isinstance(error, torch.OutOfMemoryError):
        raise failure from error
    # The first line is what tables show.
    what = f"{type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"
    return failure or RunError(what, where=blamed(error))


def ask(task: Task, executor: Executor, on_event: Callable[[Event], None] = lambda event: None) -> Any:
    """What the function of one task gives.

    Raises:
        AblateError: what the function raises.
        RunError: as ``Executor.wait``, or the function failed in a way that nobody foresaw.
    """
    executor.submit(task)
    while True:
        interrupts.check()
        for said in executor.wait():
            if isinstance(said, Ended):
                if said.error:
                    raise said.error
                return said.result
            on_event(said)
