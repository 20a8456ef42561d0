"""Where Optuna's studies lie: beside the record, in the store, or on a PostgreSQL server that may be away."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from servers import postgres

from ablate.errors import UserError
from ablate.patience import UnreachableError
from ablate.runner.study import Result, Study, reach, study_storage
from ablate.runner.trials import has_study, pack_trials, remove_study, unpack_trials
from ablate.store import Store

SERVER = "http://tracking:5000"


def test_studies_lie_beside_the_record_and_for_a_server_in_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert study_storage("sqlite:////record/mlflow.db", store) == Path("/record/optuna.db")
    assert study_storage(SERVER, store) == store.root / "optuna.db"
    assert study_storage(SERVER, store, "sqlite:////here/studies.db") == Path("/here/studies.db")
    url = "postgresql+psycopg://ada@host/optuna"
    assert study_storage(SERVER, store, url) == url


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
    monkeypatch.setattr("ablate.runner.study.FIRST", 0.2)
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
