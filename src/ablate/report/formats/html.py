"""HTML: one page with its pictures inside, which opens without a network."""

from __future__ import annotations

import re
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING, assert_never

from ablate.report import blocks as b
from ablate.report.drawing import png
from ablate.report.formats import csv
from ablate.report.sections import page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.report.results import Results

STYLE = """
:root { color-scheme: light; }
body { margin: 2rem auto 4rem; max-width: 72rem; padding: 0 1.25rem; background: #fff; color: #222;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; }
h1 { margin-bottom: .5rem; }
h2 { margin-top: 2.75rem; padding-bottom: .3rem; border-bottom: 1px solid #e3e3e3; }
p, li, figcaption { max-width: 50rem; }
a { color: #0060a8; }
nav { columns: 3 14rem; font-size: .9rem; }
nav a { display: block; padding: .1rem 0; }
aside { margin: 1rem 0; padding: .6rem 1rem; border-left: 4px solid #d55e00; background: #fdf4ee; }
aside p { margin: .3rem 0; }
.wide { margin: 1rem 0; overflow-x: auto; background:
  linear-gradient(to right, #fff, #fff) left / 1rem 100% no-repeat local,
  linear-gradient(to right, #fff, #fff) right / 1rem 100% no-repeat local,
  linear-gradient(to right, #0002, #0000) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, #0002, #0000) right / .8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { padding-bottom: .4rem; color: #555; text-align: left; }
th, td { padding: .4rem .7rem; border-bottom: 1px solid #e8e8e8; text-align: left; vertical-align: top; }
th { background: #1234560a; font-weight: 600; vertical-align: bottom; }
.number { text-align: center; white-space: nowrap; }
th.number { white-space: normal; }
td:not([class]) { white-space: nowrap; }
.long { min-width: 10rem; max-width: 26rem; }
figure { margin: 1.5rem 0; }
figure .wide { margin: 0; }
img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: .875rem; }
code { padding: .1em .3em; border-radius: 3px; background: #f3f4f5; font-size: .9em; }
pre { padding: .8rem 1rem; border-radius: 4px; background: #f3f4f5; overflow-x: auto; }
pre code { padding: 0; background: none; }
details { margin: 1rem 0; padding: .5rem 1rem; border: 1px solid #e3e3e3; border-radius: 4px; }
summary { cursor: pointer; font-weight: 600; }
@media (max-width: 40rem) {
  body { margin-top: 1rem; padding: 0 1rem; }
  ul, ol { padding-left: 1.4rem; }
  nav a { padding: .3rem 0; }
  details { padding: .5rem .7rem; }
  th, td { padding: .4rem .5rem; }
  figure img { width: 44rem; max-width: none; }
}
"""

LONGEST_NAME = 22
"""Characters of a cell of words that stays on one line."""

# What the policy forbids no text of a report can bring about: scripts, and loading from elsewhere.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def write(results: Results, folder: Path) -> str:
    """``<name>.html``, and ``runs.csv`` in ``<name>/``."""
    name = results.record.name
    csv.write_runs(results, folder / name)
    (folder / f"{name}.html").write_text(render(page(results), name), encoding="utf-8")
    return f"{name}.html"


def render(blocks: Sequence[b.Block], title: str) -> str:
    """The whole page; before its first section stands a list of all."""
    body = [_block(block) for block in blocks]
    headings = [block for block in blocks if isinstance(block, b.Heading) and block.level == 2]
    if headings:
        links = "\n".join(f'<a href="#{anchor(each.text)}">{words(each.text)}</a>' for each in headings)
        body.insert(blocks.index(headings[0]), f"<nav>\n{links}\n</nav>")
    return PAGE.format(title=escape(title), style=STYLE, body="\n".join(body))


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
        case b.Figure(_, alt, caption, draw):
            picture = f"data:image/png;base64,{b64encode(png(draw)).decode()}"
            image = f'<img src="{picture}" alt="{escape(alt)}">'
            return (
                f'<figure><div class="wide">{image}</div><figcaption>{words(caption)}</figcaption></figure>'
            )
        case b.Code(_, text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case b.Fold(title, inner):
            content = "\n".join(map(_block, inner))
            return f"<details>\n<summary>{words(title)}</summary>\n{content}\n</details>"
    assert_never(block)


def _item(item: Sequence[str]) -> str:
    lines = "".join(f"<li>{words(line)}</li>" for line in item[1:])
    return f"<li>{words(item[0])}{f'<ul>{lines}</ul>' if lines else ''}</li>"


def _table(table: b.Table) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    caption = f"<caption>{words(table.caption)}</caption>" if table.caption else ""
    head = f"<thead>{_row(table.head, 'th', table.words)}</thead>" if table.head else ""
    rows = "\n".join(_row(row, "td", table.words) for row in table.rows)
    return f'<div class="wide"><table>{caption}{head}<tbody>\n{rows}\n</tbody></table></div>'


def _row(cells: Sequence[str], tag: str, left: int) -> str:
    kinds = [_kind(cell, number=column >= left) for column, cell in enumerate(cells)]
    texts = [words(cell).replace("\n", "<br>") for cell in cells]
    marked = (f"<{tag}{kind}>{text}</{tag}>" for kind, text in zip(kinds, texts, strict=True))
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
