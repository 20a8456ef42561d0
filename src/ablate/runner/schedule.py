"""How long tasks take on a number of workers: the walk of ``graph.py``, with lengths for work. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ablate.runner.priorities import ranks, remaining_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.runner.graph import Task


@dataclass(frozen=True)
class Schedule:
    """What a walk over tasks takes, in the unit of their lengths."""

    workers: int
    makespan: float
    """From the first task's beginning to the last one's end."""
    work: float
    """The lengths of all tasks together."""
    critical_path: float
    """The longest path of tasks that need each other."""

    @property
    def bound(self) -> float:
        """What no order of the tasks can beat: the critical path, or the work shared out evenly."""
        return max(self.critical_path, self.work / self.workers)


def schedule(tasks: Sequence[Task], workers: int) -> Schedule:
    """The walk over ``tasks`` on ``workers`` that are alike: each that is free begins, of the tasks that can
    begin, the one with the smallest rank.

    So no worker ever waits while a task could begin, and the makespan is less than twice the bound (Graham
    1969).
    """
    named = {task.name: task for task in tasks}
    rank = ranks(tasks, workers)
    order = TopologicalSorter({task.name: task.needs for task in tasks})
    order.prepare()
    ready: list[tuple[tuple[float, ...], str]] = []
    running: list[tuple[float, str]] = []
    now = 0.0
    while order.is_active():
        for name in order.get_ready():
            heappush(ready, (rank[name], name))
        while ready and len(running) < workers:
            _, name = heappop(ready)
            heappush(running, (now + named[name].length, name))
        now, name = heappop(running)
        order.done(name)
    work = sum(task.length for task in tasks)
    return Schedule(workers, now, work, max(remaining_lengths(tasks).values(), default=0.0))
