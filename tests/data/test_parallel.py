"""Worker processes: nothing is lost, nothing piles up, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from ablate.data.parallel import map_chunks
from ablate.environment import environment
from ablate.errors import RunError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE = 60.0


def touch(paths: Sequence[Path]) -> int:
    for path in paths:
        path.touch()
    return len(paths)


def die(_: Sequence[int]) -> None:
    os._exit(1)


def test_no_more_than_two_chunks_a_worker_are_begun_ahead(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(50)]
    results = map_chunks(touch, paths, chunk=2, workers=1)
    assert next(results) == 2
    time.sleep(0.5)  # long enough to do all 25
    assert len(list(tmp_path.iterdir())) <= 2 * 3
    assert sum(results) == 48


def test_a_dead_worker_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(RunError, match="died"):
        list(map_chunks(die, [1, 2, 3], chunk=1, workers=1))


def test_a_worker_that_loads_other_code_computes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {**environment(), "data/images.py": "as it was"}
    monkeypatch.setattr("ablate.data.parallel.environment", lambda: before)
    with pytest.raises(UserError, match=r"other code .*: data/images\.py differs"):
        list(map_chunks(sum, [1, 2, 3], chunk=1, workers=1))


PROGRAM = """
import multiprocessing, time
from ablate.data.parallel import map_chunks, worker_processes
from ablate.interrupts import caught, check

def idle():
    for _ in map_chunks(sorted, range(9), chunk=1, workers=1):
        print(multiprocessing.active_children()[0].pid, flush=True)
        time.sleep(600)

def busy():
    with worker_processes(1) as pool:
        working = pool.submit(time.sleep, 600)
        print(multiprocessing.active_children()[0].pid, flush=True)
        while not working.done():
            check()
            time.sleep(0.1)

if __name__ == "__main__":
    with caught():
        {what}()
"""


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM], ids=lambda stop: stop.name)
@pytest.mark.parametrize("what", ["idle", "busy"])
def test_workers_end_with_a_parent_that_is_stopped(tmp_path: Path, what: str, stop: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM.replace("{what}", what))
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout
    worker = psutil.Process(int(parent.stdout.readline()))
    assert worker.is_running()
    parent.send_signal(stop)
    parent.wait(PATIENCE)
    parent.stdout.close()
    _, alive = psutil.wait_procs([worker], timeout=PATIENCE)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
