"""``captions.json``: file names with their texts, or a list of objects such as a ``metadata.jsonl`` has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data import strict_json
from ablate.data.fields import EXPECTED, Entry, kind_of
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem


def read(file: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """``{"0.png": "a bat", "1.png": ["a bat", "a small bat"], "2.png": {"text": "a bat", "group": "bat"}}``
    or ``[{"file_name": "0.png", "text": "a bat"}]``, in their order."""
    content = strict_json.read(strict_json.text_of(file), str(file), on_fault=on_problem)
    if isinstance(content, dict):
        for name, value in content.items():
            fields = value if isinstance(value, dict) else {"text": value}
            yield Entry(file, name, {**fields, "file_name": name})
    elif isinstance(content, list):
        for number, row in enumerate(content, 1):
            yield Entry(file, f"entry {number}", row)
    else:
        what = f"holds {kind_of(content)} where an object or a list is expected"
        raise DataError(what, where=str(file), fix=EXPECTED)
