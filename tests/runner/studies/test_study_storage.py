"""Where Optuna's studies lie: beside the record, in the store, or on a PostgreSQL server that may be away."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers import postgres

from ablate.errors import UserError
from ablate.patience import UnreachableError
from ablate.runner.studies.packing import has_study, pack_trials, remove_study, unpack_trials
from ablate.runner.studies.study import Result, Study, reach, study_storage
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ablate

SERVER = "http://tracking:5000"


def test_studies_lie_beside_the_record_and_for_a_server_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert study_storage("sqlite:////record/mlflow.db", store) == Path("/record/optuna.db")
    assert study_storage(SERVER, store) == store.root / "optuna.db"
    assert study_storage(SERVER, store, "sqlite:////here/studies.db") == Path("/here/studies.db")
    url = "postgresql+psycopg://ada@host/optuna"
    assert study_storage(SERVER, store, url) == url


def test_studies_of_a_store_that_machines_share_lie_in_the_cache_of_this_machine(
    nfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    studies = [study_storage(SERVER, Store(nfs / name)) for name in ("a", "a", "b")]
    assert all(isinstance(file, Path) and file.is_relative_to(tmp_path / "cache") for file in studies)
    assert studies[0] == studies[1] != studies[2]
    reach(studies[0])


def test_studies_on_a_network_file_system_end_a_command_before_its_work(
    ablate: Ablate, make_workplace: Callable[..., Path], nfs: Path, tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    (folder / "mlflow.db").unlink()
    done = ablate("run", "tiny.yaml", "--study-storage", f"sqlite:///{nfs}/optuna.db", folder=folder)
    assert done.code == 2 and f"{nfs}/optuna.db: an SQLite file on a network file system" in done.err
    assert "--study-storage sqlite:////" in done.err
    assert not (folder / "mlflow.db").exists()


@pytest.mark.parametrize("given", ["http://host:5000", "/folder/optuna.db", "nonsense://x", "redis://host"])
def test_what_is_no_database_is_refused(tmp_path: Path, given: str) -> None:
    with pytest.raises(UserError):
        study_storage(SERVER, Store(tmp_path), given)


@pytest.mark.parametrize(
    ("record", "given"),
    [
        ("sqlite:////record/mlflow.db", "sqlite:////record/mlflow.db"),
        ("postgresql://ada@host:5432/mlflow", "postgresql+psycopg://eve:secret@host:5432/mlflow"),
    ],
)
def test_mlflow_s_own_database_is_refused(tmp_path: Path, record: str, given: str) -> None:
    with pytest.raises(UserError, match="is MLflow's own database") as error:
        study_storage(record, Store(tmp_path), given)
    assert "secret" not in str(error.value)


def test_a_server_that_does_not_answer_ends_a_command_before_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ablate.runner.studies.study.FIRST", 0.2)
    reach(Path("/there/is/none/optuna.db"))
    with pytest.raises(UnreachableError) as error:
        reach("postgresql+psycopg://ada:S3cretPw@127.0.0.1:9/optuna", lambda text: None)
    assert "S3cretPw" not in str(error.value)


def test_studies_on_postgresql_are_those_of_a_file_and_wait_while_it_restarts(tmp_path: Path) -> None:
    notes: list[str] = []
    with postgres(tmp_path / "data") as server:
        url = server.address("optuna")
        assert study_storage(SERVER, Store(tmp_path), url) == url
        reach(url)
        study = Study(url, "tiny", ["plain", "late"], notes.append)
        study.enqueue(["plain", "late"])
        assert study.propose() == ["plain", "late"]
        server.stop()
        back = threading.Thread(target=lambda: (time.sleep(1.0), server.start()))
        back.start()
        study.tell({"plain": Result({0: "run"}, 0.5), "late": Result({}, None)})
        back.join()
        assert any("Waiting for it" in note for note in notes) and notes[-1].endswith("works again")
        assert [(trial.variant, trial.state) for trial in Study(url, "tiny", ["plain", "late"]).trials()] == [
            ("plain", "COMPLETE"),
            ("late", "FAIL"),
        ]
        packed = pack_trials(url, "tiny")
        assert [trial["values"] for trial in packed] == [["0.5"], None]
        assert remove_study(url, "tiny") and not has_study(url, "tiny")
        unpack_trials(url, "tiny", packed)
        assert pack_trials(url, "tiny")[0]["params"] == packed[0]["params"]
