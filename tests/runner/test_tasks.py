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
def make_todo(write_spec: Callable[..., Path], tmp_path: Path) -> Callable[..., dict[str, tasks.Task]]:
    """The tasks of an experiment with some fields, in an empty store."""

    def make(**fields: Any) -> dict[str, tasks.Task]:
        spec = load_experiment(write_spec(tmp_path, **{"variants": VARIANTS, "claims": [], **fields}))
        plan = make_plan(spec, Store(tmp_path / "store"), Contents(tmp_path / "digests.json"))
        return {task.name: task for task in tasks.tasks_of(plan, plan.runs)}

    return make


@pytest.fixture
def todo(make_todo: Callable[..., dict[str, tasks.Task]]) -> dict[str, tasks.Task]:
    """The tasks of three variants with one seed, in an empty store."""
    return make_todo(seeds=[0])


def test_every_task_comes_after_those_it_needs(todo: dict[str, tasks.Task]) -> None:
    done: set[str] = set()
    for task in todo.values():
        assert set(task.needs) <= done
        done.add(task.name)


def test_data_are_prepared_when_the_augmented_forms_are_there_too(
    todo: dict[str, tasks.Task], tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    plain, forms = (task.arguments[0] for task in todo.values() if task.function is tasks.prepare)
    for stage, key, prepared in (
        ("prepare", plain.prepare, (True, False)),
        ("augmented", forms.augmented, (True, True)),
    ):
        with store.writing(stage, key, {}):
            pass
        assert (tasks.is_prepared(plain, store), tasks.is_prepared(forms, store)) == prepared


def test_a_variant_that_trains_on_augmented_forms_has_them_prepared_before(
    todo: dict[str, tasks.Task],
) -> None:
    prepared = [task for task in todo.values() if task.function is tasks.prepare]
    assert [task.runs for task in prepared] == [("plain seed 0", "late seed 0"), ("flip seed 0",)]
    (forms,) = [task for task in prepared if task.runs == ("flip seed 0",)]
    assert forms.arguments[0].augmented
    assert todo["flip seed 0"].needs == (forms.name,)


def test_variants_that_part_late_share_the_segment_before(todo: dict[str, tasks.Task]) -> None:
    (shared,) = [task for task in todo.values() if task.function is tasks.train]
    assert shared.name == "train seed 0, epochs 0–1 (plain, late)"
    assert shared.runs == ("plain seed 0", "late seed 0")


def test_a_branch_of_one_run_and_its_measuring_are_one_task(todo: dict[str, tasks.Task]) -> None:
    late = todo["late seed 0"]
    assert late.function is tasks.train_and_measure
    assert late.needs[-1] == "train seed 0, epochs 0–1 (plain, late)"
    assert (late.arguments[2:], late.runs) == ((1, 3), ("late seed 0",))


def test_runs_that_share_their_whole_training_are_measured_each_by_itself(
    make_todo: Callable[..., dict[str, tasks.Task]],
) -> None:
    todo = make_todo(variants={"plain": {}, "ema": {"ema": {"decay": 0.9}}}, baseline="plain", seeds=[0])
    (trained,) = [task for task in todo.values() if task.function is tasks.train]
    for name in ("plain seed 0", "ema seed 0"):
        assert (todo[name].function, todo[name].needs) == (tasks.measure, (trained.name,))


def test_a_task_is_as_long_as_the_steps_that_it_takes(todo: dict[str, tasks.Task]) -> None:
    """Two steps an epoch, three of the sampler."""
    shared = todo["train seed 0, epochs 0–1 (plain, late)"]
    assert (shared.length, todo["late seed 0"].length, todo["flip seed 0"].length) == (2, 4 + 3, 6 + 3)


def test_the_first_seed_of_all_variants_goes_first(make_todo: Callable[..., dict[str, tasks.Task]]) -> None:
    todo = make_todo(seeds=[5, 1])
    turns = {
        task.runs[0].split()[-1]: task.turn for task in todo.values() if task.function is not tasks.prepare
    }
    assert turns == {"5": 0, "1": 1}
