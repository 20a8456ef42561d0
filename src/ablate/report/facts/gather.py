"""All facts of a report, gathered once from the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.metrics import COSTS, METRICS
from ablate.report.facts.claims import ClaimFacts, judge_claims
from ablate.report.facts.curves import Curve, distinct_trainings
from ablate.report.facts.factorial import FactorialFacts, factorial
from ablate.report.facts.frontier import FrontierFacts, frontier
from ablate.report.facts.metrics import AccuracyFacts, MetricFacts, accuracies, mean_values, measure
from ablate.report.facts.published import PublishedFacts, published
from ablate.report.facts.runs import FINISHED, Gap, ImageCounts, find_gaps, image_counts, standing_runs
from ablate.report.facts.samples import Grid, choose_grid
from ablate.report.facts.sharing import Sharing, count_sharing
from ablate.report.facts.variance import VarianceFacts, variances
from ablate.report.facts.variants import config_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.records import ExperimentRecord, RunRecord


@dataclass(frozen=True)
class Facts:
    """All that a report says."""

    record: ExperimentRecord
    baseline: str
    variants: tuple[str, ...]
    """The baseline first, then the spec's order."""
    seeds: tuple[int, ...]
    alpha: float
    """The level that all verdicts share."""
    runs: Mapping[tuple[str, int], RunRecord]
    finished: int
    changes: Mapping[str, Mapping[str, Any]]
    """Dotted field → variant → value, only fields that differ. A variant without the field is absent."""
    metrics: tuple[MetricFacts, ...]
    """Of quality, in the order of METRICS."""
    costs: tuple[MetricFacts, ...]
    """Of time, in the order of COSTS."""
    evaluations: Mapping[str, float]
    """Variant → evaluations of the U-Net for an image."""
    accuracies: tuple[AccuracyFacts, ...]
    claims: tuple[ClaimFacts, ...]
    factorial: FactorialFacts | None
    frontier: FrontierFacts | None
    published: PublishedFacts | None
    variances: tuple[VarianceFacts, ...]
    curves: tuple[Curve, ...]
    sharing: Sharing
    images: ImageCounts
    gaps: tuple[Gap, ...]
    grid: Grid | None

    @property
    def others(self) -> tuple[str, ...]:
        """All variants but the baseline."""
        return self.variants[1:]

    @property
    def same_noise(self) -> bool:
        """Whether runs with the same seed are sampled from the same noise."""
        return "sample.seed" not in self.changes


def gather(record: ExperimentRecord) -> Facts:
    """Compute all facts of a report."""
    spec, runs = record.spec, standing_runs(record.runs)
    baseline, alpha = str(spec["baseline"]), float(spec.get("alpha", 0.05))
    named = [baseline, *spec["variants"], *sorted({variant for variant, _ in runs})]
    variants = tuple(dict.fromkeys(named))
    seeds = tuple(sorted({*spec["seeds"], *(seed for _, seed in runs)}))
    in_order = [runs[v, s] for v in variants for s in seeds if (v, s) in runs]
    finished = [run for run in in_order if run.status == FINISHED]
    metrics, costs = (
        tuple(fact for key in kind if (fact := measure(key, kind[key].label, finished, variants, baseline)))
        for kind in (METRICS, COSTS)
    )
    return Facts(
        record=record,
        baseline=baseline,
        variants=variants,
        seeds=seeds,
        alpha=alpha,
        runs=runs,
        finished=len(finished),
        changes=config_changes({v: record.configs[v] for v in variants if v in record.configs}),
        metrics=metrics,
        costs=costs,
        evaluations=mean_values("evaluations_per_image", finished),
        accuracies=accuracies(finished, variants),
        claims=judge_claims(spec.get("claims") or (), (*metrics, *costs), alpha),
        factorial=factorial(spec.get("factors") or {}, metrics),
        frontier=frontier(record.configs, baseline, metrics, costs),
        published=published(spec.get("published"), (*metrics, *costs)),
        variances=variances(record.configs, metrics),
        curves=distinct_trainings(finished, variants),
        sharing=count_sharing(in_order),
        images=image_counts(finished),
        gaps=find_gaps(runs, variants, seeds, [metric.key for metric in metrics]),
        grid=choose_grid(finished, variants, seeds),
    )
