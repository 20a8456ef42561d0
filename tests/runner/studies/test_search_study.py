"""A search's study proposes the same whenever it is asked again, and says what MLflow says."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import optuna
import pytest

from ablate.experiment.pruners import Scored
from ablate.experiment.samplers import SAMPLERS
from ablate.experiment.search import Search
from ablate.runner.studies.search_study import Measured, SearchStudy

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.experiment.trials import Proposal

SPEC: dict[str, Any] = {
    "factors": {"lpips": {"off": {}, "on": {}}},
    "fields": {
        "sample.guidance": {"low": 1.0, "high": 6.0, "step": 1.0},
        "weight": {"low": 1, "high": 3, "when": {"lpips": "on"}},
    },
    "objectives": ["fid"],
    "trials": 20,
    "round": 3,
    "enqueue": [{"lpips": "on"}],
}


@pytest.fixture
def folder(databases: Path, tmp_path: Path) -> Path:
    shutil.copy(databases / "optuna.db", tmp_path / "optuna.db")
    return tmp_path


def open_study(folder: Path, sampler: str = "tpe", name: str = "search") -> SearchStudy:
    search = Search.model_validate({**SPEC, "sampler": sampler})
    return SearchStudy(folder / "optuna.db", name, search, ["minimize"])


def measured(trials: list[Proposal]) -> dict[str, Measured]:
    """What would come of trials; the third has failed."""
    return {
        trial.name: Measured((float(len(repr(trial.params))),), {"kid": -1.0}, {0: f"run of {trial.name}"})
        for trial in trials
        if trial.name != "trial-0002"
    }


def rounds(study: SearchStudy, known: list[Proposal], count: int) -> list[Proposal]:
    """Goes on for so many rounds from the trials that are known."""
    known = list(known)
    for number in range(count):
        study.agree(known, measured(known), set())
        known += study.propose(known, 3, number)
    return known


def points(trials: list[Proposal]) -> list[tuple[str, dict[str, Any]]]:
    return [(trial.name, dict(trial.params)) for trial in trials]


def sheet(trial: optuna.trial.FrozenTrial) -> str:
    """The run whose samples Optuna's dashboard shows of a trial; "" if none."""
    artifacts = [text for name, text in trial.system_attrs.items() if name.startswith("artifacts:")]
    return "".join(json.loads(text)["artifact_id"] for text in artifacts)


def states(folder: Path, name: str = "search") -> list[tuple[str, str]]:
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
    return [(trial.user_attrs.get("variant", ""), trial.state.name) for trial in study.trials]


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.filterwarnings("ignore")
def test_a_study_that_is_opened_again_proposes_what_the_first_would_have(folder: Path, sampler: str) -> None:
    whole = rounds(open_study(folder, sampler), [], 3)
    again: list[Proposal] = []
    for _ in range(3):
        again = rounds(open_study(folder, sampler, "again"), again, 1)
    assert points(again) == points(whole)
    assert whole[0].params["lpips"] == "on"  # what was enqueued comes first


def test_what_was_proposed_and_not_recorded_is_proposed_again(folder: Path) -> None:
    study = open_study(folder)
    known = rounds(study, [], 1)
    study.agree(known, measured(known), set())
    lost = study.propose(known, 3, 1)  # killed before it was recorded
    found = open_study(folder).propose(known, 3, 1)
    assert points(found) == points(lost)
    assert len(states(folder)) == 6


def test_a_kill_in_the_middle_of_a_proposal_changes_nothing(folder: Path) -> None:
    whole = rounds(open_study(folder), [], 2)
    study = open_study(folder, name="again")
    known = rounds(study, [], 1)
    study.agree(known, measured(known), set())
    study._study.ask()  # the process is killed before the trial has any value
    assert points(known + open_study(folder, name="again").propose(known, 3, 1)) == points(whole)


def test_in_the_end_each_trial_says_what_mlflow_says(folder: Path) -> None:
    study = open_study(folder)
    known = rounds(study, [], 1)
    study.agree(known, measured(known), {"trial-0001"})
    ended = {"trial-0000": "COMPLETE", "trial-0001": "RUNNING", "trial-0002": "FAIL"}
    assert dict(states(folder)) == ended
    study.agree(known, measured(known), set())
    assert dict(states(folder)) == ended | {"trial-0001": "COMPLETE"}
    study.agree(known, {**measured(known), "trial-0002": Measured((1.0,), {}, {})}, set())
    assert states(folder)[-1] == ("trial-0002", "COMPLETE")  # tried again, and finished


def test_a_lost_study_is_put_together_from_what_is_recorded(folder: Path) -> None:
    known = rounds(open_study(folder), [], 2)
    anew = open_study(folder, name="anew")
    anew.agree(known, measured(known), set())
    first, second = (
        optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
        for name in ("search", "anew")
    )
    open_study(folder).agree(known, measured(known), set())
    assert [(t.params, t.values, t.constraints, t.distributions, sheet(t)) for t in first.trials] == [
        (t.params, t.values, t.constraints, t.distributions, sheet(t)) for t in second.trials
    ]
    assert [sheet(trial) for trial in second.trials[:3]] == ["run of trial-0000", "run of trial-0001", ""]
    going_on = [points(study.propose(known, 3, 2)) for study in (open_study(folder), anew)]
    assert going_on[0] == going_on[1]


