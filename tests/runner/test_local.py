"""The executor ``local``: what comes back from its processes, and what is said when one of them dies."""

from __future__ import annotations

import errno
import os
import signal
import struct
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ablate.errors import RunError, UserError
from ablate.runner import local
from ablate.runner.graph import Ended, Task, ask, walk
from ablate.runner.local import LocalExecutor
from ablate.runner.tasks import Note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from ablate.runner.tasks import Emit, Event


def telling(answer: int, root: str, task: str, emit: Emit) -> str:
    emit(Note(task, "so far"))
    time.sleep(0.5)  # words and answers come by different ways
    return f"{root} {answer}"


def dying(root: str, task: str, emit: Emit) -> None:
    os._exit(9)


def killed_once(folder: str, root: str, task: str, emit: Emit) -> str:
    """As by a machine that is short of memory, the first time."""
    if not (mark := Path(folder) / "begun").exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def killed_in_a_word(root: str, task: str, emit: Emit) -> None:
    """Dies when a half of a word is in its pipe."""
    pipe: Connection = emit.__self__  # type: ignore[attr-defined]
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)


def writing(root: str, task: str, emit: Emit) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def failing(root: str, task: str, emit: Emit) -> None:
    raise ValueError("of its own")


def refusing(root: str, task: str, emit: Emit) -> None:
    raise UserError("not so", where="there")


def nothing() -> None:
    """Takes the place of the imports that every task needs: these here need none."""


@contextmanager
def start(workers: int = 1) -> Iterator[LocalExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_warm_up", nothing)
        with LocalExecutor("root", workers=workers, threads=1) as executor:
            yield executor


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


def test_a_question_whose_workers_die_is_an_error(short_lived: LocalExecutor) -> None:
    with pytest.raises(RunError, match="its worker process died 3 times, the last time with exit code 9"):
        ask(Task("audit", (), dying, (), ()), short_lived)


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


def test_a_task_whose_worker_is_killed_is_begun_again(short_lived: LocalExecutor, tmp_path: Path) -> None:
    notes: list[Event] = []
    assert ask(Task("train", (), killed_once, (str(tmp_path),), ()), short_lived, notes.append) == "done"
    text = "its worker process died of SIGKILL; it is begun again (2 of 3)"
    assert notes == [Note("train", text, lasting=True)]


def test_a_task_whose_workers_die_has_failed_and_the_others_finish(short_lived: LocalExecutor) -> None:
    ended: dict[str, str] = {}
    tasks = [Task("first", (), dying, (), ()), Task("second", (), telling, (7,), ())]
    walk(tasks, short_lived, lambda event: None, lambda task, reason: ended.update({task.name: reason}))
    assert "died 3 times" in ended["first"] and "--workers" in ended["first"]
    assert ended["second"] == ""


def test_a_worker_that_dies_in_the_middle_of_a_word_takes_nothing_with_it(short_lived: LocalExecutor) -> None:
    with pytest.raises(RunError, match="died 3 times, the last time of SIGKILL"):
        ask(Task("train", (), killed_in_a_word, (), ()), short_lived)


def test_an_idle_worker_that_dies_is_replaced(short_lived: LocalExecutor) -> None:
    (worker,) = short_lived._workers
    os.kill(worker.process.pid or 0, signal.SIGKILL)
    worker.process.join()
    assert ask(Task("audit", (), telling, (7,), ()), short_lived) == "root 7"


def test_tasks_run_at_once_on_as_many_workers_as_there_are() -> None:
    with start(workers=2) as executor:
        assert executor.free == 2
        executor.submit(Task("first", (), telling, (1,), ()))
        assert executor.free == 1
        executor.submit(Task("second", (), telling, (2,), ()))
        ended: set[str] = set()
        while len(ended) < 2:
            ended |= {word.task for word in executor.wait() if isinstance(word, Ended)}
    assert ended == {"first", "second"}
