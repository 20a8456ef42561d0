"""HTML: one page with its pictures inside, which opens without a network."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from ablate.report import blocks as b
from ablate.report.drawing import png
from ablate.report.formats import csv
from ablate.report.sections import page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure as Drawing

    from ablate.report.results import Results

HERE = Path(__file__).parent
STYLE = (HERE / "page.css").read_text(encoding="utf-8")
SCRIPT = (HERE / "page.js").read_text(encoding="utf-8")
"""Sorts tables and moves sliders. The page can be read without it."""
SCRIPT_DIGEST = b64encode(sha256(SCRIPT.encode()).digest()).decode()

LONGEST_NAME = 22
"""Characters of a cell of words that stays on one line."""

# What the policy forbids no text of a report can bring about: other scripts, and loading from elsewhere.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""


def write(results: Results, folder: Path) -> str:
    """``<name>.html``, and the tables of ``csv.write_raw`` in ``<name>/``."""
    name = results.record.name
    csv.write_raw(results, folder / name)
    (folder / f"{name}.html").write_text(render(page(results), name), encoding="utf-8")
    return f"{name}.html"


def render(blocks: Sequence[b.Block], title: str) -> str:
    """The whole page; before its first section stands a list of all."""
    body = [_block(block) for block in blocks]
    headings = [block for block in blocks if isinstance(block, b.Heading) and block.level == 2]
    if headings:
        links = "\n".join(f'<a href="#{anchor(each.text)}">{words(each.text)}</a>' for each in headings)
        body.insert(blocks.index(headings[0]), f"<nav>\n{links}\n</nav>")
    content = "\n".join(body)
    return PAGE.format(title=escape(title), style=STYLE, script=SCRIPT, digest=SCRIPT_DIGEST, body=content)


def anchor(text: str) -> str:
    """What a link to a heading says, as on GitHub: ``Where the numbers come from`` → ``where-the-…``."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _block(block: b.Block) -> str:  # noqa: PLR0911 (a case for each kind of block)
    match block:
        case b.Heading(text, level):
            return f'<h{level} id="{anchor(text)}">{words(text)}</h{level}>'
        case b.Text(text):
            return f"<p>{words(text)}</p>"
        case b.Notes(texts):
            notes = (f"<p><strong>Note.</strong> {words(text)}</p>" for text in texts)
            return f"<aside>{''.join(notes)}</aside>"
        case b.Items(items, numbered):
            kind = "ol" if numbered else "ul"
            return f"<{kind}>{''.join(map(_item, items))}</{kind}>"
        case b.Table():
            return _table(block)
        case b.Figure():
            return _figure(block)
        case b.Code(_, text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case b.Fold(title, inner):
            content = "\n".join(map(_block, inner))
            return f"<details>\n<summary>{words(title)}</summary>\n{content}\n</details>"
    assert_never(block)


def _figure(figure: b.Figure) -> str:
    """The whole picture, and where there are some its frames."""
    whole = _picture(figure.draw, figure.alt, figure.caption)
    if len(figure.frames) < 2:
        return whole
    frames = "\n".join(
        _picture(frame.draw, f"{figure.alt}: {frame.label}", frame.label) for frame in figure.frames
    )
    return f'{whole}\n<div class="frames">\n{frames}\n</div>'


def _picture(draw: Callable[[], Drawing], alt: str, caption: str) -> str:
    source = f"data:image/png;base64,{b64encode(png(draw)).decode()}"
    image = f'<img src="{source}" alt="{escape(alt)}">'
    return f'<figure><div class="wide">{image}</div><figcaption>{words(caption)}</figcaption></figure>'


def _item(item: Sequence[str]) -> str:
    lines = "".join(f"<li>{words(line)}</li>" for line in item[1:])
    return f"<li>{words(item[0])}{f'<ul>{lines}</ul>' if lines else ''}</li>"


def _table(table: b.Table) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    caption = f"<caption>{words(table.caption)}</caption>" if table.caption else ""
    head = f"<thead>{_row(table.head, 'th', table.words, {})}</thead>" if table.head else ""
    rows = "\n".join(
        _row(row, "td", table.words, {c: hint for (r, c), hint in table.hints.items() if r == number})
        for number, row in enumerate(table.rows)
    )
    return f'<div class="wide"><table>{caption}{head}<tbody>\n{rows}\n</tbody></table></div>'


def _row(cells: Sequence[str], tag: str, left: int, hints: Mapping[int, str]) -> str:
    marked = []
    for column, cell in enumerate(cells):
        hint = f' title="{escape(hints[column])}"' if column in hints else ""
        text = words(cell).replace("\n", "<br>")
        marked.append(f"<{tag}{_kind(cell, number=column >= left)}{hint}>{text}</{tag}>")
    return f"<tr>{''.join(marked)}</tr>"


def _kind(cell: str, *, number: bool) -> str:
    """A number and a name stay on one line; a sentence gets room."""
    return ' class="number"' if number else ' class="long"' if len(cell) > LONGEST_NAME else ""


TAGS = {"plain": "{}", "code": "<code>{}</code>", "bold": "<strong>{}</strong>", "italic": "<em>{}</em>"}


def words(text: str) -> str:
    """Words with their markup as tags; all else is escaped."""
    return "".join(map(_span, b.spans(text)))


def _span(span: b.Span) -> str:
    text = escape(span.text)
    if span.kind != "code":
        text = re.sub(r"(?<=\d) %", "&nbsp;%", text)
    if span.target:
        return f'<a href="{escape(span.target)}">{text}</a>'
    return TAGS[span.kind].format(text)
