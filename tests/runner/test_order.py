"""Which task goes first: the seed's turn, then the longest remaining path, then as listed."""

from __future__ import annotations

from ablate.runner.graph import Task
from ablate.runner.order import ranks, remaining_lengths


def task(name: str, length: float, *needs: str, turn: int = 0) -> Task:
    return Task(name, needs, print, (), (), length, turn)


def in_order(*tasks: Task) -> list[str]:
    rank = ranks(tasks)
    return sorted(rank, key=rank.__getitem__)


TRUNK = (task("trunk", 10, "data"), task("short", 1, "trunk"), task("long", 8, "trunk"))


def test_what_remains_is_the_longest_path_and_not_the_sum() -> None:
    remaining = remaining_lengths([task("data", 0), *TRUNK])
    assert remaining == {"data": 18, "trunk": 18, "short": 1, "long": 8}


def test_the_longest_remaining_path_goes_first_though_it_begins_with_a_short_task() -> None:
    assert in_order(task("alone", 5), task("short", 1), task("then long", 9, "short")) == [
        "short", "then long", "alone",
    ]  # fmt: skip


def test_an_earlier_seed_goes_first_however_long_another_is() -> None:
    assert in_order(task("second", 100, turn=1), task("first", 1)) == ["first", "second"]


def test_of_equals_the_one_that_is_listed_first() -> None:
    assert in_order(task("b", 1), task("a", 1)) == ["b", "a"]


def test_tasks_may_be_listed_in_any_order() -> None:
    assert remaining_lengths([*reversed(TRUNK), task("data", 0)])["data"] == 18
