"""Optuna's dashboard on the studies of a record."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from ablate import interrupts
from ablate.errors import AblateError, UserError
from ablate.record import names
from ablate.record.artifacts import Downloads, files_of
from ablate.record.client import connect
from ablate.record.databases import check_database, is_there
from ablate.record.patience import shown
from ablate.runner.studies.study import TABLE, reach, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from ablate.record.client import PatientClient
    from ablate.runner.studies.study import Storage


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


class Sheets:
    """The artifacts of trials, as Optuna's ``ArtifactStore``: each is the sheet of samples of the run of
    MLflow's with the same id. They are read where MLflow has them; nothing is copied, written or removed.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._downloads = Downloads()

    @cached_property
    def _client(self) -> PatientClient:
        return connect(self._uri)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """The PNG. Raises the dashboard's own answer "not found", so that it prints no traceback."""
        from bottle import HTTPError

        try:
            info = self._client.get_run(artifact_id).info
            experiment = self._client.get_experiment(info.experiment_id).name
            files = files_of(self._client, self._downloads, experiment, artifact_id, info.artifact_uri)
            if sheet := files.find(names.SHEET):
                return sheet.open("rb")
        except (AblateError, OSError) as error:
            raise HTTPError(404, str(error)) from error
        raise HTTPError(404, f"MLflow's run {artifact_id} has no {names.SHEET}")

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Refuses a file that is dropped onto the dashboard."""
        raise PermissionError("artifacts of trials are what MLflow has of them")

    def remove(self, artifact_id: str) -> None:
        """Leaves the file: it is MLflow's."""


def serve_studies(storage: Storage, uri: str, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serves the dashboard until the command is stopped; the trials' samples come from MLflow at ``uri``.

    Raises:
        UserError: the dashboard is not installed, there are no studies, or the port cannot be used.
        UnreachableError: a server with studies does not answer.
    """
    where = shown(str(storage))
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        fix = "pip install optuna-dashboard"
        raise UserError("Optuna's dashboard is not installed", where="--study", fix=fix) from error
    if isinstance(storage, Path):
        if not is_there(storage):
            raise UserError("there are no studies there", where=where, fix="Run an experiment first.")
        check_database(storage, TABLE)
    else:
        reach(storage)
    tables = storage_of(storage)
    try:
        server = make_server(host, port, wsgi(tables, Sheets(uri)), Server, Quiet)
    except OSError as error:
        fix = "Choose others with --host and --port."
        raise UserError(f"cannot listen there: {error.strerror}", where=f"{host}:{port}", fix=fix) from error
    with server:
        say(f"Optuna's dashboard on {where}: http://{host}:{port} (Ctrl-C ends it)")
        server.serve_forever()
