"""What a plan will cost, by what earlier commands have measured; and what of it nobody has measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ablate.experiment.load import load_experiment
from ablate.plan import make_plan
from ablate.runner.forecast import disk, forecast
from ablate.runner.times import TIMES, Times
from ablate.stages import effort
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.fingerprint import Contents
    from ablate.plan import Plan

STEP, WITH_KL, WITH_LPIPS, IMAGE, PREPARED = 1.0, 2.0, 5.0, 0.5, 0.1
"""Seconds of a step without further losses, with KL, with LPIPS too, of an image, and of a prepared one."""
SHARED, PLAIN, LATE = 2 * STEP, 4 * STEP, 2 * WITH_KL + 2 * WITH_LPIPS
"""Of the segments: two steps an epoch; ``late`` has KL from epoch 1 and LPIPS from epoch 2."""


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Plan:
    """``plain`` and ``late`` with two seeds, in an empty store. 32 training images, six prompts."""
    return make_plan(load_experiment(write_spec(tmp_path)), Store(tmp_path / "store"), contents)


@pytest.fixture
def times(plan: Plan) -> Times:
    """What runs of an experiment ``before`` have taken."""
    with Times(plan.store, "before") as measured:
        for run in plan.runs:
            observers = [run.keys.watching] if run.keys.watching else []
            late = run.variant == "late"
            for epoch, seconds in enumerate((STEP, WITH_KL, WITH_LPIPS) if late else [STEP] * 3):
                # The trunk is trained with the averages of all variants in it.
                for kept in ([], observers):
                    measured.add(effort.of_steps(run.keys, epoch, kept), 2, 2 * seconds)
            measured.add(effort.of_results(run.keys), 6, 6 * IMAGE)
            measured.add(effort.of_preparing(run.keys), 32, 32 * PREPARED)
    return Times(plan.store, "now")


def test_all_work_of_a_plan_is_counted_and_what_is_shared_once(plan: Plan, times: Times) -> None:
    expected = forecast(plan, plan.runs, times)
    seconds = 32 * PREPARED + 2 * (SHARED + PLAIN + LATE + 2 * 6 * IMAGE)
    assert (expected.known, expected.sources, expected.device) == (True, ("before",), "core")
    assert expected.hours == pytest.approx(seconds / 3600)
    assert expected.on(1).makespan == pytest.approx(seconds)
    assert expected.on(4).makespan == pytest.approx(32 * PREPARED + SHARED + LATE + 6 * IMAGE)


def test_what_the_store_holds_is_not_counted(plan: Plan, times: Times) -> None:
    for stage in ("train", "moments"):
        with plan.store.writing(stage, plan.runs[0].keys.chain[1], {}):
            pass
    with plan.store.writing("prepare", plan.runs[0].keys.prepare, {}):
        pass
    seconds = 2 * (SHARED + PLAIN + LATE + 2 * 6 * IMAGE)
    # ``late`` has an average from epoch 1 on, so the state after epoch 0 is all that it needs of it.
    assert forecast(plan, plan.runs, times).on(1).makespan == pytest.approx(seconds - SHARED)


def test_images_that_the_store_holds_are_not_drawn_again(plan: Plan, times: Times) -> None:
    for stage in ("prepare", "train", "sample"):
        for run in plan.runs:
            key = run.keys.chain[-1] if stage == "train" else getattr(run.keys, stage)
            if not plan.store.has(stage, key):
                with plan.store.writing(stage, key, {}):
                    pass
    assert forecast(plan, plan.runs, times).on(1).makespan == 0


def test_of_some_runs_the_whole_training_counts_that_they_stand_on(plan: Plan, times: Times) -> None:
    (late,) = [run for run in plan.runs if (run.variant, run.seed) == ("late", 0)]
    seconds = 32 * PREPARED + SHARED + LATE + 6 * IMAGE
    assert forecast(plan, [late], times).on(1).makespan == pytest.approx(seconds)


def test_what_nobody_has_measured_is_named(plan: Plan) -> None:
    with Times(plan.store, "before") as measured:
        measured.add(effort.of_results(plan.runs[0].keys), 6, 3)
    expected = forecast(plan, plan.runs, Times(plan.store, "now"))
    assert not expected.known
    assert expected.unknown == [
        "preparing the data",
        "training with noise MSE",
        "training with noise MSE, KL",
        "training with noise MSE, LPIPS, KL",
    ]


def test_a_worker_with_several_threads_takes_hours_of_several_cores(plan: Plan, times: Times) -> None:
    one = forecast(plan, plan.runs, times)
    assert replace(one, devices=4).hours == pytest.approx(4 * one.hours)


def test_the_disk_is_known_where_such_a_u_net_was_trained(plan: Plan) -> None:
    assert disk(plan, 1) is None
    keys = plan.runs[0].keys
    with plan.store.writing("train", "of another seed", keys.root_ingredients) as folder:
        (folder / "unet.safetensors").write_bytes(bytes(1_000_000))
    needed = disk(plan, 1)
    # Six segments with weights and two moments each, a second state while one trains, and averages.
    assert needed is not None
    assert 6 * 3_000_000 < needed < 12 * 3_000_000


# ── what work has taken ──────────────────────────────────────────────────────────────────────────


def test_the_newest_command_that_did_such_work_counts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for source, seconds in (("first", 10.0), ("second", 30.0)):
        with Times(store, source) as times:
            times.add("a", 2, seconds)
            times.add("a", 3, seconds)
            assert times.worked == 2 * seconds
    with Times(store, "third") as times:
        times.add("b", 1, 1)
    found = Times(store, "").find("a")
    assert found and (found.seconds, found.source) == (12.0, "second")


def test_times_that_cannot_be_read_are_as_good_as_none(tmp_path: Path) -> None:
    Store(tmp_path).put(TIMES, "{")
    with Times(Store(tmp_path), "now") as times:
        assert times.find("a") is None
        times.add("a", 1, 1)
    assert Times(Store(tmp_path), "").find("a")


def test_a_command_that_did_no_work_leaves_no_file(tmp_path: Path) -> None:
    with Times(Store(tmp_path / "store"), "now"):
        pass
    assert not (tmp_path / "store").exists()
