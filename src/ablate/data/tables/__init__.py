"""Tables of captions: files with a row for each image. A new kind is a file here and its row in ``TABLES``.

A row is an ``Entry`` with ``file_name``, a text in one of ``TEXT_FIELDS`` and, where it has one, a ``group``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.tables import captions_json, metadata_csv, metadata_jsonl, metadata_parquet
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ablate.data.fields import Entry, OnProblem

TABLES: Mapping[str, Callable[[Path, OnProblem], Iterator[Entry]]] = {
    "metadata.jsonl": metadata_jsonl.read,
    "metadata.csv": metadata_csv.read,
    "metadata.parquet": metadata_parquet.read,
    "captions.json": captions_json.read,
}
"""Name of the file → what reads its rows. A row that is wrong goes to ``OnProblem``; a whole file raises."""


def table_in(folder: Path) -> Path | None:
    """The table of a folder, None if there is none. Raises DataError for two of them."""
    found = [folder / name for name in TABLES if (folder / name).is_file()]
    if len(found) > 1:
        what = f"there are {found[0].name} and {found[1].name}, and only one can be read"
        raise DataError(what, where=str(folder), fix="Remove one of them.")
    return found[0] if found else None
