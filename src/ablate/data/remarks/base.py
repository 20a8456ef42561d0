"""What remarks are made of, and what they are made from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

    from ablate.data.entries import Captioned
    from ablate.errors import DataError

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Remark:
    """One thing about a data set, and where it is so."""

    level: Level
    """An ``error`` keeps it from being trained with."""
    what: str
    places: tuple[str, ...]
    """All of them, with paths from the data set's folder. Without any there is nothing to say."""
    fix: str = ""


@dataclass(frozen=True)
class Seen:
    """What is remembered of a decoded image: its pixels are not."""

    digest: bytes = b""
    """Of the upright RGB pixels and the size."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels."""
    mode: str = ""
    """Pillow's name for the file's kind of pixels."""
    traits: frozenset[str] = frozenset()
    """What decoding did not keep, as ``Decoded.traits``; and ``profile``: its colours have one."""
    problem: DataError | None = None
    """Why it cannot be decoded; the other fields are empty then."""


@dataclass(frozen=True)
class DataSet:
    """Everything that was read and seen of a folder."""

    folder: Path
    problems: tuple[DataError, ...]
    """What is wrong with entries."""
    read: Captioned
    images: dict[Path, Seen]
    """Each image that an entry names."""

    def place(self, path: Path) -> str:
        """A path from the data set's folder."""
        return path.relative_to(self.folder).as_posix()

    def place_of(self, problem: DataError) -> str:
        """Where a problem is and what it is."""
        return f"{problem.where.removeprefix(f'{self.folder}{os.sep}')}: {problem.what}"


def counted(kinds: Counter[str]) -> tuple[str, ...]:
    """Kinds with their counts, the most common one first."""
    return tuple(f"{kind}: {count}" for kind, count in kinds.most_common())
