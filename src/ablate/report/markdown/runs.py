"""Which runs the numbers come from, and which are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.report.markdown.text import NONE, Rows, line, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.report.facts import Facts


def gaps_table(facts: Facts) -> Rows:
    """Runs that failed, are missing, or lack metrics, with the reason."""
    rows = [["variant", "seed", "status", "reason", "MLflow run"]]
    for gap in facts.gaps:
        run = f"`{gap.run_id}`" if gap.run_id else NONE
        rows.append([gap.variant, str(gap.seed), gap.status, shorten(line(gap.reason)), run])
    return rows


def runs_table(facts: Facts) -> Rows:
    """The MLflow run of each variant and seed."""
    rows = [["variant", "seed", "status", "MLflow run"]]
    for variant in facts.variants:
        for seed in facts.seeds:
            if run := facts.runs.get((variant, seed)):
                rows.append([variant, str(seed), run.status, f"`{run.run_id}`"])
    return rows


def spec_as_written(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec in a form that runs again: with the design itself instead of what it expands to."""
    expanded = {"baseline", "variants"} if spec.get("factors") or spec.get("leave_one_out") else set()
    written = {field: value for field, value in spec.items() if value and field not in expanded}
    if claims := written.get("claims"):
        written["claims"] = [{field: value for field, value in claim.items() if value} for claim in claims]
    return written
