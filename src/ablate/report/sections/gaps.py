"""Runs that failed, are missing, or lack metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from ablate.records import FINISHED
from ablate.report.blocks import Block, Heading, Table, code
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.words import line, shorten
from ablate.text import brief

if TYPE_CHECKING:
    from ablate.report.results import Results

RUNNING = "RUNNING"
MISSING = "MISSING"
"""Status of a variant and seed that the spec asks for and no run stands for."""


@dataclass(frozen=True)
class Gap:
    """A run that did not finish, was never made, or lacks metrics."""

    variant: str
    seed: int
    status: str
    reason: str
    run_id: str = ""


class Gaps(Section):
    """What the spec asks for and the runs do not give."""

    name = "gaps"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where all runs finished with all metrics."""
        gaps = find_gaps(results)
        return [Heading("Failed and missing runs"), _table(gaps)] if gaps else []


def _table(gaps: list[Gap]) -> Table:
    rows = []
    for gap in gaps:
        run = code(gap.run_id) if gap.run_id else NONE
        rows.append([gap.variant, str(gap.seed), gap.status, shorten(line(brief(gap.reason))), run])
    return Table(["variant", "seed", "status", "reason", "MLflow run"], rows)


def find_gaps(results: Results) -> list[Gap]:
    """In the order of variants and seeds."""
    gaps = []
    for variant, seed in product(results.variants, results.seeds):
        run = results.runs.get((variant, seed))
        if run is None:
            gaps.append(Gap(variant, seed, MISSING, "no run was recorded"))
        elif run.status != FINISHED:
            reason = run.reason or ("not finished yet" if run.status == RUNNING else "no reason was recorded")
            gaps.append(Gap(variant, seed, run.status, reason, run.run_id))
        elif lacking := [m for m in results.metrics if not math.isfinite(run.metrics.get(m.key, math.nan))]:
            reason = f"no {', '.join(metric.name for metric in lacking)}"
            gaps.append(Gap(variant, seed, run.status, reason, run.run_id))
    return gaps
