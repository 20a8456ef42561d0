"""The index of a folder of reports: read from the pages themselves, whenever they were written."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ablate.report.blocks import Block, Heading, Table, Text, bold
from ablate.report.formats.markdown import INDEX, page_of, render
from ablate.report.numbers import NONE
from ablate.stats import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

HEAD = ["experiment", "question", "profile", "runs", "verdicts", "steps trained of asked", "date"]

OPENING = re.compile(
    r"# (?P<name>.+)\n\n"
    r"\*\*(?P<question>.*)\*\*\n\n"
    r"Generated (?P<date>\S+).*\n\n"
    r"Profile `(?P<profile>.*?)`, (?P<runs>\d+ variants? × \d+ seeds?) "
)
"""How each report begins."""

VERDICT = re.compile(r"^\| \d+\. \| (.+?) \|.* \| \*\*(\w+)\*\* \|$", re.MULTILINE)
"""A row of the table of verdicts: the claim, and the verdict."""

STEPS = re.compile(r"^\| optimizer steps \| (.+?) \| (.+?) \|", re.MULTILINE)
"""Steps asked for, steps trained."""


@dataclass(frozen=True)
class Report:
    """What the index says of a report."""

    name: str
    row: list[str]
    """Its row in the table of experiments; the first cell is a link to the page."""
    claims: list[tuple[str, str]]
    """(claim, verdict)."""


def write_index(out: Path) -> None:
    """Write ``<out>/README.md`` over all reports in the folder, by name.

    A ``README.md`` that is something else than an index of reports stays as it is, and a folder without
    a report gets none.
    """
    index = out / INDEX
    begin = render(_page([]), "").split("\n| :--")[0]
    ours = index.exists() and index.read_text(encoding="utf-8").startswith(begin)
    found = (read_report(file) for file in out.glob("*.md") if file.name != INDEX)
    reports = sorted((report for report in found if report), key=lambda report: report.name)
    if not (ours or (reports and not index.exists())):
        return
    text = render(_page(reports), "")
    if ours and index.read_text(encoding="utf-8") == text:
        return
    with tempfile.TemporaryDirectory(dir=out, prefix=".index-") as aside:
        (Path(aside) / INDEX).write_text(text, encoding="utf-8")
        (Path(aside) / INDEX).replace(index)


def read_report(page: Path) -> Report | None:
    """What a report says of itself; None where the file is no report."""
    text = page.read_text(encoding="utf-8", errors="replace")
    opening, steps = OPENING.match(text), STEPS.search(text)
    if not opening or not steps or page_of(opening["name"]) != page.name:
        return None
    claims = [(claim.replace("\\|", "|"), verdict) for claim, verdict in VERDICT.findall(text)]
    given = [verdict for _, verdict in claims]
    verdicts = ", ".join(f"{given.count(v)} {v}" for v in Verdict if v in given) or NONE
    link = f"[{opening['name']}]({quote(page.name)})"
    design = opening.group("question", "profile", "runs")
    row = [link, *design, verdicts, f"{steps[2]} of {steps[1]}", opening["date"]]
    return Report(opening["name"], row, claims)


def _page(reports: Sequence[Report]) -> list[Block]:
    claims = [[claim, each.row[0], bold(verdict)] for each in reports for claim, verdict in each.claims]
    page: list[Block] = [Heading("Reports", level=1), Table(HEAD, [each.row for each in reports], words=3)]
    if claims:
        page += [
            Heading("Verdicts"),
            Table(["claim", "experiment", "verdict"], claims, words=3),
            Text("*Inconclusive*: neither shown nor refuted."),
        ]
    return page
