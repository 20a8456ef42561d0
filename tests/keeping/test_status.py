"""``ablate status`` says what runs, also while it runs and after it was killed, and touches nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from schemas import validate

from ablate.keeping.status import Command, status_of
from ablate.record.status import glance
from ablate.runner.account import Account, Keeper
from ablate.runner.exclusive import alone
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate

NO_MLFLOW = "sqlite:////nowhere/mlflow.db"


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    every = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in every}


def wait_for(condition: Callable[[], Any]) -> Any:
    until = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < until
        time.sleep(0.5)
    return found


def test_a_real_run_is_followed_and_its_death_is_noticed(
    make_workplace: Callable[..., Path], command: Callable[..., list[str]], ablate: Ablate, tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    arguments = command("run", "tiny.yaml", "--workers", "1", "--no-audit")
    run = subprocess.Popen(
        arguments, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )

    def status() -> dict[str, Any]:
        done = ablate("status", "--json", folder=folder)
        assert done.code == 0, done.shown
        found = json.loads(done.out)
        validate(found, "status")
        return found

    def at_work() -> dict[str, Any] | None:
        """With an epoch done and in the middle of a task: between two tasks there is none."""
        assert run.poll() is None
        commands = status()["commands"]
        return commands[0] if commands and commands[0]["epochs_done"] and commands[0]["tasks"] else None

    try:
        found = wait_for(at_work)
        assert (found["experiment"], found["state"], found["process"]) == ("tiny", "running", run.pid)
        assert (found["epochs"], found["runs"]) == (10, 4)
        assert found["seconds_left"] > 0
        shown = wait_for(lambda: (out := ablate("status", folder=folder).out) and "  now: " in out and out)
        assert f"tiny: process {run.pid} on " in shown
        assert "of 10 epochs trained, " in shown
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    (found,) = status()["commands"]
    assert (found["state"], found["seconds_left"]) == ("killed", None)
    before = files(folder)
    assert "was killed; the same command goes on" in ablate("status", folder=folder).out
    assert files(folder) == before


def test_nothing_runs_in_a_folder_without_a_store(ablate: Ablate) -> None:
    assert ablate("status").out == "Nothing runs in .ablate.\n"


def test_a_run_that_has_ended_leaves_no_account(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with alone(store, "key", "tiny", print) as keeper:
        keeper.begin(3, ["a", "b"])
        (command,) = status_of(store, NO_MLFLOW).commands
        assert not command.killed
    assert not status_of(store, NO_MLFLOW).commands


def test_what_is_told_is_kept(tmp_path: Path) -> None:
    account, store = Account.of_this_process("tiny"), Store(tmp_path)
    with Keeper(account, store, "running/key.json") as keeper:
        keeper.note("audit", "a few steps")
        keeper.findings([])
        keeper.begin(3, ["plain seed 0", "late seed 0"])
        keeper.epoch("train", 1, {"loss": 0.5}, memory=0)
        keeper.done("plain seed 0")
        keeper.failed("late seed 0", "out of memory\nTraceback …")
        kept = wait_for(lambda: (read := Account.read(store, "running/key.json")) and read.failed and read)
    assert (kept.epochs, kept.epochs_done, kept.runs, kept.runs_done) == (3, 1, 2, 2)
    assert kept.tasks == {"train": "epoch 1, loss 0.5000"}
    assert kept.failed == {"late seed 0": "out of memory"}


@pytest.mark.parametrize(("done", "left"), [((0, 0), None), ((5, 0), 300.0), ((8, 2), 150.0), ((10, 5), 0.0)])
def test_what_is_left_follows_from_the_pace(done: tuple[int, int], left: float | None) -> None:
    # Of 10 epochs and 5 runs, in as many times 20 seconds as there are things done.
    begun = time.time() - 20 * sum(done) * 1.5
    account = Account("tiny", 1, "here", begun, begun, 10, done[0], 5, done[1])
    assert Command(account, killed=False).seconds_left == (left and pytest.approx(left, abs=2))
    assert Command(account, killed=True).seconds_left is None


def test_an_account_of_something_else_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "running").mkdir()
    for number, text in enumerate(("", "{", "[]", '{"experiment": "tiny"}')):
        (tmp_path / "running" / f"{number}.json").write_text(text)
    assert not status_of(Store(tmp_path), NO_MLFLOW).commands


def test_failures_that_mlflow_has_are_shown(finished: Path, tmp_path: Path, ablate: Ablate) -> None:
    import sqlite3
    from contextlib import closing

    shutil.copy(finished / "mlflow.db", tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update runs set status = 'FAILED' where name = 'late seed 1'")
        query = "insert into tags select 'ablate.reason', ?, run_uuid from runs where name = 'late seed 1'"
        database.execute(query, ("the loss became nan\nand more",))
    (found,) = glance(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert (found.experiment, found.counts) == ("tiny", {"FINISHED": 3, "FAILED": 1})
    shown = ablate("status", folder=tmp_path).out
    assert "tiny in MLflow: 1 failed, 3 finished\n  failed: late seed 1: the loss became nan\n" in shown
    (tmp_path / "mlflow.db").write_text("no database")
    assert ablate("status", folder=tmp_path).code == 0
