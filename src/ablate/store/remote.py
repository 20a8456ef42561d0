"""A store in a bucket, for many machines, with a cache on each.

::

    entries/<stage>/<key>/entry.<format>.json   what makes an entry: written last, and only if there is none
    files/<stage>/<key>/<attempt>/…             its files; whoever comes second removes its own
    needs/  kept/  running/  locks/             small texts, as in a folder

The cache is a store in a folder: an entry is made there, then uploaded, and downloaded to there before it is
read. What grows (``work/``), what is damaged and what is being written stays on its machine.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from ablate.errors import GO_ON, RunError
from ablate.store import DAY, KEPT, LOCKS, Store, mark
from ablate.store.bucket import CHUNK, Bucket
from ablate.store.cache import cache_folder, evict, limit, use
from ablate.store.claims import Claim, is_claimed
from ablate.store.files import ENTRY, content_of, damage_in, sealed, unsealed, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ablate.locks import Lock

ENTRIES, FILES, KNOWN = "entries", "files", "known"
"""Folders of the bucket; and that of the cache which has what entries say that are not in it."""
FRESH = 5.0
"""Seconds for which a list of what is there is taken for true. After a lock was acquired it is asked for
anew: what others have stored before they let go of it is seen."""
AT_ONCE = 16
"""Files that are up- or downloaded at the same time."""


class _Contents(NamedTuple):
    """What was in the bucket at a time."""

    when: float
    entries: set[tuple[str, str]]
    kept: set[str]


class BucketStore(Store):
    """The entries below a URL; ``root`` is the folder of the cache. Its methods also raise what those of
    ``Bucket`` raise."""

    pause = 10.0

    def __init__(self, url: str, note: Callable[[str], None]) -> None:
        super().__init__(cache_folder(url), note)
        self.limit = limit()
        self.cache = Store(self.root, note)
        self._bucket = Bucket(url, note)
        self._seen: _Contents | None = None

    def reach(self) -> None:
        """Sees that the bucket answers. Raises UserError within seconds if it does not."""
        if not self.root.is_dir():  # a folder of this name is the cache's, whatever is in it so far
            self.cache.reach()
        self._bucket.reach()

    @property
    def address(self) -> str:
        """Its URL."""
        return self._bucket.url

    @property
    def _contents(self) -> _Contents:
        if self._seen is None or time.monotonic() - self._seen.when > FRESH:
            entries = {
                (path.parts[1], path.parts[2])
                for path in (PurePosixPath(found.name) for found in self._bucket.list(ENTRIES))
                if path.name == ENTRY
            }
            kept = {found.name for found in self._bucket.list(KEPT)}
            self._seen = _Contents(time.monotonic(), entries, kept)
        return self._seen

    def has(self, stage: str, key: str) -> bool:
        """Whether there is an entry in the bucket, or in the cache by a process that could not upload it."""
        return (stage, key) in self._contents.entries or self.cache.has(stage, key)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def writing(self, stage: str, key: str, ingredients: Mapping[str, Any]) -> Iterator[Path]:
        """As ``Store.writing``; then the entry is uploaded."""
        with self.cache.writing(stage, key, ingredients) as folder:
            yield folder
        if not self._upload(stage, key):
            raise RunError(f"{stage}/{key} is damaged in the bucket", where=self.address, fix=GO_ON)

    def _upload(self, stage: str, key: str) -> bool:
        """Gives the bucket what the cache has. If another process was first, its files are taken instead.
        Gives whether the entry is sound now."""
        folder, attempt = self.path(stage, key), uuid.uuid4().hex[:8]
        content = content_of(folder) | {"attempt": attempt}
        places = {name: _place(stage, key, attempt, name) for name in content["files"]}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: self._bucket.put(places[name], folder / name), places))
        if self._bucket.create(_entry(stage, key), sealed(content).encode()):
            self._looked_at.add(folder)
        else:
            self._bucket.delete(list(places.values()))
            if not self._download(stage, key):
                return False
        self._contents.entries.add((stage, key))
        evict(self.cache, self._contents.entries)
        return True

    def remove(self, stage: str, key: str) -> None:
        """Removes the entry from the bucket and from this machine's cache."""
        if (stage, key) in self._contents.entries:
            self._bucket.delete([_entry(stage, key)])  # from here on there is none
            self._bucket.delete([found.name for found in self._bucket.list(f"{FILES}/{stage}/{key}")])
            self._contents.entries.discard((stage, key))
        self.cache.remove(stage, key)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def sound(self, stage: str, key: str) -> bool:
        """As ``Store.sound``. What only the bucket has is downloaded; what only the cache has is uploaded."""
        folder = self.path(stage, key)
        if folder in self._looked_at and self.cache.has(stage, key):
            use(folder)
            return True
        if (stage, key) not in self._contents.entries:
            return self.cache.sound(stage, key) and self._upload(stage, key)
        if not self._is_cached(stage, key):
            return self._download(stage, key)
        use(folder)
        self._looked_at.add(folder)
        return True

    def _is_cached(self, stage: str, key: str) -> bool:
        """Whether the cache has what the bucket has, as it was written."""
        if not self.cache.has(stage, key):
            return False
        theirs = unsealed(self._bucket.get(_entry(stage, key)) or b"")
        folder = self.path(stage, key)
        return theirs is not None and not damage_in(folder) and content_of(folder)["files"] == theirs["files"]

    def _download(self, stage: str, key: str) -> bool:
        """Puts an entry of the bucket into the cache. One that is damaged there is set aside."""
        for last in (False, True):  # what was damaged on its way is not damaged there
            with self.aside(f"{stage}-{key}") as folder:
                try:
                    self._fill(folder, stage, key)
                except FileNotFoundError:
                    if self._bucket.get(_entry(stage, key)) is None:  # another process has removed it
                        self._contents.entries.discard((stage, key))
                        return False
                if not (damage := damage_in(folder)):
                    self.cache.remove(stage, key)
                    self.path(stage, key).parent.mkdir(parents=True, exist_ok=True)
                    with suppress(OSError):  # another process has downloaded it as well
                        folder.rename(self.path(stage, key))
                    self._looked_at.add(self.path(stage, key))
                    evict(self.cache, self._contents.entries)
                    return True
                if last:
                    self._set_aside(stage, key, damage, folder)
                    self.remove(stage, key)
        return False

    def _fill(self, folder: Path, stage: str, key: str) -> None:
        """Downloads an entry into a folder. Raises FileNotFoundError if a file of it is not there."""
        text = self._bucket.get(_entry(stage, key))
        if text is None:
            raise FileNotFoundError(_entry(stage, key))
        (folder / ENTRY).write_bytes(text)
        content = unsealed(text) or {"files": {}}

        def one(name: str) -> None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            self._bucket.download(_place(stage, key, content["attempt"], name), folder / name)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, content["files"]))

    def ingredients(self, stage: str, key: str) -> dict[str, Any]:
        """What an entry's key was made of: the same for all entries of a key, so it is asked for once."""
        known = self.root / KNOWN / f"{stage}-{key}.json"
        for text in (self._read(self.path(stage, key) / ENTRY), self._read(known)):
            if text and (content := unsealed(text)):
                return dict(content["ingredients"])
        text = self._bucket.get(_entry(stage, key)) or b""
        if (content := unsealed(text)) is None:
            raise RunError(f"{ENTRY} is missing, or not what was written", where=f"{self.address}/{key}")
        write_file(known, text.decode())
        return dict(content["ingredients"])

    def _read(self, file: Path) -> bytes | None:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            return None

    def entries(self, stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(key, ingredients) of every entry of a stage that can be read."""
        keys = [key for found, key in self.listed() if found == stage]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            all_ = pool.map(lambda key: self.find_ingredients(stage, key), keys)
            yield from (
                (key, ingredients) for key, ingredients in zip(keys, all_, strict=True) if ingredients
            )

    def listed(self) -> Iterator[tuple[str, str]]:
        """(stage, key) of every entry, in the bucket and in the cache, whether or not it can be read."""
        yield from sorted(self._contents.entries | set(self.cache.listed()))

    def fetched(self, stage: str, key: str) -> Path:
        """The folder of an entry in the cache. Raises RunError if it is not there, or damaged."""
        return self.sound_path(stage, key)

    def use(self, stage: str, key: str) -> None:
        """As ``Store.use``: the cache keeps the entry for another hour."""
        use(self.path(stage, key))

    def damage(self, stage: str, key: str) -> str:
        """As ``Store.damage``, of what is in the bucket."""
        if (stage, key) not in self._contents.entries:
            return self.cache.damage(stage, key)
        content = unsealed(self._bucket.get(_entry(stage, key)) or b"")
        if content is None:
            return f"{ENTRY} does not hold what was written"
        for name, (size, digest) in content["files"].items():
            place, found = _place(stage, key, content["attempt"], name), hashlib.sha256()
            try:
                for start in range(0, size, CHUNK):
                    found.update(self._bucket.part(place, start, min(CHUNK, size - start)))
            except FileNotFoundError:
                return f"{name} is missing"
            if found.hexdigest() != digest:
                return f"{name} does not hold what was written (its SHA-256 differs)"
        return ""

    def size(self, stage: str, key: str) -> int:
        """Bytes of all files of an entry in the bucket, or of one that only the cache has."""
        return self._sizes.get((stage, key)) or self.cache.size(stage, key)

    @cached_property
    def _sizes(self) -> dict[tuple[str, str], int]:
        sizes: dict[tuple[str, str], int] = {}
        for found in self._bucket.list(FILES):
            _, stage, key, *_ = PurePosixPath(found.name).parts
            sizes[stage, key] = sizes.get((stage, key), 0) + found.size
        return sizes

    # ── locks, marks, texts ──────────────────────────────────────────────────────────────────────

    def lock(self, name: str) -> Lock:
        """A lock among all processes that use the bucket."""
        return Claim(self._bucket, f"{LOCKS}/{name}", self._forget)

    def _forget(self) -> None:
        self._seen = None

    def held(self, name: str) -> bool:
        """Whether a process on any machine holds the lock of this name."""
        return is_claimed(self._bucket, f"{LOCKS}/{name}")

    def any_held(self, beginning: str) -> bool:
        """Whether a process on any machine holds a lock whose name begins so."""
        names = (PurePosixPath(name).name for name in self.names(LOCKS))
        return any(self.held(name) for name in names if name.startswith(beginning))

    def keep(self, stage: str, key: str) -> None:
        """As ``Store.keep``, for all machines."""
        super().keep(stage, key)
        self._contents.kept.add(mark(stage, key))

    def kept(self, stage: str, key: str) -> bool:
        """Whether an entry is marked by ``keep``."""
        return mark(stage, key) in self._contents.kept

    def get(self, name: str) -> str | None:
        """The text that the bucket has under a name; None if there is none."""
        text = self._bucket.get(name)
        return None if text is None else text.decode()

    def put(self, name: str, text: str) -> None:
        """Keeps a text in the bucket."""
        self._bucket.put(name, text.encode())

    def drop(self, name: str) -> None:
        """Keeps no text under this name any more."""
        self._bucket.delete([name])

    def names(self, folder: str) -> list[str]:
        """The names of the texts in a folder of the bucket."""
        return sorted(found.name for found in self._bucket.list(folder))

    def clear_leftovers(self, older_than: float = 7 * DAY) -> None:
        """As ``Store.clear_leftovers``, in the cache."""
        self.cache.clear_leftovers(older_than)

    def clear_uploads(self) -> None:
        """Removes uploads of more than a day ago to which no entry belongs."""
        attempts: dict[tuple[str, str, str], list[str]] = {}
        for found in self._bucket.list(FILES):
            if (datetime.now(UTC) - found.modified).total_seconds() > DAY:
                _, stage, key, attempt, *_ = PurePosixPath(found.name).parts
                attempts.setdefault((stage, key, attempt), []).append(found.name)
        for (stage, key, attempt), names in attempts.items():
            entry = unsealed(self._bucket.get(_entry(stage, key)) or b"")
            if entry is None or entry["attempt"] != attempt:
                self._bucket.delete(names)


def _entry(stage: str, key: str) -> str:
    return f"{ENTRIES}/{stage}/{key}/{ENTRY}"


def _place(stage: str, key: str, attempt: str, name: str) -> str:
    return f"{FILES}/{stage}/{key}/{attempt}/{name}"
