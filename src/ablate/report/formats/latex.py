"""The verdicts and results as a LaTeX document of booktabs tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.blocks import Table, spans
from ablate.report.sections.opening import notes
from ablate.report.sections.results import seeds_of
from ablate.report.sections.verdicts import verdict_table, what_verdicts_say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.report.results import Results

SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "[": "{[}",  # after \\ it would be an optional argument
    "–": "--",
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "↓": r"\ensuremath{\downarrow}",
    "↑": r"\ensuremath{\uparrow}",
    "→": r"\ensuremath{\rightarrow}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "ε": r"\ensuremath{\varepsilon}",
    "α": r"\ensuremath{\alpha}",
    "β": r"\ensuremath{\beta}",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
}
"""Characters that LaTeX would take for something else, or does not have."""

LAST_LETTER = 0x17F
"""The end of Latin Extended-A: European letters with accents, which T1 fonts have."""
MARKS = "…‘’“”—"

PREAMBLE = r"""
% Written by ablate. The tables need \usepackage{booktabs}, the one of claims \usepackage{tabularx} too.
\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{tabularx}
\usepackage{textcomp}
\begin{document}
"""


def write(results: Results, folder: Path) -> str:
    """``<name>.tex``: a document that compiles by itself, and whose tables can be taken out of it."""
    file = f"{results.record.name}.tex"
    parts = [PREAMBLE.strip(), *_opening(results), *map(_table, _tables(results)), r"\end{document}"]
    (folder / file).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return file


def _opening(results: Results) -> list[str]:
    spec = results.record.spec
    counts = f"{len(results.variants)} variants, {len(results.seeds)} seeds, {len(results.finished)} finished"
    design = (
        f"Generated {results.written:%Y-%m-%d}. Profile {spec.get('profile', '')}, {counts} runs. "
        f"Baseline: {results.baseline}."
    )
    return [
        rf"\section*{{{words(results.record.name)}}}",
        words(spec["question"]),
        f"\\medskip\n\\noindent {words(design)}",
        *(rf"\noindent \textbf{{Note.}} {words(note)}" for note in notes(results)),
    ]


def _tables(results: Results) -> list[Table]:
    """Verdicts, means and differences; those that would be empty are left out."""
    found = []
    interval = "95\N{NARROW NO-BREAK SPACE}% interval"
    if results.claims:
        rows = [[f"{number} {claim}", *cells] for number, claim, *cells in verdict_table(results).rows]
        paired = f"Differences are paired over seeds, with {interval}s (Student's t)."
        caption = " ".join([*what_verdicts_say(results, "second"), paired])
        head = ["Claim", "Metric and direction", "Difference", "p (Holm)", "Verdict"]
        found.append(Table(head, rows, words=2, caption=caption))
    head = [metric.title for metric in results.metrics]
    if results.metrics:
        means = f"Mean over seeds and half the width of its {interval} (Student's t)."
        rows = [
            [v, seeds_of(results, v), *(metric.mean(v) for metric in results.metrics)]
            for v in results.variants
        ]
        found.append(Table(["Variant", "Seeds", *head], rows, caption=means))
    if results.metrics and results.others:
        paired = f"Differences to {results.baseline}, paired over seeds, with {interval}s (Student's t)."
        rows = [[v, *(metric.difference(v) for metric in results.metrics)] for v in results.others]
        found.append(Table(["Variant", *head], rows, caption=paired))
    return found


def _table(table: Table) -> str:
    """A floating table. Sentences in more than one column share the line; else columns are as wide as
    their cells."""
    columns = ("X" if table.words > 1 else "l") * table.words + "l" * (len(table.head) - table.words)
    kind, width = ("tabularx", r"{\linewidth}") if table.words > 1 else ("tabular", "")
    lines = [
        r"\begin{table}[h]",
        r"\centering",
        r"\small",
        rf"\caption{{{words(table.caption)}}}",
        rf"\begin{{{kind}}}{width}{{{columns}}}",
        r"\toprule",
        _row(table.head),
        r"\midrule",
        *map(_row, table.rows),
        r"\bottomrule",
        rf"\end{{{kind}}}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(words, cells)) + r" \\"


def words(text: str) -> str:
    """Words as LaTeX; of their markup only what is bold shows."""
    return "".join(
        rf"\textbf{{{escape(span.text)}}}" if span.kind == "bold" else escape(span.text)
        for span in spans(text)
    )


def escape(text: str) -> str:
    """``text`` as LaTeX shows it letter by letter, on one line."""
    return "".join(map(_sign, text.replace("\n", " ")))


def _sign(sign: str) -> str:
    """One sign as LaTeX shows it. What its fonts lack stops it, so that is shown by its number."""
    if sign in SIGNS:
        return SIGNS[sign]
    return sign if ord(sign) <= LAST_LETTER or sign in MARKS else rf"\texttt{{U+{ord(sign):04X}}}"
