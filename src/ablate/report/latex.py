"""The verdicts and results as a LaTeX document of booktabs tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2

from ablate.report import numbers
from ablate.report.markdown.claims import says

if TYPE_CHECKING:
    from datetime import datetime

    from ablate.report.facts import Facts

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

NONE = "--"
"""An empty cell of a table."""


def escape(text: str) -> str:
    """``text`` as LaTeX shows it letter by letter, on one line."""
    return "".join(SIGNS.get(sign, sign) for sign in text.replace("\n", " "))


def render(facts: Facts, now: datetime) -> str:
    """The report's LaTeX: a document that compiles by itself, and whose tables can be taken out of it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ablate.report"),
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=lambda value: escape(str(value)),
    )
    return environment.get_template("report.tex.j2").render(
        facts=facts,
        record=facts.record,
        generated=f"{now:%Y-%m-%d}",
        alpha=f"{facts.alpha:g}",
        claims=[_claim_row(facts, index) for index in range(len(facts.claims))],
        results=_results(facts),
        differences=_differences(facts),
    )


def _claim_row(facts: Facts, index: int) -> list[str]:
    claim = facts.claims[index]
    difference, places = claim.judgement.difference, numbers.decimals(claim.metric) if claim.metric else 0
    return [
        f"{index + 1}. {claim.text}" + (" (must be supported)" if claim.must else ""),
        says(claim),
        numbers.difference(difference, places) if difference else NONE,
        numbers.p_value(claim.judgement.p_corrected),
        str(claim.verdict),
    ]


def _results(facts: Facts) -> list[list[str]]:
    """A row a variant: mean ± half-width of each metric."""
    return [
        [
            variant,
            *(
                numbers.mean(metric.intervals[variant], numbers.decimals(metric))
                if variant in metric.intervals
                else NONE
                for metric in facts.metrics
            ),
        ]
        for variant in facts.variants
    ]


def _differences(facts: Facts) -> list[list[str]]:
    """A row a variant: its paired difference to the baseline in each metric."""
    return [
        [
            variant,
            *(
                numbers.difference(metric.differences[variant], numbers.decimals(metric))
                if variant in metric.differences
                else NONE
                for metric in facts.metrics
            ),
        ]
        for variant in facts.others
    ]
