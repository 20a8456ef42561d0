"""Optuna's dashboard: it is served on this machine, and what keeps it from that is said in words."""

from __future__ import annotations

import builtins
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

from ablate.errors import UserError
from ablate.runner.dashboard import serve_studies

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


def test_the_dashboard_shows_the_studies_of_the_record(
    studies: Path, command: Callable[..., list[str]]
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(command("ui", "--study", "--port", str(port)), cwd=studies.parent)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=60) as answer:
                    found = json.load(answer)["study_summaries"]
                break
            except urllib.error.URLError:
                assert process.poll() is None
                time.sleep(0.2)
    finally:
        process.terminate()
    assert [study["study_name"] for study in found] == ["template"]
    assert process.wait(60) == 143


def test_what_keeps_it_from_being_served_is_said(
    studies: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="cannot listen there"):
        serve_studies(studies, "127.0.0.1", taken, print)
    with pytest.raises(UserError, match="there are no studies there"):
        serve_studies(studies.with_name("none.db"), "127.0.0.1", taken, print)
    with pytest.raises(UserError, match=r"pip install 'ablate\[dashboard\]'"):
        found = builtins.__import__

        def without(name: str, *rest: Any, **named: Any) -> Any:
            if name == "optuna_dashboard":
                raise ImportError(name)
            return found(name, *rest, **named)

        monkeypatch.setattr(builtins, "__import__", without)
        serve_studies(studies, "127.0.0.1", taken, print)
