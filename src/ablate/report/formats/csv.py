"""The report's numbers as tables, unrounded, for your own statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.report.claims import Claim
    from ablate.report.results import Results
    from ablate.report.search import Searched


DIGITS = "%.8g"
"""How computed figures are written; those of runs are written in full."""


def write(results: Results, folder: Path) -> str:
    """``results.csv``, ``claims.csv`` and the tables of ``write_raw`` in ``<name>/``."""
    target = folder / results.record.name
    write_raw(results, target)
    _results(results).to_csv(target / "results.csv", index=False, float_format=DIGITS)
    claims = _table([_claim(claim) for claim in results.claims], ["claim", "verdict"])
    claims.to_csv(target / "claims.csv", index=False, float_format=DIGITS)
    return results.record.name


def write_raw(results: Results, folder: Path) -> None:
    """What goes with a report in any format: ``runs.csv``, and for a search ``trials.csv``."""
    _write_runs(results, folder)
    if results.searched:
        trials = _table(_trials(results.searched), ["trial", "round", "state"])
        trials = trials.convert_dtypes()  # a whole number stays one
        trials.to_csv(folder / "trials.csv", index=False)


def _write_runs(results: Results, folder: Path) -> None:
    """``runs.csv``: a row a run with variant, seed, MLflow run, status, and all its final figures."""
    rows = [
        {"variant": run.variant, "seed": run.seed, "run_id": run.run_id, "status": run.status}
        | dict(sorted(run.metrics.items()))
        for run in results.record.runs
    ]
    _table(rows, ["variant", "seed", "run_id", "status"]).to_csv(folder / "runs.csv", index=False)


def _table(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    """The rows; without any, a head with these ``columns``: an empty file is none that pandas reads."""
    return pd.DataFrame(rows, columns=None if rows else columns)


def _trials(searched: Searched) -> list[dict[str, Any]]:
    """A row a trial, in their order. Fields and objectives are named as in Optuna's own tables."""
    unbeaten = {trial.name for trial in searched.unbeaten}
    fields = dict.fromkeys(name for trial in searched.trials for name in trial.params)
    return [
        {"trial": trial.name, "round": trial.round, "state": trial.state}
        | {f"params_{name}": trial.params.get(name) for name in fields}
        | {f"values_{key}": trial.values.get(key) for key in searched.objectives}
        | {
            "keeps_to_constraints": trial.kept if trial.values else None,
            "unbeaten": trial.name in unbeaten if trial.values else None,
            "confirmed": trial.name in searched.confirmed,
            "steps_trained": trial.trained,
            "pruned_after": trial.pruned or None,
            "value_there": trial.marks.get(trial.pruned),
            "reason": trial.reason,
            "run_ids": " ".join(trial.runs),
        }
        for trial in searched.trials
    ]


def _results(results: Results) -> pd.DataFrame:
    """A row a variant and metric: the mean over seeds, and the paired difference to the baseline."""
    rows = []
    for metric in (*results.metrics, *results.costs):
        for variant, mean in metric.intervals.items():
            difference = metric.differences.get(variant)
            against = (difference.mean, difference.low, difference.high, difference.p) if difference else ()
            rows.append(
                (variant, metric.key, mean.n, mean.mean, mean.low, mean.high, *(against or [None] * 4))
            )
    head = ["variant", "metric", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=[*head, "difference", "difference_low", "difference_high", "p"])


def _claim(claim: Claim) -> dict[str, Any]:
    """What a claim says, what was measured, and the verdict."""
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
        "level": claim.level,
        "smallest_p": claim.smallest_p,
        "detectable": judgement.detectable,
        "seeds_needed": judgement.seeds_needed,
    }
