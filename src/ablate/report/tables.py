"""The report's numbers as tables, unrounded, for statistics of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from ablate.records import ExperimentRecord
    from ablate.report.facts import Facts
    from ablate.report.facts.claims import ClaimFacts


def run_table(record: ExperimentRecord) -> pd.DataFrame:
    """A row a run: variant, seed, MLflow run, status, and all its final figures."""
    rows = [
        {"variant": run.variant, "seed": run.seed, "run_id": run.run_id, "status": run.status}
        | dict(sorted(run.metrics.items()))
        for run in record.runs
    ]
    return pd.DataFrame(rows, columns=None if rows else ["variant", "seed", "run_id", "status"])


RESULTS = (
    "variant",
    "metric",
    "n",
    "mean",
    "low",
    "high",
    "difference",
    "difference_low",
    "difference_high",
    "p",
)


def result_table(facts: Facts) -> pd.DataFrame:
    """A row a variant and metric: the mean over seeds, and the paired difference to the baseline."""
    rows: list[dict[str, Any]] = []
    for metric in (*facts.metrics, *facts.costs):
        for variant, interval in metric.intervals.items():
            row = {"variant": variant, "metric": metric.key, "n": interval.n}
            row |= {"mean": interval.mean, "low": interval.low, "high": interval.high}
            if difference := metric.differences.get(variant):
                row |= {
                    "difference": difference.mean,
                    "difference_low": difference.low,
                    "difference_high": difference.high,
                    "p": difference.p,
                }
            rows.append(row)
    return pd.DataFrame(rows, columns=list(RESULTS))


def claim_table(facts: Facts) -> pd.DataFrame:
    """A row a claim: what it says, what was measured, and the verdict."""
    return pd.DataFrame([_claim(claim) for claim in facts.claims])


def _claim(claim: ClaimFacts) -> dict[str, Any]:
    judgement = claim.judgement
    difference, bca = judgement.difference, judgement.bca
    return {
        "claim": claim.text,
        "source": claim.source,
        "metric": claim.metric.key if claim.metric else claim.metric_label,
        "variant": claim.variant,
        "against": claim.against,
        "direction": claim.direction,
        "margin": claim.margin,
        "must_be_supported": claim.must,
        "verdict": str(claim.verdict),
        "n": difference.n if difference else 0,
        "difference": difference.mean if difference else None,
        "low": difference.low if difference else None,
        "high": difference.high if difference else None,
        "bca_low": bca.low if bca else None,
        "bca_high": bca.high if bca else None,
        "test": judgement.test,
        "p": judgement.p,
        "p_corrected": judgement.p_corrected,
        "smallest_p": claim.smallest_p,
        "detectable": judgement.detectable,
        "seeds_needed": judgement.seeds_needed,
    }
