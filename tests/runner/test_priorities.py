"""Which task goes first: the seed's turn, then the longest remaining path, then as listed."""

from __future__ import annotations

from ablate.runner.graph import Task
from ablate.runner.priorities import ranks, remaining_lengths


def task(name: str, length: float, *needs: str, turn: int = 0) -> Task:
    return Task(name, needs, print, (), (), length, turn)


def in_order(*tasks: Task, workers: int = 1) -> list[str]:
    rank = ranks(tasks, workers)
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


def test_seeds_that_cannot_keep_all_workers_busy_have_their_turn_together() -> None:
    """Each of four seeds is a trunk with two branches, so it keeps 28 / 18 workers busy."""
    seeds = [
        task(f"{name} {turn}", length, *(f"{need} {turn}" for need in needs), turn=turn)
        for turn in range(4)
        for name, length, *needs in (("trunk", 8), ("short", 10, "trunk"), ("long", 10, "trunk"))
    ]
    trunks = [f"trunk {turn}" for turn in range(4)]
    assert in_order(*seeds, workers=1)[:3] == ["trunk 0", "short 0", "long 0"]
    assert in_order(*seeds, workers=3)[:3] == [*trunks[:2], "short 0"]
    assert in_order(*seeds, workers=9)[:4] == trunks
