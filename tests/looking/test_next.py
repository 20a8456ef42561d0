"""What would decide the claims that are open: looks to come or fresh seeds, their chances and their cost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ablate.cli.printing.claims import print_coming
from ablate.experiment.load import load_experiment
from ablate.looking.next import coming
from ablate.plan import make_plan
from ablate.report.results import gather
from ablate.store import Store
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ablate.fingerprint import Contents
    from ablate.looking.next import Coming
    from ablate.records import ExperimentRecord
    from tests.conftest import Ablate

LATE_BY_SEED = {0: -1.0, 1: -0.8, 2: 0.2, 3: -1.1, 4: -0.9, 5: 0.1}
"""Differences of FID that point to the claim of ``tiny.yaml``, and do not decide it."""


@pytest.fixture
def found(
    finished: Path,
    read_record: Callable[[Path], ExperimentRecord],
    write_spec: Callable[..., Path],
    contents: Contents,
    tmp_path: Path,
) -> Callable[..., Coming]:
    """What comes after six seeds of ``tiny.yaml`` with some looks and some differences."""
    record = read_record(finished)
    plain, late = (next(run for run in record.runs if run.variant == name) for name in ("plain", "late"))

    def find(looks: Sequence[int], differences: Mapping[int, float] = LATE_BY_SEED) -> Coming:
        runs = [
            replace(run, seed=seed, metrics={**run.metrics, "fid": 10 + shift})
            for seed, difference in differences.items()
            for run, shift in ((plain, 0.0), (late, difference))
        ]
        seen = replace(record, spec={**record.spec, "seeds": [*differences], "looks": looks}, runs=runs)

        def plan_with(seeds: Sequence[int]) -> object:
            file = write_spec(tmp_path, seeds=[*seeds])
            return make_plan(load_experiment(file), Store(tmp_path / "store"), contents)

        return coming(gather(seen, OWN), plan_with)  # type: ignore[arg-type]

    return find


def test_each_look_to_come_has_its_chance_and_its_cost(found: Callable[..., Coming]) -> None:
    result = found([6, 9, 12])
    assert [*result.open] == [1]
    nine, twelve = result.steps
    assert (nine.seeds, twelve.seeds) == (tuple(range(9)), tuple(range(12)))
    assert (nine.runs, twelve.runs) == (6, 12)
    assert 0 < nine.chances[1] < twelve.chances[1] < 1
    assert nine.level == pytest.approx(0.0125)
    assert nine.hours is None  # nothing like it was ever measured in this store
    assert nine.steps == 9 * (3 + 2) * 2  # epoch 0 is shared


def test_without_planned_looks_fresh_seeds_are_judged_by_themselves(found: Callable[..., Coming]) -> None:
    result = found([])
    needed = result.open[1].judgement.seeds_needed
    assert needed
    (step,) = result.steps
    assert step.seeds == tuple(range(6, 6 + needed))
    assert step.chances[1] >= 0.8
    assert step.runs == 2 * needed


def test_with_one_seed_it_says_how_many_can_decide(
    found: Callable[..., Coming], capsys: pytest.CaptureFixture[str]
) -> None:
    result = found([], {0: -1.0})
    assert not result.steps
    assert result.least == 6
    print_coming(result, "ablate run tiny.yaml", None)
    assert "at least 6 can decide (`ablate plan`)." in capsys.readouterr().out
    assert found([]).least is None


def test_after_the_last_look_nothing_is_left(found: Callable[..., Coming]) -> None:
    result = found([6])
    assert result.open and not result.steps


def test_a_decided_claim_needs_nothing(found: Callable[..., Coming]) -> None:
    result = found([], dict.fromkeys(range(6), -1.0))
    assert not result.open and not result.steps


def test_the_command_says_what_to_do(ablate: Ablate, finished: Path) -> None:
    done = ablate("next", "tiny.yaml", folder=finished)
    assert done.code == 0
    assert "1 of 1 claim is open." in done.out
    assert "all of its alpha is spent" in done.out
    facts = json.loads(ablate("next", "tiny.yaml", "--json", folder=finished).out)
    assert (facts["claims"], facts["missing_runs"]) == (1, 0)
    assert facts["open"][0]["number"] == 1


def test_the_command_that_it_names_means_the_same_settings(
    ablate: Ablate, finished: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(finished, tmp_path / "copy")
    with closing(sqlite3.connect(copy / "mlflow.db")) as database, database:
        database.execute("update runs set lifecycle_stage = 'deleted' where name = 'late seed 1'")
    uri = f"sqlite:///{copy / 'mlflow.db'}"
    done = ablate("next", "tiny.yaml", "--tracking-uri", uri, "--seeds", "0,1", folder=copy)
    assert done.code == 0, done.shown
    command = f"ablate run tiny.yaml --tracking-uri {uri} --seeds 0,1"
    assert f"1 run of the experiment itself is missing: {command}" in done.out


def test_an_experiment_that_has_not_run_is_named(ablate: Ablate, finished: Path) -> None:
    done = ablate("next", "tiny.yaml", "--seeds", "7", folder=finished)
    assert done.code == 2
    assert "Run it first: ablate run tiny.yaml" in done.shown
