"""What all printing goes through: text as it is, tables, JSON, errors."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ablate.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ablate.errors import AblateError


class Screen(Console):
    """A console on which names, whatever is in them, do nothing but appear."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich's, with control characters written out."""
        super().print(*(visible(o) if isinstance(o, str) else o for o in objects), **how)


def out() -> Screen:
    """Standard output as it is now: its width is asked for when something is printed."""
    return Screen(highlight=False)


def say(text: str) -> None:
    """A line as it is, however wide."""
    out().print(text, markup=False, soft_wrap=True)


def print_json(facts: object) -> None:
    """Facts for programs: one JSON document and nothing else, with stable names."""
    sys.stdout.write(json.dumps(facts, indent=2, allow_nan=False) + "\n")


def print_table(head: Sequence[str | Column], rows: Iterable[Sequence[str]]) -> None:
    """A table; its cells may hold rich's markup. Where there is too little room, they are broken, not cut."""
    table = Table(*(Column(title, overflow="fold") if isinstance(title, str) else title for title in head))
    for row in rows:
        table.add_row(*map(visible, row))
    out().print(table)


def print_error(error: AblateError) -> None:
    """What is wrong, where, and what to do; never a traceback."""
    Screen(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
