"""The record's databases are killed while they are made, locked by others, and its server goes away."""

from __future__ import annotations

import multiprocessing
import random
import time
from typing import TYPE_CHECKING

import pytest
from harm import hold, rows
from servers import Tracking

from ablate.experiment.load import load_experiment
from ablate.plan import Plan, make_plan
from ablate.record.client import connect
from ablate.record.provenance import spec_key
from ablate.record.recorder import Recorder
from ablate.record.write import open_experiment
from ablate.runner.studies.study import Study
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ablate.fingerprint import Contents

HISTORY = [{"loss": 0.5 - epoch / 10, "epoch_seconds": 1.0} for epoch in range(3)]


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Plan:
    spec = write_spec(
        tmp_path, variants={"plain": {}, "other": {"train": {"batch": 8}}}, seeds=[0], claims=[]
    )
    return make_plan(load_experiment(spec), Store(tmp_path / "store"), contents)


# ── kill -9 while a database is made ─────────────────────────────────────────────────────────────


def make_mlflow(folder: Path) -> None:
    connect(f"sqlite:///{folder / 'mlflow.db'}", to_write=True)


def make_optuna(folder: Path) -> None:
    Study(folder / "optuna.db", "tiny", ["plain"])


def kill_while_it_is_made(make: Callable[[Path], None], folder: Path, after: float) -> bool:
    """Kills a process so many seconds after it has begun to write a database. Whether it was still at it."""
    maker = multiprocessing.get_context("fork").Process(target=make, args=(folder,))
    maker.start()
    while maker.is_alive() and not list(folder.glob("*.new-*")):
        time.sleep(0.002)
    maker.join(after)
    alive = maker.is_alive()
    maker.kill()
    maker.join()
    return alive


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "kills", [pytest.param(1, id="once"), pytest.param(25, id="often", marks=pytest.mark.faults)]
)
@pytest.mark.parametrize(("make", "longest"), [(make_mlflow, 3.0), (make_optuna, 0.4)])
def test_whenever_its_maker_is_killed_the_next_one_makes_the_database(
    tmp_path: Path, make: Callable[[Path], None], longest: float, kills: int
) -> None:
    draw = random.Random(kills)
    hit = 0
    for number in range(kills):
        folder = tmp_path / str(number)
        folder.mkdir()
        for after in (0, draw.uniform(0, longest), draw.uniform(0, longest)):
            hit += kill_while_it_is_made(make, folder, after)
        make(folder)
        (name,) = {file.name for file in folder.iterdir()} - {"mlflow.db.lock", "optuna.db.lock"}
        assert name in ("mlflow.db", "optuna.db")
    assert hit, "every maker was done before it was killed"


# ── locks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [2, pytest.param(70, marks=pytest.mark.faults)])
def test_locked_databases_are_waited_for_at_every_moment(
    make_workplace: Callable[..., Path], plan: Plan, tmp_path: Path, seconds: float
) -> None:
    (tmp_path / "here").mkdir()
    folder = make_workplace(tmp_path / "here")
    mlflow, optuna = folder / "mlflow.db", folder / "optuna.db"
    notes: list[str] = []

    holder = hold(mlflow, seconds)  # at the start
    writer = open_experiment(f"sqlite:///{mlflow}", "tiny", notes.append)
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    assert holder.wait() == 0
    holder = hold(optuna, seconds)
    study = Study(optuna, "tiny", ["plain", "other"], notes.append)
    study.enqueue(["plain", "other"])
    assert study.propose() == ["plain", "other"]
    assert holder.wait() == 0

    with Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        holder = hold(mlflow, seconds)  # in training, and to its end
        recorder.epoch([run.name for run in plan.runs], HISTORY, None)
        recorder.fail([run.name for run in plan.runs], "no reason")
    assert holder.wait() == 0
    holder = hold(optuna, seconds)
    study.tell({})
    assert holder.wait() == 0
    assert {trial.state for trial in study.trials()} == {"FAIL"}
    record = writer.read(parent)
    assert [run.status for run in record.runs] == ["FAILED", "FAILED"]
    assert writer.epochs_logged([run.run_id for run in record.runs]) == {run.run_id: 3 for run in record.runs}
    assert bool(notes) == (seconds > 20)


# ── a server that goes away ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def server(databases: Path, tmp_path: Path) -> Iterator[Tracking]:
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "server.db").write_bytes((databases / "mlflow.db").read_bytes())
    running = Tracking(folder, f"sqlite:///{folder / 'server.db'}")
    yield running
    running.kill()


@pytest.mark.faults
@pytest.mark.parametrize("seconds", [5, 60])
def test_a_server_that_is_away_is_waited_for_and_nothing_is_there_twice(
    server: Tracking, plan: Plan, tmp_path: Path, seconds: float, capfd: pytest.CaptureFixture[str]
) -> None:
    notes: list[str] = []
    uri = f"http://bob:S3cretPw@127.0.0.1:{server.port}"
    server.start()
    server.wait()
    writer = open_experiment(uri, "tiny", notes.append)
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    run_names = [run.name for run in plan.runs]
    with Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        recorder.epoch(run_names, HISTORY[:1], None)
        server.kill()  # in training, perhaps while it writes
        recorder.epoch(run_names, HISTORY, None)
        time.sleep(seconds)
        server.start()
        recorder.flush()
        recorder.epoch(run_names, HISTORY, None)
        server.kill()  # at the end
        recorder.fail(run_names, "no reason")
        server.start()
    writer.save(parent, {"new.json": b"{}"})
    record = writer.read(parent)
    assert [run.status for run in record.runs] == ["FAILED", "FAILED"]
    server.kill()
    twice = "select key, step from metrics group by run_uuid, key, step having count(*) > 1"
    assert rows(server.folder / "server.db", twice) == []
    assert rows(server.folder / "server.db", "select count(*) from metrics") == [(2 * 3 * 2,)]
    kinds = "select value, count(*) from tags where key = 'ablate.kind' group by value order by value"
    assert rows(server.folder / "server.db", kinds) == [("experiment", 1), ("run", 2)]
    shown = "".join([*notes, *capfd.readouterr()])
    assert "Waiting for it" in shown and "works again" in shown
    assert "S3cretPw" not in shown
