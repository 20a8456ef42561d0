"""The recorder writes in a thread: training never waits, and what went wrong is told in the end."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from harm import hold

from ablate import patience
from ablate.errors import UserError
from ablate.patience import UnreachableError
from ablate.record.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.plan import Plan
    from ablate.record.write import Writer

HISTORY = [{"loss": 0.5 - epoch / 10, "epoch_seconds": 1.0} for epoch in range(3)]
NAMES = ["plain seed 0", "twin seed 0", "other seed 0"]


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another process holds the database for so long, at least."""
    holder = hold(database, seconds)
    try:
        yield
    finally:
        holder.communicate()


def points(tmp_path: Path) -> list[tuple[str, int, int]]:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        query = "select key, step, count(*) from metrics group by key, step order by key, step"
        return database.execute(query).fetchall()


def test_training_goes_on_while_the_database_is_locked(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    with Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        with locked(tmp_path / "mlflow.db", 2):
            began = time.monotonic()
            for epoch in range(1, 4):
                recorder.epoch(NAMES, HISTORY[:epoch], None)
            recorder.fail(NAMES[:1], "the loss became nan")
            assert time.monotonic() - began < 1
            assert recorder.failed == {NAMES[0]: "the loss became nan"}
    assert points(tmp_path) == [(k, step, 3) for k in ("epoch_seconds", "loss") for step in range(3)]
    assert [child.status for child in writer.children(parent)] == ["FAILED", "RUNNING", "RUNNING"]


def test_what_is_away_for_longer_than_the_patience_ends_nothing_before_the_end(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        monkeypatch.setattr(patience, "PATIENCE", 0.5)
        with locked(tmp_path / "mlflow.db", 3):
            recorder.epoch(NAMES, HISTORY, None)
            with pytest.raises(UnreachableError, match="It did not answer in time"):
                recorder.flush()
        monkeypatch.undo()
        recorder.flush()  # and written it is all the same
    assert points(tmp_path) == [(k, step, 3) for k in ("epoch_seconds", "loss") for step in range(3)]


def test_what_mlflow_refuses_is_told_in_the_end_and_the_rest_is_written(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="MLflow refuses this"), Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        recorder.epoch(NAMES[:1], [{"no,name": 1.0}], None)
        recorder.epoch(NAMES[1:], HISTORY, None)
    assert points(tmp_path) == [(k, step, 2) for k in ("epoch_seconds", "loss") for step in range(3)]


def test_another_error_is_not_hidden_by_the_record(writer: Writer, plan: Plan, parent: str) -> None:
    with pytest.raises(ZeroDivisionError), Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        recorder.epoch(NAMES, [{"no,name": 1.0}], None)
        raise ZeroDivisionError


def test_a_run_that_was_begun_goes_on_without_points_twice(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    for epochs in (2, 3):
        with Recorder(plan, writer, parent) as recorder:
            recorder.begin(plan.runs)
            recorder.epoch(NAMES, HISTORY[:epochs], None)
    assert points(tmp_path) == [(k, step, 3) for k in ("epoch_seconds", "loss") for step in range(3)]
    assert len(writer.children(parent)) == 3


def test_what_was_made_although_the_answer_was_lost_is_not_made_twice(
    writer: Writer, plan: Plan, parent: str
) -> None:
    create_run = writer.client._client.create_run
    lost = []

    def answer_lost(*given: object, **named: object) -> object:
        made = create_run(*given, **named)
        if not lost:
            lost.append(made)
            raise ConnectionResetError("the answer was lost")
        return made

    writer.client._client.create_run = answer_lost
    run_id = writer.begin_child(parent, plan.runs[0], None)
    assert [child.run_id for child in writer.children(parent)] == [run_id] == [lost[0].info.run_id]
