"""The pages of the documents as blocks, with what stands above each of them in comments: for ``test_docs*``.

A comment above a block is a line ``<!-- mark: text -->``. There are:

- ``not run: REASON``: a shell or Python block that only a network, a GPU, a cluster or minutes could run.
- ``planned only: REASON``: an experiment that is too long even when it is small. It has the size as written.
- ``file: NAME``: the block is saved in the folder of the study.
- ``as written``: the experiments have the size that the page gives them; otherwise all are made small.
- ``as written, when it has run``: the same, with a store that holds all results of the block's experiment.
- ``edit: OLD → NEW``: the page asks its reader to change this in the file that was saved last.
- ``in: another folder``: the commands are given in an empty folder, which has the study's archives.
- ``output of: COMMAND``: what the block shows, if no command stands directly above it.
- ``numbers differ: REASON``: of the output only the words are compared.
- ``not compared: REASON``: the output is not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))

MARKS = ("not run", "planned only", "file", "as written", "as written, when it has run", "edit", "in")
MARKS += ("output of", "numbers differ", "not compared")

BLOCK = re.compile(
    r"(?P<marks>(?:^<!-- [^\n]* -->\n)*)^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    marks: dict[str, str]
    where: str
    follows: bool
    """Whether nothing but space is between it and the block before."""


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, from top to bottom."""
    text, found, end = page.read_text(encoding="utf-8"), [], 0
    for match in BLOCK.finditer(text):
        marks = dict(_mark(line) for line in match["marks"].splitlines())
        where = f"{page.name}:{text.count(chr(10), 0, match.start('language')) + 1}"
        assert set(marks) <= set(MARKS), f"{where}: {set(marks) - set(MARKS)}"
        follows = not text[end : match.start()].strip()
        found.append(Block(match["language"], match["text"], marks, where, follows))
        end = match.end()
    return found


def _mark(line: str) -> tuple[str, str]:
    name, _, text = line.removeprefix("<!-- ").removesuffix(" -->").partition(": ")
    return name, text


# ── what a command printed, and what a page shows of it ──────────────────────────────────────────


def shows(shown: str, printed: str, *, numbers: bool = True) -> bool:
    """Whether a text was printed, but for spaces, borders and how cells are wrapped. ``…`` is anything."""
    shown, printed = words(shown), words(printed)
    if not numbers:
        shown, printed = (re.sub(r"\d+([.,:]\d+)*", "0", text) for text in (shown, printed))
    pattern = ".*?".join(re.escape(piece.strip()) for piece in shown.split("…"))
    return re.search(pattern.replace(r"\ ", r"\s*"), printed) is not None


def words(text: str) -> str:
    """The words of a text in one line. A cell of a table that goes on in the next line is put together."""
    lines: list[list[str]] = []
    for line in text.splitlines():
        if re.fullmatch(r"[\s━─┏┓┗┛┡┩└┘├┤┬┴┼┳┻╇╞╡═]*", line):
            continue
        cells = [cell.strip() for cell in re.split("[│┃]", line.strip().strip("│┃"))]
        if len(cells) > 1 and not cells[0] and lines and len(lines[-1]) == len(cells):
            lines[-1] = [f"{above} {cell}".strip() for above, cell in zip(lines[-1], cells, strict=True)]
        else:
            lines.append(cells)
    return " ".join(" ".join(cells) for cells in lines)
