"""MLflow, the record: everything can be written twice, and each run is found again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ablate.plan import Plan, make_plan
from ablate.spec.load import load_experiment
from ablate.store import Store
from ablate.tracking import REASON, Tracking, flatten, spec_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.fingerprint import Contents

HISTORY = [{"loss": 0.5 - epoch / 10, "epoch_seconds": 1.0} for epoch in range(3)]


@pytest.fixture
def tracking(databases: Path, tmp_path: Path) -> Tracking:
    shutil.copy(databases / "mlflow.db", tmp_path / "mlflow.db")
    return Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}", "tiny")


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Plan:
    """Variants ``plain`` and ``twin`` of the same configuration, and ``other``; one seed."""
    variants = {"plain": {}, "twin": {}, "other": {"train": {"batch": 8}}}
    spec = write_spec(tmp_path, variants=variants, seeds=[0], claims=[])
    return make_plan(load_experiment(spec), Store(tmp_path / "store"), contents)


@pytest.fixture
def parent(tracking: Tracking, plan: Plan) -> str:
    return tracking.begin_parent(plan, spec_key(plan))


def begin(tracking: Tracking, plan: Plan, parent: str) -> list[str]:
    existing = tracking.children(parent)
    return [tracking.begin_child(parent, run, existing) for run in plan.runs]


def test_a_parent_is_found_again_by_its_resolved_spec(tracking: Tracking, plan: Plan, parent: str) -> None:
    assert tracking.begin_parent(plan, spec_key(plan)) == parent
    assert tracking.find_parent("another key") is None


def test_a_parent_whose_creator_was_killed_gets_the_spec_that_it_lacks(
    tracking: Tracking, plan: Plan, parent: str, tmp_path: Path
) -> None:
    for file in (tmp_path / "mlruns").rglob("spec.json"):
        file.unlink()
    tracking.begin_parent(plan, spec_key(plan))
    assert tracking.read(parent).name == "tiny"


def test_each_variant_has_one_child_even_if_two_have_equal_configurations(
    tracking: Tracking, plan: Plan, parent: str
) -> None:
    first = begin(tracking, plan, parent)
    assert len(set(first)) == 3
    assert begin(tracking, plan, parent) == first
    assert len(tracking.children(parent)) == 3
    tracking.client.set_terminated(first[0], "FINISHED")
    keys = {run.keys.evaluate for run in plan.runs}
    assert tracking.keep_current(parent, keys) == {("plain", plan.runs[0].keys.evaluate)}


def test_a_run_that_failed_and_is_tried_again_no_longer_has_a_reason(
    tracking: Tracking, plan: Plan, parent: str
) -> None:
    run_id = begin(tracking, plan, parent)[0]
    tracking.fail_child(run_id, "the loss became nan")
    assert [run.reason for run in tracking.read(parent).runs] == ["the loss became nan", "", ""]
    begin(tracking, plan, parent)
    run = tracking.client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert REASON not in run.data.tags


def test_a_child_of_other_keys_is_superseded_and_comes_back_with_them(
    tracking: Tracking, plan: Plan, parent: str
) -> None:
    begin(tracking, plan, parent)
    keys = {run.keys.evaluate for run in plan.runs}
    tracking.keep_current(parent, {plan.runs[2].keys.evaluate})
    assert [run.variant for run in tracking.read(parent).runs] == ["other"]
    tracking.keep_current(parent, keys)
    assert [run.variant for run in tracking.read(parent).runs] == ["plain", "twin", "other"]


def test_epochs_that_are_logged_already_are_not_logged_again(
    tracking: Tracking, plan: Plan, parent: str
) -> None:
    run_id = begin(tracking, plan, parent)[0]
    tracking.log_epochs(run_id, HISTORY[:2], 0)
    known = tracking.epochs_logged(run_id)
    assert known == 2
    tracking.log_epochs(run_id, HISTORY, known)
    points = tracking.client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(0, 0.5), (1, 0.4), (2, 0.3)]


def test_the_whole_configuration_stands_in_the_params(tracking: Tracking, plan: Plan, parent: str) -> None:
    run_id = begin(tracking, plan, parent)[2]
    params = tracking.client.get_run(run_id).data.params
    expected = flatten(plan.runs[2].keys.config.model_dump(mode="json")) | {"variant": "other", "seed": 0}
    assert params == {name: str(value) for name, value in expected.items()}


def test_the_store_s_deletion_and_another_folder_do_not_hide_an_experiment(
    tracking: Tracking, plan: Plan, parent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Tracking(tracking.uri, "tiny").find_parent(spec_key(plan)) == parent
    assert list((tmp_path / "elsewhere").iterdir()) == []
