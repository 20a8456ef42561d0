"""A study as one file: the same report elsewhere, and nothing at all from a file that is not as written."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sqlite3
import zipfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import UserError
from ablate.interrupts import Interrupted
from ablate.keeping import import_study as importing
from ablate.keeping.bundle import CONTENTS, RECORD, Contents, reading, writing
from ablate.runner.exclusive import experiment_lock
from ablate.runner.needs import read_needs
from ablate.store import Store
from ablate.store.files import sealed, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def files(folder: Path) -> dict[str, bytes]:
    every = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in every}


@pytest.fixture(scope="module")
def study(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``ablate export --weights`` writes of a copy of the finished folder; beside it, that copy."""
    from ablate.cli.options import plan_of
    from ablate.keeping.export import export

    folder = shutil.copytree(finished, tmp_path_factory.mktemp("exported") / "copy")
    spec, file = folder / "tiny.yaml", folder.parent / "study.zip"
    plan = plan_of(spec, None, None, None, None, str(folder / ".ablate"))
    exported = export(plan, spec, file, f"sqlite:///{folder / 'mlflow.db'}", folder / "reports", weights=True)
    assert (exported.runs, exported.lacking, exported.weights) == (4, 0, 6)
    return file


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """An empty folder, as on another machine."""
    folder = tmp_path / "elsewhere" / "empty"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def ready(there: Path, databases: Path) -> Path:
    """The same with databases without an experiment: making them takes seconds."""
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(databases / name, there / name)
    return there


@pytest.fixture
def call(there: Path, ablate: Ablate) -> Callable[..., str]:
    def run(*arguments: str, code: int = 0) -> str:
        done = ablate(*arguments, folder=there)
        assert done.code == code, done.shown
        assert "Traceback" not in done.shown
        return done.shown

    return run


