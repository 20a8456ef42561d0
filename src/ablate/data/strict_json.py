"""Reads JSON that others wrote: what says two things, or nothing, is an error with its line and column.

Python's own reader takes the last of two equal keys, and NaN, Infinity and 1e999 for numbers.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from ablate.errors import DataError
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]|NaN|-?Infinity|-?[0-9][0-9.eE+-]*')
"""What a fault can lie in: a string (a key, if a colon follows), the ends of an object, a number."""

HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""How JSON writes half of a character, most often beside the other half."""

AGAIN = "Correct the file there, or copy it again from its source."
KEEP_ONE = "Keep one of them, or give them different names."
AS_UTF8 = "Save the file as UTF-8."


def fail(problem: DataError) -> NoReturn:
    """The usual ``on_fault``: the first one ends the reading."""
    raise problem


def read(text: str, where: str, *, first_line: int = 1, on_fault: Callable[[DataError], None] = fail) -> Any:
    """The content of JSON text. ``where`` names its file; its lines are counted from ``first_line``.

    Raises DataError, with line and column, for what is not JSON. A key that is twice in an object, a number
    that is not finite and half of a character go to ``on_fault``, all of them, in their order; it raises
    them unless another is given.
    """
    text = text.removeprefix("\ufeff")
    doubtful = HALF.search(text) is not None
    try:
        try:
            content = STRICT.decode(text)
        except _DoubtError:
            content, doubtful = json.loads(text), True
    except json.JSONDecodeError as error:
        place = _place(where, text, error.pos, first_line)
        raise DataError(f"is not valid JSON: {error.msg}", where=place, fix=AGAIN) from None
    except RecursionError:
        raise DataError("is nested too deeply", where=where, fix=AGAIN) from None
    except ValueError as error:  # numbers of thousands of digits
        raise DataError(f"cannot be read ({error})", where=where, fix=AGAIN) from None
    for position, what, fix in _faults(text) if doubtful else ():
        on_fault(DataError(what, where=_place(where, text, position, first_line), fix=fix))
    return content


def text_of(file: Path) -> str:
    """The text of a UTF-8 file without its byte order mark.

    Raises DataError if it is not there, is not a file, cannot be read or is in another encoding.
    """
    try:
        if not file.is_file() and file.exists():
            what = "is a folder" if file.is_dir() else "is not an ordinary file"  # a FIFO would never end
            raise DataError(what, where=str(file), fix="Give a file.")
        return decoded(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(file), fix="Check its path.") from None
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(file), fix=AGAIN) from error


def decoded(raw: bytes, where: str) -> str:
    """UTF-8 as text, without a byte order mark. Raises DataError, with the line, for another encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError("is UTF-16 or UTF-32 text, not UTF-8", where=where, fix=AS_UTF8)
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = 1 + raw.count(b"\n", 0, error.start)
        raise DataError("is not UTF-8 text", where=f"{where}: line {line}", fix=AS_UTF8) from None


class _DoubtError(Exception):
    """There is a fault somewhere."""


def _to_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _DoubtError
    return content


def _to_number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _DoubtError
    return number


STRICT = json.JSONDecoder(object_pairs_hook=_to_object, parse_constant=_to_number, parse_float=_to_number)


def _faults(text: str) -> Iterator[tuple[int, str, str]]:
    """Position, what is wrong, and what to do, of all faults of valid JSON."""
    objects: list[dict[str, int]] = []  # those that are open: key → its position
    for token in TOKEN.finditer(text):
        at, shown = token.start(), token[0]
        if shown == "{":
            objects.append({})
        elif shown == "}":
            objects.pop()
        elif not token[1]:
            if not math.isfinite(float(shown)):
                yield (
                    at,
                    f"{cut(shown, 60)} is not a finite number",
                    "Write a number, or leave the field out.",
                )
        else:
            string = json.loads(token[1])
            if _is_broken(string):
                yield at, f"holds half of a character: {cut(token[1], 60)}", "Write the text again."
            if token[2] and (first := objects[-1].setdefault(string, at)) != at:
                line = 1 + text.count("\n", 0, first)
                earlier = "" if line == 1 + text.count("\n", 0, at) else f", first in line {line}"
                yield at, f"the key {cut(token[1], 60)} is there twice{earlier}", KEEP_ONE


def _is_broken(string: str) -> bool:
    """Whether it has half of a pair that stands for one character ("\\ud83d"): no tokenizer takes it."""
    try:
        string.encode()
    except UnicodeEncodeError:
        return True
    return False


def _place(where: str, text: str, position: int, first_line: int) -> str:
    line = first_line + text.count("\n", 0, position)
    column = position - text.rfind("\n", 0, position)
    return f"{where}: line {line}, column {column}"
