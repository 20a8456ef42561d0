"""Files of a data set's folder, and how their names compare."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats of images that are read. Pillow knows more, some of which start other programs."""

ENDINGS = frozenset(f".{name.lower()}" for name in FORMATS) | {".jpg", ".tif"}
"""Of their files, in lower case."""


def is_image(path: Path) -> bool:
    """Whether a file is called like an image."""
    return path.suffix.lower() in ENDINGS


def walk(folder: Path) -> Iterator[Path]:
    """All files below ``folder``, in the order of their names; links are followed, wherever they lead.

    Not entered are hidden folders (``.git``), and links that lead back to a folder above them. Raises
    OSError for a folder that cannot be read.
    """
    yield from _walk(folder, frozenset())


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        names = sorted((entry.name, not entry.is_file(follow_symlinks=False)) for entry in entries)
    for name, may_be_folder in names:
        path = folder / name
        if not may_be_folder or path.is_file():
            yield path
        elif path.is_dir() and not name.startswith("."):
            yield from _walk(path, above | {here})


def folded(name: str) -> str:
    """What two names have in common that are one file where case and Unicode forms do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
