"""Chosen runs and comparisons as plain data, with stable names: what ``--json`` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.looking.compare import A, B

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.documents import experiments, runs
    from ablate.looking.chosen import Chosen
    from ablate.looking.compare import Comparison, Pair
    from ablate.records import Finding, RunRecord, Verification
    from ablate.report.metrics import Metric
    from ablate.stats import Interval


def as_data(chosen: Chosen) -> runs.Shown:
    """The runs of an experiment, a variant, or one run."""
    return {
        "experiment": chosen.record.name,
        "parent_run_id": chosen.record.parent_run_id,
        "provenance": dict(chosen.record.provenance),
        "runs": [run_as_data(run) for run in chosen.runs],
    }


def run_as_data(run: RunRecord) -> runs.RecordedRun:
    """One run, without its curves."""
    return {
        "variant": run.variant,
        "seed": run.seed,
        "run_id": run.run_id,
        "status": run.status,
        "reason": run.reason,
        "metrics": {name: finite(value) for name, value in run.metrics.items()},
        "params": dict(run.params),
        "feature_space": run.feature_space,
        "evaluator": run.evaluator,
        "samples": str(run.samples) if run.samples else None,
    }


def comparison_as_data(found: Comparison) -> runs.Comparison:
    """What differs between A and B, and by how much."""
    return {
        "a": found.a.title,
        "b": found.b.title,
        "versions": {name: list(both) for name, both in found.versions.items()},
        "pairs": [_pair(pair) for pair in found.pairs],
        "only_a": list(found.only[0]),
        "only_b": list(found.only[1]),
    }


def _pair(pair: Pair) -> runs.ComparedPair:
    return {
        "title": pair.title,
        "settings": {name: list(both) for name, both in pair.settings.items()},
        "seeds": list(pair.seeds),
        "shared_epochs": {str(seed): list(epochs) for seed, epochs in pair.shared.items()},
        "metrics": {metric.key: _metric(metric) for metric in pair.metrics},
        "notes": list(pair.notes),
    }


def _metric(metric: Metric) -> runs.ComparedMetric:
    difference = metric.differences.get(A)
    return {
        "label": metric.label,
        "lower_is_better": metric.lower_is_better,
        "a": _interval(metric.intervals.get(A)),
        "b": _interval(metric.intervals.get(B)),
        "difference": _interval(difference),
        "p": finite(difference.p) if difference else None,
    }


def _interval(interval: Interval | None) -> runs.Interval | None:
    if interval is None:
        return None
    low, high = finite(interval.low), finite(interval.high)
    return {"mean": finite(interval.mean), "low": low, "high": high, "n": interval.n}


def findings_as_data(findings: Sequence[Finding]) -> list[experiments.Finding]:
    """What the audit found, an object for each thing that was looked at."""
    return [
        {
            "variant": finding.variant,
            "about": finding.about,
            "act": finding.act,
            "layer": finding.layer,
            "reason": finding.reason,
            "epoch": finding.epoch,
            "changes": {layer: finite(share) for layer, share in finding.changes.items()},
            "expected": finding.expected,
        }
        for finding in findings
    ]


def verification_as_data(measured: Verification) -> experiments.Verification:
    """Which weights are equal, and how long training took."""
    return {
        "seed": measured.seed,
        "equal": dict(measured.equal),
        "shared_seconds": measured.shared_seconds,
        "separate_seconds": dict(measured.separate_seconds),
        "ratio": measured.ratio,
    }


def finite(value: float) -> float | None:
    """A number as JSON knows it; what is not finite is null."""
    return value if math.isfinite(value) else None
