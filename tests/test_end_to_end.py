"""A whole experiment through the installed command: two variants, two seeds, the tiny setting."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from tests.conftest import Ablate

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.usefixtures("blank_figures"),
]

RUNS = [("plain", 0), ("plain", 1), ("late", 0), ("late", 1)]


@pytest.fixture(scope="module")
def record(finished: Path, read_record: Callable[[Path], ExperimentRecord]) -> ExperimentRecord:
    return read_record(finished)


@pytest.fixture
def call(finished: Path, ablate: Ablate) -> Callable[..., str]:
    """Calls ``ablate`` in the finished folder; gives what was printed."""

    def run(*arguments: str) -> str:
        done = ablate(*arguments, folder=finished)
        assert done.code == 0, done.out + done.err
        return done.out

    return run


def artifacts(folder: Path, run_id: str) -> set[str]:
    (place,) = (folder / "mlruns").rglob(run_id)
    root = place / "artifacts"
    return {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}


def without_time(page: str) -> list[str]:
    return [line for line in page.splitlines() if "Generated" not in line]


# ── what MLflow holds ────────────────────────────────────────────────────────────────────────────


def test_there_is_one_parent_a_finished_child_for_each_variant_and_seed_and_the_means_of_each_variant(
    finished: Path, record: ExperimentRecord
) -> None:
    assert [(run.variant, run.seed) for run in record.runs] == RUNS
    assert {run.status for run in record.runs} == {"FINISHED"}
    with closing(sqlite3.connect(finished / "mlflow.db")) as database:
        assert database.execute("select status, count(*) from runs group by status").fetchall() == [
            ("FINISHED", 7)
        ]


def test_each_variant_has_a_complete_trial_in_the_study(finished: Path, record: ExperimentRecord) -> None:
    with closing(sqlite3.connect(finished / "optuna.db")) as database:
        trials = database.execute(
            "select state, value from trials join trial_values using (trial_id) order by number"
        ).fetchall()
    fids = [[run.metrics["fid"] for run in record.runs if run.variant == name] for name in ("plain", "late")]
    assert trials == [("COMPLETE", pytest.approx(sum(values) / 2)) for values in fids]


def test_each_run_is_complete_by_itself_with_the_curves_of_the_trunk_it_shares(
    record: ExperimentRecord,
) -> None:
    for run in record.runs:
        assert [epoch for epoch, _ in run.history["loss_mse"]] == [0, 1, 2]
        assert len(run.links) == 3
        assert run.steps_per_epoch == 2
        assert {"fid", "kid", "clip_i", "clip_t", "accuracy_body", "train_seconds"} <= set(run.metrics)
        assert len(run.prompts) == 6
    late = next(run for run in record.runs if run.variant == "late")
    assert [epoch for epoch, _ in late.history["loss_kl"]] == [1, 2]
    assert [epoch for epoch, _ in late.history["loss_lpips"]] == [2]


def test_the_shared_epoch_was_trained_once(record: ExperimentRecord) -> None:
    plain, late = (
        next(run for run in record.runs if (run.variant, run.seed) == (v, 0)) for v in ("plain", "late")
    )
    assert plain.links[0] == late.links[0]
    assert not set(plain.links[1:]) & set(late.links[1:])
    # Not only equal: the same measurement.
    assert plain.history["epoch_seconds"][0] == late.history["epoch_seconds"][0]


def test_a_plan_of_more_seeds_says_what_they_cost_and_how_it_knows(call: Callable[..., str]) -> None:
    shown = call("plan", "tiny.yaml", "--seeds", "0,1,2", "--workers", "3", "--price-per-hour", "7200")
    assert re.search(r"Cost: 0\.0\d core-hours, \d+\.\d\d at 7200 an hour, by what runs of tiny took", shown)
    assert re.search(r"At least .* of disk", shown)
    assert [line for line in shown.splitlines() if re.match(r"│ 3 +│ [\d.]+ s +│ [\d.]+ s +│ \d", line)]
    assert "Cost: not known" in call("plan", "tiny.yaml", "--set", "train.batch=8")


def test_the_configuration_is_in_the_params(record: ExperimentRecord) -> None:
    late = next(run for run in record.runs if run.variant == "late")
    assert late.params["losses.lpips.start"] == "2"
    assert late.params["train.learning_rate"] == "0.001"
    assert (late.params["variant"], late.params["seed"]) == ("late", "0")


def test_a_run_keeps_its_samples_scores_features_and_previews(
    finished: Path, record: ExperimentRecord
) -> None:
    for run in record.runs:
        assert run.networks.keys() == {"sprites-clip"}
        files = artifacts(finished, run.run_id)
        assert {"scores.json", "features.npz", "run.json"} <= files
        assert sum(file.startswith("samples/") for file in files) == 6
        assert any(re.match(r"images/preview.*step.*2.*\.png", file) for file in files)


def test_the_parent_keeps_the_resolved_spec_and_the_provenance(
    finished: Path, record: ExperimentRecord
) -> None:
    assert {"spec.json", "provenance.json"} <= artifacts(finished, record.parent_run_id)
    assert record.provenance["torch"]
    assert record.configs["late"]["losses"]["kl"]["start"] == 1


# ── the report ───────────────────────────────────────────────────────────────────────────────────


def test_the_report_has_all_the_figures_that_it_shows(finished: Path) -> None:
    page = (finished / "first-reports" / "tiny.md").read_text()
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page)
    assert len(shown) >= 3
    for figure in shown:
        with Image.open(finished / "first-reports" / figure) as image:
            image.verify()
    assert "sprites-clip" in page
    assert "The late losses help." in page


def test_the_same_command_again_does_nothing_and_writes_the_same_report(
    finished: Path, call: Callable[..., str]
) -> None:
    page, recorded = finished / "reports" / "tiny.md", (finished / "mlflow.db").read_bytes()
    before = page.read_text(), sorted(path for path in (finished / ".ablate").rglob("*"))
    assert "0 runs finished, 4 were already there, 0 failed" in call("run", "tiny.yaml")
    assert (finished / "mlflow.db").read_bytes() == recorded
    assert without_time(page.read_text()) == without_time(before[0])
    assert sorted(path for path in (finished / ".ablate").rglob("*")) == before[1]


def test_with_nothing_to_do_neither_mlflow_nor_torch_is_imported(finished: Path) -> None:
    command = """
