"""The ground that every section of a report computes from: variants, seeds, runs, metrics, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ablate.metrics import COSTS
from ablate.records import FINISHED
from ablate.report.claims import Claim, Looks, judge_claims, looks_of
from ablate.report.metrics import Metric, measure
from ablate.report.search import Searched, apart
from ablate.stats import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.records import ExperimentRecord, RunRecord
    from ablate.vocabulary import Vocabulary


@dataclass(frozen=True)
class Results:
    """An experiment's record, and what all sections would otherwise compute again."""

    record: ExperimentRecord
    vocabulary: Vocabulary
    """What the experiment could name: its metrics, its losses, the sections of its plug-ins."""
    written: datetime
    """When the report is written."""
    baseline: str
    variants: tuple[str, ...]
    """The baseline first, then the spec's order."""
    seeds: tuple[int, ...]
    alpha: float
    """The level that all verdicts share."""
    runs: Mapping[tuple[str, int], RunRecord]
    """(variant, seed) → the run that counts, in the order of variants and seeds."""
    finished: Sequence[RunRecord]
    """The runs that count and finished."""
    metrics: tuple[Metric, ...]
    """Of quality, in the order of the vocabulary."""
    costs: tuple[Metric, ...]
    """Of time, in the order of COSTS."""
    claims: tuple[Claim, ...]
    looks: Looks
    """At which the claims are judged, if the spec has planned any."""
    searched: Searched | None = None
    """What a search has tried; of it, ``variants`` has only what was confirmed."""

    @property
    def others(self) -> tuple[str, ...]:
        """All variants but the baseline."""
        return self.variants[1:]

    def find(self, key: str) -> Metric | None:
        """The metric or cost of a name; None where no run has it."""
        return next((metric for metric in (*self.metrics, *self.costs) if metric.key == key), None)


def gather(record: ExperimentRecord, vocabulary: Vocabulary, now: datetime | None = None) -> Results:
    """The results of an experiment; ``now`` is the report's time, by default the present one in UTC."""
    record, searched = apart(record, vocabulary.figures)
    spec, baseline, alpha = record.spec, str(record.spec["baseline"]), float(record.spec.get("alpha", 0.05))
    counting = runs_that_count(record)
    named = [baseline, *spec["variants"], *sorted({variant for variant, _ in counting})]
    variants = tuple(dict.fromkeys(named))
    seeds = tuple(sorted({*spec["seeds"], *(seed for _, seed in counting)}))
    runs = {(v, s): counting[v, s] for v in variants for s in seeds if (v, s) in counting}
    finished = [run for run in runs.values() if run.status == FINISHED]
    metrics, costs = (
        tuple(filter(None, (measure(key, figure, finished, baseline) for key, figure in kind.items())))
        for kind in (vocabulary.metrics, COSTS)
    )
    looks = looks_of(spec, alpha, runs)
    return Results(
        record=record,
        vocabulary=vocabulary,
        written=now or datetime.now(UTC),
        baseline=baseline,
        variants=variants,
        seeds=seeds,
        alpha=alpha,
        runs=runs,
        finished=finished,
        metrics=metrics,
        costs=costs,
        claims=judge_claims(spec.get("claims") or (), (*metrics, *costs), vocabulary.figures, alpha, looks),
        looks=looks,
        searched=searched,
    )


def runs_that_count(record: ExperimentRecord) -> dict[tuple[str, int], RunRecord]:
    """(variant, seed) → run: the finished one, of a run that was made again after a failure."""
    in_turn = sorted(record.runs, key=lambda run: run.status == FINISHED)
    return {(run.variant, run.seed): run for run in in_turn}


def unmet(results: Results) -> list[Claim]:
    """The claims that must be supported and are not."""
    return [claim for claim in results.claims if claim.must and claim.verdict != Verdict.SUPPORTED]
