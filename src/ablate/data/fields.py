"""Reads JSON that others wrote, field by field. Whatever is wrong is a ``DataError`` that names the place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    OnProblem = Callable[[DataError], None]
    """Gets what is wrong with one entry. The entry is left out if it comes back."""

E = TypeVar("E")
T = TypeVar("T")

EXPECTED = (
    "A data set has train_info.json, train/, test.json and test/, or train/metadata.jsonl and "
    "test/metadata.jsonl: see “Data” in docs/how-to.md."
)


class EmptyTextError(DataError):
    """A text that is needed is empty."""


class NoImageError(DataError):
    """An entry has no image."""


def fail(problem: DataError) -> NoReturn:
    """The usual ``OnProblem``: the first one ends the reading."""
    raise problem


@dataclass(frozen=True)
class Entry:
    """One entry of a JSON file, read field by field."""

    file: Path
    name: str
    """Its key, or its line."""
    content: object

    def error(self, field: str, what: str, fix: str, kind: type[DataError] = DataError) -> DataError:
        """An error at this entry, or at one of its fields."""
        return kind(what, where=f"{self.file}: {self.name}{field and '.'}{field}", fix=fix)

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
        plain = all(part not in ("", ".", "..") and len(part.encode()) < 256 for part in parts)
        if not plain or "\\" in value or "\0" in value or (len(parts) > 1 and not folders):
            kind = "path below its folder" if folders else "plain file name"
            raise self.error(name, f"{value!r} is not a {kind}", "Give the name of a file in that folder.")
        return value

    def _checked(self, name: str, value: object) -> str:
        if not isinstance(value, str):
            raise self._another_kind(name, value, "a string")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            # JSON can write half of a character ("\ud83d"), which no tokenizer takes.
            what = f"holds a broken character ({error.reason})"
            raise self.error(name, what, "Write the text again.") from None
        return value.strip()

    def _another_kind(self, name: str, value: object, expected: str, fix: str = EXPECTED) -> DataError:
        return self.error(name, f"holds {kind_of(value)} where {expected} is expected", fix)


def read_object(file: Path) -> list[Entry]:
    """The entries of a JSON file that must hold a non-empty object, in natural order of their keys."""
    content = _parse(_bytes(file), file, first_line=1)
    if not isinstance(content, dict):
        raise _unusable(file, f"holds {kind_of(content)} where an object is expected")
    if not content:
        raise DataError("has no entries", where=str(file), fix="A data set needs at least one image.")
    return [Entry(file, key, content[key]) for key in sorted(content, key=natural)]


def read_lines(file: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """The entries of a file with one JSON object a line, in their order; empty lines are skipped."""
    for number, line in enumerate(_bytes(file).split(b"\n"), 1):
        if line.strip():
            try:
                yield Entry(file, f"line {number}", _parse(line, file, first_line=number))
            except DataError as problem:
                on_problem(problem)


def read_each(entries: Iterable[E], read: Callable[[E], T], on_problem: OnProblem) -> Iterator[T]:
    """What ``read`` makes of each entry. The DataError that it raises for one goes to ``on_problem``."""
    for entry in entries:
        try:
            content = read(entry)
        except DataError as problem:
            on_problem(problem)
        else:
            yield content


class Names:
    """Names of prompts' images. Samples are saved under them as PNGs, so their endings do not count."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def add(self, entry: Entry, field: str, name: str) -> None:
        """Raises DataError if another entry has this name."""
        owner = self._owners.setdefault(PurePosixPath(name).stem, entry.name)
        if owner != entry.name:
            what = f"{name!r} is also the name of {owner} (extensions do not count)"
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


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise _unusable(file, "the file does not exist") from None
    except OSError as error:
        raise _unusable(file, f"cannot be read ({error.strerror})") from error


def _parse(raw: bytes, file: Path, *, first_line: int) -> object:
    try:
        return json.loads(raw.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        line = first_line + raw.count(b"\n", 0, error.start)
        where = f"{file}: line {line}"
        raise DataError("is not UTF-8 text", where=where, fix="Save the file as UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"{file}: line {first_line + error.lineno - 1}, column {error.colno}"
        fix = "Correct the file there, or copy it again from its source."
        raise DataError(f"is not valid JSON: {error.msg}", where=where, fix=fix) from None
    except RecursionError:
        raise _unusable(file, "is nested too deeply") from None
    except ValueError as error:  # numbers of thousands of digits
        raise _unusable(file, f"cannot be read ({error})") from None


def _unusable(file: Path, what: str) -> DataError:
    return DataError(what, where=str(file), fix=EXPECTED)
