"""Which task goes first of those that can begin: a pure function, the same for every executor.

Lengths are in optimizer steps, and estimated when the tasks are made (``runner/tasks.py``): a segment takes
the epochs that the store lacks of it times the steps of an epoch, drawing and measuring a run takes the steps
of its sampler, and preparing data takes none. Only their ratios count, and a wrong one costs time and nothing
else: no result depends on the order. Whoever knows better (measured seconds) replaces ``Task.length``.
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.runner.graph import Task

Rank = tuple[int, float, int]


def ranks(tasks: Sequence[Task], workers: int = 1) -> dict[str, Rank]:
    """Name of each task → its rank. Of tasks that can begin, that with the smallest is begun first.

    The turn of its seed decides first, so that the first seed of all variants has its results early; where
    one seed cannot keep all ``workers`` busy, several have their turn together. Within a turn it is the
    longest path of tasks that ends the work, longest first (the critical path, as in list scheduling: Graham
    1969). Of equals, the one that is listed first.
    """
    remaining = remaining_lengths(tasks)
    seeds = max((task.turn for task in tasks), default=0) + 1
    turns = _turns(seeds, sum(task.length for task in tasks), max(remaining.values(), default=0.0), workers)
    return {
        task.name: (task.turn * turns // seeds, -remaining[task.name], place)
        for place, task in enumerate(tasks)
    }


def _turns(seeds: int, work: float, longest_path: float, workers: int) -> int:
    """How many turns the seeds come in. A seed keeps as many workers busy as its work is longer than its
    longest path."""
    busy = work / longest_path if longest_path else 1.0  # by all seeds together
    alone = workers == 1 or busy >= seeds * workers
    return seeds if alone else max(1, int(busy / workers))


def remaining_lengths(tasks: Sequence[Task]) -> dict[str, float]:
    """Name of each task → its length and that of the longest path of tasks that need it, one the other.

    The longest of them all is the critical path: no number of workers is done sooner.
    """
    after: dict[str, list[str]] = {task.name: [] for task in tasks}
    for task in tasks:
        for need in task.needs:
            after[need].append(task.name)
    lengths = {task.name: task.length for task in tasks}
    remaining: dict[str, float] = {}
    for name in TopologicalSorter(after).static_order():  # those that nobody needs first
        remaining[name] = lengths[name] + max((remaining[other] for other in after[name]), default=0.0)
    return remaining
