"""Small pieces of text: counts, lists of words, names of variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.blocks import bold

if TYPE_CHECKING:
    from ablate.report.results import Results

MOST_CHARACTERS = 300


def line(text: str) -> str:
    """``text`` on one line."""
    return " ".join(text.split())


def listed(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def shorten(text: str) -> str:
    """``text`` with at most 300 characters."""
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def variant_name(results: Results, variant: str) -> str:
    """A variant's name in the first column of a table."""
    return f"{bold(variant)} (baseline)" if variant == results.baseline else variant
