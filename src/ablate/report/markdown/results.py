"""Variants, their results, and what their samples show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.markdown.text import NONE, Rows, name, value
from ablate.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.report.facts import Facts


def variants_table(facts: Facts) -> Rows:
    """A row a variant, a column a field that differs; bold where it is not the baseline's."""
    rows = [["variant", *(f"`{field}`" for field in facts.changes)]]
    for variant in facts.variants:
        cells = []
        for values in facts.changes.values():
            text = value(values[variant]) if variant in values else NONE
            base = value(values[facts.baseline]) if facts.baseline in values else NONE
            cells.append(text if text in (base, NONE) else f"**{text}**")
        rows.append([name(facts, variant), *cells])
    return rows


def results_table(facts: Facts) -> Rows:
    """Mean ± half-width of the 95 % interval; below it the paired difference to the baseline."""
    rows = [["variant", "seeds", *(f"{metric.label} {metric.arrow}" for metric in facts.metrics)]]
    places = {metric.key: numbers.decimals(metric) for metric in facts.metrics}
    for variant in facts.variants:
        seeds = {len(metric.values.get(variant, ())) for metric in facts.metrics}
        cells = []
        for metric in facts.metrics:
            if variant not in metric.intervals:
                cells.append(NONE)
                continue
            cell = numbers.mean(metric.intervals[variant], places[metric.key])
            if difference := metric.differences.get(variant):
                text = numbers.difference(difference, places[metric.key])
                cell += f"<br>**{text}**" if difference.excludes_zero else f"<br>{text}"
            cells.append(cell)
        rows.append([name(facts, variant), "–".join(map(str, sorted(seeds))), *cells])
    return rows


def accuracy_table(facts: Facts) -> Rows:
    """A row a variant, a column an attribute, in percent; the last row is chance where it is known."""
    rows = [["variant", *(accuracy.attribute for accuracy in facts.accuracies)]]
    for variant in facts.variants:
        if any(variant in accuracy.intervals for accuracy in facts.accuracies):
            cells = (_percent_cell(accuracy.intervals.get(variant)) for accuracy in facts.accuracies)
            rows.append([name(facts, variant), *cells])
    if any(accuracy.chance for accuracy in facts.accuracies):
        chances = (accuracy.chance for accuracy in facts.accuracies)
        rows.append(["*chance*", *(numbers.percent(c) if c else NONE for c in chances)])
    return rows


def _percent_cell(interval: Interval | None) -> str:
    if interval is None:
        return NONE
    hundredfold = Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high, interval.n)
    return numbers.mean(hundredfold, 1)


def counts(facts: Facts) -> dict[str, str]:
    """Numbers of images and dimensions in words; several numbers where runs differ."""

    def words(values: Sequence[int]) -> str:
        return " or ".join(numbers.number(number, 0) for number in values)

    images = facts.images
    return {
        "generated": words(images.generated),
        "real": words(images.real),
        "dimension": words(images.dimension),
    }
