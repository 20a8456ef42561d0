"""The content-addressed store: ``.ablate/<stage>/<key>/``, a cache that can be deleted at any time.

An entry is a directory, written aside and renamed into place, so a reader sees all of it or none.
Its ``entry.<format>.json`` holds the ingredients its key was made of, which is what lets ``ablate plan``
say *why* a stage has to run again. Entries of another format are as good as absent.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from filelock import BaseFileLock

FORMAT = 2
"""Of what stages write. To be raised when old entries can no longer be read under the same keys."""
ENTRY = f"entry.{FORMAT}.json"
"""The file that makes a folder an entry."""
DAY = 86_400.0
"""Seconds."""


def key_of(ingredients: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of ``ingredients``, shortened to 128 bits (32 hex digits)."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Store:
    """Directories addressed by (stage, key) below ``root``."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, stage: str, key: str) -> Path:
        """Where the entry lies, whether it exists or not."""
        return self.root / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether the entry is complete."""
        return (self.path(stage, key) / ENTRY).is_file()

    def make(
        self, stage: str, key: str, ingredients: Mapping[str, Any], fill: Callable[[Path], None]
    ) -> Path:
        """The entry's folder. Where there is no entry, ``fill`` first writes its files into an empty folder.

        Of several processes that ask at once, one makes the entry and the others wait for it. An error
        in ``fill`` leaves no entry behind.
        """
        with self.lock(f"{stage}-{key}"):
            if not self.has(stage, key):
                with self.writing(stage, key, ingredients) as folder:
                    fill(folder)
        return self.path(stage, key)

    @contextmanager
    def writing(self, stage: str, key: str, ingredients: Mapping[str, Any]) -> Iterator[Path]:
        """Gives an empty folder that becomes the entry when the block ends without an error.

        An entry that exists already is replaced: entries of the same key hold the same content.
        """
        final = self.path(stage, key)
        aside = self.root / "tmp" / f"{stage}-{key}-{uuid.uuid4().hex[:8]}"
        aside.mkdir(parents=True)
        try:
            yield aside
            (aside / ENTRY).write_text(json.dumps(ingredients, sort_keys=True, indent=1))
            _flush(aside)
            final.parent.mkdir(parents=True, exist_ok=True)
            while aside.exists():
                self.remove(stage, key)  # a folder cannot be renamed over another
                try:
                    aside.rename(final)
                except OSError as error:
                    # Another process has written the same entry in between.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def ingredients(self, stage: str, key: str) -> dict[str, Any]:
        """What a complete entry's key was made of."""
        content: dict[str, Any] = json.loads((self.path(stage, key) / ENTRY).read_text())
        return content

    def relabel(self, stage: str, key: str, ingredients: Mapping[str, Any]) -> None:
        """Replaces the ingredients that a complete entry names, in one step."""
        write_file(self.path(stage, key) / ENTRY, json.dumps(ingredients, sort_keys=True, indent=1))

    def remove(self, stage: str, key: str) -> None:
        """Removes the entry; one that does not exist is not an error."""
        gone = self.root / "tmp" / f"gone-{uuid.uuid4().hex[:8]}"
        gone.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.path(stage, key).rename(gone)  # first out of sight in one step, then deleted file by file
            shutil.rmtree(gone, ignore_errors=True)

    def lock(self, name: str) -> BaseFileLock:
        """A lock among processes, held while it is entered; the kernel frees it if the holder is killed."""
        return FileLock(self.root / "locks" / f"{name}.lock")

    def entries(self, stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, ingredients) of every complete entry of a stage."""
        for file in sorted((self.root / stage).glob(f"*/{ENTRY}")):
            yield file.parent.name, self.ingredients(stage, file.parent.name)

    def of_other_formats(self) -> int:
        """How many entries another version of ablate has left in a format that this one does not read."""
        found = self.root.glob("*/*/entry*.json")
        return sum(file.name != ENTRY and file.parent.parent.name != "tmp" for file in found)

    def clear_leftovers(self, older_than: float = DAY) -> None:
        """Removes what killed processes left half-written so many seconds ago, and work that nobody has gone
        on with for seven times as long."""
        for folder, age in (("tmp", older_than), ("work", 7 * older_than)):
            for path in (self.root / folder).glob("*"):
                if time.time() - path.stat().st_mtime > age:
                    shutil.rmtree(path, ignore_errors=True)


def write_file(path: Path, text: str) -> None:
    """Replaces ``path`` in one step: a reader sees the old text or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    aside.write_text(text)
    aside.replace(path)


def _flush(folder: Path) -> None:
    """Forces the folder's files to the disk before the rename makes them visible."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes (hex)."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
