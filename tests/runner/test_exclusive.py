"""One process at a time runs an experiment: another waits, and says for whom."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from ablate.errors import RunError
from ablate.runner.exclusive import RUNNING, alone, experiment_lock, recording
from ablate.store import Store

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = (
    "import sys\n"
    "from ablate.runner.exclusive import alone\n"
    "from ablate.store import Store\n"
    "with alone(Store(sys.argv[1]), 'key', 'ema', print):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.readline()\n"
)


def hold(store: Store) -> subprocess.Popen[str]:
    """Another process that runs the experiment until a line comes in."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout and holder.stdout.readline() == "held\n"
    return holder


def test_another_waits_says_for_whom_and_then_goes_on(tmp_path: Path) -> None:
    store, said = Store(tmp_path), list[str]()
    holder = hold(store)

    def wait() -> None:
        with alone(store, "key", "ema", said.append):
            said.append("on")

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(wait)
        while not said:
            pass
        assert not waiting.done()
        holder.communicate("\n")
        waiting.result(60)
    first, last = said
    assert first.startswith(f"ema is being run by process {holder.pid} on ")
    assert "this command waits until it has ended" in first and last == "on"
    assert not list((tmp_path / RUNNING).iterdir())


def test_one_that_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    store, said = Store(tmp_path), list[str]()
    holder = hold(store)
    os.kill(holder.pid, 9)
    holder.communicate()
    with alone(store, "key", "ema", said.append):
        assert said == []


def test_what_goes_wrong_at_the_end_leaves_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)

    def away(name: str) -> None:
        raise RunError("the bucket is away")

    with monkeypatch.context() as patched, pytest.raises(RunError, match="away"):
        patched.setattr(store, "drop", away)
        with alone(store, "key", "ema", print):
            pass
    assert not store.held(experiment_lock("key"))


def test_other_experiments_are_not_waited_for(tmp_path: Path) -> None:
    store, said = Store(tmp_path), list[str]()
    with alone(store, "key", "ema", said.append), alone(store, "other", "lpips", said.append):
        assert said == []


def test_one_records_in_an_sqlite_file_and_who_finds_it_busy_waits_or_gives_up(tmp_path: Path) -> None:
    database, said = tmp_path / "mlflow.db", list[str]()

    def refuse() -> None:
        raise RunError("is being run")

    def wait() -> None:
        with recording(database, "key", lambda: said.append("busy")):
            said.append("on")

    with ThreadPoolExecutor(1) as thread:
        with recording(database, "key", refuse):
            with pytest.raises(RunError), recording(database, "key", refuse):
                pass
            with recording(database, "other", refuse), recording(None, "key", refuse):
                pass
            waiting = thread.submit(wait)
            while not said:
                pass
            assert said == ["busy"]
        waiting.result(60)
    assert said == ["busy", "on"] and not list(tmp_path.iterdir())
