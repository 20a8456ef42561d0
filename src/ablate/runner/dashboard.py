"""Optuna's dashboard on the studies of a record."""

from __future__ import annotations

from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ablate import interrupts
from ablate.errors import UserError
from ablate.record.databases import check_database, is_there
from ablate.record.patience import shown
from ablate.runner.study import reach, storage_of
from ablate.runner.trials import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.runner.study import Storage


class Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread: what is raised by Ctrl-C is not lost in an answer."""

    daemon_threads = True

    def service_actions(self) -> None:
        """Called twice a second."""
        interrupts.check()


class Quiet(WSGIRequestHandler):
    """Prints no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def serve_studies(storage: Storage, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serves the dashboard until the command is stopped.

    Raises:
        UserError: the dashboard is not installed, there are no studies, or the port cannot be used.
        UnreachableError: a server with studies does not answer.
    """
    where = shown(str(storage))
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        fix = "pip install 'ablate[dashboard]'"
        raise UserError("Optuna's dashboard is not installed", where="--study", fix=fix) from error
    if isinstance(storage, Path):
        if not is_there(storage):
            raise UserError("there are no studies there", where=where, fix="Run an experiment first.")
        check_database(storage, TABLE)
    reach(storage)
    tables = storage_of(storage)
    try:
        server = make_server(host, port, wsgi(tables), Server, Quiet)
    except OSError as error:
        fix = "Choose others with --host and --port."
        raise UserError(f"cannot listen there: {error.strerror}", where=f"{host}:{port}", fix=fix) from error
    with server:
        say(f"Optuna's dashboard on {where}: http://{host}:{port} (Ctrl-C ends it)")
        server.serve_forever()
