"""A study whose record is MLflow on PostgreSQL, whose files and store are in S3, and all of them restart."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml
from servers import postgres

from ablate.store import file_digest
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.faults

COMPOSE = Path(__file__).parents[2] / "examples" / "server" / "compose.yaml"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def mlflow_command(database: str, port: int) -> list[str]:
    """The command of the compose file, with the addresses that things have here."""
    service: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]["mlflow"]
    words = shlex.split(service["command"][-1].partition("exec ")[2])
    words[words.index("--backend-store-uri") + 1] = database
    words[words.index("--port") + 1] = str(port)
    words[words.index("--host") + 1] = "127.0.0.1"
    return [sys.executable, "-m", *words]


def answers(url: str) -> bool:
    try:
        urlopen(url, timeout=2).close()
    except (URLError, OSError):
        return False
    return True


def wait_for(done: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.5)


def weights(store: Path) -> dict[str, str]:
    files = sorted((store / "train").glob("*/unet.safetensors"))
    return {file.parent.name: file_digest(file) for file in files}


def test_a_study_on_servers_that_restart_ends_in_the_same_bytes(
    finished: Path,
    write_spec: Callable[..., Path],
    command: Callable[..., list[str]],
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"])
    (folder := tmp_path / "work").mkdir()
    write_spec(folder)
    url = f"http://127.0.0.1:{(port := free_port())}"
    with postgres(tmp_path / "data") as database:
        server = subprocess.Popen(mlflow_command(database.address("mlflow"), port), cwd=tmp_path)
        try:
            wait_for(lambda: answers(f"{url}/health"))
            options = ["--store", bucket, "--tracking-uri", url, "--workers", "1"]
            options += ["--study-storage", database.address("optuna"), "--seeds", "0", "--no-audit"]
            run = subprocess.Popen(
                command("run", "tiny.yaml", *options),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            store = open_store(bucket)
            wait_for(
                lambda: [stage for stage, _ in store.listed() if stage == "train"] or run.poll() is not None
            )
            database.stop()
            time.sleep(5)
            database.start()
            shown, _ = run.communicate()
            assert run.returncode == 0, shown
            assert "Traceback" not in shown
            again = subprocess.run(
                command("run", "tiny.yaml", *options), cwd=folder, capture_output=True, text=True, check=False
            )
            assert again.returncode == 0, again.stdout + again.stderr
        finally:
            server.terminate()
            server.wait()
    made = weights(store.root)
    assert made and made.items() <= weights(finished / ".ablate").items()
    assert (folder / "reports" / "tiny.md").exists()
    assert not (folder / "mlruns").exists() and not (folder / "optuna.db").exists()
