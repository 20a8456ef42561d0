"""Where MLflow is: a tracking address, a client on it that waits, its UI."""

from __future__ import annotations

import logging
import sys
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

from ablate.errors import UserError
from ablate.patience import Note, log
from ablate.record.addresses import SQLITE, answers, check_address, database_of, tracking_address
from ablate.record.databases import (
    artifact_folder,
    check_database,
    follow_the_move,
    has_moved,
    provide_database,
    read_rows,
)
from ablate.record.patience import patient_with, secrets_of, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow import MlflowClient

Made = TypeVar("Made")

FIRST = 30.0
"""Seconds after which an address is given up that has never answered to this process."""
_answered: set[str] = set()

EXPERIMENTS = "experiments"
"""A table of MLflow's that has a row from the beginning: its default experiment."""


class PatientClient:
    """MLflow's client, each of whose calls waits while MLflow is away, and says so.

    Its methods are those of ``MlflowClient``. They raise ablate's errors: UserError for what waiting does
    not mend, UnreachableError after some minutes. Everything that ablate asks for may be asked for twice,
    but for what makes something new: that goes through ``create``.

    MLflow is imported and asked when it is first needed: to read its SQLite file goes without.
    """

    def __init__(self, uri: str, note: Note = log) -> None:
        self.database = database_of(uri)
        self.patiently = patient_with(shown(uri), note, secrets_of(uri))
        self._uri = uri

    @cached_property
    def _client(self) -> MlflowClient:
        patiently = self.patiently
        if not self.database and self._uri not in _answered:
            patiently = patiently.for_seconds(FIRST)  # perhaps it is not the right address
        client = patiently(partial(_reach, self._uri, self.database))
        _answered.add(self._uri)
        return client

    def reach(self) -> None:
        """Sees that MLflow answers, or raises what is wrong."""
        _ = self._client

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *given, **named: self.patiently(partial(method, *given, **named))

    def create(
        self, make: Callable[[MlflowClient], Made], find: Callable[[MlflowClient], Made | None]
    ) -> Made:
        """What ``make`` gives. Once that has failed, ``find`` first looks whether it was made all the same:
        an answer may be lost on its way."""
        failed = False

        def attempt() -> Made:
            nonlocal failed
            found = find(self._client) if failed else None
            failed = True
            return make(self._client) if found is None else found

        return self.patiently(attempt)


def connect(uri: str, note: Note = log, *, to_write: bool = False) -> PatientClient:
    """A client on ``uri``. To write, an SQLite file is made if need be, and one that was moved follows.

    Raises:
        UserError: MLflow cannot use what is there.
        UnreachableError: it does not answer for minutes.
    """
    check_address(uri)
    database = database_of(uri)
    if database and to_write:
        provide_database(database, EXPERIMENTS, _make, note)
        settle(database, note)
    elif database:
        check_database(database, EXPERIMENTS, note)
    client = PatientClient(uri, note)
    if not database:
        client.reach()
    return client


def settle(database: Path, note: Note = log) -> None:
    """Has a database name the artifacts beside it, wherever it lay when they were recorded. Raises as
    ``connect``."""
    patiently = patient_with(str(database), note)
    if patiently(lambda: has_moved(database)):
        patiently(lambda: follow_the_move(database))


def _reach(uri: str, database: Path | None) -> MlflowClient:
    """MLflow's own client, quiet, on what answers."""
    _silence()
    answers(uri)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = 1  # the patience is ours
    try:
        client = MlflowClient(uri)
    except MlflowException as error:
        if database and "out-of-date database schema" in str(error):
            raise _of_another_version(uri, database) from error
        raise
    client.search_experiments(max_results=1)
    return client


def _of_another_version(uri: str, database: Path) -> UserError:
    return UserError(
        "this database was made by another version of MLflow",
        where=str(database),
        fix=f"Copy it, then: mlflow db upgrade {uri}. Or move it away: `ablate run` makes a new one and "
        "records in it all that the store has.",
    )


def _make(file: Path) -> None:
    """Makes MLflow's tables in a new file, and lets go of it."""
    _silence()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"{SQLITE}{file}", artifact_folder(file).as_uri())
    store.engine.dispose()


def _silence() -> None:
    """Keeps what MLflow is built on from printing failures: they are ours to tell."""
    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def count_experiments(database: Path) -> int:
    """How many experiments an SQLite file of MLflow holds. Raises UserError if it cannot be used."""
    check_database(database, EXPERIMENTS)
    return int(read_rows(database, f"select count(*) from {EXPERIMENTS}")[0][0])


def ui_command(uri: str | None, host: str, port: int) -> list[str]:
    """The command that serves the MLflow UI on a tracking address.

    Raises:
        UserError: there is no database, or one that MLflow cannot use.
    """
    address = tracking_address(uri)
    database = database_of(address)
    if database is None or not database.exists():
        raise UserError(
            "there is no MLflow database there",
            where=shown(address),
            fix="Run an experiment first. A tracking server has its own UI: open its address in a browser.",
        )
    check_database(database, EXPERIMENTS)
    settle(database)
    artifacts = artifact_folder(database).as_uri()
    options = ["--host", host, "--port", str(port), "--workers", "1", "--default-artifact-root", artifacts]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", address, *options]
