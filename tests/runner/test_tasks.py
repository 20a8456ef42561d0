"""A plan as tasks: each after those it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner import tasks
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VARIANTS: dict[str, Any] = {
    "plain": {},
    "late": {"losses": {"kl": {"weight": 0.01, "start": 1}}},
    "flip": {"augmentation": {"kind": "flip", "variants": 2}},
}


@pytest.fixture
def todo(write_spec: Callable[..., Path], tmp_path: Path) -> dict[str, tasks.Task]:
    """The tasks of three variants with one seed, in an empty store."""
    spec = load_experiment(write_spec(tmp_path, variants=VARIANTS, seeds=[0], claims=[]))
    plan = make_plan(spec, Store(tmp_path / "store"), Contents(tmp_path / "digests.json"))
    return {task.name: task for task in tasks.tasks_of(plan, plan.runs)}


def test_every_task_comes_after_those_it_needs(todo: dict[str, tasks.Task]) -> None:
    done: set[str] = set()
    for task in todo.values():
        assert set(task.needs) <= done
        done.add(task.name)


def test_a_variant_that_trains_on_augmented_forms_has_them_prepared_before(
    todo: dict[str, tasks.Task],
) -> None:
    prepared = [task for task in todo.values() if task.function is tasks.prepare]
    assert [task.runs for task in prepared] == [("plain seed 0", "late seed 0"), ("flip seed 0",)]
    (forms,) = [task for task in prepared if task.runs == ("flip seed 0",)]
    assert forms.arguments[0].augmented
    trainings = [task for task in todo.values() if task.function is tasks.train and "flip" in task.name]
    assert [task.needs for task in trainings] == [(forms.name,)]


def test_variants_that_part_late_share_the_segment_before(todo: dict[str, tasks.Task]) -> None:
    trained = {task.name: task.runs for task in todo.values() if task.function is tasks.train}
    assert trained["train seed 0, epochs 0–1 (plain, late)"] == ("plain seed 0", "late seed 0")
    assert len(trained) == 4


def test_each_run_is_measured_at_the_end_of_its_own_chain(todo: dict[str, tasks.Task]) -> None:
    assert todo["late seed 0"].function is tasks.measure
    assert todo["late seed 0"].needs == ("train seed 0, epochs 1–3 (late)",)
