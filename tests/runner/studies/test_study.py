"""The Optuna study proposes each variant once a round, and in the end says what MLflow says."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import optuna
import pytest

from ablate.errors import UserError
from ablate.record.read import Child
from ablate.runner.studies.study import Result, Study, results_of

if TYPE_CHECKING:
    from pathlib import Path

VARIANTS = ("plain", "late", "other")
PLAIN = Result({0: "run-0", 1: "run-1"}, 2.5)


@pytest.fixture
def database(databases: Path, tmp_path: Path) -> Path:
    shutil.copy(databases / "optuna.db", tmp_path / "optuna.db")
    return tmp_path / "optuna.db"


@pytest.fixture
def study(database: Path) -> Study:
    return Study(database, "tiny", VARIANTS)


def states(study: Study) -> list[tuple[str, str, float | None]]:
    return [(trial.variant, trial.state, trial.value) for trial in study.trials()]


def test_variants_are_proposed_in_one_round_in_their_order(study: Study) -> None:
    study.enqueue(["late", "plain"])
    assert study.propose() == ["late", "plain"]
    assert study.propose() == []


def test_a_complete_variant_has_its_objective_and_runs_and_another_has_failed(study: Study) -> None:
    study.enqueue(["plain", "late"])
    study.propose()
    study.tell({"plain": PLAIN, "late": Result({0: "run-2"}, None)})
    assert states(study) == [("plain", "COMPLETE", 2.5), ("late", "FAIL", None)]
    assert [trial.runs for trial in study.trials()] == [PLAIN.runs, {0: "run-2"}]


def test_a_variant_of_which_nothing_is_recorded_has_failed(study: Study) -> None:
    study.enqueue(["other"])
    study.propose()
    study.tell({})
    assert states(study) == [("other", "FAIL", None)]


def test_what_is_proposed_later_is_not_ended_with_a_round(study: Study) -> None:
    study.enqueue(["plain"])
    study.propose()
    study._study.enqueue_trial({"variant": "late"})
    study.tell({"plain": PLAIN})
    assert study.propose() == ["late"]


def test_no_trial_is_left_open_in_the_end(study: Study) -> None:
    study.enqueue(["plain", "late"])
    study.propose()
    study.tell({"plain": PLAIN})
    study._study.enqueue_trial({"variant": "other"})
    study.agree({"plain": PLAIN})
    assert states(study) == [("plain", "COMPLETE", 2.5), ("late", "FAIL", None), ("other", "FAIL", None)]


def test_what_a_killed_process_left_open_is_ended_and_proposed_anew(study: Study, database: Path) -> None:
    study.enqueue(["plain", "late"])
    study.propose()
    study.enqueue(["other"])  # and killed here
    again = Study(database, "tiny", VARIANTS)
    again.enqueue(["plain"])
    assert again.propose() == ["plain"]
    assert {state for _, state, _ in states(again)[:3]} == {"FAIL"}


def test_a_variant_that_was_complete_when_the_process_was_killed_gets_its_trial(
    study: Study, database: Path
) -> None:
    study.enqueue(["plain"])
    study.propose()  # measured, recorded, and killed here
    again = Study(database, "tiny", VARIANTS)
    again.agree({"plain": PLAIN})
    assert states(again) == [("plain", "FAIL", None), ("plain", "COMPLETE", 2.5)]
    again.agree({"plain": PLAIN})
    assert len(again.trials()) == 2


def test_results_of_other_code_get_a_trial_of_their_own(study: Study) -> None:
    study.agree({"plain": PLAIN})
    study.agree({"plain": Result(PLAIN.runs, 3.0)})
    assert states(study) == [("plain", "COMPLETE", 2.5), ("plain", "COMPLETE", 3.0)]


@pytest.mark.parametrize("variants", [VARIANTS[::-1], VARIANTS[:2], (*VARIANTS, "new"), ("renamed", "late")])
def test_a_study_goes_on_with_its_variants_in_another_order_or_with_others(
    study: Study, database: Path, variants: tuple[str, ...]
) -> None:
    study.enqueue(["plain"])
    study.propose()  # and killed here
    again = Study(database, "tiny", variants)
    again.enqueue(variants)
    assert again.propose() == list(variants)
    again.tell({variants[0]: PLAIN})
    assert states(again)[:2] == [("plain", "FAIL", None), (variants[0], "COMPLETE", 2.5)]
    again.agree(dict.fromkeys(variants, PLAIN))
    complete = {variant for variant, state, _ in states(again) if state == "COMPLETE"}
    assert complete == set(variants)


def test_a_study_whose_choices_were_not_sorted_goes_on(database: Path) -> None:
    """As older versions made it."""
    old = optuna.create_study(storage=f"sqlite:///{database}", study_name="old")
    old.enqueue_trial({"variant": "plain"})
    old.ask({"variant": optuna.distributions.CategoricalDistribution(VARIANTS)})
    study = Study(database, "old", VARIANTS)
    study.enqueue(["other"])
    assert study.propose() == ["other"]
    study.tell({"other": PLAIN})
    assert states(study) == [("plain", "FAIL", None), ("other", "COMPLETE", 2.5)]
    assert [trial.params for trial in old.trials] == [{"variant": "plain"}, {"variant": "other"}]


def test_a_study_of_another_version_of_optuna_is_named(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("update alembic_version set version_num = 'v99.0.0'")
    with pytest.raises(UserError, match="of another version") as error:
        Study(database, "tiny", VARIANTS)
    assert error.value.where == str(database) and error.value.fix


def child(variant: str, seed: int, status: str = "FINISHED", **metrics: float) -> Child:
    return Child(f"{variant}-{seed}", "", variant, seed, "", status, 0, False, "", "", metrics, {})


def test_a_variant_s_objective_is_the_mean_over_all_seeds_and_none_before() -> None:
    children = [
        child("plain", 0, fid=2),
        child("plain", 1, fid=4),
        child("late", 0, fid=2),
        child("late", 1, status="FAILED"),
        child("other", 0, fid=1),
        child("other", 1),
    ]
    assert results_of(children, [0, 1]) == {
        "plain": Result({0: "plain-0", 1: "plain-1"}, 3),
        "late": Result({0: "late-0"}, None),
        "other": Result({0: "other-0", 1: "other-1"}, None),
    }
