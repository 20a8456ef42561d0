"""``ablate plan --measure``: what a few steps of each kind of work tell about its cost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from here import Here

from ablate.experiment.load import load_experiment
from ablate.plan import make_plan
from ablate.progress import SILENT, Together
from ablate.runner.forecast import forecast
from ablate.runner.rehearsal import rehearse
from ablate.runner.times import Times
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.fingerprint import Contents
    from ablate.plan import Plan
    from tests.conftest import Ablate


class Failures(Together):
    """Keeps what failed."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: list[str] = []

    def failed(self, task: str, reason: str) -> None:
        self.reasons.append(reason)


@pytest.fixture
def planned(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Callable[..., Plan]:
    """A plan of ``plain`` and ``late``, or of other variants, with an empty store."""

    def plan(**fields: object) -> Plan:
        experiment = load_experiment(write_spec(tmp_path, **fields))
        return make_plan(experiment, Store(tmp_path / "store"), contents)

    return plan


def test_after_a_rehearsal_the_cost_is_known_and_nothing_is_trained(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    write_spec(tmp_path)
    before = json.loads(ablate("plan", "tiny.yaml", "--json", folder=tmp_path).out)
    after = json.loads(ablate("plan", "tiny.yaml", "--json", "--measure", folder=tmp_path).out)
    assert (before["cost"]["hours"], before["cost"]["sources"]) == (None, [])
    assert after["cost"]["sources"] == ["a few steps"]
    assert after["cost"]["hours"] > 0
    assert after["steps"] == before["steps"]
    assert "by what a few steps took" in ablate("plan", "tiny.yaml", folder=tmp_path).out


def test_what_a_run_has_timed_is_not_rehearsed(planned: Callable[..., Plan]) -> None:
    plan = planned()
    with Times(plan.store, "runs of before") as times:
        for piece in forecast(plan, plan.runs, Times(plan.store, "now")).unmeasured:
            times.add(piece.kind, 1, 1)
    rehearse(plan, plan.runs, SILENT)
    assert forecast(plan, plan.runs, Times(plan.store, "now")).sources == ("runs of before",)


def test_what_fails_stays_unknown_as_does_a_training_on_several_devices(
    planned: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.runner.rehearsal.LocalExecutor", Here)
    without_signal = {
        "train": {"devices": 2},
        "noise": {"prediction": "epsilon"},
        "sample": {
            "scheduler": "DDIMScheduler",
            "options": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
        },
    }
    plan = planned(variants={"plain": {}, "late": without_signal}, seeds=[0], claims=[])
    progress = Failures()
    rehearse(plan, plan.runs, progress)
    assert "not a number" in "".join(progress.reasons)
    assert forecast(plan, plan.runs, Times(plan.store, "now")).unknown == [
        "training with noise MSE",
        "samples in 3 steps of DDIMScheduler, and their figures",
    ]
