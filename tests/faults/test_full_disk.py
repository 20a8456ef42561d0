"""Disks that are full or can only be read: a message, nothing broken, and the same command goes on."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.conftest import Warm

KILOBYTE = 1000


@contextmanager
def file_system(folder: Path, options: str) -> Iterator[Path]:
    """A file system of its own; the test is skipped where none may be mounted."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fails_in_words(
    warm: Warm, folder: Path, *, words: tuple[str, ...], exit_code: int = 1, **more: int
) -> None:
    process = warm.start(folder, "run", "tiny.yaml", "--no-audit", patience=2, **more)
    code, printed = process.wait(), process.printed()
    assert code == exit_code, printed
    assert "Traceback" not in printed, printed
    assert any(word in printed for word in words), printed


FULL = ("the disk is full", "may not grow that large")


@pytest.mark.parametrize(
    "kilobytes",
    [300, *(pytest.param(size, marks=pytest.mark.faults) for size in (1, 20, 100, 600, 1000))],
)
def test_files_that_may_not_grow_end_the_command_in_words_and_break_nothing(
    warm: Warm,
    new_workplace: Callable[[], Path],
    run_to_the_end: Callable[[Path], None],
    kilobytes: int,
) -> None:
    folder = new_workplace()
    fails_in_words(warm, folder, words=FULL, file_size=kilobytes * KILOBYTE)
    run_to_the_end(folder)


@pytest.mark.faults
@pytest.mark.parametrize("made_before", [True, False], ids=["databases", "no databases"])
@pytest.mark.parametrize("kilobytes", [300, 1000, 1500, 3000, 6000])
def test_a_full_disk_under_everything_is_said_and_with_room_the_same_command_goes_on(
    warm: Warm,
    new_workplace: Callable[[], Path],
    run_to_the_end: Callable[[Path], None],
    tmp_path: Path,
    kilobytes: int,
    made_before: bool,
) -> None:
    outside = new_workplace()
    inside = tmp_path / "small"
    with file_system(inside, f"size={kilobytes}k"):
        for file in outside.iterdir():
            if file.suffix != ".db" or (made_before and kilobytes > 1000):
                shutil.copy(file, inside)
        fails_in_words(warm, inside, words=FULL)
        subprocess.run(["mount", "-o", "remount,size=100m", str(inside)], check=True)
        run_to_the_end(inside)


@pytest.mark.faults
@pytest.mark.parametrize("kilobytes", [600, 1500, 3000])
def test_a_full_store_is_said_and_with_room_the_same_command_goes_on(
    warm: Warm,
    new_workplace: Callable[[], Path],
    run_to_the_end: Callable[[Path], None],
    kilobytes: int,
) -> None:
    folder = new_workplace()
    with file_system(folder / ".ablate", f"size={kilobytes}k"):
        fails_in_words(warm, folder, words=FULL)
        subprocess.run(["mount", "-o", "remount,size=100m", str(folder / ".ablate")], check=True)
        run_to_the_end(folder)


@pytest.mark.faults
def test_reports_without_room_are_said_and_written_by_the_same_command(
    warm: Warm, new_workplace: Callable[[], Path], run_to_the_end: Callable[[Path], None]
) -> None:
    folder = new_workplace()
    with file_system(folder / "reports", "size=20k"):
        fails_in_words(warm, folder, words=FULL)
        subprocess.run(["mount", "-o", "remount,size=100m", str(folder / "reports")], check=True)
        run_to_the_end(folder)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("place", "exit_code"),
    [(".", 1), (".ablate", 1), ("reports", 2), ("mlruns", 2)],  # where record and reports go, the user says
)
def test_what_can_only_be_read_is_said_and_named(
    warm: Warm,
    new_workplace: Callable[[], Path],
    run_to_the_end: Callable[[Path], None],
    tmp_path: Path,
    place: str,
    exit_code: int,
) -> None:
    folder = new_workplace()
    if place == ".":
        inside = tmp_path / "read-only"
        with file_system(inside, "size=100m"):
            for file in folder.iterdir():
                shutil.copy(file, inside)
            subprocess.run(["mount", "-o", "remount,ro", str(inside)], check=True)
            # Begun elsewhere: its log cannot lie where nothing can be written.
            process = warm.start(folder, "run", str(inside / "tiny.yaml"), "--store", str(inside / ".ablate"))
            code, printed = process.wait(), process.printed()
            assert (code, "Traceback" in printed) == (exit_code, False), printed
            assert "only be read" in printed
            return
    with file_system(folder / place, "size=100m"):
        subprocess.run(["mount", "-o", "remount,ro", str(folder / place)], check=True)
        fails_in_words(warm, folder, words=("can only be read", "Read-only"), exit_code=exit_code)
        subprocess.run(["mount", "-o", "remount,rw", str(folder / place)], check=True)
        run_to_the_end(folder)
