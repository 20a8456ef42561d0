"""Which experiment is which: clones that share one MLflow, each with data or code of its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import UserError
from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import Plan, make_plan
from ablate.record import identity, names
from ablate.record.provenance import spec_key
from ablate.record.read import find_settings
from ablate.record.write import Writer, open_experiment
from ablate.runner import run
from ablate.runner.run import supersede_others, waiting_runs
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FIELDS: dict[str, Any] = {"variants": {"plain": {}}, "seeds": [0], "claims": []}


@pytest.fixture
def clone(
    tmp_path: Path, data_folder: Path, write_spec: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Plan]:
    """Enters a clone and gives the plan that a command has there. Its data lie under the same relative path
    in each clone; ``edited`` changes them."""

    def enter(name: str, *, edited: bool = False, planned: bool = True) -> Plan:
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(data_folder, folder / "data")
            write_spec(folder, **FIELDS)
        if edited:
            next((folder / "data" / "train").iterdir()).unlink()
        monkeypatch.chdir(folder)
        experiment = load_experiment(folder / "tiny.yaml", sets=["data.path=data"])
        if not planned:
            return Plan(experiment, (), Store(folder / ".ablate"))
        return make_plan(experiment, Store(folder / ".ablate"), Contents(folder / "digests"))

    return enter


def record(uri: str, plan: Plan) -> tuple[Writer, str]:
    """Records an experiment of one run, as ``ablate run`` does."""
    writer = open_experiment(uri, "tiny")
    before = writer.own_parent(plan, spec_key(plan))
    complete = supersede_others(plan, writer, before, lambda text: None) if before else set()
    waiting = waiting_runs(plan, complete)
    parent = writer.begin_parent(plan, spec_key(plan), before).run_id
    children = {child.key: child for child in writer.children(parent)}
    for each in waiting:
        child = children.get(each.keys.evaluate)
        writer.client.set_terminated(writer.begin_child(parent, each, child))
    return writer, parent


def read(uri: str, plan: Plan) -> str:
    found = find_settings(uri, plan)
    assert found
    return found[1].run_id


def test_clones_with_other_data_under_the_same_path_are_two_experiments(
    uri: str, clone: Callable[..., Plan]
) -> None:
    writer, one = record(uri, clone("a"))
    _, other = record(uri, clone("b", edited=True))
    assert one != other
    for parent in (one, other):
        assert [child.superseded for child in writer.all_children(parent)] == [False]
    for name, parent in (("a", one), ("b", other)):
        assert read(uri, clone(name)) == read(uri, clone(name, planned=False)) == parent


def test_a_clone_with_the_same_data_goes_on_in_the_same_experiment(
    uri: str, clone: Callable[..., Plan]
) -> None:
    _, one = record(uri, clone("a"))
    writer, other = record(uri, clone("b"))
    assert one == other
    # When it is given other data, it leaves the first one's alone.
    _, another = record(uri, clone("b", edited=True))
    assert another != one
    assert [child.superseded for child in writer.all_children(one)] == [False]


def test_on_a_server_no_clone_goes_on_in_what_another_one_may_be_recording(
    uri: str, clone: Callable[..., Plan]
) -> None:
    writer, one = record(uri, clone("a"))
    plan, said = clone("b"), list[str]()

    def own(*, alone: bool) -> str | None:
        parents = writer.parents(spec_key(plan))
        found = identity.own(plan, parents, identity.here(plan, None), lambda parent: set(), alone=alone)
        return found and found.run_id

    assert writer.status(one) == "RUNNING"
    assert (own(alone=False), own(alone=True)) == (None, one)
    # From the same store nobody else can be recording: it was killed there, or on another machine.
    here, plan = plan, replace(plan, store=clone("a").store)
    assert own(alone=False) == one
    plan = here
    run._say_others(plan, writer, said.append)
    assert "in a run that goes on there, or was killed" in said[0]
    writer.end_parent(one, failed=False)
    assert own(alone=False) == one


def test_data_that_are_edited_in_their_folder_supersede_its_own_results_and_that_is_said(
    uri: str, clone: Callable[..., Plan]
) -> None:
    writer, one = record(uri, clone("a"))
    plan, said = clone("a", edited=True), list[str]()
    before = writer.own_parent(plan, spec_key(plan))
    assert before and before.run_id == one
    assert waiting_runs(plan, supersede_others(plan, writer, before, said.append)) == list(plan.runs)
    assert "plain seed 0 is superseded" in said[0]
    again = writer.own_parent(plan, spec_key(plan))
    assert again and again.content != before.content and again.data != before.data
    # Another clone with the data as they were before has an experiment of its own.
    assert record(uri, clone("b"))[1] != one


def test_what_is_recorded_of_other_data_only_is_not_shown(uri: str, clone: Callable[..., Plan]) -> None:
    record(uri, clone("a"))
    with pytest.raises(UserError, match=r"of other data than those here") as error:
        find_settings(uri, clone("b", edited=True, planned=False))
    assert "/a" in error.value.where


def test_without_its_data_the_only_one_is_shown_and_of_two_none(
    uri: str, clone: Callable[..., Plan], tmp_path: Path
) -> None:
    _, one = record(uri, clone("a"))
    clone("c")
    shutil.rmtree(tmp_path / "c" / "data")
    assert read(uri, clone("c", planned=False)) == one
    record(uri, clone("b", edited=True))
    with pytest.raises(UserError, match="more than once"):
        find_settings(uri, clone("c", planned=False))


def test_a_folder_that_moves_with_its_database_still_supersedes_its_own_results(
    uri: str, clone: Callable[..., Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone("a")
    shutil.move(tmp_path / "mlflow.db", tmp_path / "a")
    _, one = record(f"sqlite:///{tmp_path / 'a' / 'mlflow.db'}", clone("a"))
    monkeypatch.chdir(tmp_path)
    shutil.move(tmp_path / "a", tmp_path / "moved")
    plan = clone("moved", edited=True)
    assert record(f"sqlite:///{tmp_path / 'moved' / 'mlflow.db'}", plan)[1] == one


def test_on_a_server_the_folder_counts_as_it_is_called(
    uri: str, clone: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen_from = identity.here
    monkeypatch.setattr(identity, "here", lambda plan, _: seen_from(plan, None))
    _, one = record(uri, clone("a"))
    assert record(uri, clone("b", edited=True))[1] != one
    assert record(uri, clone("a", edited=True))[1] == one


def _strip(writer: Writer, parent: str) -> None:
    """Has a parent be as older versions recorded it."""
    for tag in (names.PLACE, names.FOLDER, names.DATA, names.CONTENT):
        writer.client.delete_tag(parent, tag)


def test_a_record_of_an_older_version_is_gone_on_with_if_nothing_of_it_is_superseded(
    uri: str, clone: Callable[..., Plan]
) -> None:
    writer, one = record(uri, clone("a"))
    _strip(writer, one)
    assert record(uri, clone("a"))[1] == one
    assert read(uri, clone("a", planned=False)) == one
    assert record(uri, clone("a", edited=True))[1] != one
    assert [child.superseded for child in writer.all_children(one)] == [False]
