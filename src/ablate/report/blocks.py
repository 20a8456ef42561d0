"""What a report is made of: headings, paragraphs, tables, figures. A block knows no format.

Words carry a little markup: ``**bold**``, ``*italic*``, a code span in backticks, and ``[words](#heading)``
or ``[words](folder/file)``. All other characters stand for themselves; a format escapes what it must.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from matplotlib import figure


@dataclass(frozen=True)
class Heading:
    """The title of the page (level 1), of a section (2), or of a part of it (3)."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Notes:
    """What must be known before all else: a paragraph each, set off from the rest."""

    texts: Sequence[str]


@dataclass(frozen=True)
class Items:
    """A list: the text of each item, and the lines below it."""

    items: Sequence[Sequence[str]]
    numbered: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells. A line break in a cell begins its second line."""

    head: Sequence[str]
    """Empty: a table without a head."""
    rows: Sequence[Sequence[str]]
    words: int = 1
    """The number of columns at the left that hold names and sentences; numbers are centred."""
    caption: str = ""
    hints: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """(row, column), from 0 → what a format that can do so says when the reader points at the cell."""


@dataclass(frozen=True)
class Frame:
    """A part of a figure, drawn in the same place as its other frames."""

    label: str
    draw: Callable[[], figure.Figure]


@dataclass(frozen=True)
class Figure:
    """A picture, drawn when a format asks for it."""

    name: str
    """Stem of its file. One page has each name once."""
    alt: str
    """What it shows, for those who do not see it."""
    caption: str
    draw: Callable[[], figure.Figure]
    frames: Sequence[Frame] = ()
    """A format that can do so shows them as well, one at a time."""


@dataclass(frozen=True)
class Code:
    """Text to copy, as it is."""

    language: str
    text: str


@dataclass(frozen=True)
class Fold:
    """Blocks behind a title, closed until the reader opens them."""

    title: str
    blocks: Sequence[Block]


Block = Heading | Text | Notes | Items | Table | Figure | Code | Fold


def bullets(texts: Iterable[str]) -> Items:
    """A list without numbers."""
    return Items([[text] for text in texts])


def bold(text: str) -> str:
    """Marks ``text`` as bold."""
    return f"**{text}**"


def code(text: str) -> str:
    """Marks ``text`` as a code span."""
    return f"`{text}`"


def figures(blocks: Iterable[Block]) -> Iterator[Figure]:
    """All figures, those in folds too."""
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Fold):
            yield from figures(block.blocks)


MARKUP = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?=\S)(?P<bold>.+?)(?<=\S)\*\*"
    r"|\*(?=\S)(?P<italic>[^*]+)(?<=\S)\*"
    # An address elsewhere is not a link: a report shows what others wrote.
    r"|\[(?P<words>[^\]]+)\]\((?P<target>#?[\w.%-][\w./%-]*)\)"
)


@dataclass(frozen=True)
class Span:
    """A stretch of words that look the same."""

    text: str
    kind: str = "plain"
    """``plain``, ``code``, ``bold``, ``italic`` or ``link``."""
    target: str = ""
    """Where a link leads: ``#heading`` or a file beside the page."""


def spans(text: str) -> Iterator[Span]:
    """``text`` with its markup read."""
    end = 0
    for match in MARKUP.finditer(text):
        if match.start() > end:
            yield Span(text[end : match.start()])
        kind, end = str(match.lastgroup), match.end()
        yield Span(match["words"], "link", match["target"]) if kind == "target" else Span(match[kind], kind)
    if end < len(text):
        yield Span(text[end:])