@pytest.mark.parametrize("change", ["values", "constraints", "failed"])
def test_a_study_with_results_of_other_code_is_put_together_from_what_is_recorded(
    folder: Path, change: str
) -> None:
    known = rounds(open_study(folder), [], 2)
    now = {
        name: {
            "values": Measured((100 - each.values[0],), each.excess, each.runs),
            "constraints": Measured(each.values, {"kid": 1.0}, each.runs),
        }.get(change, each)
        for name, each in measured(known).items()
        if change != "failed" or name != "trial-0000"
    }
    study, anew = open_study(folder), open_study(folder, name="anew")
    study.agree(known, now, {"trial-0004"})  # one of them is yet to be computed: nothing is proposed before
    assert len(states(folder)) == len(known)
    study.agree(known, now, set())
    anew.agree(known, now, set())
    first, second = (
        optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
        for name in ("search", "anew")
    )
    assert [(t.state, t.params, t.values, t.constraints) for t in first.trials] == [
        (t.state, t.params, t.values, t.constraints) for t in second.trials
    ]
    assert points(study.propose(known, 3, 2)) == points(anew.propose(known, 3, 2))


def test_trials_that_nobody_has_recorded_are_forgotten_when_the_record_begins_anew(folder: Path) -> None:
    known = rounds(open_study(folder), [], 2)
    study = open_study(folder)
    study.agree(known, measured(known), set())
    again = rounds(open_study(folder), [], 2)
    assert points(again) == points(known)
    assert len(states(folder)) == len(known)


SCORED = [Scored("trial-0000", 1, 7.0, False), Scored("trial-0001", 1, 8.0, True)]
"""Of the first round: one goes on to its end, one is pruned at the mark."""


def test_a_pruned_trial_is_pruned_in_a_study_that_is_put_together_too(folder: Path) -> None:
    search = open_study(folder)
    known = rounds(search, [], 1)
    for name in ("search", "anew"):
        open_study(folder, name=name).agree(known, measured(known), set(), SCORED)
    first, second = (
        optuna.load_study(study_name=name, storage=f"sqlite:///{folder / 'optuna.db'}")
        for name in ("search", "anew")
    )
    assert [trial.state.name for trial in first.trials] == ["COMPLETE", "PRUNED", "FAIL"]
    assert [trial.intermediate_values for trial in first.trials] == [{1: 7.0}, {1: 8.0}, {}]
    assert [(t.state, t.values, t.intermediate_values) for t in first.trials] == [
        (t.state, t.values, t.intermediate_values) for t in second.trials
    ]
    going_on = [points(open_study(folder, name=name).propose(known, 3, 1)) for name in ("search", "anew")]
    assert going_on[0] == going_on[1]


def test_a_trial_that_was_pruned_by_other_code_is_not_pruned_for_ever(folder: Path) -> None:
    study = open_study(folder)
    known = rounds(study, [], 1)
    study.agree(known, measured(known), set(), SCORED)
    going_on = [SCORED[0], Scored("trial-0001", 1, 6.0, False)]
    study.agree(known, measured(known), set(), going_on)
    assert [state for _, state in states(folder)] == ["COMPLETE", "COMPLETE", "FAIL"]


class Guidance:
    """Costs as much as there is guidance."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.taken: list[float] = []

    def of(self, params: dict[str, Any]) -> float:
        self.asked.append(params["sample.guidance"])
        return self.asked[-1]

    def take(self, params: dict[str, Any]) -> None:
        self.taken.append(params["sample.guidance"])


def test_of_several_candidates_the_cheapest_is_proposed_also_after_a_kill(folder: Path) -> None:
    study, costs = open_study(folder), Guidance()
    known = rounds(study, [], 2)
    study.agree(known, measured(known), set())
    before = len(states(folder))
    whole = study.propose(known, 3, 2, costs)  # type: ignore[arg-type]
    asked = [costs.asked[n : n + 4] for n in (0, 4, 8)]
    assert costs.taken == [min(some) for some in asked] == [p.params["sample.guidance"] for p in whole]
    assert any(len(set(some)) > 1 for some in asked)
    assert len(states(folder)) == before + 3  # nothing is left of the others

    again = open_study(folder, name="again")
    rounds(again, [], 2)
    again.agree(known, measured(known), set())
    again.propose(known, 1, 2, Guidance())  # type: ignore[arg-type]
    again._study.ask()  # killed in the second proposal
    assert points(open_study(folder, name="again").propose(known, 3, 2, Guidance())) == points(whole)  # type: ignore[arg-type]
