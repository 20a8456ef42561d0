"""Cells, tables and other small pieces of markdown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.report.facts import Facts

NONE = "–"
"""An empty cell of a table."""

Rows = list[list[str]]
"""A table: its head, then its rows, cell by cell."""

MOST_CHARACTERS = 300


def table(rows: Rows, words: int = 1) -> str:
    """Markdown of a table; the first row is the head.

    The first ``words`` columns are names and sentences, at the left; the others are numbers, centred.
    """
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = [":--"] * min(words, len(head)) + [":-:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *body))


def line(text: str) -> str:
    """``text`` on one line, with nothing that markdown would take for a tag."""
    return " ".join(text.split()).replace("<", "&lt;")


def plural(count: int, noun: str) -> str:
    """``1 seed``, ``6 seeds``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def name(facts: Facts, variant: str) -> str:
    """A variant's name in the first column of a table."""
    return f"**{variant}** (baseline)" if variant == facts.baseline else variant


def value(of: Any) -> str:
    """A configuration's value in a cell."""
    return of if isinstance(of, str) else json.dumps(of, default=str)


def shorten(text: str) -> str:
    """``text`` with at most 300 characters."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def as_yaml(mapping: Mapping[str, Any]) -> str:
    """A mapping as YAML in its own order; tuples become lists."""
    plain = json.loads(json.dumps(mapping, default=str))
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100)
