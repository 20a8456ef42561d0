"""Main effects and interactions of a factorial design."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.markdown.text import NONE, Rows, listed

if TYPE_CHECKING:
    from ablate.report.facts.factorial import Cell, FactorialFacts, FactorialMetric


def main_effects_table(facts: FactorialFacts) -> Rows:
    """A row a level, against the first of its factor."""
    return _table(facts, 1, "main effect")


def interactions_table(facts: FactorialFacts) -> Rows:
    """A row a pair of levels."""
    return _table(facts, 2, "interaction")


def left_out(facts: FactorialFacts) -> str:
    """The metrics that have no effects since a combination of levels lacks them."""
    return listed([metric.label for metric in facts.left_out])


def _table(facts: FactorialFacts, factors: int, title: str) -> Rows:
    rows = [[title, *(f"{entry.metric.label} {entry.metric.arrow}" for entry in facts.metrics)]]
    for cell in facts.metrics[0].effects if facts.metrics else ():
        if len(cell) == factors:
            rows.append([label(facts, cell), *(_effect(entry, cell) for entry in facts.metrics)])
    return rows


def label(facts: FactorialFacts, cell: Cell) -> str:
    """``ema: early − off``, or ``lpips: on × ema: early``."""
    if len(cell) > 1:
        return " × ".join(f"{factor}: {level}" for factor, level in cell)
    ((factor, level),) = cell
    return f"{factor}: {level} − {facts.factors[factor][0]}"


def _effect(entry: FactorialMetric, cell: Cell) -> str:
    if cell not in entry.effects:
        return NONE
    difference = entry.effects[cell].difference
    places = numbers.decimals_of(effect.difference for effect in entry.effects.values())
    text = numbers.difference(difference, places)
    return f"**{text}**" if difference.excludes_zero else text
