"""``metadata.csv``: comma-separated values, whose first line names the columns."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

from ablate.data.fields import Entry
from ablate.data.strict_json import text_of
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem

NEEDED = "file_name"


def read(file: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """The rows in their order, named by the line on which they begin; empty lines are skipped.

    Raises DataError for a header that lacks ``file_name`` or has a column twice, and for text that is not
    CSV: what would come after it cannot be told.
    """
    rows = csv.reader(StringIO(text_of(file), newline=""), strict=True)
    line = 1
    try:
        columns = [name.strip() for name in next(rows, [])]
        _check(columns, file)
        line = rows.line_num + 1
        for cells in rows:
            entry = Entry(file, f"line {line}", dict(zip(columns, cells, strict=False)))
            if cells and len(cells) != len(columns):
                what = f"has {len(cells)} cells where the header has {len(columns)}"
                on_problem(entry.error("", what, "A cell with a comma needs quotes around it."))
            elif cells:
                yield entry
            line = rows.line_num + 1
    except csv.Error as error:
        fix = "A cell with quotes in it needs quotes around it, and each of those in it twice."
        raise DataError(f"is not valid CSV: {error}", where=f"{file}: line {line}", fix=fix) from None


def _check(columns: list[str], file: Path) -> None:
    twice = [name for name in columns if columns.count(name) > 1]
    if NEEDED in columns and not twice:
        return
    shown = ", ".join(map(repr, columns)) or "nothing"
    what = f"has the column {twice[0]!r} twice" if twice else f"has no column {NEEDED}, but {shown}"
    fix = f"The first line names the columns, with commas between them: {NEEDED},text"
    raise DataError(what, where=f"{file}: line 1", fix=fix)
