"""The executor ``local``: what comes back from its processes, and what is said when one of them dies."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from ablate.errors import RunError, UserError
from ablate.runner import local
from ablate.runner.graph import Task, ask, walk
from ablate.runner.local import LocalExecutor
from ablate.runner.tasks import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.runner.tasks import Emit, Event


def telling(answer: int, root: str, task: str, emit: Emit) -> str:
    emit(Note(task, "so far"))
    time.sleep(0.5)  # words and answers come by different ways
    return f"{root} {answer}"


def dying(root: str, task: str, emit: Emit) -> None:
    os._exit(9)


def writing(root: str, task: str, emit: Emit) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def failing(root: str, task: str, emit: Emit) -> None:
    raise ValueError("of its own")


def refusing(root: str, task: str, emit: Emit) -> None:
    raise UserError("not so", where="there")


def nothing() -> None:
    """Takes the place of the imports that every task needs: these here need none."""


def start() -> LocalExecutor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_warm_up", nothing)
        return LocalExecutor("root", workers=1, threads=1)


@pytest.fixture(scope="module")
def executor() -> Iterator[LocalExecutor]:
    """One whose worker no test may kill."""
    with start() as started:
        yield started


@pytest.fixture
def short_lived() -> Iterator[LocalExecutor]:
    """One of the test's own."""
    with start() as started:
        yield started


def test_a_question_is_answered_and_what_it_says_meanwhile_arrives(executor: LocalExecutor) -> None:
    events: list[Event] = []
    assert ask(Task("audit", (), telling, (7,), ()), executor, events.append) == "root 7"
    assert events == [Note("audit", "so far")]


def test_what_a_function_raises_is_raised_here(executor: LocalExecutor) -> None:
    with pytest.raises(UserError, match="not so"):
        ask(Task("question", (), refusing, (), ()), executor)


def test_a_worker_that_dies_over_a_question_is_an_error_of_the_run(short_lived: LocalExecutor) -> None:
    with pytest.raises(RunError, match="a worker process died during 'audit'") as error:
        ask(Task("audit", (), dying, (), ()), short_lived)
    assert "The same command goes on" in str(error.value)


def test_a_task_that_fails_takes_no_other_with_it(executor: LocalExecutor) -> None:
    ended: dict[str, str] = {}
    tasks = [Task("first", (), failing, (), ()), Task("second", (), failing, (), ())]
    walk(tasks, executor, lambda event: None, lambda task, reason: ended.update({task.name: reason}))
    assert sorted(ended) == ["first", "second"]
    assert all("ValueError: of its own" in reason for reason in ended.values())


def test_a_full_disk_ends_everything_for_every_task_would_fail(short_lived: LocalExecutor) -> None:
    tasks = [Task("first", (), writing, (), ()), Task("second", (), writing, (), ())]
    with pytest.raises(RunError, match="the disk is full"):
        walk(tasks, short_lived, lambda event: None, lambda task, reason: None)


def test_a_worker_that_dies_over_a_task_is_an_error_of_the_run(short_lived: LocalExecutor) -> None:
    task = Task("train seed 0", (), dying, (), ("a, seed 0",))
    with pytest.raises(RunError, match="a worker process died during 'train seed 0'"):
        walk([task], short_lived, lambda event: None, lambda task, reason: None)
