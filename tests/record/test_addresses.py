"""Tracking addresses that cannot work are told at once, each with what to write."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from ablate.errors import UserError
from ablate.patience import UnreachableError
from ablate.record import client
from ablate.record.addresses import check_address, default_uri, tracking_address
from ablate.record.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Ablate


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("sqlite://", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:/x.db", "names no file"),
        ("sqlite:x.db", "names no file"),
        ("sqlite:///a\0b", "names no file"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("sqlite:///folder", "is a folder, and the database is a file"),
        ("sqlite:///file/mlflow.db", "is a file, and the database is to be in it"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://a b", "names no host"),
        ("http://host:0", "names no host"),
        ("http://host:99999", "is not an address"),
        ("http://[::1", "is not an address"),
        ("mlruns", "is a folder of files"),
        ("./mlruns", "is a folder of files"),
        ("file:mlruns", "is a folder of files"),
        ("file:///tmp/mlruns", "is a folder of files"),
        ("databricks", "records into no 'databricks'"),
        ("databricks://profile", "records into no 'databricks'"),
        ("uc://x", "records into no 'uc'"),
        ("postgres://host/x", "records into no 'postgres'"),
        ("http:/host", "records into no 'http'"),
        ("postgresql+nonsense://host/x", "does not know this kind of database"),
        ("mysql://bob:S3cretPw@host/x", "package MySQLdb is not installed"),
        ("mysql://bob:S3cretPw@host/x", "package MySQLdb is not installed"),
    ],
)
def test_an_address_that_cannot_work_is_refused_before_anything_is_asked(
    uri: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=what) as error:
        check_address(uri)
    assert error.value.fix and error.value.where
    assert "S3cretPw" not in str(error.value)


def test_no_address_is_the_default_one_and_an_empty_one_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert tracking_address(None) == default_uri() == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http:///")
    with pytest.raises(UserError, match="names no host"):
        tracking_address(None)
    with pytest.raises(UserError, match="is empty"):
        tracking_address("")


@pytest.mark.parametrize(
    "command", ["run", "report", "gc", "status", "rm", "export", "import", "ui", "verify"]
)
def test_every_command_ends_within_a_moment(
    command: str, make_workplace: Callable[..., Path], ablate: Ablate, tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    arguments = {
        "gc": (),
        "status": (),
        "ui": (),
        "import": ("study.zip",),
        "export": ("tiny.yaml", "study.zip"),
    }.get(command, ("tiny.yaml",))
    done = ablate(command, *arguments, "--tracking-uri", "sqlite:///.", folder=folder)
    assert done.code == 2 and "is a folder" in done.err, done.shown


# ── what answers, and what does not ──────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of a real server that is none of MLflow's. The path says which status it answers with."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code = self.path.split("/")[1]
            self.send_response(int(code) if code.isdigit() else 200)
            self.end_headers()
            self.wfile.write(b"<html>Hello.</html>")

        do_POST = do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("http://{}", "not an MLflow server"),
        ("http://{}/404", "not an MLflow server"),
        ("http://{}/401", "access was refused"),
        ("http://bob:S3cretPw@{}/403", "access was refused"),
        ("https://{}", "does not speak https"),
        ("http://no-such-host.invalid:5000", "there is no host no-such-host.invalid"),
    ],
)
def test_what_is_no_server_of_mlflow_is_named_in_seconds(page: str, address: str, what: str) -> None:
    began, notes = time.monotonic(), list[str]()
    with pytest.raises(UserError, match=what) as error:
        connect(address.format(page), notes.append)
    assert time.monotonic() - began < 30
    assert "S3cretPw" not in str(error.value) and notes == []


def test_a_server_that_is_always_at_fault_is_given_up_after_a_while(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "FIRST", 0.5)
    notes: list[str] = []
    with pytest.raises(UnreachableError, match="no answer"):
        connect(f"http://{page}/500", notes.append)
    assert "Waiting for it" in notes[0]


# ── SQLite files ─────────────────────────────────────────────────────────────────────────────────


def test_a_database_of_something_else_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "mine.db"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("create table birds (name)")
    before = file.read_bytes()
    for to_write in (False, True):
        with pytest.raises(UserError, match="damaged, or belongs to another program"):
            connect(f"sqlite:///{file}", to_write=to_write)
    assert file.read_bytes() == before


@pytest.mark.parametrize("version", ["ffffffffffff", "451aebb31d03"])
def test_a_database_of_another_version_of_mlflow_is_named(uri: str, version: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("update alembic_version set version_num = ?", (version,))
    with pytest.raises(UserError, match="version of MLflow"):
        connect(uri, to_write=True).reach()