def rewritten(study: Path, folder: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The same file with some members changed."""
    with zipfile.ZipFile(study) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    file = folder / "changed.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file


# ── there and back ───────────────────────────────────────────────────────────────────────────────


def test_elsewhere_the_report_is_the_same_to_the_byte_and_everything_goes_on(
    study: Path, there: Path, call: Callable[..., str]
) -> None:
    shown = call("import", str(study))
    assert "tiny: 4 runs, 6 entries of weights. Spec: tiny.yaml" in shown
    assert "ablate report tiny.yaml" in shown
    reports = files(study.parent / "copy" / "reports")
    assert files(there / "reports") == reports
    call("report", "tiny.yaml")
    assert files(there / "reports") == reports
    assert "0 runs finished, 4 were already there, 0 failed" in call("run", "tiny.yaml")
    assert files(there / "reports") == reports
    assert "prompt-0.png" in call("sample", "tiny.yaml", "late", "--prompt", "A bat.")
    assert call("gc") == "Nothing in .ablate can go.\n"


QUERIES = {
    "mlflow.db": (
        "select run_uuid, name, status, start_time, end_time, experiment_id from runs",
        "select * from tags where key not in ('ablate.place', 'ablate.folder')",
        "select * from params",
        "select * from metrics",
        "select * from latest_metrics",
        "select name, digest from datasets",
        "select destination_id from inputs",
    ),
    "optuna.db": (
        "select number, state, datetime_start, datetime_complete from trials",
        "select objective, value from trial_values",
        "select key, value_json from trial_user_attributes",
        "select param_name, param_value, distribution_json from trial_params",
    ),
}


def test_the_databases_say_the_same(study: Path, ready: Path, call: Callable[..., str]) -> None:
    call("import", str(study))
    for name, queries in QUERIES.items():
        with (
            closing(sqlite3.connect(study.parent / "copy" / name)) as here,
            closing(sqlite3.connect(ready / name)) as elsewhere,
        ):
            for query in queries:
                rows = [sorted(each.execute(query).fetchall(), key=repr) for each in (here, elsewhere)]
                assert rows[0] == rows[1] and rows[0], query


def test_the_report_can_be_written_where_the_data_are_not(
    study: Path, ready: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("import", str(study))
    monkeypatch.setattr("ablate.data.place.Folder._folder", ready / "no data here")
    call("report", "tiny.yaml")
    assert "there is no such data folder" in call("plan", "tiny.yaml", code=2)


def test_a_plug_in_travels_with_the_spec_and_is_named(
    study: Path, ready: Path, call: Callable[..., str], tmp_path: Path
) -> None:
    def add(members: dict[str, bytes]) -> None:
        content = unsealed(members[CONTENTS])
        assert content
        content["plugins"] = ["parts/mine.py"]
        members["files/parts/mine.py"] = b"LOSSES = {}\n"
        digest = hashlib.sha256(members["files/parts/mine.py"]).hexdigest()
        content["members"]["files/parts/mine.py"] = [12, digest]
        members[CONTENTS] = sealed(content).encode()

    shown = call("import", str(rewritten(study, tmp_path, add)))
    assert "parts/mine.py is a program that commands on this experiment execute" in shown
    assert (ready / "parts" / "mine.py").read_text() == "LOSSES = {}\n"


# ── never over something ─────────────────────────────────────────────────────────────────────────


def test_what_is_here_already_is_named_and_stays(study: Path, ready: Path, call: Callable[..., str]) -> None:
    call("import", str(study))
    before = files(ready)
    assert "MLflow has tiny with these settings already" in call("import", str(study), code=2)
    assert files(ready) == before


@pytest.mark.parametrize("name", ["tiny.yaml", "reports/tiny.md", "reports/tiny"])
def test_another_file_in_its_place_is_not_replaced(
    study: Path, there: Path, call: Callable[..., str], name: str
) -> None:
    (there / "reports").mkdir()
    (there / name).write_text("mine")
    shown = call("import", str(study), code=2)
    assert name in shown
    assert files(there) == {name: b"mine"}


def test_an_export_replaces_nothing_and_needs_a_record(
    call: Callable[..., str], there: Path, write_spec: Callable[..., Path]
) -> None:
    write_spec(there)
    assert "MLflow has no record" in call("export", "tiny.yaml", "study.zip", code=2)
    (there / "study.zip").write_text("mine")
    assert "there is something here already" in call("export", "tiny.yaml", "study.zip", code=2)
    assert (there / "study.zip").read_text() == "mine"


def test_into_a_server_nothing_is_imported(study: Path, call: Callable[..., str]) -> None:
    shown = call("import", str(study), "--tracking-uri", "http://user:secret@localhost:1", code=2)
    assert "an SQLite file only" in shown and "secret" not in shown


# ── all or nothing ───────────────────────────────────────────────────────────────────────────────


def content_of(members: dict[str, bytes]) -> dict[str, object]:
    content = unsealed(members[CONTENTS])
    assert content
    return content


def flipped(members: dict[str, bytes]) -> None:
    name = next(name for name in members if name.endswith("scores.json"))
    members[name] = bytes([members[name][0] ^ 1]) + members[name][1:]


def longer(members: dict[str, bytes]) -> None:
    members["record.json"] += b" " * 10_000


def lacking(members: dict[str, bytes]) -> None:
    del members["trials.json"]


def added(members: dict[str, bytes]) -> None:
    members["files/more.py"] = b"print('hello')"


def another_page(members: dict[str, bytes]) -> None:
    members["report/other.md"] = b"# other"


def unnamed(members: dict[str, bytes]) -> None:
    members["report/tiny/more.png"] = b"more"


def climbing(members: dict[str, bytes]) -> None:
    members["files/../../outside.txt"] = b"outside"


def absolute(members: dict[str, bytes]) -> None:
    members["/outside.txt"] = b"outside"


def a_pickle(members: dict[str, bytes]) -> None:
    members["store/train/state.pkl"] = b"pickle"


def other_list(members: dict[str, bytes]) -> None:
    members[CONTENTS] = members[CONTENTS].replace(b"tiny", b"tany")


def newer(members: dict[str, bytes]) -> None:
    members[CONTENTS] = sealed(content_of(members) | {"format": 99}).encode()


def other_name(members: dict[str, bytes]) -> None:
    members[CONTENTS] = sealed(content_of(members) | {"experiment": "../x"}).encode()


def other_experiment(members: dict[str, bytes]) -> None:
    members[CONTENTS] = sealed(content_of(members) | {"key": "0" * 32}).encode()


def a_run_elsewhere(members: dict[str, bytes]) -> None:
    record = json.loads(members[RECORD])
    record["runs"].append(record["runs"][-1] | {"id": "../../elsewhere"})
    members[RECORD] = json.dumps(record).encode()
    content = content_of(members)
    digest = hashlib.sha256(members[RECORD]).hexdigest()
    content["members"] = {**content["members"], RECORD: [len(members[RECORD]), digest]}
    members[CONTENTS] = sealed(content).encode()


def a_hidden_plug_in(members: dict[str, bytes]) -> None:
    name = ".venv/lib/site-packages/more.py"
    members[CONTENTS] = sealed(content_of(members) | {"plugins": [name]}).encode()


def what_python_runs(members: dict[str, bytes]) -> None:
    members[CONTENTS] = sealed(content_of(members) | {"plugins": ["sitecustomize.py"]}).encode()


def no_names(members: dict[str, bytes]) -> None:
    members[CONTENTS] = sealed(content_of(members) | {"experiment": 3, "key": None}).encode()


def no_list(members: dict[str, bytes]) -> None:
    del members[CONTENTS]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (flipped, "scores.json does not hold what was written"),
        (longer, "record.json does not hold what was written"),
        (lacking, "trials.json is missing"),
        (added, "a name that ablate never writes"),
        (another_page, "a name that ablate never writes"),
        (unnamed, "has members that its list does not name"),
        (climbing, "a name that ablate never writes"),
        (absolute, "a name that ablate never writes"),
        (a_pickle, "a name that ablate never writes"),
        (other_list, "bundle.json does not hold what was written"),
        (newer, "has the format 99"),
        (other_name, "impossible name"),
        (other_experiment, "of another experiment than its list says"),
        (a_run_elsewhere, "of another experiment than its list says"),
        (a_hidden_plug_in, "impossible name: '.venv/"),
        (what_python_runs, "impossible name: 'sitecustomize.py'"),
        (no_names, "a name is not text"),
        (no_list, "it has no bundle.json"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_is_not_as_written_is_refused_and_leaves_nothing(
    study: Path,
    there: Path,
    call: Callable[..., str],
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], None],
    what: str,
) -> None:
    assert what in call("import", str(rewritten(study, tmp_path, change)), code=2)
    assert list(there.iterdir()) == []
    assert not (tmp_path / "elsewhere" / "outside.txt").exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_file_that_was_cut_off_is_refused(
    study: Path, there: Path, call: Callable[..., str], tmp_path: Path, share: float
) -> None:
    content = study.read_bytes()
    (tmp_path / "cut.zip").write_bytes(content[: int(len(content) * share)])
    assert "is not whole" in call("import", str(tmp_path / "cut.zip"), code=2)
    assert list(there.iterdir()) == []


def test_a_damaged_byte_anywhere_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "small.zip"
    with writing(file, Contents("tiny", "0" * 32, "tiny.yaml", [])) as out:
        out.add("files/tiny.yaml", b"question: What?")
        out.add(RECORD, b"{}")
    content = file.read_bytes()
    refused = 0
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            with reading(file, lambda done, total: None):
                pass  # a date, or another field that says nothing
        except UserError as error:
            refused += 1
            assert str(file) in str(error)
    assert refused > len(content) / 2


def test_what_is_no_study_is_refused(there: Path, call: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    assert "is not whole, or no study" in call("import", str(tmp_path / "text.zip"), code=2)
    assert "there is no such file" in call("import", "nothing.zip", code=2)
    assert "is a folder" in call("import", str(tmp_path), code=2)


@pytest.mark.parametrize("fails", ["_place_weights", "unpack_trials", "transfer.unpack"])
def test_what_fails_half_way_leaves_nothing(
    study: Path,
    ready: Path,
    call: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    with monkeypatch.context() as patch:
        patch.setattr(f"{importing.__name__}.{fails}", full)
        assert "the disk is full" in call("import", str(study), code=1)
    left = {name for name in files(ready) if not name.startswith(("optuna.db", "mlflow.db"))}
    assert {name for name in left if not name.startswith(".ablate/locks/")} == set()
    assert "tiny: 4 runs" in call("import", str(study))


def test_an_interruption_right_after_the_commit_leaves_nothing_either(
    study: Path, ready: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    unpack = importing.transfer.unpack

    def interrupted(*arguments: Any) -> None:
        unpack(*arguments)
        raise Interrupted(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(importing.transfer, "unpack", interrupted)
        call("import", str(study), code=130)
    left = {
        name for name in files(ready) if not name.startswith(("optuna.db", "mlflow.db", ".ablate/locks/"))
    }
    assert left == set()
    assert "tiny: 4 runs" in call("import", str(study))


def test_while_the_experiment_is_run_here_nothing_is_imported(
    study: Path, ready: Path, call: Callable[..., str]
) -> None:
    with reading(study, lambda done, total: None) as bundle:
        key = bundle.contents.key
    with Store(ready / ".ablate").lock(experiment_lock(key)):
        assert "tiny is being run here" in call("import", str(study), code=1)
    assert not (ready / "tiny.yaml").exists()


def test_what_is_needed_is_known_before_the_first_weights_are_there(
    study: Path, ready: Path, call: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, known = importing._place_weights, []

    def placing(bundle: object, store: Store, *others: object) -> int:
        known.extend(each.needs.experiment for each in read_needs(store))
        return place(bundle, store, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(importing, "_place_weights", placing)
    call("import", str(study))
    assert known == ["tiny"]


def test_a_damaged_file_of_a_run_is_named_with_what_to_do(
    study: Path, ready: Path, call: Callable[..., str]
) -> None:
    call("import", str(study))
    file = next((ready / "mlruns" / "tiny").glob("*/artifacts/run.json"))
    file.write_bytes(b"")
    shown = call("report", "tiny.yaml", code=2)
    assert "run.json of MLflow's run" in shown and "is damaged" in shown and "Remove this file" in shown
    file.unlink()
    assert "1 run finished, 3 were already there" in call("run", "tiny.yaml", "--no-audit")
    call("report", "tiny.yaml")


def test_an_import_that_was_killed_can_be_done_again(
    study: Path, ready: Path, call: Callable[..., str]
) -> None:
    call("import", str(study))
    with closing(sqlite3.connect(ready / "mlflow.db")) as database, database:  # the last step was not taken
        for table in (
            *("tags", "params", "metrics", "latest_metrics", "runs"),
            *("inputs", "input_tags", "datasets"),
        ):
            database.execute(f"delete from {table}")
        database.execute("delete from experiments where name = 'tiny'")
    with closing(sqlite3.connect(ready / "optuna.db")) as database, database:
        database.execute("update study_user_attributes set value_json = 'true'")
        database.execute("delete from trial_values")
    assert "tiny: 4 runs" in call("import", str(study))
    assert files(ready / "reports") == files(study.parent / "copy" / "reports")


def test_the_same_is_written_twice_to_the_byte(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        with writing(tmp_path / name, Contents("tiny", "0" * 32, "tiny.yaml")) as out:
            out.add("files/tiny.yaml", json.dumps({"a": 1}).encode())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with reading(tmp_path / "a.zip", lambda *counts: None) as bundle:
        assert bundle.json("files/tiny.yaml") == {"a": 1}


def test_what_fails_while_it_is_written_leaves_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        writing(tmp_path / "a.zip", Contents("tiny", "0" * 32, "tiny.yaml")) as out,
    ):
        out.add("files/tiny.yaml", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []
