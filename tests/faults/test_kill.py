"""A real ``ablate run`` is killed, and killed again; the same command still ends with the same weights."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from harm import rows

from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.conftest import Ablate

PATIENCE = 300.0
"""Seconds until a step that takes a few is taken for stuck."""


BEGUN_AGAIN = "its worker process died of SIGKILL; it is begun again (2 of 3)"


class Command:
    """``ablate run tiny.yaml`` as a process group of its own, and what it has printed."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self.store = folder / ".ablate"
        self._log = folder / "log.txt"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                arguments, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def printed(self) -> str:
        return self._log.read_text()

    def wait_until(self, condition: Callable[[Command], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not condition(self):
            assert self.process.poll() is None, f"ended too early: {self.printed()}"
            assert time.monotonic() < until, f"stuck: {self.printed()}"
            time.sleep(0.002)

    def kill(self) -> None:
        """SIGKILL for all its processes at once, as when a machine loses power."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_parent_only(self) -> None:
        """SIGKILL for the parent; its workers have to notice by themselves, within seconds."""
        workers = psutil.Process(self.process.pid).children(recursive=True)
        assert workers
        self.process.kill()
        self.process.wait()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE]

    def kill_worker(self) -> None:
        """SIGKILL for a worker, as when memory runs out; its parent has to begin its task again. Then all."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        (worker,) = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        before = self.printed().count(BEGUN_AGAIN)
        worker.kill()
        self.wait_until(lambda run: run.printed().count(BEGUN_AGAIN) > before)
        assert "Traceback" not in self.printed()
        self.kill()


def the_audit_has_begun(run: Command) -> bool:
    return "audit: " in run.printed()


def first_epoch_is_stored(run: Command) -> bool:
    return any((run.store / "train").glob(f"*/{ENTRY}"))


def samples_are_half_written(run: Command) -> bool:
    return any((run.store / "tmp").glob("sample-*/images/*.png"))


def figures_are_stored(run: Command) -> bool:
    return any((run.store / "evaluate").glob(f"*/{ENTRY}"))


def one_more_run_is_recorded(run: Command) -> bool:
    return "runs; done: " in run.printed() and " seed " in run.printed().rpartition("runs; done: ")[2]


def means_are_begun(run: Command) -> bool:
    begun = "select 1 from tags join runs using (run_uuid) where value = 'variant' and status = 'RUNNING'"
    return bool(rows(run.store.parent / "mlflow.db", begun))


@pytest.fixture
def start(
    make_workplace: Callable[..., Path], command: Callable[..., list[str]], tmp_path: Path
) -> Iterator[Callable[[], Command]]:
    """Starts the command in its folder, each time anew; what a failed test leaves is ended."""
    folder, started = make_workplace(tmp_path), list[Command]()

    def begin() -> Command:
        started.append(Command(folder, command("run", "tiny.yaml", "--workers", "1")))
        return started[-1]

    yield begin
    for run in started:
        if run.process.poll() is None:
            run.kill()


FAULTS = (
    (the_audit_has_begun, Command.kill_worker),
    (first_epoch_is_stored, Command.kill),
    (samples_are_half_written, Command.kill_parent_only),
    (figures_are_stored, Command.kill),  # its parent is about to write them into MLflow
    (one_more_run_is_recorded, Command.kill_worker),
    (means_are_begun, Command.kill),
)


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(FAULTS[2:3], id="once"),
        pytest.param(FAULTS, id="at each moment", marks=pytest.mark.faults),
    ],
)
def test_whenever_it_is_killed_the_same_command_goes_on_to_the_same_result(
    start: Callable[[], Command],
    undisturbed: Callable[[Path], None],
    ablate: Ablate,
    tmp_path: Path,
    faults: Sequence[tuple[Callable[[Command], bool], Callable[[Command], None]]],
) -> None:
    for moment, kill in faults:
        run = start()
        run.wait_until(moment)
        kill(run)
    # Here, not in a process of its own: only those that are killed have to be.
    done = ablate("run", "tiny.yaml", folder=tmp_path)
    assert done.code == 0, done.shown
    undisturbed(tmp_path)
