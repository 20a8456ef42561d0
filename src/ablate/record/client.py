"""Where MLflow is: a tracking address, a client on it, its UI."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ablate.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"


def default_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"


def database_of(uri: str) -> Path | None:
    """The SQLite file that an address stands for; None for a server or anything else."""
    return Path(uri.removeprefix(SQLITE)).absolute() if uri.startswith(SQLITE) else None


def connect(uri: str) -> MlflowClient:
    """A client on ``uri``; an SQLite file is made if need be. Raises UserError if MLflow cannot use it."""
    import logging

    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    database = database_of(uri)
    try:
        if database is None:
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
        # Two processes that make the same new database would race. The lock makes the folder.
        with FileLock(f"{database}.lock"):
            return MlflowClient(uri)
    except MlflowException as error:
        raise UserError(
            f"MLflow cannot use this tracking address: {str(error).splitlines()[0]}",
            where=uri,
            fix="Check MLFLOW_TRACKING_URI or --tracking-uri, and that the server runs.",
        ) from error


def count_experiments(database: Path) -> int:
    """How many experiments an SQLite file of MLflow holds. Raises UserError if it is of something else."""
    try:  # not by MLflow's client, which sets up or migrates what it finds
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("select count(*) from experiments").fetchone()[0])
    except sqlite3.Error as error:
        raise UserError(str(error), where=str(database)) from error


def ui_command(uri: str | None, host: str, port: int) -> list[str]:
    """The command that serves the MLflow UI on a tracking address. Raises UserError without a database."""
    address = uri or default_uri()
    database = database_of(address)
    if database is None or not database.exists():
        raise UserError(
            "there is no MLflow database there",
            where=address,
            fix="Run an experiment first. A tracking server has its own UI: open its address in a browser.",
        )
    artifacts = artifact_folder(database).as_uri()
    options = ["--host", host, "--port", str(port), "--workers", "1", "--default-artifact-root", artifacts]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", address, *options]


def artifact_folder(database: Path) -> Path:
    """Where the artifacts lie: beside the SQLite file, not in the folder that the command runs in."""
    return database.parent / "mlruns"
