"""Kills at random moments and at every point at which something is written: the same command goes on."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.conftest import Warm


SEQUENCES = 30
"""Folders in which commands are killed one after another."""


def survey(warm: Warm, folder: Path) -> list[str]:
    """The write points that the command passes in a folder, to its end."""
    points = folder / "points.txt"
    process = warm.start(folder, "run", "tiny.yaml", points=str(points))
    assert process.wait() == 0, process.printed()
    return points.read_text().splitlines()


def first_and_last_of_each_kind(points: list[str]) -> list[int]:
    """The numbers, from 1, of the first and the last point of each kind."""
    first = {kind: number for number, kind in reversed(list(enumerate(points, start=1)))}
    last = {kind: number for number, kind in enumerate(points, start=1)}
    return sorted({*first.values(), *last.values()})


def killed_at(warm: Warm, folder: Path, number: int, kind: str | None = None) -> bool:
    """Whether the command reached the write point with this number, or the first of a kind from there on."""
    points = str(folder / "points.txt")
    process = warm.start(folder, "run", "tiny.yaml", points=points, kill_at=number, kill_kind=kind)
    code = process.wait()
    assert code in (0, -signal.SIGKILL), process.printed()
    return code != 0


def test_killed_when_it_writes_the_same_command_goes_on_to_the_same_result(
    warm: Warm, new_workplace: Callable[[], Path], run_to_the_end: Callable[[Path], None]
) -> None:
    folder = new_workplace()
    assert killed_at(warm, folder, 300)
    run_to_the_end(folder)


@pytest.mark.faults
def test_killed_at_each_kind_of_write_point_the_same_command_goes_on_to_the_same_result(
    warm: Warm, new_workplace: Callable[[], Path], run_to_the_end: Callable[[Path], None]
) -> None:
    """Some 10 kills one after another in each folder, the first and the last of its kind among them.

    A command that goes on passes the points of its beginning again, so a kill may fall before the very last
    point of its kind. One that is not reached any more is tried in a folder of its own.
    """
    points = survey(warm, new_workplace())
    numbers = first_and_last_of_each_kind(points)
    kills, unreached = 0, []
    for start in range(SEQUENCES):
        folder, passed = new_workplace(), 0
        for number in numbers[start::SEQUENCES]:
            if killed_at(warm, folder, number - passed, points[number - 1]):
                kills, passed = kills + 1, number
            else:
                unreached.append(number)
                run_to_the_end(folder)
                folder, passed = new_workplace(), 0
        run_to_the_end(folder)
    for number in unreached:
        folder = new_workplace()
        kills += killed_at(warm, folder, number)
        run_to_the_end(folder)
    kinds = len(set(points))
    print(
        f"{kills} kills at {len(numbers)} points of {kinds} kinds, {len(unreached)} in folders of their own"
    )


@pytest.mark.faults
def test_killed_at_random_moments_the_same_command_goes_on_to_the_same_result(
    warm: Warm, new_workplace: Callable[[], Path], run_to_the_end: Callable[[Path], None]
) -> None:
    draw = random.Random(1)
    kills, sequences = 0, 0
    while kills < 200:
        folder = new_workplace()
        sequences += 1
        audited = draw.random() < 0.3
        for _ in range(draw.randint(5, 20)):
            process = warm.start(folder, "run", "tiny.yaml", *(() if audited else ("--no-audit",)))
            time.sleep(draw.uniform(0, 12 if audited else 6))
            process.send(signal.SIGKILL)
            if process.wait() == -signal.SIGKILL:
                kills += 1
        run_to_the_end(folder)
    print(f"{kills} kills in {sequences} sequences")


@pytest.mark.parametrize(
    ("stop", "times"),
    [
        (signal.SIGTERM, 1),
        pytest.param(signal.SIGTERM, 15, marks=pytest.mark.faults),
        pytest.param(signal.SIGINT, 15, marks=pytest.mark.faults),
    ],
)
def test_interrupted_at_a_random_moment_it_says_so_and_the_same_command_goes_on(
    warm: Warm,
    new_workplace: Callable[[], Path],
    run_to_the_end: Callable[[Path], None],
    stop: signal.Signals,
    times: int,
) -> None:
    draw = random.Random(times)
    folder = new_workplace()
    stopped = 0
    for _ in range(times):
        process = warm.start(folder, "run", "tiny.yaml", "--no-audit")
        time.sleep(draw.uniform(0.05, 3))
        process.send(stop)
        code, printed = process.wait(), process.printed()
        assert "Traceback" not in printed, printed
        if code != 0:
            stopped += 1
            assert code == 128 + stop, printed
            assert "interrupted; give the same command again to go on from here" in printed
    assert stopped
    run_to_the_end(folder)


@pytest.mark.parametrize(
    "times", [pytest.param(1, id="once"), pytest.param(50, id="50 times", marks=pytest.mark.faults)]
)
def test_of_two_commands_at_once_one_waits_and_finds_the_work_done(
    warm: Warm,
    new_workplace: Callable[[], Path],
    undisturbed: Callable[[Path], None],
    times: int,
) -> None:
    draw = random.Random(times)
    waited = 0
    for number in range(times):
        folder = new_workplace()
        first = warm.start(folder, "run", "tiny.yaml", "--no-audit")
        time.sleep(0 if number % 5 == 0 else draw.uniform(0, 3))
        second = warm.start(folder, "run", "tiny.yaml", "--no-audit")
        assert (first.wait(), second.wait()) == (0, 0), first.printed() + second.printed()
        printed = first.printed() + second.printed()
        assert "Traceback" not in printed, printed
        waited += "this command waits until it has ended" in printed
        undisturbed(folder)
    assert waited
