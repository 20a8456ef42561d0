"""Hubs of a test's own: the libraries' caches in a folder, and a server that answers as a hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

from huggingface_hub import constants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens there."""


class Caches:
    """The caches of huggingface_hub and torch.hub, in a folder and empty, and hubs that are out of reach."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hub = folder / "huggingface"
        self.torch = folder / "torch"
        self.checkpoints = self.torch / "hub" / "checkpoints"
        self.checkpoints.mkdir(parents=True)
        self._patch = monkeypatch
        monkeypatch.setenv("TORCH_HOME", str(self.torch))
        monkeypatch.setenv("ABLATE_CACHE", str(folder / "ablate"))
        # huggingface_hub reads the environment when it is imported.
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(self.hub))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        self.connect(NOWHERE)

    def connect(self, address: str) -> None:
        """Makes an address the Hugging Face hub."""
        self._patch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        self._patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)

    def repository(self, name: str, revision: str = "main") -> Path:
        """A folder that stands for a downloaded repository: what is put into it is in the cache."""
        root = self.hub / f"models--{name.replace('/', '--')}"
        commit = hashlib.sha1(revision.encode()).hexdigest()
        reference = root / "refs" / revision
        reference.parent.mkdir(parents=True, exist_ok=True)
        reference.write_text(commit)
        folder = root / "snapshots" / commit
        folder.mkdir(parents=True, exist_ok=True)
        return folder


class Hub(ThreadingHTTPServer):
    """Serves folders ``<owner>/<name>`` as repositories, and any file by its path."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root = root
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[str] = []
        """The files that were downloaded."""


class Handler(BaseHTTPRequestHandler):
    """The few requests by which huggingface_hub downloads a repository."""

    server: Hub

    def do_HEAD(self) -> None:
        self._file(self._path())

    def do_GET(self) -> None:
        path = self._path()
        if path.startswith("api/models/"):
            self._describe(path.removeprefix("api/models/"))
        else:
            self._file(path)

    def _path(self) -> str:
        return unquote(self.path.split("?")[0]).strip("/")

    def _describe(self, path: str) -> None:
        owner, name, *what = path.split("/")
        folder = self.server.root / owner / name
        if not folder.is_dir():
            self._head(404, 0, **{"X-Error-Code": "RepoNotFound"})
            return
        if what[:1] == ["tree"]:
            answer: object = [
                {
                    "type": "file",
                    "path": file.relative_to(folder).as_posix(),
                    "size": file.stat().st_size,
                    "oid": _digest(file),
                }
                for file in sorted(folder.rglob("*"))
                if file.is_file()
            ]
        else:
            answer = {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": [], "tags": [], "private": False}
        body = json.dumps(answer).encode()
        self._head(200, len(body))
        self.wfile.write(body)

    def _file(self, path: str) -> None:
        parts = path.split("/")
        if "resolve" in parts:  # owner/name/resolve/<commit>/<file>
            at = parts.index("resolve")
            parts = parts[:at] + parts[at + 2 :]
        file = self.server.root.joinpath(*parts)
        if not file.is_file():
            self._head(404, 0)
            return
        self._head(200, file.stat().st_size, ETag=f'"{_digest(file)}"')
        if self.command == "GET":
            self.server.asked.append("/".join(parts))
            self.wfile.write(file.read_bytes())

    def _head(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def _digest(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """A hub on this machine with the repositories in ``root``."""
    hub = Hub(root)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
