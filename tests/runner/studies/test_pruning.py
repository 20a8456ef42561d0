"""Who goes on from a mark: what Optuna's pruners say, whenever and by whomever they are asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ablate.experiment.load import Experiment, load_experiment
from ablate.experiment.pruners import Scored
from ablate.experiment.trials import Proposal, grown, trial_name
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner.studies.pruning import judged, results_key, with_scored
from ablate.runner.studies.search_study import Measured
from ablate.stages import evaluated
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.plan import Plan

    Load = Callable[..., Experiment]

SPEC = """
question: Which guidance is best?
config: {{train: {{epochs: 9}}}}
search:
  fields: {{sample.guidance: {{low: 1, high: 6}}}}
  objectives: [fid]
  trials: 12
  pruner: {pruner}
seeds: {seeds}
"""
NAMES = [trial_name(number) for number in range(12)]
WORTH = dict(zip(NAMES, [5, 9, 8, 4, 7, 6, 2, 12, 3, 11, 10, 1], strict=True))
"""Trial → its FID, at all marks and with all seeds."""


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def of(pruner: str, seeds: str = "[0, 1]") -> Experiment:
        (tmp_path / "search.yaml").write_text(SPEC.format(pruner=pruner, seeds=seeds))
        proposals = [Proposal(name, {"sample.guidance": 2.0 + n / 8}) for n, name in enumerate(NAMES)]
        return grown(load_experiment(tmp_path / "search.yaml"), proposals)

    return of


def search(experiment: Experiment, size: int) -> Experiment:
    """Judges all trials at all marks, so many in a round, and asks anew each time."""
    for first in range(0, len(NAMES), size):
        left = NAMES[first : first + size]
        for mark in experiment.marks:
            values = {(name, seed): WORTH[name] + seed / 10 for name in left for seed in mark.seeds}
            ended = experiment.pruned
            done = [name for name in NAMES[:first] if name not in ended]
            measured = {name: Measured((WORTH[name] + 0.05,), {}, {}) for name in done}
            scored = judged(experiment, mark, left, values, measured)
            experiment = replace(experiment, scored=(*experiment.scored, *scored))
            left = [each.trial for each in scored if not each.pruned]
    return experiment


def test_halving_ends_all_but_the_best_share_at_each_mark(load: Load) -> None:
    found = search(load("successive-halving"), size=12)
    at_first = [each for each in found.scored if each.step == 1]
    # Of each number of trials so far, the best third goes on; of fewer than three, the best.
    assert [each.pruned for each in at_first] == [n not in (0, 3, 6, 8, 11) for n in range(12)]
    assert at_first[0].value == WORTH["trial-0000"] + 0.05  # the mean over the seeds
    assert [name for name, mark in found.pruned.items() if mark.step == 3] == ["trial-0008"]
    assert "trial-0011" not in found.pruned  # the best of all


def test_hyperband_lets_some_trials_go_on_that_halving_ends(load: Load) -> None:
    halving, hyperband = (search(load(kind), size=12) for kind in ("successive-halving", "hyperband"))
    assert set(halving.pruned) - set(hyperband.pruned)
    assert hyperband.pruned


@pytest.mark.parametrize("kind", ["successive-halving", "hyperband"])
def test_who_is_asked_anew_says_what_who_was_asked_all_along_says(load: Load, kind: str) -> None:
    whole = search(load(kind), size=4)
    again = load(kind)
    for count in range(1, 13, 4):  # as many as a process had judged when it was killed
        again = replace(again, scored=whole.scored[:count])
        (mark,) = [mark for mark in again.marks if mark.step == whole.scored[count].step]
        name = whole.scored[count].trial
        values = {(name, seed): WORTH[name] + seed / 10 for seed in mark.seeds}
        assert judged(again, mark, [name], values, {}) == [whole.scored[count]]


def test_wilcoxon_gives_no_more_seeds_to_what_is_worse_with_each_of_enough(load: Load) -> None:
    found = search(load("wilcoxon", "[0, 1, 2, 3, 4, 5]"), size=3)
    assert not any(name in found.pruned for name in NAMES[:3])  # there is no best trial yet
    ended = {name: mark.step for name, mark in found.pruned.items()}
    assert ended and set(ended.values()) == {4}  # four of four seeds: p = 1/16
    assert all(WORTH[name] > 5 for name in ended)
    assert len([run for run in found.runs if run[0] == next(iter(ended))]) == 4


def test_a_trial_that_lacks_a_seed_is_not_judged(load: Load) -> None:
    experiment = load("hyperband")
    values = {("trial-0000", 0): 1.0, ("trial-0001", 0): 1.0, ("trial-0001", 1): 2.0}
    (only,) = judged(experiment, experiment.marks[0], NAMES[:2], values, {})
    assert (only.trial, only.value) == ("trial-0001", 1.5)


@pytest.mark.parametrize(
    ("kind", "seeds"), [("successive-halving", "[0, 1]"), ("wilcoxon", "[0, 1, 2, 3, 4, 5]")]
)
def test_scores_by_other_code_count_no_longer(
    load: Load, kind: str, seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan() -> Plan:
        return make_plan(load(kind, seeds), Store(tmp_path / "store"), Contents(tmp_path / "digests.json"))

    def scored(plan: Plan, name: str) -> Scored:
        mark = plan.experiment.marks[0]
        return Scored(name, mark.step, 9.0, pruned=True, key=results_key(plan, name, mark))

    before = plan()
    old = [scored(before, name) for name in NAMES[:2]]
    same = with_scored(plan(), [*old, replace(old[0], trial=NAMES[2], key="")])  # as older versions kept them
    assert same.experiment.scored == tuple(old)
    assert same.experiment.pruned.keys() == set(NAMES[:2])

    monkeypatch.setattr(evaluated, "SOURCES", (*evaluated.SOURCES, "text.py"))
    changed = plan()
    new = scored(changed, NAMES[0])
    found = with_scored(changed, [new, *old])
    assert found.experiment.scored == (new,)
    assert {run.variant for run in found.runs if run.keys is run.keys.whole} >= {NAMES[1]}
    assert len([run for run in found.runs if run.variant == NAMES[1]]) == len(found.experiment.spec.seeds)
