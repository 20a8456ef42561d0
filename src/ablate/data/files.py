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


def split_ending(name: str) -> tuple[str, str]:
    """A path without its ending, and the ending in lower case: ``("more/bat", ".png")``."""
    stem, _, ending = name.rpartition(".")
    return (stem, f".{ending.lower()}") if stem else (name, "")


def is_image(name: str) -> bool:
    """Whether a file is called like an image."""
    return split_ending(name)[1] in ENDINGS


def walk(folder: Path) -> Iterator[str]:
    """Paths from ``folder`` of all files below it, in the order of their names; links are followed, wherever
    they lead.

    Not entered are hidden folders (``.git``), and links that lead back to a folder above them. Raises
    OSError for a folder that cannot be read.
    """
    yield from _walk(folder, "", frozenset())


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_file(follow_symlinks=False)) for entry in entries)
    for name, is_plain_file in found:
        if is_plain_file or (folder / name).is_file():
            yield prefix + name
        elif not name.startswith(".") and (folder / name).is_dir():
            yield from _walk(folder / name, f"{prefix}{name}/", above | {here})


def folded(name: str) -> str:
    """What two names have in common that are one file where case and Unicode forms do not count."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
