"""Tracking addresses: which of them can work is said before anything is imported or waited for."""

from __future__ import annotations

import os
import socket
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import Request, urlopen

from ablate.errors import UserError
from ablate.record.patience import shown

if TYPE_CHECKING:
    from collections.abc import Callable

SQLITE = "sqlite:///"
KINDS = f"{SQLITE}PATH for a file, http://HOST:PORT for a tracking server, postgresql://… for a database"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Addresses on a network → where they are if they name no port."""
SECONDS = 10.0
"""How long an answer may take when it is first asked for."""


def default_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"


def tracking_address(given: str | None) -> str:
    """The address that a command was given, or else the default one. Raises as ``check_address``."""
    uri = default_uri() if given is None else given
    check_address(uri)
    return uri


def database_of(uri: str) -> Path | None:
    """The SQLite file that an address stands for; None for a server or anything else."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute() if uri.startswith(SQLITE) else None


def check_address(uri: str) -> None:
    """Looks whether an address can be one of MLflow's, as far as that can be seen from here.

    Raises:
        UserError: it cannot, with what to write.
    """
    if not uri.strip():
        raise _refused(uri, "the tracking address is empty")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        why = "write %2F, %3F and %40 for /, ? and @ in a password" if "@" in uri else str(error)
        raise _refused(uri, f"is not an address ({why})") from error
    kind = parts.scheme.partition("+")[0]
    if kind == "sqlite":
        _check_sqlite(uri)
    elif kind in PORTS and "://" in uri:
        if (
            not (parts.hostname or _on_a_socket(parts))
            or port == 0
            or any(not c.isprintable() or c == " " for c in uri)
        ):
            raise _refused(uri, "names no host")
        if kind not in ("http", "https"):
            _check_driver(uri)
    elif uri != "databricks" and (kind in ("", "file") or (os.name == "nt" and len(kind) == 1)):
        what = "is a folder of files, in which MLflow can no longer record all that ablate needs"
        raise _refused(uri, what)
    else:
        raise _refused(uri, f"ablate records into no {kind or uri!r}")


def answers(uri: str) -> None:
    """Sees that somebody answers on a network; of an SQLite file nothing is asked. Any answer will do.

    Raises:
        UserError: there is no such host.
        OSError: nobody answers.
    """
    parts = urlsplit(uri)
    ask: Callable[[SplitResult], None] = _ask_web if parts.scheme in ("http", "https") else _ask_socket
    if parts.scheme.partition("+")[0] in PORTS and not _on_a_socket(parts):
        try:
            ask(parts)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise
            raise _refused(uri, f"there is no host {parts.hostname}") from error


def _on_a_socket(parts: SplitResult) -> bool:
    """Whether a database is reached through a file: ``postgresql:///name?host=/folder``."""
    return parts.scheme.partition("+")[0] == "postgresql" and "host=/" in unquote(parts.query)


def _ask_web(parts: SplitResult) -> None:
    place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"
    try:
        # Unlike a socket, this goes through a proxy where one is set.
        urlopen(Request(place, method="HEAD"), timeout=SECONDS).close()
    except HTTPError:
        pass  # a refusal is an answer
    except URLError as error:
        if isinstance(error.reason, socket.gaierror | TimeoutError | ConnectionError):
            raise error.reason from error
        # A certificate, or another protocol: MLflow's own client has options for that, and says it.
    except HTTPException:
        pass


def _ask_socket(parts: SplitResult) -> None:
    port = parts.port or PORTS[parts.scheme.partition("+")[0]]
    socket.create_connection((parts.hostname or "", port), timeout=SECONDS).close()


def _check_sqlite(uri: str) -> None:
    path = uri.removeprefix(SQLITE).partition("?")[0]
    if not uri.startswith(SQLITE) or path in ("", "/") or "\0" in path:
        raise _refused(uri, "names no file")
    if path.startswith(":memory:") or "mode=memory" in uri:
        raise _refused(uri, "is a database in memory, of which nothing would stay")
    file = Path(path)
    if file.is_dir():
        raise _refused(uri, "is a folder, and the database is a file")
    for folder in file.absolute().parents:
        if folder.exists() and not folder.is_dir():
            raise _refused(uri, f"{folder} is a file, and the database is to be in it")


def _check_driver(uri: str) -> None:
    """Raises UserError if the library that talks to a database is unknown, or not installed."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise _refused(uri, "SQLAlchemy, which MLflow uses, does not know this kind of database") from error
    except ImportError as error:
        package = error.name or str(error)
        fix = f"pip install {DRIVERS.get(package, package)}"
        raise UserError(f"the package {package} is not installed", where=shown(uri), fix=fix) from error


DRIVERS = {"psycopg": '"psycopg[binary]"', "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
"""What is installed under another name than it is imported by."""


def _refused(uri: str, what: str) -> UserError:
    where = shown(uri) if uri.strip() else "--tracking-uri"
    return UserError(what, where=where, fix=f"Give --tracking-uri or MLFLOW_TRACKING_URI as {KINDS}.")
