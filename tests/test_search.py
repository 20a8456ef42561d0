"""A whole search through the installed command: trials on one trunk, confirmed with fresh seeds."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ablate.experiment.merge import merge
from ablate.runner.run import run_round
from ablate.stages import evaluated
from ablate.stages.train import train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from ablate.stages.training import Training
    from tests.conftest import Ablate

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_figures"),
]

LATE: dict[str, Any] = {
    "factors": {"lpips": {"off": {}, "on": {"losses": {"lpips": {"weight": 0.1, "start": 2, "images": 2}}}}},
    "fields": {
        "losses.lpips.weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"lpips": "on"}},
        "sample.steps": {"low": 2, "high": 4},
    },
    "objectives": ["fid"],
    "trials": 4,
    "round": 2,
    "enqueue": [{"lpips": "on", "losses.lpips.weight": 0.1}],
    "confirm": {"best": 1, "seeds": [5], "path": True},
}
SAMPLING: dict[str, Any] = {
    "fields": {"sample.steps": [2, 4], "sample.guidance": {"low": 1, "high": 5}},
    "objectives": ["fid", "seconds_per_image"],
    "constraints": [{"metric": "clip_t", "at_least": -1}],
    "trials": 5,
    "round": 2,
}


PRUNED: dict[str, Any] = {
    "fields": {"train.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    "objectives": ["fid"],
    "trials": 5,
    "round": 3,
    "pruner": {"kind": "successive-halving", "marks": [1, 2], "reduction": 2},
}


@pytest.fixture
def workplace(
    databases: Path, data_folder: Path, tmp_path: Path, tiny: dict[str, Any]
) -> Callable[[dict[str, Any]], Path]:
    """A folder with ``tiny.yaml``, a search in the tiny setting."""

    def make(search: dict[str, Any]) -> Path:
        for name in ("mlflow.db", "optuna.db"):
            shutil.copy(databases / name, tmp_path / name)
        small = {"track": {"preview_every": 0}, "data": {"path": str(data_folder)}}
        spec = {"question": "Which?", "config": merge(tiny, small), "search": search, "seeds": [0]}
        (tmp_path / "tiny.yaml").write_text(json.dumps(spec, indent=1))
        return tmp_path

    return make


def proposed(record: ExperimentRecord) -> list[tuple[str, Any]]:
    assert record.search
    return [(proposal["name"], proposal["params"]) for proposal in record.search["proposals"]]


def states(folder: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(folder / "optuna.db")) as database:
        query = "select state, count(*) from trials where study_id > 1 group by state"
        found: list[tuple[str, int]] = database.execute(query).fetchall()
    return found


def artifacts(folder: Path) -> set[str]:
    """The ids of all that Optuna's dashboard shows of trials."""
    with closing(sqlite3.connect(folder / "optuna.db")) as database:
        query = "select value_json from trial_system_attributes where key like 'artifacts:%'"
        found = database.execute(query).fetchall()
    return {json.loads(json.loads(text))["artifact_id"] for (text,) in found}


