"""The content-addressed store: ``.ablate/<stage>/<key>/``, a cache that can be deleted at any time.

An entry is a directory, written aside and renamed into place, so a reader sees all of it or none.
Its ``entry.<format>.json`` holds the ingredients its key was made of, which is what lets ``ablate plan``
say *why* a stage has to run again, and the size and SHA-256 of each of its files. What does not agree with
them is set aside in ``damaged/`` and made again. Entries of another format are ignored.
"""

from __future__ import annotations

import errno
import math
import re
import shutil
import time
import uuid
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from ablate.errors import RunError, UserError
from ablate.locks import is_held, lock_on
from ablate.mounts import network_kind
from ablate.store.files import (
    ASIDE,
    ENTRY,
    content_of,
    damage_in,
    files_of,
    flush,
    sealed,
    size_of,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ablate.locks import Lock

TMP, WORK, LOCKS, DAMAGED, KEPT, NEEDS = "tmp", "work", "locks", "damaged", "kept", "needs"
"""Folders of the store that hold no entries."""
IDENTITY = "store/id"
"""The text that tells a store from others."""
STAGES = ("prepare", "augmented")
"""Those whose work goes on after an interruption."""
DAY = 86_400.0
"""Seconds."""


def mark(stage: str, key: str) -> str:
    """The name of the text that marks an entry as kept."""
    return f"{KEPT}/{stage}-{key}"


def refuse_foreign(root: Path) -> None:
    """Looks whether a folder can be a store: it is one, or nothing is in it.

    Raises:
        UserError: it holds something else. A store clears away what is left over in it.
    """
    fix = "Choose a new or an empty folder with --store."
    if not root.is_dir():
        if root.exists() or root.is_symlink():
            raise UserError("is a file, and the store is a folder", where=str(root), fix=fix)
        return
    # An import without weights leaves nothing but what the study needs.
    patterns = ("digests.json", IDENTITY, f"{LOCKS}/*.lock", f"{NEEDS}/*.json")
    ours = (root.glob(pattern) for pattern in patterns)
    if any(path.is_file() for found in ours for path in found):
        return
    shown = (path for path in root.iterdir() if not path.name.startswith("."))
    others = sorted(path.name for path in shown if not path.is_dir() or any(path.iterdir()))
    if others and not any(root.glob("*/*/entry*.json")):
        raise UserError(f"is not a store of ablate: it holds {others[0]!r}", where=str(root), fix=fix)


def _silent(text: str) -> None:
    """Where nobody wants to know."""


class Store:
    """Directories addressed by (stage, key) below ``root``. ``note`` is told what was found damaged."""

    pause = 1.0
    """Seconds between two times of writing what changes often, as how far a command is."""

    limit = math.inf
    """Bytes that it may have on this machine, where it keeps only a part of what it has."""

    def __init__(self, root: Path | str, note: Callable[[str], None] = _silent) -> None:
        self.root = Path(root)
        self.note = note
        self._looked_at: set[Path] = set()

    @property
    def address(self) -> str:
        """What names this store to other processes, and to the user."""
        return str(self.root)

    @cached_property
    def _shared(self) -> bool:
        """Whether it lies on a file system that machines share."""
        return bool(network_kind(self.root))

    @cached_property
    def identity(self) -> str:
        """A random name, the same for all who see this store, under whatever address."""
        if self.get(IDENTITY) is None:
            self.put(IDENTITY, uuid.uuid4().hex)
        return self.get(IDENTITY) or ""

    def reach(self) -> None:
        """Sees that it can be used. Raises UserError if it cannot."""
        refuse_foreign(self.root)

    def path(self, stage: str, key: str) -> Path:
        """Where the entry lies, whether it exists or not."""
        return self.root / stage / key

    def has(self, stage: str, key: str) -> bool:
        """Whether there is an entry. It may be damaged: ``sound`` looks."""
        return (self.path(stage, key) / ENTRY).is_file()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def make(
        self, stage: str, key: str, ingredients: Mapping[str, Any], fill: Callable[[Path], None]
    ) -> Path:
        """The entry's folder. Where there is no sound entry, ``fill`` first writes its files into an empty
        folder.

        Of several processes that ask at once, one makes the entry and the others wait for it. An error
        in ``fill`` leaves no entry behind.
        """
        with self.lock(f"{stage}-{key}"):
            if not self.sound(stage, key):
                with self.writing(stage, key, ingredients) as folder:
                    fill(folder)
        return self.path(stage, key)

    @contextmanager
    def writing(self, stage: str, key: str, ingredients: Mapping[str, Any]) -> Iterator[Path]:
        """Gives an empty folder that becomes the entry when the block ends without an error.

        An entry that exists already stays: entries of the same key hold the same content, and somebody may be
        reading it.
        """
        final = self.path(stage, key)
        with self.aside(f"{stage}-{key}") as folder:
            yield folder
            (folder / ENTRY).write_text(sealed({"ingredients": ingredients, "files": files_of(folder)}))
            flush(folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            while not self.has(stage, key):
                try:
                    folder.rename(final)
                    self._looked_at.add(final)
                except OSError as error:  # a folder cannot be renamed over another
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    if not self.has(stage, key):
                        self.remove(stage, key)  # no entry: of another version, or without its file

    @contextmanager
    def aside(self, name: str) -> Iterator[Path]:
        """An empty folder of its own in ``tmp/``, which is gone when the block ends.

        A lock beside it is held as long as it is in use. So others can tell what a killed process has left.
        """
        folder = self.root / TMP / f"{name}-{uuid.uuid4().hex[:8]}"
        lock = folder.with_name(f"{folder.name}.lock")
        with lock_on(lock, shared=self._shared):
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                lock.unlink(missing_ok=True)

    def remove(self, stage: str, key: str) -> None:
        """Removes the entry; one that does not exist is not an error."""
        gone = self.root / TMP / f"gone-{uuid.uuid4().hex[:8]}"
        gone.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.path(stage, key).rename(gone)  # first out of sight in one step, then deleted file by file
            shutil.rmtree(gone, ignore_errors=True)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def ingredients(self, stage: str, key: str) -> dict[str, Any]:
        """What an entry's key was made of. Raises RunError if the entry cannot be read."""
        ingredients: dict[str, Any] = content_of(self.path(stage, key))["ingredients"]
        return ingredients

    def find_ingredients(self, stage: str, key: str) -> dict[str, Any]:
        """``ingredients``; empty if the entry cannot be read."""
        try:
            return self.ingredients(stage, key)
        except RunError:
            return {}

    def entries(self, stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, ingredients) of every entry of a stage that can be read."""
        for file in sorted((self.root / stage).glob(f"*/{ENTRY}")):
            with suppress(RunError):
                yield file.parent.name, self.ingredients(stage, file.parent.name)

    def size(self, stage: str, key: str) -> int:
        """Bytes of all files of an entry."""
        return size_of(self.path(stage, key))

    def listed(self) -> Iterator[tuple[str, str]]:
        """(stage, key) of every entry, whether or not it can be read."""
        for file in sorted(self.root.glob(f"*/*/{ENTRY}")):
            if file.parent.parent.name not in (TMP, WORK, DAMAGED):
                yield file.parent.parent.name, file.parent.name

    def sound(self, stage: str, key: str) -> bool:
        """Whether there is an entry whose files are as they were written. One that is damaged is set aside.

        Reads all its files, the first time that this object is asked.
        """
        entry = self.path(stage, key)
        if not self.has(stage, key):
            return False
        if entry not in self._looked_at and (damage := self.damage(stage, key)):
            self._set_aside(stage, key, damage)
            return False
        self._looked_at.add(entry)
        return True

    def sound_path(self, stage: str, key: str) -> Path:
        """The folder of an entry whose files are as they were written.

        Raises:
            RunError: there is none, or it is damaged and was set aside.
        """
        if not self.sound(stage, key):
            raise RunError(
                f"{stage}/{key} is not in the store, or not as it was written",
                where=self.address,
                fix="`ablate run` with the same options makes it again.",
            )
        return self.path(stage, key)

    def fetched(self, stage: str, key: str) -> Path:
        """The folder of an entry that is there, for reading; a store elsewhere brings it here first."""
        return self.path(stage, key)

    def use(self, stage: str, key: str) -> None:
        """Notes that an entry is still in use, where what is not would be forgotten."""

    def damage(self, stage: str, key: str) -> str:
        """What is wrong with an entry, in words; empty if all its files are as they were written."""
        return damage_in(self.path(stage, key))

    def _set_aside(self, stage: str, key: str, damage: str, folder: Path | None = None) -> None:
        """Moves a damaged entry, or a ``folder`` that holds its files, to where it stays for a look."""
        place = self.root / DAMAGED / f"{stage}-{key}-{uuid.uuid4().hex[:8]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            (folder or self.path(stage, key)).rename(place)
        except FileNotFoundError:  # another process has removed it, or set it aside
            return
        self.note(f"damaged: {stage}/{key}: {damage}. It is set aside in {place} and made again.")

    # ── locks, marks ─────────────────────────────────────────────────────────────────────────────

    def lock(self, name: str) -> Lock:
        """A lock among processes, held while it is entered; it is freed if the holder is killed."""
        return lock_on(self.root / LOCKS / f"{name}.lock", shared=self._shared)

    def held(self, name: str) -> bool:
        """Whether a process holds the lock of this name. Waits for nobody and writes nothing."""
        return is_held(self.root / LOCKS / f"{name}.lock", shared=self._shared)

    def any_held(self, beginning: str) -> bool:
        """Whether a process holds a lock whose name begins so. Waits for nobody and writes nothing."""
        return any(map(self._in_use, (self.root / LOCKS).glob(f"{beginning}*.lock")))

    def keep(self, stage: str, key: str) -> None:
        """Marks an entry, which need not exist yet, as one that is not to be forgotten on the way."""
        if not self.kept(stage, key):
            self.put(mark(stage, key), "")

    def kept(self, stage: str, key: str) -> bool:
        """Whether an entry is marked by ``keep``."""
        return self.get(mark(stage, key)) is not None

    # ── small texts that commands leave for each other ───────────────────────────────────────────

    def get(self, name: str) -> str | None:
        """The text that is kept under a name, ``<folder>/<name>``; None if there is none."""
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def put(self, name: str, text: str) -> None:
        """Keeps a text under a name, in the place of an older one."""
        write_file(self.root / name, text)

    def drop(self, name: str) -> None:
        """Keeps no text under this name any more."""
        (self.root / name).unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """The names of the texts in a folder."""
        found = (self.root / folder).glob("*")
        return sorted(f"{folder}/{path.name}" for path in found if not path.name.startswith("."))

    # ── leftovers ────────────────────────────────────────────────────────────────────────────────

    def of_other_formats(self) -> list[Path]:
        """Entries that another version of ablate has left in a format that this one does not read."""
        found = self.root.glob("*/*/entry*.json")
        return [
            file.parent
            for file in found
            if file.name != ENTRY and file.parent.parent.name not in (TMP, DAMAGED)
        ]

    def leftovers(self) -> Iterator[Path]:
        """What killed processes have left in ``tmp/``: nobody uses it."""
        for path in self._aside("*"):
            lock = path.with_name(f"{path.name}.lock")
            if path.suffix == ".lock":
                left = not path.with_suffix("").exists() and _age(path) > DAY and self._is_left(path)
            elif lock.exists():
                left = self._is_left(lock)
            else:
                left = path.name.startswith("gone-") or _age(path) > DAY
            if left:
                yield path

    def _aside(self, pattern: str) -> Iterator[Path]:
        """What lies in ``tmp/`` and was put there by ``aside`` or ``remove``: other files are somebody's."""
        found = (self.root / TMP).glob(pattern)
        return (path for path in found if re.fullmatch(r".+-[0-9a-f]{8}(\.lock)?", path.name))

    def work(self) -> Iterator[Path]:
        """Folders of work that was begun and goes on."""
        found = (self.root / WORK).glob("*-*")
        return (path for path in found if path.name.partition("-")[0] in STAGES)

    def clear_leftovers(self, older_than: float = 7 * DAY) -> None:
        """Removes what killed processes have left half-written, and work that nobody has gone on with for so
        many seconds. What a process is using stays, whatever its age."""
        for gone in self._aside("gone-*"):
            shutil.rmtree(gone, ignore_errors=True)
        for lock in self._aside("*.lock"):
            if not self._is_left(lock):
                continue
            if self._shared:
                lock.unlink(missing_ok=True)  # so that nobody waits for it to run out
            with suppress(Timeout), lock_on(lock, shared=self._shared).acquire(blocking=False):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)  # who waits for it in this moment locks a new file
        for folder in self._aside("*"):
            if not folder.with_name(f"{folder.name}.lock").exists() and _age(folder) > DAY:
                shutil.rmtree(folder, ignore_errors=True)  # of a version that had no locks
        for folder in self.work():
            if _age(folder) > older_than:
                with suppress(Timeout), self.lock(folder.name).acquire(blocking=False):
                    shutil.rmtree(folder, ignore_errors=True)
        for aside in self.root.glob(f"*/.*{ASIDE}"):
            if _age(aside) > DAY:
                aside.unlink(missing_ok=True)

    def clear_uploads(self) -> None:
        """Removes what killed processes have uploaded in vain. Only a bucket has any."""

    def locks(self) -> Iterator[Path]:
        """The files of locks that nobody holds or comes back to."""
        for file in (self.root / LOCKS).glob("*.lock"):
            if self._is_left(file):
                yield file

    def _in_use(self, lock: Path) -> bool:
        return is_held(lock, shared=self._shared)

    def _is_left(self, lock: Path) -> bool:
        """Whether nobody will come back to a lock. On another machine its process may be suspended: for a day
        it is expected back."""
        return not self._in_use(lock) and (not self._shared or _age(lock) > DAY)


def _age(path: Path) -> float:
    """Seconds since a file or folder was changed; 0 for one that has gone."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
