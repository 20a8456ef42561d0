"""The HTML page: complete by itself, and nothing in a record can break out of its words."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from synthetic import gathered, written

from ablate.report.blocks import Heading, Items, Notes, Table, Text
from ablate.report.formats import html
from ablate.report.formats.html import anchor, render, words
from ablate.report.numbers import number
from ablate.report.sections import page
from ablate.report.sections.results import results_table

if TYPE_CHECKING:
    from conftest import MakeRecord

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Reads a page: its elements, the words of its headings, and whether all that opens closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if any(re.fullmatch("h[1-6]", tag) for tag in self.open):
            self.headings[-1] += data

    def all(self, tag: str, attribute: str) -> list[str]:
        return [str(attrs[attribute]) for name, attrs in self.elements if name == tag and attribute in attrs]


def test_the_page_has_all_headings_and_figures_and_loads_nothing(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record = make_record(variants=["none", "from-start"], seeds=[0, 1])
    path = written(record, tmp_path / "out", format="html")
    assert path == tmp_path / "out" / "synthetic.html"
    found, blocks = Page(path.read_text("utf-8")), page(gathered(record))
    assert found.headings == [block.text for block in blocks if isinstance(block, Heading)]
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"link", "iframe", "object", "embed", "form"}
    pictures = found.all("img", "src")
    assert len(pictures) == 4 + 2  # a frame of the samples for each variant
    start = "data:image/png;base64,"
    assert all(base64.b64decode(x.removeprefix(start)).startswith(b"\x89PNG") for x in pictures)
    assert all(tag == "img" for tag, attrs in found.elements if "src" in attrs)
    assert not re.search(r"(src|href)=\"?(https?:)?//|url\(|@import", path.read_text("utf-8"))
    anchors = {str(attrs["id"]) for _, attrs in found.elements if "id" in attrs}
    links = found.all("a", "href")
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    files = [link for link in links if not link.startswith("#")]
    assert all((path.parent / link).exists() for link in files)


def test_the_only_script_that_runs_is_the_pages_own() -> None:
    text = render([], "title")
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    )


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_a_column_is_sorted_by_what_its_cells_mean() -> None:
    cells = ["< 0.0001", "−0.3 ± 0.1", "×2.45 [2.31, 2.60]", "48 s", "12 min 30 s", "3 h 05 min", "2 d 4 h"]
    cells += ["1\u202f024", "5 steps", "words"]
    script = (
        "globalThis.document = { querySelectorAll: () => [] };"
        "const fs = require('fs'), vm = require('vm');"
        "vm.runInThisContext(fs.readFileSync(process.argv[1], 'utf8'));"
        "const found = JSON.parse(process.argv[2]).map((innerText) => numberIn({ innerText }));"
        "console.log(JSON.stringify(found));"
    )
    page = Path(html.__file__).with_name("page.js")
    done = subprocess.run(
        ["node", "-e", script, str(page), json.dumps(cells)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [0.0001, -0.3, 2.45, 48, 750, 11100, 187200, 1024, 5, None]


def test_who_points_at_a_result_sees_each_seed(make_record: MakeRecord) -> None:
    record = make_record(variants=["none", "from-start"], seeds=[0, 1], samples=False)
    results = gathered(record)
    found = Page(render([results_table(results)], "title"))
    fid = results.find("fid")
    assert fid
    hints = found.all("td", "title")
    assert len(hints) == 2 * len(results.metrics)
    assert hints[0].splitlines() == [
        f"seed {seed}: {number(value, fid.decimals)}" for seed, value in fid.values["none"].items()
    ]
    assert re.fullmatch(r"seed 0: \S+ \([+−]\S+\)\nseed 1: \S+ \([+−]\S+\)", hints[len(results.metrics)])


def test_what_others_wrote_is_shown_as_it_is(make_record: MakeRecord) -> None:
    bad = '<script>alert("x")</script> & </table>'
    record = make_record(variants=["none", "from-start"], seeds=[0], samples=False)
    claim = {**record.spec["claims"][0], "text": bad, "source": bad}
    spec = {**record.spec, "question": bad, "claims": [claim]}
    runs = [replace(record.runs[0], status="FAILED", reason=bad), *record.runs[1:]]
    blocks = page(gathered(replace(record, name="<b>", spec=spec, runs=runs, provenance={"<i>": bad})))
    text = render([block for block in blocks if not hasattr(block, "draw")], "<b>")
    found = Page(text)
    assert {tag for tag, _ in found.elements} & {"b", "i"} == set()
    assert [tag for tag, _ in found.elements].count("script") == 1  # the page's own
    assert found.headings[0] == "<b>"
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &lt;/table&gt;" in text
    assert "<title>&lt;b&gt;</title>" in text


def test_words_have_their_markup_as_tags() -> None:
    text = "**b** *i* `c<d` [Audit](#audit) [x](javascript:y)"
    assert words(text) == (
        '<strong>b</strong> <em>i</em> <code>c&lt;d</code> <a href="#audit">Audit</a> [x](javascript:y)'
    )


def test_blocks_are_elements() -> None:
    table = Table(["a", "b"], [["x", "1\n**2**"]], caption="c")
    items = Items([["one", "under"]], numbered=True)
    text = render([Text("t"), Notes(["n"]), items, table], "title")
    Page(text)
    assert '<caption>c</caption><thead><tr><th>a</th><th class="number">b</th></tr></thead>' in text
    assert '<tr><td>x</td><td class="number">1<br><strong>2</strong></td></tr>' in text
    assert "<ol><li>one<ul><li>under</li></ul></li></ol>" in text
    assert "<aside><p><strong>Note.</strong> n</p></aside>" in text


def test_an_anchor_is_what_markdown_makes_of_a_heading() -> None:
    assert anchor("Do the samples show what the prompt says?") == "do-the-samples-show-what-the-prompt-says"
