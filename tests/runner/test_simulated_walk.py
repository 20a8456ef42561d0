"""The predicted time of a walk: never below what is possible, at most twice that, and what the walk does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.runner.graph import Ended, Task, walk
from ablate.runner.schedule import schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROUNDING = 1e-9


def task(name: str, length: float, *needs: str, turn: int = 0) -> Task:
    return Task(name, needs, print, (), (), length, turn)


@st.composite
def trees(draw: st.DrawFn) -> list[Task]:
    """Trunks with branches, as plans have them: each task needs at most one that was listed before it."""
    lengths = draw(st.lists(st.integers(0, 20), min_size=1, max_size=40))
    found: list[Task] = []
    for number, length in enumerate(lengths):
        parent = draw(st.integers(-1, number - 1))
        needs = () if parent < 0 else (str(parent),)
        found.append(task(str(number), length, *needs, turn=draw(st.integers(0, 2))))
    return found


@given(tasks=trees(), workers=st.integers(1, 9))
def test_the_makespan_lies_between_the_bound_and_grahams(tasks: list[Task], workers: int) -> None:
    found = schedule(tasks, workers)
    assert found.makespan >= found.bound - ROUNDING
    share = found.work - found.critical_path  # what does not lie on the longest path is shared out
    assert found.makespan <= found.critical_path + share / workers + ROUNDING
    assert found.makespan <= 2 * found.bound + ROUNDING


@given(tasks=trees())
def test_one_worker_does_all_the_work_and_a_worker_for_each_task_the_longest_path(tasks: list[Task]) -> None:
    assert schedule(tasks, 1).makespan == pytest.approx(sum(task.length for task in tasks))
    assert schedule(tasks, len(tasks)).makespan == pytest.approx(schedule(tasks, 1).critical_path)


class Clock:
    """An executor whose tasks take as long as they say, by a clock that jumps from end to end."""

    def __init__(self, workers: int) -> None:
        self._workers, self.now = workers, 0.0
        self._running: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def free(self) -> int:
        return self._workers - len(self._running)

    def submit(self, task: Task) -> None:
        self._running[task.name] = self.now + task.length

    def wait(self) -> Iterator[Any]:
        self.now, name = min((end, name) for name, end in self._running.items())
        del self._running[name]
        yield Ended(name)


@given(tasks=trees(), workers=st.integers(1, 5))
def test_it_is_what_the_walk_takes(tasks: Sequence[Task], workers: int) -> None:
    clock = Clock(workers)
    walk(tasks, clock, lambda event: None, lambda task, reason: None)
    assert clock.now == pytest.approx(schedule(tasks, workers).makespan)


def test_without_tasks_nothing_takes_time() -> None:
    assert schedule([], 3).makespan == schedule([], 3).bound == 0