import atexit, sys
heavy = {'mlflow', 'optuna', 'torch', 'pandas', 'numpy', 'scipy'}
atexit.register(lambda: print(heavy & {*sys.modules} or 'none of them'))
from ablate.__main__ import main
sys.argv = ['ablate', 'run', 'tiny.yaml']
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=finished, capture_output=True, text=True, check=True
    )
    assert "4 were already there" in done.stdout
    assert done.stdout.endswith("none of them\n")


def test_without_the_store_no_result_is_lost_and_nothing_is_trained(
    finished: Path, call: Callable[..., str], tmp_path: Path
) -> None:
    page = (finished / "reports" / "tiny.md").read_text()
    for name in ("report", "run"):
        empty, reports = tmp_path / f"store of {name}", tmp_path / f"reports of {name}"
        shown = call(name, "tiny.yaml", "--store", str(empty), "--reports", str(reports))
        assert without_time((reports / "tiny.md").read_text()) == without_time(page)
        if name == "report":
            assert not empty.exists()
    assert {path.name for path in empty.iterdir()} == {"digests.json", "locks", "needs", "running"}
    assert "4 were already there" in shown


def test_a_command_that_was_killed_when_all_was_recorded_is_ended_by_the_next(
    finished: Path, tmp_path: Path, call: Callable[..., str]
) -> None:
    shutil.copy(finished / "mlflow.db", tmp_path / "mlflow.db")
    shutil.copytree(finished / "mlruns", tmp_path / "mlruns")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update runs set status = 'RUNNING', end_time = null where name = 'tiny'")
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    call("run", "tiny.yaml", "--tracking-uri", address, "--reports", str(tmp_path / "reports"))
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        assert database.execute("select distinct status from runs").fetchall() == [("FINISHED",)]


def test_a_finished_experiment_has_nothing_to_plan(call: Callable[..., str]) -> None:
    shown = call("plan", "tiny.yaml")
    assert "0 still to train" in shown
    assert "Nothing has to run." in shown


# ── drawing ──────────────────────────────────────────────────────────────────────────────────────


