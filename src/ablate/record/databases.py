"""SQLite files: made aside and moved into place, looked at before they are used, followed when they move.

Libraries make their tables step by step. A process that is killed in between would leave half of them
behind, with which they never come to terms again.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ablate.errors import UserError
from ablate.mounts import network_kind
from ablate.patience import Note, log
from ablate.record.patience import BROKEN, patient_with, trouble_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASIDE = ".new-"
"""Between the name of a database and what tells makers apart, while it is made."""


def provide_database(file: Path, table: str, make: Callable[[Path], None], note: Note = log) -> None:
    """Makes a database where there is none, and looks whether one that is there can be used.

    Args:
        file: where the database has its place.
        table: one that a whole database has rows in.
        make: makes a database of the given name and closes it.
        note: where it is said that something is waited for.

    Raises:
        UserError: what is there cannot be used, or nothing can be made there.
        UnreachableError: the disk is full, or the database is locked for minutes.
    """
    refuse_shared(file)
    patient_with(str(file), note)(lambda: _make_aside(file, make))
    check_database(file, table, note)


def refuse_shared(file: Path, mounts: str | None = None) -> None:
    """Looks whether an SQLite file lies where it cannot be written safely. ``mounts`` as in ``network_kind``.

    Raises:
        UserError: machines share its file system. SQLite's locks do not hold there, and the file breaks.
    """
    if kind := network_kind(file, mounts):
        raise UserError(
            f"an SQLite file on a network file system ({kind}) breaks: locks do not hold there",
            where=str(file),
            fix="Put it on a local disk (--tracking-uri sqlite:////LOCAL/FOLDER/mlflow.db for the record, "
            "--study-storage sqlite:////LOCAL/FOLDER/optuna.db for Optuna's studies), or use a server. "
            "docs/shared.md says how.",
        )


def _make_aside(file: Path, make: Callable[[Path], None]) -> None:
    if is_there(file) and not list(file.parent.glob(f"{file.name}{ASIDE}*")):
        return  # without the lock: the folder may be readable only
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{file}.lock"):
        for left in file.parent.glob(f"{file.name}{ASIDE}*"):  # by a maker that was killed
            left.unlink()
        if is_there(file):
            return
        aside = file.with_name(f"{file.name}{ASIDE}{uuid.uuid4().hex[:8]}")
        make(aside)
        with aside.open("rb") as made:
            os.fsync(made.fileno())
        for ending in ("-journal", "-wal", "-shm"):  # of a database that was deleted: not of this one
            file.with_name(file.name + ending).unlink(missing_ok=True)
        aside.replace(file)


def is_there(file: Path) -> bool:
    """Whether there is anything to lose: SQLite makes an empty file before it writes."""
    return file.exists() and not (file.is_file() and file.stat().st_size == 0)


def check_database(file: Path, table: str, note: Note = log) -> None:
    """Looks whether a database is whole, as far as that can be seen at once. Changes nothing.

    Raises:
        UserError: it is not, with what to do about it.
        UnreachableError: it is locked for minutes.
    """
    patient_with(str(file), note)(lambda: _look(file, table))


def _look(file: Path, table: str) -> None:
    # By SQLite only: to open and close its file would take away the locks that this process has on it.
    try:
        ((rows,),) = read_rows(file, f"select count(*) from {table}")
    except sqlite3.Error as error:
        if trouble_of(error) is not BROKEN:
            raise
        raise broken(file, f"this database is damaged, or belongs to another program ({error})") from error
    if not rows:
        raise broken(file, "this database is not whole: the process that made it was killed")


def broken(file: Path, what: str) -> UserError:
    """The error about a database that cannot be used."""
    return UserError(
        what,
        where=str(file),
        fix=f"Move it away (mv {file} {file}.broken). `ablate run` makes it anew and records in it all that "
        "the store has.",
    )


def read_rows(file: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows that a query gives. Raises sqlite3.Error."""
    # Not mode=ro: what a killed writer has left half-written is rolled back by who reads it first.
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=5)) as connection:
        return connection.execute(query, values).fetchall()


# ── where the artifacts are ──────────────────────────────────────────────────────────────────────


def artifact_folder(database: Path) -> Path:
    """Where the artifacts lie: beside the SQLite file, not in the folder that the command runs in."""
    return database.parent / "mlruns"


def address_of(database: Path, experiment: str) -> str:
    """The address of the artifacts of an experiment beside a database, as MLflow keeps it."""
    return (artifact_folder(database) / experiment).absolute().as_uri()


def place_here(database: Path, experiment: str, address: str) -> Path | None:
    """Where artifacts lie that were recorded under ``address`` beside this database, wherever it was then.

    None where they were not recorded beside it.
    """
    from urllib.parse import unquote

    folder = artifact_folder(database).absolute() / experiment
    _, found, rest = address.rpartition(_ending(database, experiment) + "/")
    return folder / unquote(rest) if found else None


def follow_the_move(database: Path) -> None:
    """Has a database that was moved or copied name the artifacts beside it, no longer those where it was.

    Otherwise a copy would write into the artifacts of the original. Raises sqlite3.Error.
    """
    # Its own lock comes first: of two commands that see the move, one writes.
    with (
        FileLock(f"{database}.lock"),
        closing(sqlite3.connect(database, timeout=5)) as connection,
        connection,
    ):
        experiments = "select experiment_id, name, artifact_location from experiments"
        for number, name, old in connection.execute(experiments).fetchall():
            new = address_of(database, name)
            if old == new or not (old or "").endswith(_ending(database, name)):
                continue
            connection.execute(
                "update experiments set artifact_location = ? where experiment_id = ?", (new, number)
            )
            connection.execute(
                "update runs set artifact_uri = ? || substr(artifact_uri, ?) "
                "where experiment_id = ? and substr(artifact_uri, 1, ?) = ?",
                (new, len(old) + 1, number, len(old) + 1, f"{old}/"),
            )


def has_moved(database: Path) -> bool:
    """Whether a database names artifacts elsewhere than beside it. Raises sqlite3.Error."""
    rows = read_rows(database, "select name, artifact_location from experiments")
    return any(
        (old or "").endswith(_ending(database, name)) and old != address_of(database, name)
        for name, old in rows
    )


def _ending(database: Path, experiment: str) -> str:
    """How the address of an experiment's artifacts ends, wherever its database lies."""
    return address_of(database, experiment).removeprefix(database.parent.absolute().as_uri())
