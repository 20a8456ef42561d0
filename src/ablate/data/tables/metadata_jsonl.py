"""``metadata.jsonl``: one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data import strict_json
from ablate.data.fields import Entry
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem


def read(file: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """The lines in their order; empty ones are skipped."""
    # Not splitlines: JSON may hold U+2028 and others that it breaks at.
    for number, line in enumerate(strict_json.text_of(file).split("\n"), 1):
        if line.strip():
            try:
                content = strict_json.read(line, str(file), first_line=number, on_fault=on_problem)
            except DataError as problem:
                on_problem(problem)
            else:
                yield Entry(file, f"line {number}", content)
