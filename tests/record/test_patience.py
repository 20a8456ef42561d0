"""What passes is waited for; what does not is said at once. No password is shown."""

from __future__ import annotations

import errno
import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest

from ablate import patience
from ablate.errors import RunError, UserError
from ablate.patience import Patience, UnreachableError, hidden
from ablate.record.addresses import check_address
from ablate.record.client import connect
from ablate.record.patience import patient_with, secrets_of, shown

if TYPE_CHECKING:
    from pathlib import Path

LOCKED = sqlite3.OperationalError("database is locked")


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def patient(notes: list[str]) -> Patience:
    return patient_with("http://here", notes.append)


def failing(*errors: Exception) -> tuple[list[Exception], object]:
    left = list(errors)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return left, attempt


def test_what_passes_is_tried_again_and_said_once(patient: Patience, notes: list[str]) -> None:
    _, attempt = failing(LOCKED, ConnectionResetError(errno.ECONNRESET, "reset"))
    assert patient(attempt) == "done"  # type: ignore[arg-type]
    assert notes == [
        "http://here: the database is locked by another process. Waiting for it, for up to 5 minutes",
        "http://here: works again",
    ]


def test_what_does_not_pass_in_time_is_an_error_that_says_what_to_do(
    patient: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.3)
    _, attempt = failing(*[LOCKED] * 100)
    with pytest.raises(UnreachableError) as raised:
        patient(attempt)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "http://here: the database is locked by another process. It did not answer in time\n"
        "  The store has all that was trained and measured. When this works again, the same command "
        "records it."
    )


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (sqlite3.OperationalError("attempt to write a readonly database"), "may not be written to"),
        (sqlite3.DatabaseError("file is not a database"), "the database is broken"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b: Permission denied"),
        (ModuleNotFoundError("No module", name="psycopg2"), "package psycopg2 is not installed"),
    ],
)
def test_what_no_waiting_mends_is_told_at_once(
    patient: Patience, notes: list[str], error: Exception, what: str
) -> None:
    left, attempt = failing(error, error)
    with pytest.raises(UserError, match=what) as raised:
        patient(attempt)  # type: ignore[arg-type]
    assert raised.value.fix
    assert len(left) == 1 and notes == []


@pytest.mark.parametrize("error", [AttributeError("x"), RunError("x")])
def test_a_bug_is_no_trouble_of_mlflow_and_neither_is_what_is_explained_already(
    patient: Patience, error: Exception
) -> None:
    with pytest.raises(type(error)):
        patient(failing(error)[1])  # type: ignore[arg-type]


def test_a_server_that_is_not_there_is_waited_for_and_its_password_is_not_shown(
    notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UnreachableError) as raised:
        connect(f"http://bob:S3cretPw@127.0.0.1:{port}", notes.append)
    told = f"{raised.value} {notes}"
    assert f"http://127.0.0.1:{port}: no answer (connection refused)" in told
    assert "S3cretPw" not in told and "bob" not in told


def test_the_driver_of_a_database_that_is_missing_is_named(notes: list[str]) -> None:
    with pytest.raises(UserError, match="package MySQLdb is not installed") as raised:
        connect("mysql://bob:S3cretPw@127.0.0.1/mlflow", notes.append)
    assert raised.value.where == "mysql://127.0.0.1/mlflow"


def test_an_address_that_is_none_is_refused(notes: list[str]) -> None:
    with pytest.raises(UserError):
        connect("nonsense://x", notes.append)


def test_a_file_is_no_folder_of_a_database(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError):
        connect(f"sqlite:///{tmp_path}/file/mlflow.db", to_write=True)


@pytest.mark.parametrize(
    ("uri", "address", "secrets"),
    [
        ("http://bob:S3cret%21@host:5000/a", "http://host:5000/a", ("S3cret%21", "S3cret!")),
        ("postgresql://host/db?user=bob&password=pw", "postgresql://host/db", ("pw",)),
        ("http://host", "http://host", ()),
        ("postgresql://bob:a/b?c@d@host/db", "postgresql://host/db", ()),
        ("http://token@host", "http://host", ()),
        ("sqlite:///a@b/mlflow.db", "sqlite:///a@b/mlflow.db", ()),
        ("databricks", "databricks", ()),
    ],
)
def test_addresses_are_shown_without_their_passwords(
    uri: str, address: str, secrets: tuple[str, ...]
) -> None:
    assert shown(uri) == address
    assert secrets_of(uri) == secrets
    assert hidden(f"request to {uri} failed", ("S3cret",)).count("S3cret") == 0


@pytest.mark.parametrize("uri", ["postgresql://u:s3c/ret@host/db", "http://u:s3c?ret@host:5000"])
def test_a_password_that_breaks_its_address_is_not_shown(uri: str) -> None:
    with pytest.raises(UserError) as error:
        check_address(uri)
    assert "s3c" not in str(error.value) and "%2F" in str(error.value)
