"""``ablate rm`` removes an experiment everywhere, and nothing of any other."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import RunError
from ablate.keeping import gc, rm
from ablate.record.read import find_experiment
from ablate.runner import run
from ablate.runner.exclusive import experiment_lock
from ablate.runner.needs import Needs, RunNeeds, keep_needs, read_needs
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_figures"),
]


def files(folder: Path) -> dict[str, int]:
    every = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in every}


def rows(folder: Path) -> dict[str, int]:
    """Table → rows, of what MLflow and Optuna have of experiments."""
    tables = {
        "mlflow.db": (
            "experiments",
            "runs",
            "tags",
            "params",
            "metrics",
            "latest_metrics",
            "datasets",
            "inputs",
        ),
        "optuna.db": ("studies", "trials", "trial_values"),
    }
    found = {}
    for name, some in tables.items():
        with closing(sqlite3.connect(folder / name)) as database:
            for table in some:
                ((found[table],),) = database.execute(f"select count(*) from {table}")
    return found


@pytest.fixture
def pair(copied: Path, call: Callable[..., str]) -> Path:
    """The copy, with the same experiment once more under another name."""
    shutil.copy(copied / "tiny.yaml", copied / "other.yaml")
    done = call("run", "other.yaml", "--no-audit")
    assert "4 runs finished (4 of them with results that the store had), 0 were already there" in done
    return copied


def test_without_do_nothing_is_changed(copied: Path, call: Callable[..., str]) -> None:
    before = files(copied)
    shown = call("rm", "tiny")
    assert "7 runs, for good" in shown and "reports/tiny.md" in shown and "Nothing was changed" in shown
    after = files(copied)
    assert {name for name in before if before[name] != after.get(name)} == set()


def test_of_two_experiments_one_goes_and_the_other_stays_as_it_was(
    pair: Path, call: Callable[..., str], finished: Path
) -> None:
    reports, store = files(pair / "reports"), files(pair / ".ablate")
    (pair / "reports" / "other" / "notes.txt").write_text("mine")
    (pair / "reports" / "other" / "runs.csv").write_text("edited")
    shown = call("rm", "other", "--do")
    assert "reports/other/runs.csv was edited: it stays." in shown and "other was removed." in shown
    left = files(pair / "reports")
    mine = {"other/notes.txt", "other/runs.csv"}
    assert set(left) - mine == {name for name in reports if not name.lstrip(".").startswith("other")}
    assert "other.md" not in (pair / "reports" / "README.md").read_text()
    assert rows(pair) == rows(finished)
    assert not (pair / "mlruns" / "other").exists()
    # Both need the same of the store: it stays.
    kept = {name for name in store if not name.startswith(("needs/", "locks/", "digests"))}
    assert kept <= set(files(pair / ".ablate"))
    assert [each.needs.experiment for each in read_needs(Store(pair / ".ablate"))] == ["tiny"]
    assert "0 runs finished, 4 were already there, 0 failed" in call("run", "tiny.yaml")
    # The last one takes the store with it.
    call("rm", "tiny.yaml", "--do")
    stages = ("train", "moments", "ema", "sample", "evaluate", "preview", "prepare", "reference", "kept")
    assert not [path for stage in stages for path in (pair / ".ablate" / stage).glob("*")]
    assert rows(pair)["runs"] == rows(pair)["trials"] == 0
    assert (pair / "tiny.yaml").exists()
    assert "there is no such experiment" in call("rm", "tiny", code=2)


def test_other_settings_of_the_same_name_stay(copied: Path, call: Callable[..., str]) -> None:
    spec = (copied / "tiny.yaml").read_text()
    (copied / "tiny.yaml").write_text(json.dumps(json.loads(spec) | {"seeds": [0]}))
    assert "has not run with these settings" in call("rm", "tiny.yaml", code=2)
    assert "2 runs finished" in call("run", "tiny.yaml", "--no-audit")
    shown = call("rm", "tiny.yaml", "--do")
    assert "1 other of that name stays" in shown
    assert not (copied / "reports" / "tiny.md").exists(), "it was on what is gone"
    (copied / "tiny.yaml").write_text(spec)
    assert "0 runs finished, 4 were already there, 0 failed" in call("run", "tiny.yaml")


def entries(store: Path) -> set[str]:
    return {name for name in files(store) if name.partition("/")[0] in gc.STAGES}


def test_what_another_folder_with_the_same_settings_needs_of_the_store_stays(
    copied: Path, make_workplace: Callable[..., Path], tmp_path: Path, call: Callable[..., str]
) -> None:
    """Each folder has a record of its own, and both have one store."""
    (tmp_path / "other").mkdir()
    other, store = make_workplace(tmp_path / "other"), copied / ".ablate"
    there = ("--store", str(store))
    assert "4 runs finished" in call("run", "tiny.yaml", "--no-audit", *there, folder=other)
    before = entries(store)
    call("rm", "tiny.yaml", "--do")
    assert entries(store) == before
    assert "from this folder" in call("rm", "tiny.yaml", code=2)
    assert f"{other}; if nobody goes on there, delete" in call("gc")
    call("rm", "tiny.yaml", "--do", *there, folder=other)
    assert entries(store) == set() and not Store(store).names("needs")


def test_a_folder_that_never_ran_it_removes_nothing_of_another_s(
    copied: Path, make_workplace: Callable[..., Path], tmp_path: Path, call: Callable[..., str]
) -> None:
    (tmp_path / "other").mkdir()
    before = entries(copied / ".ablate")
    shown = call(
        *("rm", "tiny.yaml", "--do", "--store", str(copied / ".ablate")),
        folder=make_workplace(tmp_path / "other"),
        code=2,
    )
    assert "has not run with these settings from this folder" in shown
    assert entries(copied / ".ablate") == before


def test_of_runs_those_that_name_the_others_go_last(copied: Path) -> None:
    uri = f"sqlite:///{copied / 'mlflow.db'}"
    reader = find_experiment(uri, "tiny")
    assert reader
    (parent,) = reader.parents()
    runs = rm.find(Store(copied / ".ablate"), uri, copied / "reports", "tiny").runs
    assert len(runs) == 7 and runs[-1] == parent.run_id


def test_while_it_is_recorded_from_another_store_it_is_not_removed(
    copied: Path, call: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    waiting = run.waiting_runs

    def removing(*arguments: Any) -> Any:
        for act in (rm.find, rm.delete):
            with pytest.raises(RunError, match="is being run") as error:
                act(Store(tmp_path / "another"), f"sqlite:///{copied / 'mlflow.db'}", copied, "tiny")
            refused.append(error.value.where)
        return waiting(*arguments)

    monkeypatch.setattr(run, "waiting_runs", removing)
    assert "4 were already there" in call("run", "tiny.yaml")
    assert refused == [str(copied / "mlflow.db")] * 2
    assert rows(copied)["runs"] == 7 and not list(copied.glob("mlflow.db.*.lock"))


def test_while_it_is_run_it_is_not_removed(copied: Path, call: Callable[..., str]) -> None:
    with closing(sqlite3.connect(copied / "mlflow.db")) as database:
        query = (
            "select key.value from tags key join tags kind using (run_uuid) "
            "where key.key = 'ablate.key' and kind.key = 'ablate.kind' and kind.value = 'experiment'"
        )
        ((key,),) = database.execute(query).fetchall()
    before = rows(copied)
    with Store(copied / ".ablate").lock(experiment_lock(key)):
        for more in ((), ("--do",)):
            assert "tiny is being run" in call("rm", "tiny", *more, code=1)
    assert rows(copied) == before


def test_there_is_nothing_to_remove_in_an_empty_folder(call: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shown = call("rm", "tiny", "--do", code=2, folder=tmp_path / "empty")
    assert "there is no such experiment" in shown and "MLflow has: none" in shown


def test_of_the_store_goes_only_what_no_other_experiment_needs(tmp_path: Path) -> None:
    def needs(name: str, *states: str) -> Needs:
        of_run = RunNeeds(name, [("train", states[-1])], [("sample", name)])
        return Needs(name, list(states), [("prepare", "data")], {f"{name} seed 0": of_run})

    store = Store(tmp_path)
    both = {"one": needs("one", "trunk", "end of one"), "two": needs("two", "trunk", "end of two")}
    entries = [
        *(
            (stage, state)
            for state in ("trunk", "end of one", "end of two")
            for stage in ("train", "moments")
        ),
        *(("sample", "one"), ("sample", "two"), ("prepare", "data"), ("ema", "a"), ("ema", "b")),
    ]
    averages = {"a": "trunk", "b": "end of one"}
    for stage, key in entries:
        with store.writing(stage, key, {"state": averages.get(key)}):
            pass
    for key, need in both.items():
        keep_needs(store, key, Path(f"{key}.yaml"), need)
    listed = list(read_needs(store))
    going = {item.entry for item in rm._items(store, listed, [each for each in listed if each.key == "one"])}
    assert going == {("train", "end of one"), ("moments", "end of one"), ("sample", "one"), ("ema", "b")}


@pytest.mark.parametrize(
    ("file", "ours"),
    [
        ("tiny.md", True),
        ("tiny.html", True),
        ("tiny/losses.png", True),
        ("other.md", False),
        ("other/losses.png", False),
        ("../tiny.md", False),
        ("tiny/../other.md", False),
        ("/etc/tiny.md", False),
        ("tiny/deeper/losses.png", False),
    ],
)
def test_a_memory_that_names_other_files_does_not_take_them_along(file: str, ours: bool) -> None:
    assert rm._of_the_report(file, "tiny") is ours
