"""What a proposal would cost: epochs that no trial so far has trained."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.experiment.load import load_experiment
from ablate.experiment.trials import Proposal, grown
from ablate.plan import make_plan, regrown
from ablate.runner.studies.acquisition import Costs
from ablate.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.fingerprint import Contents

SPEC = """
question: Which is best?
config: {train: {epochs: 6}}
search:
  factors:
    lpips:
      off: {}
      on: {losses: {lpips: {weight: 0.1, start: 3}}}
  fields:
    losses.lpips.weight: {low: 0.01, high: 1, when: {lpips: on}}
    train.batch: {options: [32, 64]}
    sample.guidance: {low: 1, high: 6}
  objectives: [fid]
  acquisition: per-cost
  trials: 8
seeds: [0]
"""


def test_a_proposal_costs_what_neither_trials_before_it_nor_others_of_its_round_train(
    tmp_path: Path, contents: Contents
) -> None:
    (tmp_path / "search.yaml").write_text(SPEC)
    experiment = load_experiment(tmp_path / "search.yaml")
    plan = make_plan(experiment, Store(tmp_path / "store"), contents)
    plan = regrown(plan, grown(experiment, [Proposal("trial-0000", {"lpips": "on"})]))
    costs = Costs(plan, {"baseline"})
    assert costs.of({"lpips": "off", "sample.guidance": 5.0}) == 0
    assert costs.of({"lpips": "on"}) == 3  # it is not there: the trial has failed
    assert Costs(plan, {"baseline", "trial-0000"}).of({"lpips": "on"}) == 0
    heavy = {"lpips": "on", "losses.lpips.weight": 0.5}
    assert costs.of(heavy) == 3
    costs.take(heavy)
    assert costs.of(heavy) == 0
    assert costs.of({"train.batch": 64}) == 6
    assert costs.of({"sample.guidance": -1.0}) == math.inf
    assert not (tmp_path / "store" / "train").exists()
