"""Reads captions that others wrote, field by field. Whatever is wrong is a ``DataError`` with its place."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeVar

from ablate.data.files import folded
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    OnProblem = Callable[[DataError], None]
    """Gets what is wrong with one entry. The entry is left out if it comes back."""

E = TypeVar("E")
T = TypeVar("T")

EXPECTED = (
    "A data set has train_info.json and test.json, or metadata.jsonl (.csv, .parquet), captions.json, or a "
    ".txt file beside each image: see docs/own-images.md."
)

TEXT_FIELDS = ("text", "caption", "prompt")
"""The first that a row of a table has is its text."""


LONGEST = 255
"""Bytes of a file's name, on nearly all file systems."""


class EmptyTextError(DataError):
    """A text that is needed is empty."""


class NoImageError(DataError):
    """An entry has no image."""


@dataclass(frozen=True)
class Entry:
    """One entry of a file of captions, read field by field."""

    file: Path
    name: str
    """Its key, or its line; "" for the only one of a file."""
    content: object

    def error(self, field: str, what: str, fix: str, kind: type[DataError] = DataError) -> DataError:
        """An error at this entry, or at one of its fields."""
        place = f": {self.name}{field and '.'}{field}" if self.name else ""
        return kind(what, where=f"{self.file}{place}", fix=fix)

    @property
    def fields(self) -> set[str]:
        """Names of the fields that are there and hold something."""
        content = self.content if isinstance(self.content, dict) else {}
        return {name for name, value in content.items() if value is not None}

    def field(self, name: str) -> object:
        """A field's value; None if it is not there."""
        if not isinstance(self.content, dict):
            raise self._another_kind("", self.content, "an object")
        return self.content.get(name)

    def text(self, name: str, *, required: bool = True) -> str:
        """A text without the white space around it; "" if it is not there and not required."""
        value = self.field(name)
        if value is None and required:
            raise self.error(name, "is missing", "Every entry needs this field.")
        text = "" if value is None else self._checked(name, value)
        if required and not text:
            raise self.error(name, "is empty", "Every entry needs this field.", EmptyTextError)
        return text

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of at least one text, none of them empty."""
        value = self.field(name)
        if not isinstance(value, list):
            raise self._another_kind(name, value, "a list of strings", "Write a list with at least one.")
        texts = tuple(self._checked(name, text) for text in value)
        if not texts or not all(texts):
            what = "holds an empty string" if texts else "is an empty list"
            raise self.error(name, what, "Write at least one, and none that is empty.", EmptyTextError)
        return texts

    def file_name(self, name: str, *, folders: bool = False) -> str:
        """A file's name; with ``folders`` a path below its own folder."""
        value = self.text(name)
        parts = value.split("/")
        plain = all(part not in ("", ".", "..") and len(part.encode()) <= LONGEST for part in parts)
        if not plain or "\\" in value or "\0" in value or (len(parts) > 1 and not folders):
            kind = "path below its folder" if folders else "plain file name"
            raise self.error(name, f"{value!r} is not a {kind}", "Give the name of a file in that folder.")
        return value

    def _checked(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._another_kind(name, value, "a string")
        try:
            value.encode()
        except UnicodeEncodeError as error:  # half of a pair that stands for one character
            what = f"holds a broken character ({error.reason})"
            raise self.error(name, what, "Write the text again.") from None
        return "" if is_blank(value) else value.strip()

    def _another_kind(self, name: str, value: object, expected: str, fix: str = EXPECTED) -> DataError:
        return self.error(name, f"holds {kind_of(value)} where {expected} is expected", fix)


def read_each(entries: Iterable[E], read: Callable[[E], T], on_problem: OnProblem) -> Iterator[T]:
    """What ``read`` makes of each entry. The DataError that it raises for one goes to ``on_problem``."""
    for entry in entries:
        try:
            content = read(entry)
        except DataError as problem:
            on_problem(problem)
        else:
            yield content


def read_all(read: Callable[[], list[T]], on_problem: OnProblem) -> list[T]:
    """What ``read`` reads of a whole file; nothing if it raises a DataError and ``on_problem`` comes back."""
    try:
        return read()
    except DataError as problem:
        on_problem(problem)
        return []


class Names:
    """Names of entries that must differ, also where case and Unicode forms do not count, as on macOS."""

    def __init__(self, *, endings: bool = True) -> None:
        self._endings = endings
        """Whether they count. Samples are saved as PNGs, whatever a prompt's image is."""
        self._first: dict[str, tuple[str, Entry]] = {}

    def add(self, entry: Entry, field: str, name: str) -> None:
        """Raises DataError if another entry has this name, or if it is too long for a sample's file."""
        plain = name if self._endings else PurePosixPath(name).stem
        if not self._endings and len(f"{plain}.png".encode()) > LONGEST:
            what = f"the name of the image, {name!r}, is longer than the {LONGEST} bytes of a file's name"
            raise entry.error(field, what, "Samples are saved under it: choose a shorter one.")
        first, owner = self._first.setdefault(folded(plain), (plain, entry))
        if owner is entry:
            return
        what = f"{name!r} is also the name of {owner.name or owner.file.name}"
        if first != plain:
            what += f", {first!r}, on a disk that ignores case and Unicode forms"
        if not self._endings:
            what += " (extensions do not count)"
        raise entry.error(field, what, "Make the names unique.")


def natural(text: str) -> tuple[object, ...]:
    """Sort key: "2_main" before "10_main"."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", text)
    # Digits are compared as text, shorter first: int() refuses thousands of them.
    numbers = [piece.lstrip("0") if piece[0] in "0123456789" else None for piece in pieces]
    parts = zip(pieces, numbers, strict=True)
    return (tuple((1, 0, p) if n is None else (0, len(n), n) for p, n in parts), text)


def kind_of(value: object) -> str:
    """A JSON value's type in words."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def is_blank(text: str) -> bool:
    """Whether nothing in it can be seen: only spaces and characters without a shape, such as U+200B."""
    return all(unicodedata.category(character)[0] in "ZC" for character in text)
