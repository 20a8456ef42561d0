"""What every executor keeps: the contract of ``runner/graph.py``, asked of each row of EXECUTORS."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from ablate.environment import environment
from ablate.errors import MemoryShortError, RunError, UserError
from ablate.experiment.config import Compute
from ablate.fingerprint import numerics
from ablate.runner.executors import cluster, local
from ablate.runner.executors.cluster import Share
from ablate.runner.executors.home import Home
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.executors.on_ray import RayExecutor
from ablate.runner.graph import Ended, Executor, Task, ask, walk
from ablate.runner.tasks import Note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ablate.runner.tasks import Emit, Event


def telling(answer: int, root: str, task: str, emit: Emit) -> str:
    emit(Note(task, "so far"))
    emit(Note(task, "farther"))
    return f"{Path(root).name} {answer}"


def dying(root: str, task: str, emit: Emit) -> None:
    os._exit(9)


def killed_once(folder: str, root: str, task: str, emit: Emit) -> str:
    """As by a machine that is short of memory, the first time."""
    if not (mark := Path(folder) / "begun").exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def writing(root: str, task: str, emit: Emit) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def reading_below_a_file(root: str, task: str, emit: Emit) -> None:
    Path(__file__, "x").read_bytes()


def failing(root: str, task: str, emit: Emit) -> None:
    raise ValueError("of its own")


def refusing(root: str, task: str, emit: Emit) -> None:
    raise UserError("not so", where="there")


def meeting(mine: str, others: str, root: str, task: str, emit: Emit) -> None:
    """Ends only while another runs at the same time."""
    (Path(root) / mine).touch()
    until = time.monotonic() + 60
    while not (Path(root) / others).exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def nothing() -> None:
    """Takes the place of the imports that every task of ablate needs: these here need none."""


@contextmanager
def on_this_machine(root: Path) -> Iterator[LocalExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "load", nothing)
        with LocalExecutor(str(root), workers=2, threads=1) as executor:
            yield executor


def home(root: Path) -> Home:
    compute = Compute(device="cpu")
    return Home(str(Path.cwd()), str(root), environment(), compute, numerics(compute))


@contextmanager
def on_ray(root: Path) -> Iterator[RayExecutor]:
    with pytest.MonkeyPatch.context() as patch:
        # Workers import the functions of this file.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        joined = cluster.connect(cluster.HERE, threads=1)
    with RayExecutor(home(root), Share(cpus=0.5), 2, joined=joined) as executor:
        yield executor


@pytest.fixture(scope="module", params=[on_this_machine, on_ray], ids=["local", "ray"])
def executor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Two workers, on a store that is called root."""
    root = tmp_path_factory.mktemp("executor") / "root"
    root.mkdir()
    with request.param(root) as started:
        yield started


def ends(executor: Executor, *tasks: Task) -> dict[str, str]:
    """Name of each task → why it failed."""
    reasons: dict[str, str] = {}
    walk(tasks, executor, lambda event: None, lambda task, reason: reasons.update({task.name: reason}))
    return reasons


def one(function: Callable[..., object], *arguments: object, name: str = "task") -> Task:
    return Task(name, (), function, arguments, ())


def test_a_question_is_answered_and_what_it_says_meanwhile_arrives_in_order(executor: Executor) -> None:
    events: list[Event] = []
    assert ask(one(telling, 7), executor, events.append) == "root 7"
    assert [event for event in events if isinstance(event, Note)] == [
        Note("task", "so far"),
        Note("task", "farther"),
    ]


def test_what_a_function_raises_is_raised_here(executor: Executor) -> None:
    with pytest.raises(UserError, match="not so"):
        ask(one(refusing), executor)


def test_a_task_that_fails_takes_no_other_with_it(executor: Executor) -> None:
    reasons = ends(executor, one(failing, name="bad"), one(telling, 1, name="good"))
    assert "ValueError: of its own" in reasons["bad"] and "Traceback" in reasons["bad"]
    assert reasons["good"] == ""


