"""Prompts of your own, from the command line or a file: what to draw, and what the image is called.

The ending says what a file is. Nothing is guessed: what cannot be one of them is an error.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ablate.data import strict_json
from ablate.data.fields import Entry, kind_of
from ablate.errors import DataError, UserError
from ablate.text import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TEXTS = ("text_prompt", "text", "caption", "prompt")
"""Fields that hold the text; the first that there is."""
NAMES = ("image_name", "file_name")
"""Fields that hold the image's name, in the same way."""
AS = "See docs/draw.md for the forms of a file of prompts."
LOOKS_LIKE_JSON = re.compile(r'\s*[\[{]\s*["\[{]')


class Prompt(NamedTuple):
    """A text to draw."""

    name: str
    """What its image is called, and its noise is drawn from."""
    text: str


def read_prompts(given: Sequence[str], file: Path | None) -> list[Prompt]:
    """The texts of the command line, then those of a file in one of ``FORMATS``.

    Raises:
        UserError: there are none, one of them is empty, or the file is not as its ending says.
    """
    line = Path("--prompt")
    prompts = [
        Prompt(f"prompt-{number}.png", Entry(line, f"number {number}", {"text": text}).text("text"))
        for number, text in enumerate(given)
    ]
    if file:
        if not (read := FORMATS.get(file.suffix.lower())):
            fix = f"Give it one of these endings: {', '.join(FORMATS)}. {AS}"
            raise UserError("its ending does not say what it is", where=str(file), fix=fix)
        found = list(read(file, strict_json.text_of(file)))
        if not found:
            raise DataError("there is no prompt in it", where=str(file), fix=AS)
        prompts += found
    for prompt in prompts:
        if "\0" in prompt.text:
            fix = "Write the text again."
            raise UserError("a text holds NUL", where=f"{file or '--prompt'}: {prompt.name}", fix=fix)
    if not prompts:
        raise UserError("there is nothing to draw", fix="Give --prompt TEXT or --prompts FILE.")
    return prompts


def _lines(file: Path, text: str) -> Iterator[Prompt]:
    """A prompt a line; empty lines are left out, and counted."""
    if LOOKS_LIKE_JSON.match(text):
        raise DataError(
            "holds JSON, and its ending says plain text", where=str(file), fix="Name it .json or .jsonl."
        )
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text)):
        if line.strip():
            yield Prompt(f"{file.stem}-{number}.png", line.strip())


def _json(file: Path, text: str) -> Iterator[Prompt]:
    """The task's format, name → text, or a list of texts or of objects."""
    content = strict_json.read(text, str(file))
    if isinstance(content, dict):
        for key, value in content.items():
            fields = value if isinstance(value, dict) else {TEXTS[0]: value}
            if all(fields.get(name) is None for name in NAMES):
                fields = {**fields, NAMES[0]: key}
            yield from _prompts(Entry(file, cut(key), fields), key)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            fields = {TEXTS[0]: value} if isinstance(value, str) else value
            yield from _prompts(Entry(file, f"entry {number}", fields), f"{file.stem}-{number}.png")
    else:
        what = f"holds {kind_of(content)} where a list of texts or an object is expected"
        raise DataError(what, where=str(file), fix=AS)


def _json_lines(file: Path, text: str) -> Iterator[Prompt]:
    """An object or a text a line, as metadata.jsonl has them."""
    for number, line in enumerate(text.split("\n")):
        if line.strip():
            value = strict_json.read(line, str(file), first_line=number + 1)
            fields = {TEXTS[0]: value} if isinstance(value, str) else value
            yield from _prompts(Entry(file, f"line {number + 1}", fields), f"{file.stem}-{number}.png")


def _table(file: Path, text: str) -> Iterator[Prompt]:
    """Comma-separated values under a line of names."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        if len(set(header)) < len(header) or not set(header) & set(TEXTS):
            what = f"its first line does not name its columns, one of them {', '.join(TEXTS)}"
            raise DataError(what, where=f"{file}: line 1", fix=AS)
        for number, row in enumerate(rows):
            if not row:
                continue
            if len(row) != len(header):
                what = f"has {len(row)} fields where line 1 names {len(header)}"
                fix = "Put a text with commas between double quotes."
                raise DataError(what, where=f"{file}: line {rows.line_num}", fix=fix)
            entry = Entry(file, f"line {rows.line_num}", dict(zip(header, row, strict=True)))
            yield from _prompts(entry, f"{file.stem}-{number}.png")
    except csv.Error as error:
        raise DataError(f"is not a table ({error})", where=f"{file}: line {rows.line_num}", fix=AS) from error


def _prompts(entry: Entry, otherwise: str) -> Iterator[Prompt]:
    """The texts of an entry, which are called ``otherwise`` where it has no name of its own."""
    field = next((name for name in TEXTS if entry.field(name) is not None), TEXTS[0])
    texts = entry.texts(field) if isinstance(entry.field(field), list) else (entry.text(field),)
    named = next((name for name in NAMES if entry.field(name) is not None), None)
    # A data set's prompt in a folder is called so, too: it then has the same noise.
    name = entry.file_name(named, folders=True).replace("/", "-") if named else otherwise
    for text in texts:
        yield Prompt(name, text)


FORMATS: dict[str, Callable[[Path, str], Iterator[Prompt]]] = {
    ".txt": _lines,
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _table,
}
"""Ending → what reads the prompts of such a file from its text."""
