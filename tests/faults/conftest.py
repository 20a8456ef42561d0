"""Commands whose processes are killed, and what must be true of the folder afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from harm import rows

from ablate.store import Store
from ablate.store.files import ENTRY

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator

    from ablate.records import ExperimentRecord, RunRecord

APART = ("tmp", "locks", "kept", "running", "needs", "damaged", "times", "store")
"""Folders of a store that hold no entries."""


def outcome(folder: Path, run: RunRecord) -> dict[str, object]:
    """What must not depend on how often a run was interrupted."""
    artifacts = folder / "mlruns" / "tiny" / run.run_id / "artifacts"
    return {
        "who": (run.variant, run.seed, run.status),
        "links": run.links,
        "weights": json.loads((artifacts / "run.json").read_text())["weights"],
        "scores": json.loads((artifacts / "scores.json").read_text()),
        "samples": {file.name: file.read_bytes() for file in (artifacts / "samples").iterdir()},
        "curves": {name: points for name, points in run.history.items() if name != "epoch_seconds"},
        "figures": {name: value for name, value in run.metrics.items() if "seconds" not in name},
    }


@pytest.fixture(scope="session")
def undisturbed(finished: Path, read_record: Callable[[Path], ExperimentRecord]) -> Callable[[Path], None]:
    """Checks a folder in which ``tiny.yaml`` has run to its end: it is as if nothing had happened."""
    right = [outcome(finished, run) for run in read_record(finished).runs]

    def check(folder: Path) -> None:
        assert [outcome(folder, run) for run in read_record(folder).runs] == right
        mlflow, optuna = folder / "mlflow.db", folder / "optuna.db"
        kinds = "select value, count(*) from tags where key = 'ablate.kind' group by value order by value"
        assert rows(mlflow, kinds) == [("experiment", 1), ("run", 4), ("variant", 2)]
        assert rows(mlflow, "select distinct status from runs") == [("FINISHED",)]
        assert rows(mlflow, "select count(*) from experiments where name = 'tiny'") == [(1,)]
        twice = "select key, step from metrics group by run_uuid, key, step having count(*) > 1"
        assert rows(mlflow, twice) == []
        states = dict(rows(optuna, "select state, count(*) from trials group by state"))
        assert states["COMPLETE"] == 2 and set(states) <= {"COMPLETE", "FAIL"}
        store = folder / ".ablate"
        for stage in store.iterdir():
            if stage.is_dir() and stage.name not in APART:
                for entry in stage.iterdir():
                    assert (entry / ENTRY).is_file()
                    assert not Store(store).damage(stage.name, entry.name)
        assert not [*(store / "tmp").iterdir(), *(store / "running").glob("*.json")]
        assert not (store / "work").exists() or not list((store / "work").iterdir())
        assert not [*folder.glob("*.new*"), *(folder / "reports").glob(".drawing-*")]
        assert (folder / "reports" / "tiny.md").is_file()

    return check


class Process:
    """A command that was begun by ``Warm``."""

    def __init__(self, warm: Warm, number: int, log: Path) -> None:
        self._warm, self.number, self._log = warm, number, log

    def printed(self) -> str:
        return self._log.read_text(errors="replace")

    def send(self, what: signal.Signals) -> None:
        """Nothing happens if it has ended."""
        os.kill(self.number, what)  # until it is waited for, its number is its own

    def ended(self) -> bool:
        return psutil.Process(self.number).status() == psutil.STATUS_ZOMBIE

    def wait(self) -> int:
        """The exit code; negative for a signal."""
        return self._warm.ask({"wait": self.number})


class Warm:
    """Begins commands that have imported everything; see ``tests/warm.py``."""

    def __init__(self) -> None:
        script = Path(__file__).parents[1] / "warm.py"
        self._server = subprocess.Popen(
            [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._server.stdout and self._server.stdout.readline() == "ready\n"
        self._logs = 0

    def ask(self, request: dict[str, Any]) -> int:
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, folder: Path, *arguments: str, **more: Any) -> Process:
        self._logs += 1
        log = folder / f"log-{self._logs}.txt"
        log.touch()
        request = {"folder": str(folder), "arguments": arguments, "log": str(log), **more}
        return Process(self, self.ask(request), log)

    def end(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    server = Warm()
    yield server
    server.end()


@pytest.fixture
def run_to_the_end(warm: Warm, undisturbed: Callable[[Path], None]) -> Callable[[Path], None]:
    """The same command once more, undisturbed: it ends well, and all is as if nothing had happened."""

    def run(folder: Path) -> None:
        process = warm.start(folder, "run", "tiny.yaml")
        assert process.wait() == 0, process.printed()
        assert "Traceback" not in process.printed(), process.printed()
        undisturbed(folder)

    return run


@pytest.fixture
def new_workplace(make_workplace: Callable[..., Path], tmp_path: Path) -> Callable[[], Path]:
    """A folder of its own each time, in which ``ablate run tiny.yaml`` can be called."""
    made: list[Path] = []

    def make() -> Path:
        made.append(tmp_path / f"workplace-{len(made)}")
        made[-1].mkdir()
        return make_workplace(made[-1])

    return make


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