def test_free_prompts_are_drawn_from_the_command_line_and_from_a_text_file(
    call: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("A blue bird.\n\nA green crab.\n")
    out = tmp_path / "out"
    call(
        "sample",
        "tiny.yaml",
        "late",
        "--prompt",
        "A red slime.",
        "--prompts",
        str(tmp_path / "mine.txt"),
        "--out",
        str(out),
    )
    drawn = sorted(path.name for path in (out / "late-seed0").iterdir())
    assert drawn == ["mine-0.png", "mine-2.png", "prompt-0.png"]


def test_the_prompts_of_a_test_json_are_drawn_as_they_were_in_the_run(
    call: Callable[..., str], data_folder: Path, record: ExperimentRecord, tmp_path: Path
) -> None:
    call(
        "sample",
        "tiny.yaml",
        "plain",
        "--seed",
        "1",
        "--prompts",
        str(data_folder / "test.json"),
        "--out",
        str(tmp_path),
    )
    run = next(run for run in record.runs if (run.variant, run.seed) == ("plain", 1))
    assert run.samples
    for name in json.loads((data_folder / "test.json").read_text()):
        mine, theirs = (
            np.asarray(Image.open(folder / f"{name}.png")).astype(int)
            for folder in (tmp_path / "plain-seed1", run.samples)
        )
        assert abs(mine - theirs).max() <= 1


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("run", "nowhere.yaml"), "nowhere.yaml"),
        (("run", "tiny.yaml", "--set", "data.path=./no-data"), "no-data"),
        (("run", "tiny.yaml", "--set", "components=./no-kit"), "no-kit"),
        (("run", "tiny.yaml", "--set", "sample.options={wrong: 1}"), "no option 'wrong'"),
        (("sample", "tiny.yaml", "nobody", "--prompt", "A bat."), "nobody"),
    ],
)
def test_what_the_user_got_wrong_is_said_without_a_traceback(
    finished: Path, ablate: Ablate, arguments: tuple[str, ...], named: str
) -> None:
    done = ablate(*arguments, folder=finished)  # an error that is not the user's would be raised here
    assert done.code == 2
    assert named in done.err
    assert "Traceback" not in done.err


def test_the_installed_command_ends_with_the_exit_code_of_a_users_mistake(
    finished: Path, command: Callable[..., list[str]]
) -> None:
    arguments = command("plan", "tiny.yaml", "--set", "data.path=./no-data")
    done = subprocess.run(arguments, cwd=finished, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-data" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_variant_that_fails_is_recorded_with_its_reason_and_the_others_finish(
    make_workplace: Callable[..., Path],
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    tmp_path: Path,
) -> None:
    variants = {
        "plain": {},
        "overflow": {"losses": {"kl": {"weight": 1e39, "start": 2}}},
    }
    folder = make_workplace(tmp_path, variants=variants, seeds=[0, 1], claims=[])
    done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
    assert done.code == 1, done.out + done.err
    *shown, first, second, last = done.out.splitlines()
    assert "2 runs finished, 0 were already there, 2 failed" in shown[-1]
    assert all("the loss of seed" in line for line in (first, second))
    assert last == "The same command tries what failed again, and keeps what is finished."
    so_far = next(number for number, line in enumerate(shown) if "the report so far" in line)
    finished = [number for number, line in enumerate(shown) if "done: plain seed" in line]
    assert finished[0] < so_far < finished[1]
    runs = {run.variant: run for run in read_record(folder).runs if run.seed == 0}
    assert {name: run.status for name, run in runs.items()} == {
        "plain": "FINISHED",
        "overflow": "FAILED",
    }
    assert "the loss of seed 0 became" in runs["overflow"].reason
    page = (folder / "reports" / "tiny.md").read_text()
    assert "> **Note.** **overflow** failed with seed 0: train: the loss of seed 0 became" in page


def test_a_run_that_fails_fast_ends_at_the_first_failure_and_goes_on_where_it_was(
    make_workplace: Callable[..., Path], ablate: Ablate, tmp_path: Path
) -> None:
    variants = {"overflow": {"losses": {"kl": {"weight": 1e39}}}, "plain": {}}
    folder = make_workplace(tmp_path, variants=variants, baseline="overflow", seeds=[0], claims=[])
    done = ablate("run", "tiny.yaml", "--no-audit", "--fail-fast", folder=folder)
    assert done.code == 1
    assert "the loss of seed 0 became" in done.out
    assert "with --fail-fast that ends the command" in done.err and "goes on where it stopped" in done.err
    assert "plain seed 0" not in done.out


# ── the audit, verdicts, and trunks put to the test ──────────────────────────────────────────────


