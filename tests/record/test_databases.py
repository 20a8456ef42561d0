"""A database is whole or not there, and finds its artifacts wherever it lies."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from ablate.errors import UserError
from ablate.record.client import connect, count_experiments, ui_command
from ablate.record.databases import place_here
from ablate.record.read import read_experiment
from ablate.record.write import as_json, open_experiment
from ablate.runner.studies.study import Study

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.plan import Plan
    from ablate.record.write import Writer


def half_made(file: Path) -> None:
    """As a process leaves it that is killed in MLflow's migrations."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("create table experiments (experiment_id integer)")
        database.execute("create table alembic_version (version_num text)")


def foreign(file: Path) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("create table other (x)")


def text(file: Path) -> None:
    file.write_text("This is no database. " * 100)


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (half_made, "not whole: the process that made it was killed"),
    (foreign, r"another program \(no such table"),
    (text, r"another program \(file is not a database"),
]


@pytest.mark.parametrize(("make", "what"), BROKEN)
def test_a_database_that_cannot_be_used_is_named_with_the_way_out(
    make: Callable[[Path], None], what: str, plan: Plan, tmp_path: Path
) -> None:
    file = tmp_path / "broken.db"
    make(file)
    before = file.read_bytes()
    uri = f"sqlite:///{file}"
    commands = (
        lambda: open_experiment(uri, "tiny"),
        lambda: read_experiment(uri, plan),
        lambda: ui_command(uri, "127.0.0.1", 5000),
        lambda: count_experiments(file),
    )
    for command in commands:
        with pytest.raises(UserError, match=what) as raised:
            command()
        assert raised.value.where == str(file)
        assert f"Move it away (mv {file} {file}.broken)" in raised.value.fix
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["mlflow.db", "optuna.db"])
def test_a_database_that_is_cut_off_is_named(databases: Path, tmp_path: Path, name: str) -> None:
    whole = (databases / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        if name == "mlflow.db":
            open_experiment(f"sqlite:///{tmp_path / name}", "tiny")
        else:
            Study(tmp_path / name, "tiny", ["plain"])


@pytest.mark.parametrize("make", [foreign, text])
def test_optuna_s_database_is_looked_at_too(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "optuna.db")
    with pytest.raises(UserError, match="damaged"):
        Study(tmp_path / "optuna.db", "tiny", ["plain"])


def test_an_empty_file_is_no_database_yet(tmp_path: Path, plan: Plan) -> None:
    file = tmp_path / "optuna.db"
    file.touch()
    Study(file, "tiny", ["plain"])
    assert file.stat().st_size
    (tmp_path / "empty.db").touch()
    assert read_experiment(f"sqlite:///{tmp_path / 'empty.db'}", plan) is None


def test_what_a_killed_maker_left_is_cleared_and_old_journals_are_not_rolled_into_a_new_database(
    tmp_path: Path,
) -> None:
    left = ["optuna.db.new-0123abcd", "optuna.db.new-0123abcd-journal", "optuna.db-journal", "optuna.db-wal"]
    for name in left:
        (tmp_path / name).write_text("left")
    Study(tmp_path / "optuna.db", "tiny", ["plain"])
    assert not [name for name in left if (tmp_path / name).exists()]


def test_of_several_that_need_a_database_at_once_one_makes_it(tmp_path: Path) -> None:
    failed = []

    def make() -> None:
        try:
            Study(tmp_path / "optuna.db", "tiny", ["plain"])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_database_of_another_version_of_mlflow_is_named(uri: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = 'other'")
    with pytest.raises(UserError, match="another version of MLflow") as raised:
        connect(uri).reach()
    assert f"mlflow db upgrade {uri}" in raised.value.fix


# ── moves ────────────────────────────────────────────────────────────────────────────────────────


def record_something(writer: Writer, plan: Plan, parent: str) -> str:
    run_id = writer.begin_child(parent, plan.runs[0], None)
    run = {"links": [], "steps_per_epoch": 2, "feature_space": "", "evaluator": ""}
    writer.save(run_id, {"run.json": as_json(run), "scores.json": b"[]", "samples/0.png": b""})
    writer.client.set_terminated(run_id, "FINISHED")
    return run_id


def test_a_copied_folder_reads_and_writes_its_own_artifacts(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    run_id = record_something(writer, plan, parent)
    copy = tmp_path / "a copy, ä"
    copy.mkdir()
    shutil.copy(tmp_path / "mlflow.db", copy)
    shutil.copytree(tmp_path / "mlruns", copy / "mlruns")
    shutil.rmtree(tmp_path / "mlruns")
    before = (copy / "mlflow.db").read_bytes()

    uri = f"sqlite:///{copy / 'mlflow.db'}"
    record = read_experiment(uri, plan)
    assert record and record.runs[0].samples == copy / "mlruns" / "tiny" / run_id / "artifacts" / "samples"
    assert (copy / "mlflow.db").read_bytes() == before, "reading has written"

    again = open_experiment(uri, "tiny")
    assert again.keep_current(parent, {run.keys.evaluate for run in plan.runs})
    again.save(run_id, {"new.json": b"{}"})
    made = again.begin_child(parent, plan.runs[1], None)
    again.save(made, {"new.json": b"{}"})
    assert len(list(copy.rglob("new.json"))) == 2
    assert not (tmp_path / "mlruns").exists()
    with closing(sqlite3.connect(copy / "mlflow.db")) as database:
        uris = database.execute("select artifact_uri from runs").fetchall()
        uris += database.execute("select artifact_location from experiments where name = 'tiny'").fetchall()
    assert all(address.startswith((copy / "mlruns" / "tiny").as_uri()) for (address,) in uris)


def test_the_ui_finds_what_was_moved(writer: Writer, plan: Plan, parent: str, tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    for name in ("mlflow.db", "mlruns"):
        shutil.move(tmp_path / name, tmp_path / "moved" / name)
    file = tmp_path / "moved" / "mlflow.db"
    ui_command(f"sqlite:///{file}", "127.0.0.1", 5000)
    with closing(sqlite3.connect(file)) as database:
        ((address,),) = database.execute("select artifact_uri from runs").fetchall()
    assert address.startswith((tmp_path / "moved").as_uri())


def test_artifacts_that_the_user_keeps_elsewhere_stay_there(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    assert place_here(database, "tiny", "s3://bucket/tiny/run/artifacts") is None
    assert place_here(database, "tiny", "file:///disk/mlruns/tinyer/run/artifacts") is None
    here = place_here(database, "ti ny", "file:///disk/mlruns/ti%20ny/run/artifacts")
    assert here == tmp_path / "mlruns" / "ti ny" / "run" / "artifacts"
