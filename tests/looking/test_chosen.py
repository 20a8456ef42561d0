"""Which runs a name means."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import synthetic
from harm import rows

from ablate.errors import UserError
from ablate.looking.chosen import Chosen, choose, narrowed
from ablate.record.read import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.records import ExperimentRecord


@pytest.fixture
def uri(finished: Path) -> str:
    return f"sqlite:///{finished / 'mlflow.db'}"


def test_a_name_is_an_experiment_with_all_its_runs(uri: str) -> None:
    chosen = choose("tiny", uri)
    assert chosen.variants == ["plain", "late"]
    assert [(run.variant, run.seed) for run in chosen.runs] == [
        ("plain", 0),
        ("plain", 1),
        ("late", 0),
        ("late", 1),
    ]


def test_a_variant_after_the_name_leaves_its_runs(uri: str) -> None:
    assert [(run.variant, run.seed) for run in choose("tiny/late", uri).runs] == [
        ("late", 0),
        ("late", 1),
    ]


def test_a_seed_after_the_variant_leaves_one_run(uri: str) -> None:
    assert [(run.variant, run.seed) for run in choose("tiny/late/1", uri).runs] == [("late", 1)]


def test_a_run_is_found_by_its_id_and_by_the_beginning_of_it(uri: str) -> None:
    run = choose("tiny/late/1", uri).runs[0]
    for text in (run.run_id, run.run_id[:8]):
        assert choose(text, uri).runs == [run]


def test_the_id_of_a_parent_is_the_whole_experiment(uri: str) -> None:
    whole = choose("tiny", uri)
    assert choose(whole.record.parent_run_id, uri).runs == whole.runs


def test_the_id_of_the_means_of_a_variant_is_that_variant(finished: Path, uri: str) -> None:
    query = "select run_uuid from tags join runs using (run_uuid) where value = 'variant' and name = 'late'"
    ((run_id,),) = rows(finished / "mlflow.db", query)
    chosen = choose(run_id, uri)
    assert (chosen.title, chosen.runs) == ("tiny/late", choose("tiny/late", uri).runs)


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("nothing", "MLflow has no experiment and no run called 'nothing'", "Name an experiment"),
        ("", "MLflow has no experiment and no run called ''", "Name an experiment"),
        ("0" * 32, "MLflow has no experiment and no run called", "Name an experiment"),
        ("tiny/other", "there is no variant 'other'", "There are: plain, late."),
        ("tiny/plain/7", "there is no run with the seed '7'", "There are: 0, 1."),
        ("tiny/plain/0/x", "has too many parts", "Name an experiment"),
    ],
)
def test_what_means_nothing_is_named_with_what_there_is(uri: str, text: str, what: str, fix: str) -> None:
    with pytest.raises(UserError) as caught:
        choose(text, uri)
    assert caught.value.what.startswith(what)
    assert caught.value.fix.startswith(fix)


def test_plugins_are_named_by_a_spec_and_never_executed_for_a_name(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Reader.read

    def with_plugins(reader: Reader, parent: str) -> ExperimentRecord:
        record = read(reader, parent)
        return replace(record, spec={**record.spec, "plugins": ["mine.py"]})

    run = choose("tiny/late/0", uri).runs[0].run_id
    monkeypatch.setattr(Reader, "read", with_plugins)
    for name in ("tiny", "tiny/late/0", run):
        with pytest.raises(UserError, match=re.escape("it uses plug-ins (mine.py)")) as refused:
            choose(name, uri)
        assert "tiny.yaml/VARIANT/SEED" in refused.value.fix


def test_where_nothing_was_recorded_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no experiment and no run"):
        choose("tiny", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert not list(tmp_path.iterdir())


def test_a_trial_of_a_search_is_found_though_its_tables_leave_it_out() -> None:
    record = synthetic.search()
    whole = Chosen("searching", record)
    assert {run.variant for run in whole.runs} == {"none", *record.search["confirmed"]}  # type: ignore[index]
    trial = narrowed(whole, ["trial-0001", "0"])
    assert [(run.variant, run.seed) for run in trial.runs] == [("trial-0001", 0)]
