"""The spec's claims, judged together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.stats import Judgement, Question, Verdict, judge, seeds_for_alpha, smallest_p

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ablate.metrics.base import Figure
    from ablate.report.metrics import Metric


@dataclass(frozen=True)
class Claim:
    """A claim of the spec, what was measured for it, and the verdict."""

    text: str
    source: str
    variant: str
    against: str
    metric: Metric | None
    """None where no run has the metric."""
    metric_label: str
    direction: str
    margin: float | None
    must: bool
    """Whether the spec asks that it be supported."""
    judgement: Judgement
    """Its ``difference`` is None where the two variants have no seed in common with this metric."""
    smallest_p: float | None
    """What the sign-flip test can reach with so many seeds."""
    least_seeds: int
    """Seeds with which the sign-flip test can decide the first of all claims (Holm)."""

    @property
    def verdict(self) -> Verdict:
        """Supported, refuted, or neither."""
        return self.judgement.verdict

    @property
    def places(self) -> int:
        """Decimals for its numbers."""
        return self.metric.decimals if self.metric else 0

    @property
    def too_few_seeds(self) -> bool:
        """Whether the sign-flip test may stay undecided for want of seeds, whatever the difference."""
        difference = self.judgement.difference
        return (
            self.judgement.test == "sign-flip"
            and self.verdict == Verdict.INCONCLUSIVE
            and difference is not None
            and difference.n < self.least_seeds
        )


def judge_claims(
    claims: Sequence[Mapping[str, Any]],
    metrics: Iterable[Metric],
    figures: Mapping[str, Figure],
    alpha: float,
) -> tuple[Claim, ...]:
    """Judge all claims of the experiment together, at level ``alpha``."""
    by_key = {metric.key: metric for metric in metrics}
    questions = []
    for claim in claims:
        metric = by_key.get(claim["metric"])
        paired = metric.paired(claim["variant"], claim["against"]) if metric else {}
        questions.append(Question(tuple(paired.values()), claim["direction"], claim.get("margin") or 0.0))
    least = seeds_for_alpha(len(claims), alpha) if claims else 0
    return tuple(
        Claim(
            text=claim["text"],
            source=claim.get("source", ""),
            variant=claim["variant"],
            against=claim["against"],
            metric=(metric := by_key.get(claim["metric"])),
            metric_label=metric.label if metric else figures[claim["metric"]].label,
            direction=claim["direction"],
            margin=claim.get("margin"),
            must=claim.get("must") == Verdict.SUPPORTED,
            judgement=judgement,
            smallest_p=smallest_p(judgement.difference.n) if judgement.difference else None,
            least_seeds=least,
        )
        for claim, judgement in zip(claims, judge(questions, alpha), strict=True)
    )
