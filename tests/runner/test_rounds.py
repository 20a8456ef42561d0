"""What a search takes from the runs of its trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ablate.experiment.load import load_experiment
from ablate.experiment.trials import Proposal, grown
from ablate.record.read import Child
from ablate.runner.rounds import best_of, measured_of

if TYPE_CHECKING:
    from pathlib import Path

SPEC = """
question: Which guidance is best, if KID stays in a band?
search:
  fields: {sample.guidance: {low: 1, high: 6}}
  objectives: [fid]
  constraints:
    - {metric: kid, at_least: 0.1}
    - {metric: kid, at_most: 0.3}
  trials: 4
seeds: [0, 1]
"""


def child(variant: str, seed: int, **metrics: float) -> Child:
    return Child(
        run_id=f"{variant} {seed}",
        name=variant,
        variant=variant,
        seed=seed,
        key="",
        status="FINISHED",
        started=0,
        superseded=False,
        reason="",
        device="",
        metrics=metrics,
        params={},
    )


@pytest.mark.parametrize(
    ("kid", "keeps"), [(0.05, False), (0.1, True), (0.2, True), (0.3, True), (0.35, False)]
)
def test_a_metric_may_have_a_limit_on_each_side(tmp_path: Path, kid: float, keeps: bool) -> None:
    (tmp_path / "band.yaml").write_text(SPEC)
    experiment = grown(
        load_experiment(tmp_path / "band.yaml"), [Proposal("trial-0000", {"sample.guidance": 2.0})]
    )
    measured = measured_of(experiment, [child("trial-0000", seed, fid=1.0, kid=kid) for seed in (0, 1)])
    assert (best_of(experiment, measured) == ["trial-0000"]) is keeps


def test_a_trial_that_lacks_a_seed_or_a_metric_has_brought_nothing(tmp_path: Path) -> None:
    (tmp_path / "band.yaml").write_text(SPEC)
    experiment = load_experiment(tmp_path / "band.yaml")
    complete = [child("a", seed, fid=1.0, kid=0.2) for seed in (0, 1)]
    without_kid = [child("b", 0, fid=1.0, kid=0.2), child("b", 1, fid=1.0)]
    assert measured_of(experiment, [*complete, *without_kid, child("c", 0, fid=1.0, kid=0.2)]).keys() == {"a"}
