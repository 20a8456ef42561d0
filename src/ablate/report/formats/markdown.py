"""Markdown, with the figures in a folder beside the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, assert_never
from urllib.parse import quote

from ablate.report import blocks as b
from ablate.report.drawing import png
from ablate.report.formats import csv
from ablate.report.memory import page_of
from ablate.report.sections import page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.report.results import Results


def write(results: Results, folder: Path) -> str:
    """``<name>.md``, and ``<name>/`` with the figures and the tables of ``csv.write_raw``."""
    name, blocks = results.record.name, page(results)
    for figure in b.figures(blocks):
        (folder / name / f"{figure.name}.png").write_bytes(png(figure.draw))
    csv.write_raw(results, folder / name)
    (folder / page_of(name)).write_text(render(blocks, name), encoding="utf-8")
    return page_of(name)


def render(blocks: Sequence[b.Block], folder: str) -> str:
    """The text of a page. ``folder``: where its figures are, relative to it."""
    return "\n\n".join(_block(block, folder) for block in blocks) + "\n"


def _block(block: b.Block, folder: str) -> str:  # noqa: PLR0911 (a case for each kind of block)
    match block:
        case b.Heading(text, level):
            return f"{'#' * level} {words(text)}"
        case b.Text(text):
            return words(text)
        case b.Notes(texts):
            return "\n>\n".join(f"> **Note.** {words(text)}" for text in texts)
        case b.Items(items, numbered):
            return "\n".join(_item(item, f"{n}." if numbered else "-") for n, item in enumerate(items, 1))
        case b.Table():
            return table(block)
        case b.Figure(name, alt, caption):
            return f"![{words(alt)}]({quote(f'{folder}/{name}.png')})\n\n*{words(caption)}*"
        case b.Code(language, text):
            return f"```{language}\n{text.rstrip()}\n```"
        case b.Fold(title, inner):
            text = render(inner, folder)
            return f"<details>\n<summary>{words(title)}</summary>\n\n{text}\n</details>"
    assert_never(block)


def _item(item: Sequence[str], mark: str) -> str:
    return f"\n{' ' * (len(mark) + 1)}- ".join([f"{mark} {words(item[0])}", *map(words, item[1:])])


def table(block: b.Table) -> str:
    """A table with its rule; ``|`` in a cell is not a border."""
    columns = len(block.head or block.rows[0])
    left = min(block.words, columns)
    head = _row(block.head) if block.head else "|" + " |" * columns
    rule = _row([":--"] * left + [":-:"] * (columns - left))
    caption = [f"\n*{words(block.caption)}*"] if block.caption else []
    return "\n".join([head, rule, *map(_row, block.rows), *caption])


def _row(cells: Sequence[str]) -> str:
    texts = (words(cell).replace("|", "\\|").replace("\n", "<br>") for cell in cells)
    return f"| {' | '.join(texts)} |"


def words(text: str) -> str:
    """Words with nothing that markdown would take for a tag; their markup is markdown already."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
