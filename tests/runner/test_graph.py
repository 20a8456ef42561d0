"""The walk over the tasks: each after those it needs, and what a failed one takes with it."""

from __future__ import annotations

import sys

import pytest

from ablate.errors import RunError, UserError
from ablate.runner.graph import Ended, Task, ask, perform, walk
from ablate.runner.tasks import Event, Note


class Here:
    """An executor that calls each task in this process when it is waited for."""

    def __init__(self) -> None:
        self.submitted: list[Task] = []
        self.order: list[str] = []

    @property
    def free(self) -> int:
        return 1 - len(self.submitted)

    def submit(self, task: Task) -> None:
        self.submitted.append(task)

    def wait(self) -> list[Event | Ended]:
        said: list[Event | Ended] = []
        while self.submitted:
            task = self.submitted.pop(0)
            self.order.append(task.name)
            try:
                said.append(Ended(task.name, task.function(*task.arguments, "root", task.name, said.append)))
            except UserError as error:
                said.append(Ended(task.name, error=error))
        return said


def telling(root: str, task: str, emit: object) -> str:
    assert callable(emit)
    emit(Note(task, "so far"))
    return f"{root} {task}"


def refusing(root: str, task: str, emit: object) -> None:
    raise UserError("not so")


def graph(**needs: tuple[str, ...]) -> list[Task]:
    return [
        Task(name, needed, refusing if name.startswith("bad") else telling, (), ())
        for name, needed in needs.items()
    ]


def ends(tasks: list[Task], executor: Here) -> dict[str, str]:
    reasons: dict[str, str] = {}
    walk(tasks, executor, lambda event: None, lambda task, reason: reasons.update({task.name: reason}))
    return reasons


def test_each_task_comes_after_those_it_needs() -> None:
    executor = Here()
    assert ends(graph(last=("left", "right"), left=("first",), right=("first",), first=()), executor)
    assert (executor.order[0], executor.order[-1]) == ("first", "last")


def test_of_those_that_can_begin_the_one_with_the_longest_way_to_the_end_does() -> None:
    executor = Here()
    ends(graph(other=(), another=("other",), trunk=(), branch=("trunk",), sample=("branch",)), executor)
    assert executor.order == ["trunk", "other", "branch", "another", "sample"]


def test_a_failed_task_takes_those_with_it_that_need_it_and_no_other() -> None:
    executor = Here()
    reasons = ends(graph(bad=(), child=("bad",), grandchild=("child",), other=()), executor)
    assert reasons == {"bad": "not so", "child": "not so", "grandchild": "not so", "other": ""}
    assert executor.order == ["bad", "other"]


def test_what_tasks_say_arrives_while_they_run() -> None:
    events: list[Event] = []
    walk(graph(first=(), second=("first",)), Here(), events.append, lambda task, reason: None)
    assert events == [Note("first", "so far"), Note("second", "so far")]


def test_a_question_is_answered() -> None:
    assert ask(graph(question=())[0], Here()) == "root question"


def test_what_refuses_a_question_is_raised() -> None:
    with pytest.raises(UserError, match="not so"):
        ask(graph(bad=())[0], Here())


def exiting(root: str, task: str, emit: object) -> None:
    sys.exit(3)


def test_code_that_calls_exit_has_failed_and_ends_nothing_else() -> None:
    ended = perform(Task("bad", (), exiting, (), ()), "root", lambda event: None)
    assert ended.error and ended.error.what == "the code called exit(3)"


def test_an_executor_that_cannot_go_on_ends_the_walk() -> None:
    class Broken(Here):
        def wait(self) -> list[Event | Ended]:
            raise RunError("a worker died")

    with pytest.raises(RunError, match="a worker died"):
        ends(graph(first=()), Broken())
