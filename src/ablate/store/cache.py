"""The cache of a bucket on this machine: where it lies, how large it may be, and what goes first."""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import RunError, UserError
from ablate.store.files import ENTRY, content_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from ablate.store import Store

FOLDER, LIMIT = "ABLATE_CACHE", "ABLATE_CACHE_GB"
"""Environment variables."""
DEFAULT_GB = 100.0
IN_USE = 3600.0
"""Seconds for which an entry stays that was asked for: a process may be about to open its files."""


def cache_folder(url: str) -> Path:
    """The folder of the cache of a bucket: below ``ABLATE_CACHE``, by default ``~/.cache/ablate``. That of a
    shared folder, given by its path, has only what must not lie on a network file system."""
    name = "".join(c if c.isalnum() else "-" for c in url.rpartition("://")[2])[:60]
    digest = hashlib.sha256(url.encode()).hexdigest()[:8]
    return cache_root() / f"{name}-{digest}"


def cache_root() -> Path:
    """``ABLATE_CACHE``, by default ``~/.cache/ablate``."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablate"
    return Path(os.environ.get(FOLDER) or default).absolute()


def limit() -> float:
    """Bytes that a cache may have: ``ABLATE_CACHE_GB``, by default 100 GB. Raises UserError."""
    given = os.environ.get(LIMIT) or DEFAULT_GB
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = -1.0
    if not gigabytes >= 0:
        raise UserError(f"is to be a number of gigabytes, and is {given!r}", where=LIMIT, fix=f"{LIMIT}=50")
    return gigabytes * 1e9


def use(entry: Path) -> None:
    """Notes that an entry is asked for now."""
    with suppress(FileNotFoundError):  # another process has just removed it; who reads it will find out
        os.utime(entry / ENTRY)


def evict(cache: Store, in_the_bucket: Collection[tuple[str, str]]) -> None:
    """Removes the entries that were asked for least recently, until the others fit into the limit. What only
    the cache has stays, and so does what was asked for within the last hour."""
    entries = []
    for stage, key in cache.listed():
        try:
            size = sum(size for size, _ in content_of(cache.path(stage, key))["files"].values())
            used = (cache.path(stage, key) / ENTRY).stat().st_mtime
        except (RunError, FileNotFoundError):
            continue
        entries.append((used, size, (stage, key)))
    over = sum(size for _, size, _ in entries) - limit()
    for used, size, entry in sorted(entries):
        if over <= 0 or time.time() - used < IN_USE:
            return
        if entry in in_the_bucket:
            cache.remove(*entry)
            over -= size
