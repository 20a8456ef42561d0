"""The spec's claims, judged together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablate.records import FAILED, FINISHED
from ablate.report import numbers
from ablate.stats import (
    Judgement,
    Look,
    Question,
    Verdict,
    judge,
    judge_at_looks,
    seeds_for_alpha,
    smallest_p,
    spend,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from ablate.metrics.base import Figure
    from ablate.records import RunRecord
    from ablate.report.metrics import Metric


@dataclass(frozen=True)
class Looks:
    """The looks that a spec has planned, and how far they are."""

    planned: tuple[Look, ...]
    seeds: tuple[int, ...]
    """In the spec's order: a look sees the first of them."""
    taken: int
    ended: bool
    """Whether no run of the experiment is open."""

    @property
    def undecided(self) -> bool:
        """Whether the claims have not been judged yet."""
        return not self.taken and (bool(self.planned) or not self.ended)

    @property
    def so_far(self) -> tuple[Look, ...]:
        """Those whose seeds are complete."""
        return self.planned[: self.taken]

    @property
    def to_come(self) -> tuple[Look, ...]:
        """The others."""
        return self.planned[self.taken :]


def looks_of(spec: Mapping[str, Any], alpha: float, runs: Mapping[tuple[str, int], RunRecord]) -> Looks:
    """The looks of a recorded spec. One is taken when none of its runs, (variant, seed) → run, is open."""
    planned, seeds = spec.get("looks") or (), tuple(spec["seeds"])
    ended = {pair for pair, run in runs.items() if run.status in (FINISHED, FAILED)}
    complete = [{(v, seed) for v in spec["variants"] for seed in seeds[:n]} <= ended for n in planned]
    taken = sum(n <= len(seeds) and done for n, done in zip(planned, complete, strict=True))
    all_ended = {(v, seed) for v in spec["variants"] for seed in seeds} <= ended
    return Looks(spend(planned, alpha) if planned else (), seeds, taken, all_ended)


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
    """The smallest p that the sign-flip test can give with these seeds."""
    least_seeds: int
    """Seeds with which the sign-flip test can decide the first of all claims (Holm)."""
    level: float
    """At which all claims were judged: ``alpha``, or the part of it that a planned look may spend."""
    look: Look | None
    """The planned look that the verdict is from; None without any, or before the first."""

    @property
    def verdict(self) -> Verdict:
        """Supported, refuted, or neither."""
        return self.judgement.verdict

    @property
    def places(self) -> int:
        """Decimals for its numbers."""
        difference = self.judgement.difference
        return numbers.decimals_of([difference]) if difference else 0

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
    looks: Looks,
) -> tuple[Claim, ...]:
    """Judge all claims of the experiment together: at each look so far, or once at level ``alpha``, when all
    its runs have ended. To judge them after each seed would be a look that nobody has planned."""
    if not claims:
        return ()
    by_key = {metric.key: metric for metric in metrics}

    def asked(seeds: Collection[int] | None = None) -> list[Question]:
        """The claims as questions to these seeds, by default to all."""
        questions = []
        for claim in claims:
            metric = by_key.get(claim["metric"])
            paired = metric.paired(claim["variant"], claim["against"]) if metric else {}
            differences = tuple(d for seed, d in paired.items() if seeds is None or seed in seeds)
            questions.append(Question(differences, claim["direction"], claim.get("margin") or 0.0))
        return questions

    found: list[tuple[Judgement, float, Look | None]]
    if looks.taken:
        each = [asked(looks.seeds[: look.seeds]) for look in looks.so_far]
        found = [(judged, look.alpha, look) for judged, look in judge_at_looks(each, looks.so_far)]
    elif not looks.undecided:
        found = [(judged, alpha, None) for judged in judge(asked(), alpha)]
    else:  # what is there is described, and decides nothing yet
        level = looks.planned[0].alpha if looks.planned else alpha
        so_far = judge(asked(), level)
        found = [(replace(judged, verdict=Verdict.INCONCLUSIVE), level, None) for judged in so_far]
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
            least_seeds=seeds_for_alpha(len(claims), level),
            level=level,
            look=look,
        )
        for claim, (judgement, level, look) in zip(claims, found, strict=True)
    )
