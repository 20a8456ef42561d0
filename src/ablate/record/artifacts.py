"""The files of runs: opened and written where they lie, or fetched from a server into a folder that goes."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from ablate.record.databases import place_here

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.record.client import PatientClient


class Files(Protocol):
    """The files of one run, each known by its path in the run."""

    def find(self, name: str) -> Path | None:
        """Where a file or folder can be read on this machine; None if the run has none of that name."""

    def all(self) -> Path | None:
        """A folder of this machine with all files; None if the run has none."""

    def save(self, contents: Mapping[str, bytes | Path]) -> None:
        """Writes files: name → its bytes, or a file to copy. What is there already is replaced."""

    def lost(self, name: str) -> bool:
        """Whether a file that was written is gone. A server is believed without being asked."""


class Downloads:
    """A temporary folder that is made when it is needed, and is gone when what it is kept for is."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="ablate-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    def keep_for(self, owner: object) -> None:
        """Keeps the folder as long as ``owner`` is used."""
        if self._folder:
            # The finalizer's arguments hold on to this object, and so to the folder.
            weakref.finalize(owner, id, self)


class LocalFiles:
    """Files in a folder of this machine."""

    def __init__(self, folder: Path, client: PatientClient) -> None:
        self.folder = folder
        self._client = client

    def find(self, name: str) -> Path | None:
        """The file itself."""
        return self._client.patiently(lambda: path if (path := self.folder / name).exists() else None)

    def all(self) -> Path | None:
        """The folder itself."""
        return self.folder if self.folder.is_dir() else None

    def save(self, contents: Mapping[str, bytes | Path]) -> None:
        """Each file appears as a whole."""
        for name, content in contents.items():
            self._client.patiently(lambda name=name, content=content: self._write(name, content))  # type: ignore[misc]

    def lost(self, name: str) -> bool:
        """Whether the file is not there."""
        return self.find(name) is None

    def _write(self, name: str, content: bytes | Path) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        aside = file.with_name(f".{file.name}.part")
        if isinstance(content, Path):
            shutil.copyfile(content, aside)
        else:
            aside.write_bytes(content)
        with aside.open("rb") as written:  # MLflow's database is on the disk before; so are its files
            os.fsync(written.fileno())
        aside.replace(file)


class RemoteFiles:
    """Files that MLflow keeps somewhere else. They are downloaded when they are asked for."""

    def __init__(self, client: PatientClient, run_id: str, downloads: Downloads) -> None:
        self._client = client
        self._run_id = run_id
        self._downloads = downloads

    def find(self, name: str) -> Path | None:
        """A copy of the file."""
        parent = str(Path(name).parent)
        listed = self._client.list_artifacts(self._run_id, None if parent == "." else parent)
        if name not in {file.path for file in listed}:
            return None
        folder = self._downloads.folder / self._run_id
        folder.mkdir(exist_ok=True)
        return Path(self._client.download_artifacts(self._run_id, name, str(folder)))

    def all(self) -> Path | None:
        """A copy of all."""
        if not self._client.list_artifacts(self._run_id):
            return None
        folder = self._downloads.folder / f"{self._run_id}-all"
        folder.mkdir(exist_ok=True)
        return Path(self._client.download_artifacts(self._run_id, "", str(folder)))

    def save(self, contents: Mapping[str, bytes | Path]) -> None:
        """Sends all files in one call."""
        with tempfile.TemporaryDirectory(prefix="ablate-") as aside:
            for name, content in contents.items():
                file = Path(aside) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, Path):
                    shutil.copyfile(content, file)
                else:
                    file.write_bytes(content)
            self._client.log_artifacts(self._run_id, aside)

    def lost(self, name: str) -> bool:
        """Never: asking for each run of an experiment would take longer than all the rest."""
        return False


def files_of(
    client: PatientClient, downloads: Downloads, experiment: str, run_id: str, address: str
) -> Files:
    """The files of a run that MLflow says are at ``address``.

    Beside an SQLite file they are looked for where that lies now: it may have been moved, or be a copy.
    """
    folder = place_here(client.database, experiment, address) if client.database else None
    folder = folder or _on_this_machine(address)
    return LocalFiles(folder, client) if folder else RemoteFiles(client, run_id, downloads)


def _on_this_machine(address: str) -> Path | None:
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return Path(address) if parts.scheme == "" else None
