"""A whole search through the installed command: trials on one trunk, confirmed with fresh seeds."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ablate.experiment.merge import merge
from ablate.runner.run import run_round

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from tests.conftest import Ablate

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_figures"),
]

LATE: dict[str, Any] = {
    "factors": {"lpips": {"off": {}, "on": {"losses": {"lpips": {"weight": 0.1, "start": 2, "images": 4}}}}},
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
    assert f"{best}, found by the search, has a better FID than baseline." in page
    assert re.search(r"\| the search \| 5 \| 30 \| \d+ \|", page)

    # Given again, the command finds nothing to do; without Optuna's database, it is put together again.
    assert "0 failed" in ablate("run", "tiny.yaml", folder=folder).out
    (folder / "optuna.db").unlink()
    assert "0 runs finished" in ablate("run", "tiny.yaml", folder=folder).out
    assert proposed(read_record(folder)) == proposed(record)


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
