"""The executor ``local``: what comes back from its processes, and what is said when one of them dies."""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

import pytest

from ablate.errors import RunError, UserError
from ablate.runner.graph import Task, ask, walk
from ablate.runner.local import LocalExecutor
from ablate.runner.tasks import Note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    with LocalExecutor(str(tmp_path), workers=1, threads=1) as started:
        yield started


def test_a_question_is_answered_and_what_it_says_meanwhile_arrives(
    executor: LocalExecutor, tmp_path: Path
) -> None:
    events: list[Event] = []
    assert ask(Task("audit", (), telling, (7,), ()), executor, events.append) == f"{tmp_path} 7"
    assert events == [Note("audit", "so far")]


def test_what_a_function_raises_is_raised_here(executor: LocalExecutor) -> None:
    with pytest.raises(UserError, match="not so"):
        ask(Task("question", (), refusing, (), ()), executor)


def test_a_worker_that_dies_over_a_question_is_an_error_of_the_run(executor: LocalExecutor) -> None:
    with pytest.raises(RunError, match="a worker process died during 'audit'") as error:
        ask(Task("audit", (), dying, (), ()), executor)
    assert "The same command goes on" in str(error.value)


def test_a_task_that_fails_takes_no_other_with_it(executor: LocalExecutor) -> None:
    ended: dict[str, str] = {}
    tasks = [Task("first", (), failing, (), ()), Task("second", (), failing, (), ())]
    walk(tasks, executor, lambda event: None, lambda task, reason: ended.update({task.name: reason}))
    assert sorted(ended) == ["first", "second"]
    assert all("ValueError: of its own" in reason for reason in ended.values())


def test_a_full_disk_ends_everything_for_every_task_would_fail(executor: LocalExecutor) -> None:
    tasks = [Task("first", (), writing, (), ()), Task("second", (), writing, (), ())]
    with pytest.raises(RunError, match="the disk is full"):
        walk(tasks, executor, lambda event: None, lambda task, reason: None)


def test_a_worker_that_dies_over_a_task_is_an_error_of_the_run(executor: LocalExecutor) -> None:
    task = Task("train seed 0", (), dying, (), ("a, seed 0",))
    with pytest.raises(RunError, match="a worker process died during 'train seed 0'"):
        walk([task], executor, lambda event: None, lambda task, reason: None)
