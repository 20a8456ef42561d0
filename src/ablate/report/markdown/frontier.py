"""Which ways of sampling no other one beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.markdown.text import Rows


def frontier_table(facts: Facts) -> Rows:
    """A row a metric: the variants on the frontier, fastest first."""
    labels = {metric.key: f"{metric.label} {metric.arrow}" for metric in facts.metrics}
    optimal = facts.frontier.optimal if facts.frontier else {}
    return [
        ["metric", "on the frontier, fastest first"],
        *([labels[key], ", ".join(variants)] for key, variants in optimal.items() if variants),
    ]
