"""What a store's files are made of: texts that are replaced in one step or tell when they have changed, the
file that makes a folder an entry, digests.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

from ablate.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 3
"""Of what stages write. To be raised when old entries can no longer be read under the same keys."""
ENTRY = f"entry.{FORMAT}.json"
"""The file that makes a folder an entry."""
ASIDE = ".new"
"""Ending of a small file that is being written."""


def key_of(ingredients: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of ``ingredients``, shortened to 128 bits (32 hex digits)."""
    text = json.dumps(ingredients, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def write_file(path: Path, text: str) -> None:
    """Replaces ``path`` in one step: a reader sees the old text or the new one, also after a power cut. Of
    several writers at once, the last one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{ASIDE}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def sealed(content: Mapping[str, Any]) -> str:
    """``content`` as JSON that tells when a part of it has changed."""
    plain = json.loads(json.dumps(content))  # as it will be read again: the digest is of that
    return json.dumps({"content": plain, "digest": key_of(plain)}, sort_keys=True, indent=0)


def unsealed(text: bytes) -> dict[str, Any] | None:
    """The content of ``sealed``; None if it is not as it was written."""
    try:
        sealed = json.loads(text)
        content: dict[str, Any] = sealed["content"]
        return content if key_of(content) == sealed["digest"] else None
    except (ValueError, KeyError, TypeError):
        return None


def content_of(folder: Path) -> dict[str, Any]:
    """What the file that makes a folder an entry says: ``ingredients``; ``files``, name → size and SHA-256.

    Raises RunError if it cannot be read.
    """
    file = folder / ENTRY
    try:
        content = unsealed(file.read_bytes())
    except FileNotFoundError as error:  # another process may have removed it in this moment
        raise RunError(f"{ENTRY} is missing", where=str(file)) from error
    if content is None:
        raise RunError(f"{ENTRY} does not hold what was written", where=str(file))
    return content


def damage_in(folder: Path) -> str:
    """What is wrong with an entry's folder, in words; empty if all its files are as they were written."""
    try:
        stored = content_of(folder)["files"]
    except RunError as error:
        return error.what
    for name, (size, digest) in stored.items():
        file = folder / name
        try:
            if (found := file.stat().st_size) != size:
                return f"{name} has {found} bytes, and {size} were written"
            if file_digest(file) != digest:
                return f"{name} does not hold what was written (its SHA-256 differs)"
        except FileNotFoundError:
            return f"{name} is missing"
    return ""


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def files_of(folder: Path) -> dict[str, tuple[int, str]]:
    """Name → size and SHA-256 of each file below ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {file.relative_to(folder).as_posix(): (file.stat().st_size, file_digest(file)) for file in files}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes (hex)."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def flush(folder: Path) -> None:
    """Forces the folder's files to the disk before the rename makes them visible."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def link(file: str | Path, name: str | Path) -> None:
    """A second name for a file; a copy where the file system knows no second names."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
