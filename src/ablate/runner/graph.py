"""A graph of tasks, and the walk over it: each task after those it needs, on any executor.

An executor is a context manager with two methods, ``submit`` and ``wait``. ``runner/local.py`` has
one; another is a file beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ablate.errors import AblateError
    from ablate.runner.tasks import Event


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


@dataclass(frozen=True)
class Ended:
    """A task has ended: what its function gave, or why it failed."""

    task: str
    result: Any = None
    error: AblateError | None = None


class Executor(Protocol):
    """Runs tasks on workers. Used in a ``with``; left by an error, it does not wait for its workers."""

    def submit(self, task: Task) -> None:
        """Gives a task to a worker as soon as one is free."""

    def wait(self) -> Iterable[Event | Ended]:
        """What was said and what has ended since the last call; waits for a moment if there is nothing.

        Raises:
            RunError: a worker died, or a task failed in a way in which every other would.
        """


def walk(
    tasks: Sequence[Task],
    executor: Executor,
    on_event: Callable[[Event], None],
    on_end: Callable[[Task, str], None],
) -> None:
    """Runs all tasks, each after those it needs.

    ``on_end`` gets the reason if a task failed or a task it needs did, and "" otherwise; tasks that
    do not need a failed one go on.

    Raises:
        RunError: as ``Executor.wait``.
    """
    named = {task.name: task for task in tasks}
    order = TopologicalSorter({task.name: task.needs for task in tasks})
    order.prepare()
    failed: dict[str, str] = {}

    def end(name: str, reason: str) -> None:
        if reason:
            failed[name] = reason
        order.done(name)
        on_end(named[name], reason)

    while order.is_active():
        for name in order.get_ready():
            reason = next((failed[need] for need in named[name].needs if need in failed), "")
            if reason:
                end(name, reason)
            else:
                executor.submit(named[name])
        for said in executor.wait():
            if isinstance(said, Ended):
                end(said.task, str(said.error) if said.error else "")
            else:
                on_event(said)


def ask(task: Task, executor: Executor, on_event: Callable[[Event], None] = lambda event: None) -> Any:
    """What the function of one task gives.

    Raises:
        AblateError: what the function raises.
        RunError: as ``Executor.wait``, or the function failed in a way that nobody foresaw.
    """
    executor.submit(task)
    while True:
        for said in executor.wait():
            if isinstance(said, Ended):
                if said.error:
                    raise said.error
                return said.result
            on_event(said)