def test_the_audit_is_part_of_the_record(record: ExperimentRecord) -> None:
    assert record.findings is not None
    acts = {(finding.variant, finding.about): finding.act for finding in record.findings}
    assert acts == {
        ("plain", "train.gradient_clip"): "active",
        ("late", "losses.lpips"): "active",
        ("late", "losses.kl"): "active",
        ("late", "ema"): "passive",
        ("late", "difference"): "active",
    }


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished folder, with artifacts of its own, for what a test adds to the record."""
    return shutil.copytree(finished, tmp_path / "copied")


def test_trained_together_and_each_alone_the_weights_are_equal(
    copied: Path, ablate: Ablate, read_record: Callable[[Path], ExperimentRecord]
) -> None:
    assert read_record(copied).verified is None
    done = ablate("verify", "tiny.yaml", "--seed", "1", folder=copied)
    assert done.code == 0, done.out + done.err
    measured = read_record(copied).verified
    assert measured is not None
    assert (measured.seed, dict(measured.equal)) == (1, {"plain": True, "late": True})
    assert f"{measured.ratio:.2f} times as long" in done.out
    assert not list((copied / ".ablate").glob("verify-*"))


# ── moved, copied, half deleted ──────────────────────────────────────────────────────────────────


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def kinds(folder: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        query = "select value, count(*) from tags where key = 'ablate.kind' group by value order by value"
        return database.execute(query).fetchall()


def test_a_copied_folder_has_nothing_to_do_draws_nothing_again_and_leaves_no_file(
    finished: Path, copied: Path, ablate: Ablate, temporary: Path
) -> None:
    before, reports = files(finished / "mlruns"), files(copied / "reports")
    for command in ("run", "report"):
        done = ablate(command, "tiny.yaml", folder=copied)
        assert done.code == 0, done.shown
        assert files(copied / "reports") == reports
        assert not files(temporary)
    with closing(sqlite3.connect(copied / "mlflow.db")) as database:
        uris = database.execute("select artifact_uri from runs").fetchall()
    assert all(uri.startswith(copied.as_uri()) for (uri,) in uris)
    assert files(finished / "mlruns") == before


@pytest.mark.parametrize("deleted", ["mlruns", "mlflow.db"])
def test_what_was_deleted_of_the_record_is_recorded_again_from_the_store(
    finished: Path,
    copied: Path,
    ablate: Ablate,
    read_record: Callable[[Path], ExperimentRecord],
    temporary: Path,
    deleted: str,
) -> None:
    before, stored = files(finished / "mlruns"), files(copied / ".ablate" / "train")
    shutil.rmtree(copied / "mlruns")
    if deleted == "mlflow.db":
        (copied / "mlflow.db").unlink()
    else:
        done = ablate("report", "tiny.yaml", folder=copied)
        assert done.code == 2 and "`ablate run` with the same spec records it again" in done.err, done.shown
    done = ablate("run", "tiny.yaml", "--no-audit", folder=copied)
    assert done.code == 0, done.shown
    assert "4 runs finished (4 of them with results that the store had), 0 were already there" in done.out
    old, new = read_record(finished), read_record(copied)
    for mine, other in zip(new.runs, old.runs, strict=True):
        assert (mine.links, mine.history, mine.prompts) == (other.links, other.history, other.prompts)
        assert {**mine.metrics} == {**other.metrics}
        assert artifacts(copied, mine.run_id) == {
            name.replace(other.run_id, mine.run_id) for name in artifacts(finished, other.run_id)
        }
    assert kinds(copied) == [("experiment", 1), ("run", 4), ("variant", 2)]
    assert files(copied / ".ablate" / "train") == stored and files(finished / "mlruns") == before
    assert not files(temporary)


@pytest.fixture
def inert(make_workplace: Callable[..., Path], tmp_path: Path) -> Path:
    """A workplace whose spec has a variant that does nothing, and a claim that must be supported."""
    claim = {
        "text": "It helps.",
        "variant": "it",
        "against": "plain",
        "metric": "fid",
        "direction": "lower",
        "must": "supported",
    }
    variants = {"plain": {}, "it": {"train": {"clip": "after-step"}}}
    return make_workplace(tmp_path, variants=variants, seeds=[0], claims=[claim])


def test_what_does_nothing_stops_the_run_before_anything_is_trained_or_recorded(
    inert: Path, ablate: Ablate
) -> None:
    done = ablate("run", "tiny.yaml", folder=inert)
    assert done.code == 2
    assert re.search(r"tiny.yaml:\d+:\d+: variants.it.train.gradient_clip: does nothing: the opt", done.err)
    assert "`expect: {it: inert}`" in done.err and "Traceback" not in done.err
    assert not list((inert / ".ablate").glob("train/*"))
    with closing(sqlite3.connect(inert / "mlflow.db")) as database:
        assert database.execute("select count(*) from runs").fetchone() == (0,)


def test_without_the_audit_it_runs_and_a_claim_that_must_hold_fails_the_check(
    inert: Path, ablate: Ablate
) -> None:
    done = ablate("run", "tiny.yaml", "--no-audit", folder=inert)
    assert done.code == 0, done.out + done.err
    assert "warning:" in done.out  # one seed decides nothing
    assert "without an audit" in (inert / "reports" / "tiny.md").read_text()
    assert ablate("report", "tiny.yaml", folder=inert).code == 0
    checked = ablate("report", "tiny.yaml", "--check", folder=inert)
    assert checked.code == 1
    assert "It helps." in checked.out and "inconclusive" in checked.out


def test_the_audit_by_itself_says_what_acts(inert: Path, ablate: Ablate) -> None:
    done = ablate("audit", "tiny.yaml", folder=inert)
    assert done.code == 2
    assert "inert" in done.out and "clipped gradient" in done.out
