"""``metadata.parquet``: a table of Apache Parquet, read with pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.fields import TEXT_FIELDS, Entry
from ablate.errors import DataError
from ablate.text import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem

COLUMNS = ("file_name", *TEXT_FIELDS, "group")
"""Those that mean something; a table may be full of others, and large."""


def read(file: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """The rows in their order, counted from 1. Raises DataError for what pyarrow cannot read."""
    import pyarrow as arrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(file)
        names = table.schema_arrow.names
        if twice := [name for name in COLUMNS if names.count(name) > 1]:
            raise DataError(f"has the column {twice[0]!r} twice", where=str(file), fix="Keep one of them.")
        rows = table.read(columns=[name for name in COLUMNS if name in names]).to_pylist()
    except (arrow.ArrowException, OSError, ValueError) as error:
        reason = first_line(error)
        fix = "Write the table again, for example with DataFrame.to_parquet."
        raise DataError(f"cannot be read as Parquet ({reason})", where=str(file), fix=fix) from None
    for number, row in enumerate(rows, 1):
        yield Entry(file, f"row {number}", row)
