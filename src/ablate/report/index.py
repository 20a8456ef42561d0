"""The index of a folder of reports: read from the pages themselves, whenever they were written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from ablate.report.blocks import Block, Heading, Table, Text, bold
from ablate.report.formats.markdown import render
from ablate.report.memory import INDEX, page_of
from ablate.report.numbers import NONE
from ablate.stats import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

INCONCLUSIVE = Text("*Inconclusive*: neither shown nor refuted.")
HEAD = ["experiment", "question", "profile", "runs", "verdicts", "steps trained of asked", "date"]

OPENING = re.compile(
    r"# (?P<name>.+)\n\n"
    r"\*\*(?P<question>.*)\*\*\n\n"
    r"Generated (?P<date>\S+).*\n\n"
    r"Profile `(?P<profile>.*?)`, (?P<runs>\d+ variants? × \d+ seeds?) "
)
"""How each report begins."""

VERDICT = re.compile(r"^\| \d+\. \| (.+?) \| (.+?) \|.* \| \*\*(\w+)\*\* \|$", re.MULTILINE)
"""A row of the table of verdicts: the claim, what it says of the numbers, and the verdict."""

STEPS = re.compile(r"^\| optimizer steps \| (.+?) \| (.+?) \|", re.MULTILINE)
"""Steps asked for, steps trained."""


@dataclass(frozen=True)
class Report:
    """What the index says of a report."""

    name: str
    row: list[str]
    """Its row in the table of experiments; the first cell is a link to the page."""
    claims: list[tuple[str, str, str]]
    """(claim, what of it was tested, verdict)."""


def write_index(out: Path, aside: Path) -> None:
    """Write ``<out>/README.md`` over all reports in the folder, by name; first into the folder ``aside``.

    A ``README.md`` that is something else than an index of reports, or has a line that is not of one, stays
    as it is, and a folder without a report gets none.
    """
    index = out / INDEX
    there = _text_of(index)
    ours = there is not None and _is_index(there)
    found = (read_report(file) for file in out.glob("*.md") if file.name != INDEX)
    reports = sorted((report for report in found if report), key=lambda report: report.name)
    taken = index.exists() or index.is_symlink()
    if not (ours or (reports and not taken)):
        return
    text = render(_page(reports), "")
    if there == text:
        return
    (aside / INDEX).write_text(text, encoding="utf-8")
    (aside / INDEX).replace(index)


def read_report(page: Path) -> Report | None:
    """What a report says of itself; None where the file is not a report."""
    text = _text_of(page) or ""
    opening, steps = OPENING.match(text), STEPS.search(text)
    if not opening or not steps or page_of(opening["name"]) != page.name:
        return None
    claims = [
        (claim.replace("\\|", "|"), tested.replace("\\|", "|"), verdict)
        for claim, tested, verdict in VERDICT.findall(text)
    ]
    given = [verdict for *_, verdict in claims]
    verdicts = ", ".join(f"{given.count(v)} {v}" for v in Verdict if v in given) or NONE
    link = f"[{opening['name']}]({quote(page.name)})"
    design = opening.group("question", "profile", "runs")
    row = [link, *design, verdicts, f"{steps[2]} of {steps[1]}", opening["date"]]
    return Report(opening["name"], row, claims)


def _text_of(file: Path) -> str | None:
    """The text of a file; None where there is none that can be read."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # also of a folder with this name
        return None


def _is_index(text: str) -> bool:
    """Whether a page is nothing but an index of reports."""
    begin = render(_page([]), "").split("\n| :--")[0]
    given = render([Heading("Verdicts"), INCONCLUSIVE], "").splitlines()
    rest = text.removeprefix(begin).splitlines()
    return text.startswith(begin) and all(line in given or line.startswith("|") for line in rest)


def _page(reports: Sequence[Report]) -> list[Block]:
    claims = [
        [claim, tested, each.row[0], bold(verdict)]
        for each in reports
        for claim, tested, verdict in each.claims
    ]
    page: list[Block] = [Heading("Reports", level=1), Table(HEAD, [each.row for each in reports], words=3)]
    if claims:
        page += [
            Heading("Verdicts"),
            Table(["claim", "tested", "experiment", "verdict"], claims, words=3),
            INCONCLUSIVE,
        ]
    return page
