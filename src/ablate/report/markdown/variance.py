"""Where the spread between runs comes from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.markdown.text import NONE, Rows

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.facts.variance import VarianceFacts


def variance_tables(facts: Facts) -> list[dict[str, object]]:
    """For each group of variants, whom it holds and a table with a row a metric."""
    return [
        {"variants": ", ".join(group.variants), "trainings": group.trainings, "table": _table(facts, group)}
        for group in facts.variances
    ]


def _table(facts: Facts, group: VarianceFacts) -> Rows:
    rows = [["metric", "standard deviation", "training seed", "sampling seed", "rest"]]
    for metric in facts.metrics:
        if split := group.splits.get(metric.key):
            spread = math.sqrt(split.training + split.sampling + split.residual)
            shares = [
                NONE if math.isnan(share) else f"{numbers.percent(share, 0)} %"
                for share in split.shares.values()
            ]
            rows.append([metric.label, f"{spread:.2g}", *shares])
    return rows
