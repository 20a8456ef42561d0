"""Optuna's dashboard: it is served on this machine, and what keeps it from that is said in words."""

from __future__ import annotations

import builtins
import io
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from bottle import HTTPError

from ablate.errors import UserError
from ablate.runner.studies.dashboard import Sheets, serve_studies

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def studies(databases: Path, tmp_path: Path) -> Path:
    shutil.copy(databases / "mlflow.db", tmp_path / "mlflow.db")
    return shutil.copy(databases / "optuna.db", tmp_path / "optuna.db")


@pytest.fixture
def taken() -> Any:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def asked(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def sheets(folder: Path) -> dict[str, bytes]:
    """Run → its sheet of samples, as MLflow has it."""
    return {file.parents[1].name: file.read_bytes() for file in folder.glob("mlruns/**/samples.png")}


def test_the_dashboard_shows_the_studies_of_the_record_and_samples_of_each_trial(
    finished: Path, command: Callable[..., list[str]]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    here = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command("ui", "--study", "--port", str(port)), cwd=finished)
    try:
        while True:
            try:
                found = json.loads(asked(f"{here}/api/studies"))["study_summaries"]
                break
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.2)
        (study,) = [each for each in found if each["study_name"].startswith("tiny ")]
        trials = json.loads(asked(f"{here}/api/studies/{study['study_id']}"))["trials"]
        assert [trial["state"] for trial in trials] == ["Complete", "Complete"]
        shown = {}
        for trial in trials:
            (sheet,) = trial["artifacts"]
            where = f"{here}/artifacts/{study['study_id']}/{trial['trial_id']}/{sheet['artifact_id']}"
            shown[sheet["artifact_id"]] = asked(where)
    finally:
        process.terminate()
    assert process.wait(60) == 143
    recorded = sheets(finished)
    assert len(recorded) == 4 and shown == {run: recorded[run] for run in shown}


def test_samples_are_never_copied_and_never_removed(finished: Path, tmp_path: Path) -> None:
    before = sheets(finished)
    store = Sheets(f"sqlite:///{finished / 'mlflow.db'}")
    for run, content in before.items():
        store.remove(run)
        with store.open_reader(run) as file:
            assert file.read() == content
    with pytest.raises(PermissionError):
        store.write("0" * 32, io.BytesIO(b"of somebody else"))
    for nowhere in (store, Sheets(f"sqlite:///{tmp_path / 'mlflow.db'}")):
        with pytest.raises(HTTPError) as answer:
            nowhere.open_reader("0" * 32)
        assert answer.value.status_code == 404
    assert sheets(finished) == before


def test_what_keeps_it_from_being_served_is_said(
    studies: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="cannot listen there"):
        serve_studies(studies, "sqlite:///mlflow.db", "127.0.0.1", taken, print)
    with pytest.raises(UserError, match="there are no studies there"):
        serve_studies(studies.with_name("none.db"), "sqlite:///mlflow.db", "127.0.0.1", taken, print)
    with pytest.raises(UserError, match=r"pip install optuna-dashboard"):
        found = builtins.__import__

        def without(name: str, *rest: Any, **named: Any) -> Any:
            if name == "optuna_dashboard":
                raise ImportError(name)
            return found(name, *rest, **named)

        monkeypatch.setattr(builtins, "__import__", without)
        serve_studies(studies, "sqlite:///mlflow.db", "127.0.0.1", taken, print)