def means(folder: Path) -> dict[str, str]:
    """Variant that has a run with its means in MLflow → the seeds that these are of."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        query = "select name, value from runs join tags using (run_uuid) where key = 'ablate.seeds'"
        return dict(database.execute(query).fetchall())


def test_a_search_tries_confirms_and_explains(
    workplace: Callable[..., Path], ablate: Ablate, read_record: Callable[[Path], ExperimentRecord]
) -> None:
    folder = workplace(LATE)
    plan = ablate("plan", "tiny.yaml", folder=folder)
    assert "The search asks for 30 steps in all" in plan.out  # 5 runs, 3 epochs of 2 steps
    done = ablate("run", "tiny.yaml", folder=folder)
    assert done.code == 0, done.shown
    record = read_record(folder)
    assert record.search

    # Each trial is a run like a variant's, and was asked for the published setting first.
    trials = [name for name, _ in proposed(record) if name.startswith("trial")]
    assert trials == ["trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    assert proposed(record)[0][1]["losses.lpips.weight"] == 0.1
    assert {run.status for run in record.runs} == {"FINISHED"}
    assert states(folder) == [("COMPLETE", 4)]

    # The trunk is trained once: a trial costs the one epoch with LPIPS, or nothing.
    trained = record.search["trained"]
    lpips = {name: point["lpips"] == "on" for name, point in proposed(record)[:4]}
    assert trained["baseline"] == 6
    assert {name: trained[name] for name in trials} == {name: 2 * on for name, on in lpips.items()}

    # Confirmed with the seed that the search never saw, and only that is in the tables of results.
    (best,) = record.search["confirmed"]
    assert {(run.variant, run.seed) for run in record.runs if run.seed == 5} >= {("baseline", 5), (best, 5)}
    page = (folder / "reports" / "tiny.md").read_text()
    others = set(trials) - {best}
    results = page.split("## Results")[1].split("\n## ")[0]
    assert best in results and not any(name in results for name in others)
    assert "Searched and confirmed" in page and "lost since the search" in page
    assert f"{best}, found by the search, is better than baseline in FID." in page
    assert re.search(r"\| the search \| 5 \| 30 \| \d+ \|", page)
    shown = {path.name for path in (folder / "reports" / "tiny").iterdir()}
    assert {"search-samples.png", "search-slices-fid.png", "trials.csv"} <= shown

    # So it is with the means in MLflow: of fresh seeds, for what was confirmed and what explains it.
    fresh = {"baseline", best, *(name for name, _ in proposed(record) if name not in trials)}
    assert means(folder) == {name: "5" if name in fresh else "0" for name in record.spec["variants"]}

    # Optuna's dashboard shows of each trial the samples that MLflow has.
    sampled = {run.run_id for run in record.runs if run.seed == 0 and run.variant in trials}
    assert artifacts(folder) == sampled and len(sampled) == 4

    # Given again, the command finds nothing to do; without Optuna's database, it is put together again.
    assert "0 failed" in ablate("run", "tiny.yaml", folder=folder).out
    (folder / "optuna.db").unlink()
    assert "0 runs finished" in ablate("run", "tiny.yaml", folder=folder).out
    assert proposed(read_record(folder)) == proposed(record) and artifacts(folder) == sampled


def test_a_search_that_is_interrupted_goes_on_to_the_same_trials_and_trains_nothing_for_sampling(
    workplace: Callable[..., Path],
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = workplace(SAMPLING)
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # the second round is recorded and has not begun
            raise KeyboardInterrupt
        run_round(*arguments, **named)

    monkeypatch.setattr("ablate.runner.run.run_round", interrupted)
    assert ablate("run", "tiny.yaml", "--no-audit", folder=folder).code == 130
    begun = proposed(read_record(folder))
    assert [name for name, _ in begun] == ["trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    assert states(folder) == [("COMPLETE", 2), ("RUNNING", 2)]

    done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
    assert done.code == 0, done.shown
    record = read_record(folder)
    assert proposed(record)[:4] == begun
    assert states(folder) == [("COMPLETE", 5)]
    assert record.search and record.search["trained"] == {
        "baseline": 6,
        **{n: 0 for n, _ in proposed(record)},
    }
    assert "Pareto front" in (folder / "reports" / "tiny.md").read_text()


def test_a_pruned_trial_ends_at_its_mark_and_the_others_go_on_from_there(
    workplace: Callable[..., Path],
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    monkeypatch: pytest.MonkeyPatch,
    databases: Path,
) -> None:
    trained: list[str] = []

    def counted(training: Training, epoch: int, progress: Any) -> None:
        trained.append(training.keys.chain[epoch + 1])
        train_epoch(training, epoch, progress)

    monkeypatch.setattr("ablate.stages.train.train_epoch", counted)
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:  # after the first mark, before any trial has gone on to the second
            raise KeyboardInterrupt
        run_round(*arguments, **named)

    folder = workplace(PRUNED)
    assert "That is the most: trials are pruned after 1 epoch, 2 epochs" in ablate(
        "plan", "tiny.yaml", folder=folder
    ).out.replace("\n", " ")
    with monkeypatch.context() as patch:
        patch.setattr("ablate.runner.run.run_round", interrupted)
        assert ablate("run", "tiny.yaml", "--no-audit", folder=folder).code == 130
    begun = read_record(folder)
    assert begun.search and [(s["trial"], s["step"]) for s in begun.search["scored"]] == [
        ("trial-0000", 1),
        ("trial-0001", 1),
        ("trial-0002", 1),
    ]
    done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
    assert done.code == 0 and "pruned, 0 failed" in done.out, done.shown

    # What was pruned says so; each epoch was trained once, those behind the marks of pruned trials never.
    record = read_record(folder)
    assert record.search and record.search["scored"][:3] == begun.search["scored"]
    ended = {s["trial"]: s["step"] for s in record.search["scored"] if s["pruned"]}
    assert means(folder).keys() == record.spec["variants"].keys() - ended.keys()
    assert 0 < len(ended) < 5
    statuses = {run.variant: (run.status, run.reason) for run in record.runs}
    for name, _ in proposed(record):
        after = f"pruned after {ended.get(name)} epoch{'s' * (ended.get(name) != 1)}"
        assert statuses[name] == (("KILLED", after) if name in ended else ("FINISHED", ""))
    assert dict(states(folder)) == {"COMPLETE": 5 - len(ended), "PRUNED": len(ended)}
    assert len(trained) == len(set(trained)) == 3 * (6 - len(ended)) + sum(ended.values())
    assert sum(record.search["trained"].values()) == 2 * len(trained)
    page = (folder / "reports" / "tiny.md").read_text()
    assert f"{len(ended)} of them were pruned by `successive-halving`" in page
    assert f"| the search | 6 | 36 | {2 * len(trained)} |" in page and "Pruned trials" in page

    # Undisturbed, the search proposes and prunes the same; with this store it has nothing to train.
    count = len(trained)
    other = folder / "undisturbed"
    other.mkdir()
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(databases / name, other / name)
    shutil.copy(folder / "tiny.yaml", other / "tiny.yaml")
    again = ablate("run", "tiny.yaml", "--no-audit", "--store", str(folder / ".ablate"), folder=other)
    assert again.code == 0 and len(trained) == count, again.shown
    undisturbed = read_record(other)
    assert undisturbed.search and undisturbed.search["scored"] == record.search["scored"]
    assert proposed(undisturbed) == proposed(record)


def test_trials_that_were_pruned_by_other_code_are_tried_again(
    workplace: Callable[..., Path],
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = workplace(PRUNED)
    assert ablate("run", "tiny.yaml", "--no-audit", folder=folder).code == 0
    before = read_record(folder)
    with monkeypatch.context() as patch:
        patch.setattr(evaluated, "SOURCES", (*evaluated.SOURCES, "text.py"))  # it has changed
        done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
        assert done.code == 0 and "the code or the data have changed" in done.shown, done.shown
        changed = read_record(folder)
        assert "0 runs finished" in ablate("run", "tiny.yaml", "--no-audit", folder=folder).out
    assert proposed(changed) == proposed(before)
    assert not keys_of_scores(changed) & keys_of_scores(before)
    # What has changed computes the same; all rounds together come to each mark.
    assert sorted(scores(changed)) == sorted(scores(before))
    runs = [{run.run_id: (run.variant, run.status, run.reason) for run in r.runs} for r in (before, changed)]
    assert not runs[0].keys() & runs[1].keys()
    assert sorted(runs[0].values()) == sorted(runs[1].values())

    # It is back: the runs of then count again, and trials are judged by them.
    assert ablate("run", "tiny.yaml", "--no-audit", folder=folder).code == 0
    again = read_record(folder)
    found = {run.run_id: (run.variant, run.status, run.reason) for run in again.runs}
    assert found.keys() == runs[0].keys()
    assert {run for run in runs[0].items() if run[1][1] == "FINISHED"} <= set(found.items())
    assert not keys_of_scores(again) & keys_of_scores(changed)


@pytest.mark.parametrize("lost", ["spec.json", "mlruns", "mlflow.db"])
def test_a_search_whose_record_is_lost_is_made_again_from_the_store(
    workplace: Callable[..., Path],
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    monkeypatch: pytest.MonkeyPatch,
    databases: Path,
    lost: str,
) -> None:
    folder = workplace(PRUNED)
    assert ablate("run", "tiny.yaml", "--no-audit", folder=folder).code == 0
    before = read_record(folder)
    harmed = (
        folder.parent / f"{folder.name}-harmed"
    )  # MLflow keeps a connection to a database that it has opened
    shutil.move(folder, harmed)
    if lost == "mlflow.db":
        shutil.copy(databases / "mlflow.db", harmed / "mlflow.db")
    elif lost == "mlruns":
        shutil.rmtree(harmed / "mlruns")
    else:
        (spec,) = harmed.glob(f"mlruns/**/{before.parent_run_id}/**/spec.json")
        spec.unlink()
    monkeypatch.setattr("ablate.stages.train.train_epoch", None)  # nothing is trained
    done = ablate("run", "tiny.yaml", "--no-audit", folder=harmed)
    assert done.code == 0, done.shown
    assert ("spec.json of MLflow's run" in done.shown) == (lost != "mlflow.db")
    assert "the code or the data have changed" not in done.shown
    record = read_record(harmed)
    assert proposed(record) == proposed(before) and scores(record) == scores(before)
    assert sorted((run.variant, run.status, run.reason) for run in record.runs) == sorted(
        (run.variant, run.status, run.reason) for run in before.runs
    )
    if lost != "mlflow.db":
        assert {run.run_id for run in record.runs} == {run.run_id for run in before.runs}
    assert sum(count for _, count in states(harmed)) == 5
    assert "0 runs finished" in ablate("run", "tiny.yaml", "--no-audit", folder=harmed).out


def scores(record: ExperimentRecord) -> list[tuple[Any, ...]]:
    """What trials were worth at marks."""
    assert record.search
    return [(s["trial"], s["step"], s["value"], s["pruned"]) for s in record.search["scored"]]


def keys_of_scores(record: ExperimentRecord) -> set[str]:
    assert record.search
    return {scored["key"] for scored in record.search["scored"]}


@pytest.mark.faults
def test_two_workers_prune_what_one_prunes(
    workplace: Callable[..., Path],
    ablate: Ablate,
    command: Callable[..., list[str]],
    read_record: Callable[[Path], ExperimentRecord],
    databases: Path,
) -> None:
    folder = workplace(PRUNED)
    alone = folder / "alone"
    alone.mkdir()
    for name in (databases / "mlflow.db", databases / "optuna.db", folder / "tiny.yaml"):
        shutil.copy(name, alone / name.name)
    # First: MLflow puts the address of a database that it has opened into the environment of the process.
    subprocess.run(command("run", "tiny.yaml", "--no-audit", "--workers", "2"), cwd=folder, check=True)
    assert ablate("run", "tiny.yaml", "--no-audit", folder=alone).code == 0

    one, two = read_record(alone), read_record(folder)
    assert one.search and two.search
    assert two.search["scored"] == one.search["scored"]
    assert two.search["trained"] == one.search["trained"]
    assert proposed(two) == proposed(one) and states(folder) == states(alone)
