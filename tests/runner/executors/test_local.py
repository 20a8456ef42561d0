"""The executor ``local``: a process that dies. What all executors do: ``test_executors.py``."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ablate import fingerprint
from ablate.environment import PACKAGE, environment
from ablate.errors import RunError, UserError
from ablate.runner.executors import local
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.graph import Task, ask
from ablate.stages import evaluated, prepared, sampled, trained

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
        patch.setattr(local, "load", nothing)
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


# ── code that changes while a command runs ───────────────────────────────────────────────────────


def before_an_edit() -> dict[str, str]:
    """What the command saw, if a worker finds another file by now."""
    return {**environment(), "stages/evaluate.py": "as it was"}


def test_a_worker_that_loads_other_code_than_the_command_s_computes_nothing() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "environment", before_an_edit)
        with (
            start() as executor,
            pytest.raises(UserError, match=r"other code .*: stages/evaluate\.py differs"),
        ):
            ask(Task("train", (), telling, (7,), ()), executor)


def test_a_worker_in_the_place_of_a_dead_one_computes_nothing_if_the_code_has_changed_since(
    short_lived: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(Task("train", (), telling, (7,), ()), short_lived) == "root 7"
    monkeypatch.setattr(local, "environment", before_an_edit)
    with pytest.raises(UserError, match="other code than the command") as error:
        ask(Task("train", (), dying, (), ()), short_lived)
    assert "Give the same command again" in error.value.fix


def test_a_worker_has_loaded_all_that_keys_hold_when_it_looks_at_its_code() -> None:
    program = (
        "import sys; from ablate.runner.executors.home import load; load()\n"
        "print(*(module.__file__ for module in sys.modules.values() if getattr(module, '__file__', '')))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    stages = (prepared, trained, sampled, evaluated)
    sources = [name for stage in stages for name in stage.SOURCES]
    others = ("factors", "metrics/spaces", "data/sprites.py")  # a class's file enters where it is used
    in_keys = fingerprint.of_files((*sources, *others))
    assert {str(PACKAGE / name) for name in in_keys} <= set(printed.split())
