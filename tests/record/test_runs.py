"""What the SQLite file says of runs is what MLflow's client says."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.entities import Metric

from ablate.record import runs as runs_module
from ablate.record.runs import RunsOfClient, RunsOfDatabase, runs_of

if TYPE_CHECKING:
    from ablate.plan import Plan
    from ablate.record.write import Writer

CURVES = {
    "loss": [(0, 0.5), (1, math.nan), (2, -0.25)],
    "epoch_seconds": [(0, 1.0)],
    "fid": [(0, math.inf)],
}


@pytest.fixture
def children(writer: Writer, plan: Plan, parent: str) -> list[str]:
    """Three runs with curves; the last one failed and was deleted afterwards."""
    ids = [writer.begin_child(parent, run, None) for run in plan.runs]
    for run_id in ids:
        for name, curve in CURVES.items():
            points = [Metric(name, value, 1, step) for step, value in curve]
            writer.client.log_batch(run_id, metrics=points)
    writer.client.set_terminated(ids[0], "FINISHED")
    writer.fail_child(ids[-1], "for a reason")
    writer.client.delete_run(ids[-1])
    return ids


def comparable(given: Any) -> str:
    """NaN is no equal of itself, but is written in one way."""
    return repr(given)


@pytest.mark.parametrize("at_once", [1, 500])
def test_the_file_and_the_client_give_the_same_answers(
    writer: Writer, children: list[str], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(runs_module, "AT_ONCE", at_once)
    file, client = RunsOfDatabase(writer.client), RunsOfClient(writer.client)
    number = writer.experiment_id
    for name in ("tiny", "Default", "nowhere"):
        assert file.experiment(name) == client.experiment(name)
    assert file.experiments() == client.experiments()
    for tags in (
        {},
        {"ablate.kind": "run"},
        {"ablate.kind": "run", "ablate.variant": "twin"},
        {"ablate.kind": "experiment"},
        {"no such tag": "x"},
    ):
        found = file.tagged(number, tags)
        assert {run.run_id: comparable(_sorted(run)) for run in found} == {
            run.run_id: comparable(_sorted(run)) for run in client.tagged(number, tags)
        }
    assert len(file.tagged(number, {"ablate.kind": "run"})) == len(children) - 1
    for run_id in children:
        assert file.status(run_id) == client.status(run_id)
        assert file.address(run_id) == client.address(run_id)
    wanted = {run_id: ["loss", "fid"] for run_id in children}
    assert comparable(file.curves(wanted)) == comparable(dict(client.curves(wanted)))
    assert file.curves(wanted)[children[0]]["loss"][0] == (0, 0.5)


def _sorted(run: runs_module.Row) -> object:
    tables = (run.tags, run.params, run.metrics)
    return run.name, run.status, run.started, run.address, [sorted(table.items()) for table in tables]


def test_the_newest_run_comes_first(writer: Writer, children: list[str]) -> None:
    started = [run.started for run in RunsOfDatabase(writer.client).tagged(writer.experiment_id, {})]
    assert started == sorted(started, reverse=True)


def test_a_deleted_experiment_is_said_to_be_so(writer: Writer) -> None:
    writer.client.delete_experiment(writer.experiment_id)
    for runs in (RunsOfDatabase(writer.client), RunsOfClient(writer.client)):
        found = runs.experiment("tiny")
        assert found and found.deleted


def test_a_file_is_read_without_its_client(writer: Writer) -> None:
    assert isinstance(runs_of(writer.client), RunsOfDatabase)