def test_a_task_whose_worker_is_killed_is_begun_again_and_it_is_said(
    executor: Executor, tmp_path: Path
) -> None:
    notes: list[Event] = []
    assert ask(one(killed_once, str(tmp_path)), executor, notes.append) == "done"
    (note,) = [event for event in notes if isinstance(event, Note)]
    assert note.lasting and "its worker process died" in note.text
    assert "it is begun again (2 of 3)" in note.text


def test_a_task_whose_workers_die_has_failed_and_the_others_finish(executor: Executor) -> None:
    reasons = ends(executor, one(dying, name="bad"), one(telling, 1, name="good"))
    assert "its worker process died 3 times, the last time" in reasons["bad"]
    assert "--workers" in reasons["bad"]
    assert reasons["good"] == ""


def test_tasks_run_at_once_on_as_many_workers_as_there_are(executor: Executor) -> None:
    assert executor.free == 2
    executor.submit(one(meeting, "left", "right", name="left"))
    assert executor.free == 1
    executor.submit(one(meeting, "right", "left", name="right"))
    assert executor.free == 0
    ended: dict[str, object] = {}
    while len(ended) < 2:
        ended |= {word.task: word.error for word in executor.wait() if isinstance(word, Ended)}
    assert ended == {"left": None, "right": None}
    assert executor.free == 2


def test_a_full_disk_ends_everything_for_every_task_would_fail(executor: Executor) -> None:
    with pytest.raises(RunError, match="the disk is full"):
        ends(executor, one(writing))


def test_a_store_that_is_a_file_ends_everything_in_words(executor: Executor) -> None:
    with pytest.raises(UserError, match="a part of this path is a file and not a folder"):
        ends(executor, one(reading_below_a_file))


# ── what only Ray can be asked ───────────────────────────────────────────────────────────────────


def short_of_memory(folder: str, root: str, task: str, emit: Emit) -> str:
    """Has too little, the first time."""
    if not (mark := Path(folder) / "begun").exists():
        mark.touch()
        raise MemoryShortError("too little")
    return "done"


@pytest.fixture
def on_other(executor: Executor) -> Callable[..., RayExecutor]:
    """An executor with another home or share on the same cluster."""
    if not isinstance(executor, RayExecutor):
        pytest.skip("of Ray")

    def make(cpus: float = 0.5, **other: Any) -> RayExecutor:
        return RayExecutor(replace(executor._home, **other), Share(cpus), 2, joined=False)

    return make


def test_a_node_with_other_libraries_is_refused(on_other: Callable[..., RayExecutor]) -> None:
    other = on_other(environment={**environment(), "torch": "0.1"})
    with pytest.raises(UserError, match=r"node .*computes with other code.*torch is .*, not 0\.1"):
        other.greet()
    with pytest.raises(UserError, match=r"torch is .*, not 0\.1"):  # it may have come later
        ask(one(telling, 7), other)


def test_a_node_without_the_store_is_refused(on_other: Callable[..., RayExecutor]) -> None:
    with pytest.raises(UserError, match="there is no store /nowhere on this node"):
        on_other(store="/nowhere").greet()


def test_a_task_that_no_node_has_room_for_is_refused(on_other: Callable[..., RayExecutor]) -> None:
    with pytest.raises(UserError, match="no node of the cluster has 1000 CPU for a task"):
        on_other(cpus=1000).greet()


def test_a_task_that_lacked_memory_is_begun_again_with_a_larger_share(
    on_other: Callable[..., RayExecutor], tmp_path: Path
) -> None:
    notes: list[Event] = []
    assert ask(one(short_of_memory, str(tmp_path)), on_other(), notes.append) == "done"
    (note,) = [event for event in notes if isinstance(event, Note)]
    assert note.text == "the GPU had too little memory; it is begun again, with 1 CPU"


def test_what_cannot_be_imported_on_a_node_is_refused(on_other: Callable[..., RayExecutor]) -> None:
    here_only = ModuleType("here_only")
    exec("def function(root, task, emit): pass", vars(here_only))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "here_only", here_only)
        with pytest.raises(UserError, match="No module named 'here_only'"):
            ask(one(here_only.function), on_other())
