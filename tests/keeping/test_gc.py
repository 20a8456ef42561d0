"""``ablate gc`` frees what nothing needs: a table of kinds, and what works afterwards."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ablate.keeping import gc
from ablate.keeping.gc import Experiment
from ablate.runner.exclusive import experiment_lock
from ablate.runner.needs import Needs, RunNeeds, keep_needs, read_needs
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ablate

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_figures"),
]

ENTRIES = {
    ("train", "trunk"): "states in between",
    ("train", "end"): "",
    ("moments", "trunk"): "optimizer states",
    ("moments", "end"): "optimizer states",
    ("ema", "average-trunk"): "states in between",
    ("ema", "average-end"): "",
    ("sample", "s"): "samples and scores",
    ("evaluate", "e"): "samples and scores",
    ("preview", "p"): "samples and scores",
    ("prepare", "d"): "",
    ("reference", "r"): "",
    ("data", "hub"): "",
    ("audit", "a"): "",
    **{
        (stage, "other"): "superseded"
        for stage in ("train", "moments", "ema", "sample", "evaluate", "preview", "prepare", "augmented")
    },
}
"""Entry → why it may go once the experiment is finished."""

NEEDS = Needs(
    "tiny",
    states=["trunk", "end"],
    inputs=[("prepare", "d"), ("reference", "r")],
    runs={
        "late seed 0": RunNeeds(
            "e",
            weights=[("train", "end"), ("ema", "average-end")],
            results=[("sample", "s"), ("evaluate", "e"), ("preview", "p")],
        )
    },
)
RECORDED = {("late seed 0", "e")}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    for stage, key in ENTRIES:
        state = key.removeprefix("average-")
        with store.writing(stage, key, {"state": state}) as folder:
            (folder / "file").write_text("content")
    for state in ("trunk", "end", "gone"):
        store.keep("train", state)
    return store


@pytest.fixture
def find(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[tuple[str, str], str]]:
    """Entry → why it may go, with the experiment in some state."""

    def found(experiment: Experiment, *, weights: bool = False) -> dict[tuple[str, str], str]:
        monkeypatch.setattr(gc, "experiments_of", lambda store, uri: [experiment])
        return {item.entry: item.kind for item in gc.find(store, "", weights=weights).items if item.entry}

    return found


def test_of_a_finished_experiment_goes_what_neither_a_report_nor_a_sample_needs(
    find: Callable[..., dict[tuple[str, str], str]],
) -> None:
    assert find(Experiment(NEEDS, False, RECORDED)) == {e: kind for e, kind in ENTRIES.items() if kind}


def test_weights_go_only_when_that_is_asked_for(find: Callable[..., dict[tuple[str, str], str]]) -> None:
    found = find(Experiment(NEEDS, False, RECORDED), weights=True)
    weights = {entry for entry, kind in found.items() if kind == "weights"}
    assert weights == {("train", "end"), ("ema", "average-end")}


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize(("running", "recorded"), [(False, set()), (True, set()), (True, RECORDED)])
def test_all_stays_that_an_experiment_goes_on_from(
    find: Callable[..., dict[tuple[str, str], str]],
    running: bool,
    recorded: set[tuple[str, str]],
    weights: bool,
) -> None:
    found = find(Experiment(NEEDS, running, recorded), weights=weights)
    assert set(found.values()) == {"superseded"}
    assert {key for _, key in found} == {"other"}


def test_all_stays_that_a_search_with_trials_to_come_goes_on_from(
    find: Callable[..., dict[tuple[str, str], str]],
) -> None:
    found = find(Experiment(replace(NEEDS, goes_on=True), False, RECORDED))
    assert not {"optimizer states", "states in between"} & set(found.values())


def test_everything_has_a_reason() -> None:
    assert set(ENTRIES.values()) - {""} <= gc.KINDS.keys()


def test_beside_a_run_nothing_goes_that_it_may_be_about_to_use(store: Store) -> None:
    def kinds() -> set[str]:
        return {item.kind for item in gc.find(store, "sqlite:////nowhere/mlflow.db").items}

    left = store.root / "tmp" / "gone-0123abcd"
    left.mkdir()
    (store.root / "work" / "prepare-old").mkdir(parents=True)
    with store.lock("train-x"):
        pass
    keep_needs(store, "key", Path("tiny.yaml"), NEEDS)
    assert kinds() >= {"leftovers", "locks", "marks", "superseded"}
    with store.lock(experiment_lock("key")):
        assert kinds() == {"superseded"}
        gc.collect(store, "sqlite:////nowhere/mlflow.db")
        assert left.exists() and store.has("moments", "end")
    gc.collect(store, "sqlite:////nowhere/mlflow.db")
    assert not left.exists() and store.has("moments", "end") and store.kept("train", "trunk")
    assert not store.kept("train", "gone")


def test_what_another_folder_needs_under_the_same_settings_stays(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ablate: Ablate
) -> None:
    other = Needs("tiny", ["other"], [("prepare", "other")], {"late seed 0": RunNeeds("e", [], [])})
    for folder, needs in (("a", NEEDS), ("b", other)):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        keep_needs(store, "key", Path("tiny.yaml"), needs)
    shown = ablate("gc", "--do", "--store", str(store.root), folder=tmp_path / "a")
    assert shown.code == 0, shown.shown
    assert shown.out.count("MLflow lacks runs of tiny") == 2
    assert f"{tmp_path / 'b'}; if nobody goes on there, delete {store.root}/needs/key-" in shown.out
    for stage, key in (("train", "end"), ("moments", "trunk"), ("train", "other"), ("prepare", "other")):
        assert store.has(stage, key)
    assert not store.has("sample", "other")


def test_what_killed_processes_and_other_versions_left_is_freed(store: Store) -> None:
    old = store.root / "train" / "old"
    old.mkdir()
    (old / "entry.1.json").write_text("{}")
    (store.root / "damaged" / "train-x").mkdir(parents=True)
    with store.aside("sample") as used:
        kinds = {item.path: item.kind for item in gc.find(store, "sqlite:////nowhere/mlflow.db").items}
        assert used not in kinds
    assert kinds[old] == "of other versions"
    assert kinds[store.root / "damaged" / "train-x"] == "damaged"


def test_needs_that_cannot_be_read_stop_it(store: Store, ablate: Ablate) -> None:
    keep_needs(store, "key", Path("tiny.yaml"), NEEDS)
    (name,) = store.names("needs")
    store.put(name, "{}")
    done = ablate("gc", "--do", "--store", str(store.root))
    assert done.code == 1 and name in done.err and "Delete it" in done.err
    assert store.has("train", "other")


# ── a real experiment ────────────────────────────────────────────────────────────────────────────


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def without_time(page: Path) -> list[str]:
    return [line for line in page.read_text().splitlines() if "Generated" not in line]


def test_after_it_the_same_commands_have_nothing_to_do_and_can_do_all_they_could(
    copied: Path, call: Callable[..., str]
) -> None:
    store, page = copied / ".ablate", copied / "reports" / "tiny.md"
    before, report = size(store), without_time(page)
    shown = call("gc")
    assert "optimizer states" in shown and "Nothing was changed" in shown
    assert "A longer training of tiny will begin again at epoch 0." in shown
    assert size(store) == before
    assert "Freed" in call("gc", "--do")
    assert size(store) < before / 2
    assert call("gc") == "Nothing in .ablate can go.\n"
    assert "0 runs finished, 4 were already there, 0 failed" in call("run", "tiny.yaml")
    call("report", "tiny.yaml")
    assert without_time(page) == report
    assert "prompt-0.png" in call("sample", "tiny.yaml", "late", "--prompt", "A bat.")
    assert " 0 still to train" in call("plan", "tiny.yaml")
    assert "each as it was written" in call("doctor", "--store")


def test_results_that_mlflow_has_lost_are_made_again_without_training(
    copied: Path, call: Callable[..., str]
) -> None:
    call("gc", "--do")
    weights = sorted((copied / ".ablate" / "train").iterdir())
    (run, *_) = (file.parent for file in (copied / "mlruns").rglob("scores.json"))
    scores = (run / "scores.json").read_bytes()
    shutil.rmtree(run)
    shown = call("run", "tiny.yaml", "--no-audit")
    assert "1 run finished, 3 were already there, 0 failed" in shown
    assert "0 epochs to train" in shown
    assert (run / "scores.json").read_bytes() == scores
    assert sorted((copied / ".ablate" / "train").iterdir()) == weights


def test_what_only_the_store_has_stays(copied: Path, call: Callable[..., str]) -> None:
    for name in ("mlflow.db", "optuna.db"):
        (copied / name).unlink()
    before = {path for stage in gc.STAGES for path in (copied / ".ablate" / stage).glob("*")}
    shown = call("gc", "--do")
    assert "MLflow lacks runs of tiny: all that the same command goes on from stays." in shown
    assert before == {path for stage in gc.STAGES for path in (copied / ".ablate" / stage).glob("*")}


def test_a_command_that_was_refused_before_it_began_needs_nothing(
    copied: Path, call: Callable[..., str]
) -> None:
    before = list(read_needs(Store(copied / ".ablate")))
    shown = call("run", "tiny.yaml", "--set", "sample.options.wrong=1", code=2)
    assert "no option 'wrong'" in shown
    assert list(read_needs(Store(copied / ".ablate"))) == before
