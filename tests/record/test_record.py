"""The record in MLflow: everything can be written twice, and each run is found again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ablate.dotted import flatten
from ablate.errors import UserError
from ablate.hardware import device_class, words
from ablate.record.identity import data_of
from ablate.record.names import REASON
from ablate.record.provenance import spec_key
from ablate.record.read import find_experiment, find_settings, read_experiment
from ablate.record.write import Writer, open_experiment, record_verification
from ablate.records import Call, Verification

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.plan import Plan


HISTORY = [{"loss": 0.5 - epoch / 10, "epoch_seconds": 1.0} for epoch in range(3)]


def begin(writer: Writer, plan: Plan, parent: str) -> list[str]:
    existing = {(child.variant, child.seed, child.key): child for child in writer.children(parent)}
    keys = [(run.variant, run.seed, run.keys.evaluate) for run in plan.runs]
    return [
        writer.begin_child(parent, run, existing.get(key)) for run, key in zip(plan.runs, keys, strict=True)
    ]


def found(uri: str, plan: Plan) -> str:
    settings = find_settings(uri, plan)
    assert settings
    return settings[1].run_id


def test_a_parent_is_found_again_by_its_resolved_spec(writer: Writer, plan: Plan, parent: str) -> None:
    before = writer.own_parent(plan, spec_key(plan))
    assert writer.begin_parent(plan, spec_key(plan), before).run_id == parent
    assert writer.own_parent(plan, "another key") is None


def test_a_parent_whose_creator_was_killed_gets_the_spec_that_it_lacks(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    for file in (tmp_path / "mlruns").rglob("spec.json"):
        file.unlink()
    writer.begin_parent(plan, spec_key(plan), writer.own_parent(plan, spec_key(plan)))
    assert writer.read(parent).name == "tiny"


def test_each_variant_has_one_child_even_if_two_have_equal_configurations(
    writer: Writer, plan: Plan, parent: str
) -> None:
    first = begin(writer, plan, parent)
    assert len(set(first)) == 3
    assert begin(writer, plan, parent) == first
    assert len(writer.children(parent)) == 3


def test_a_run_whose_files_were_deleted_is_not_complete(
    writer: Writer, plan: Plan, parent: str, tmp_path: Path
) -> None:
    run_id = begin(writer, plan, parent)[0]
    writer.save(run_id, {"run.json": b"{}", "scores.json": b"[]", "samples/0.png": b""})
    writer.client.set_terminated(run_id, "FINISHED")
    keys = {run.keys.evaluate for run in plan.runs}
    assert writer.keep_current(parent, keys) == {("plain", plan.runs[0].keys.evaluate)}
    next((tmp_path / "mlruns").rglob("scores.json")).unlink()
    assert writer.keep_current(parent, keys) == set()
    with pytest.raises(UserError, match=r"scores.json of MLflow's run .* is missing"):
        writer.read(parent)


def test_a_run_that_failed_and_is_tried_again_no_longer_has_a_reason(
    writer: Writer, plan: Plan, parent: str
) -> None:
    run_id = begin(writer, plan, parent)[0]
    writer.fail_child(run_id, "the loss became nan")
    assert [run.reason for run in writer.read(parent).runs] == ["the loss became nan", "", ""]
    begin(writer, plan, parent)
    run = writer.client.get_run(run_id)
    assert run.info.status == "RUNNING"
    assert REASON not in run.data.tags


def test_a_child_of_other_keys_is_superseded_and_comes_back_with_them(
    writer: Writer, plan: Plan, parent: str
) -> None:
    begin(writer, plan, parent)
    keys = {run.keys.evaluate for run in plan.runs}
    writer.keep_current(parent, {plan.runs[2].keys.evaluate})
    assert [run.variant for run in writer.read(parent).runs] == ["other"]
    writer.keep_current(parent, keys)
    assert [run.variant for run in writer.read(parent).runs] == ["plain", "twin", "other"]


def test_epochs_that_are_logged_already_are_not_logged_again(writer: Writer, plan: Plan, parent: str) -> None:
    run_id = begin(writer, plan, parent)[0]
    writer.log_epochs(run_id, HISTORY[:2], 0, now=1)
    known = writer.epochs_logged([run_id])[run_id]
    assert known == 2
    writer.log_epochs(run_id, HISTORY, known, now=2)
    points = writer.client.get_metric_history(run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(0, 0.5), (1, 0.4), (2, 0.3)]


def test_the_whole_configuration_stands_in_the_params(writer: Writer, plan: Plan, parent: str) -> None:
    run_id = begin(writer, plan, parent)[2]
    params = writer.client.get_run(run_id).data.params
    expected = flatten(plan.runs[2].keys.config.model_dump(mode="json")) | {"variant": "other", "seed": 0}
    assert params == {name: str(value) for name, value in expected.items()}


def test_another_folder_does_not_hide_an_experiment(
    writer: Writer, uri: str, plan: Plan, parent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert found(uri, plan) == parent
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_reading_makes_neither_a_database_nor_an_experiment(uri: str, plan: Plan, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "mlflow.db"
    assert read_experiment(f"sqlite:///{nowhere}", plan) is None
    assert not nowhere.parent.exists()
    assert read_experiment(uri, plan) is None
    assert find_experiment(uri, "tiny") is None


def test_a_record_has_the_options_that_were_given_and_tells_its_data(writer: Writer, plan: Plan) -> None:
    given = replace(plan, experiment=replace(plan.experiment, options=("--seeds", "0-2")))
    record = writer.read(writer.begin_parent(given, spec_key(given), None).run_id)
    assert list(record.options) == ["--seeds", "0-2"]
    assert record.data == data_of(plan)


def test_an_experiment_with_other_settings_is_not_read(writer: Writer, uri: str, plan: Plan) -> None:
    writer.begin_parent(plan, "another key", None)
    assert read_experiment(uri, plan) is None


def test_a_deleted_experiment_is_not_read_and_comes_back_when_it_is_written(
    writer: Writer, uri: str, plan: Plan, parent: str
) -> None:
    writer.client.delete_experiment(writer.experiment_id)
    assert find_experiment(uri, "tiny") is None
    open_experiment(uri, "tiny")
    assert found(uri, plan) == parent


def test_a_verification_is_recorded_where_the_experiment_has_run_and_nowhere_else(
    uri: str, plan: Plan
) -> None:
    measured = Verification(0, 1.0, {"plain": 2.0}, {"plain": True})
    record_verification(uri, plan, measured)
    assert find_experiment(uri, "tiny") is None
    open_experiment(uri, "tiny").begin_parent(plan, spec_key(plan), None)
    record_verification(uri, plan, measured)
    record = read_experiment(uri, plan)
    assert record and record.verified == measured


def test_a_run_says_on_which_class_of_device_it_was_computed(uri: str, plan: Plan) -> None:
    writer = open_experiment(uri, "tiny")
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    writer.begin_child(parent, plan.runs[0], None)
    (child,) = writer.children(parent)
    assert child.device == words(device_class("cpu"))


def test_calls_are_kept_one_after_the_other(uri: str, plan: Plan) -> None:
    writer = open_experiment(uri, "tiny")
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    first, second = Call(2, "core", None, None, 60.0, 0.03), Call(2, "core", 30.0, 0.01, 33.0, 0.02)
    for call in (first, second):
        writer.log_call(parent, call)
    record = read_experiment(uri, plan)
    assert record and record.calls == [first, second]
