"""Text for people: counts, sizes and times, in few words, and safe on a terminal."""

from __future__ import annotations

import unicodedata

UNSEEN = frozenset({"Cc", "Cs"})
"""Categories of characters that do something to a terminal, or that nothing can encode."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that make a text appear in another order."""


def visible(text: str, keep: str = "\n\t") -> str:
    """A text that may hold names of files and the like, with its control characters written out."""
    return "".join(
        character.encode("unicode_escape").decode()
        if character not in keep and (character in TURNING or unicodedata.category(character) in UNSEEN)
        else character
        for character in text
    )


def cut(text: str, length: int = 40) -> str:
    """``text`` on one line of at most ``length`` characters that a terminal can show."""
    text = "".join(character if character.isprintable() else "?" for character in text[: length + 1])
    return text if len(text) <= length else f"{text[: length - 1]}…"


def first_line(text: object) -> str:
    """The first line of a text or of an exception's message; ``""`` of an empty one."""
    return next(iter(str(text).strip().splitlines()), "")


def in_one_line(error: BaseException) -> str:
    """An exception with its kind: ``FileNotFoundError: there is no weights.bin``."""
    kind, line = type(error).__name__, first_line(error)
    return f"{kind}: {line}" if line else kind


def brief(reason: str) -> str:
    """Why something failed, without the traceback that is recorded with it."""
    return reason.partition("\nTraceback (most recent call last)")[0]


def plural(count: int, noun: str, nouns: str = "") -> str:
    """``1 seed``, ``6 seeds``; with ``nouns`` where it takes more than an s: ``6 entries``."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def duration(seconds: float) -> str:
    """``4.2 s``, ``48 s``, ``12 min 30 s``, ``3 h 05 min``, ``2 d 4 h``: the two largest units."""
    total = round(seconds)
    if total < 60:
        return f"{seconds:.1f} s" if total < 10 else f"{total} s"
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def in_bytes(number: float) -> str:
    """``0 B``, ``12 kB``, ``3.4 GB``."""
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
