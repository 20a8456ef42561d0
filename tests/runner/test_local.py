"""The executor ``local``: a process that dies. What all executors do: ``test_executors.py``."""

from __future__ import annotations

import os
import signal
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ablate.errors import RunError
from ablate.runner import local
from ablate.runner.graph import Task, ask
from ablate.runner.local import LocalExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection

    from ablate.runner.tasks import Emit


def telling(answer: int, root: str, task: str, emit: Emit) -> str:
    return f"{root} {answer}"


def dying(root: str, task: str, emit: Emit) -> None:
    os._exit(9)


def killed_in_a_word(root: str, task: str, emit: Emit) -> None:
    """Dies when a half of a word is in its pipe."""
    pipe: Connection = emit.__self__  # type: ignore[attr-defined]
    os.write(pipe.fileno(), struct.pack("!i", 1000) + b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    """Takes the place of the imports that every task needs: these here need none."""


@contextmanager
def start(workers: int = 1) -> Iterator[LocalExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "_warm_up", nothing)
        with LocalExecutor("root", workers=workers, threads=1) as executor:
            yield executor


@pytest.fixture
def short_lived() -> Iterator[LocalExecutor]:
    """One of the test's own."""
    with start() as started:
        yield started


def test_a_question_whose_workers_die_is_an_error(short_lived: LocalExecutor) -> None:
    with pytest.raises(RunError, match="its worker process died 3 times, the last time with exit code 9"):
        ask(Task("audit", (), dying, (), ()), short_lived)


def test_a_worker_that_dies_in_the_middle_of_a_word_takes_nothing_with_it(short_lived: LocalExecutor) -> None:
    with pytest.raises(RunError, match="died 3 times, the last time of SIGKILL"):
        ask(Task("train", (), killed_in_a_word, (), ()), short_lived)


def test_an_idle_worker_that_dies_is_replaced(short_lived: LocalExecutor) -> None:
    (worker,) = short_lived._workers
    os.kill(worker.process.pid or 0, signal.SIGKILL)
    worker.process.join()
    assert ask(Task("audit", (), telling, (7,), ()), short_lived) == "root 7"
