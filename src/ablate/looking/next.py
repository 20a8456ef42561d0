"""What would decide the claims that are still open, how likely it is, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.fields import MOST_SEEDS
from ablate.looking.shown import finite
from ablate.runner.forecast import forecast
from ablate.runner.times import Times
from ablate.stats import Look, Verdict, chance, least_seeds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ablate.documents import experiments
    from ablate.plan import Plan
    from ablate.report.claims import Claim
    from ablate.report.results import Results


@dataclass(frozen=True)
class Step:
    """Seeds that could be run next, and what they may decide."""

    seeds: tuple[int, ...]
    """All that are judged: at a look those of before too, in a study of their own the fresh ones alone."""
    level: float
    chances: Mapping[int, float]
    """Number of each open claim, from 1 → probability that it is decided, if what was measured is the truth.
    NaN where the differences do not vary."""
    runs: int
    """That MLflow lacks."""
    steps: int
    """Optimizer steps that the store lacks."""
    hours: float | None
    """Of ``device``; None where nobody has measured all of it."""
    device: str


@dataclass(frozen=True)
class Coming:
    """The claims of an experiment that are open, and the steps that would decide them."""

    claims: int
    open: Mapping[int, Claim]
    """By their numbers, from 1."""
    looks: tuple[Look, ...]
    """All that were planned."""
    missing: int
    """Runs that the experiment still lacks as it is."""
    ended: bool
    """Whether all of its runs have finished or failed."""
    steps: tuple[Step, ...]
    """At each look that is to come; or, when a study without planned looks has ended, one of fresh seeds by
    themselves."""
    least: int | None = None
    """Fewest seeds that can decide an open claim, where those that were measured are too few to say how many
    it takes."""


def coming(results: Results, plan_with: Callable[[Sequence[int]], Plan]) -> Coming:
    """What would decide the open claims of an experiment.

    ``plan_with`` makes the plan of the same experiment with other seeds.
    """
    claims = results.claims
    still_open = {n: c for n, c in enumerate(claims, start=1) if c.verdict == Verdict.INCONCLUSIVE}
    seeds = tuple(results.record.spec["seeds"])
    variants = len(results.record.spec["variants"])
    finished = {(run.variant, run.seed) for run in results.finished}

    def step(judged: tuple[int, ...], level: float) -> Step:
        def of(claim: Claim) -> float:
            found = claim.judgement
            return chance(found.distance, found.sd, len(judged), len(claims), level, test=found.test)

        plan = plan_with(judged)
        cost = forecast(plan, plan.to_measure, Times(plan.store, plan.experiment.name))
        return Step(
            seeds=judged,
            level=level,
            chances={number: of(claim) for number, claim in still_open.items()},
            runs=sum((run.variant, run.seed) not in finished for run in plan.runs),
            steps=plan.steps_to_train,
            hours=None if cost.unknown else cost.hours,
            device=cost.device,
        )

    fresh = tuple(range(max(seeds) + 1, max(seeds) + 1 + MOST_SEEDS))
    steps = []
    if results.looks.planned:
        steps = [
            step((*seeds, *fresh)[: look.seeds], look.alpha)
            for look in results.looks.to_come
            if still_open and look.seeds >= len(seeds)
        ]
    elif results.looks.ended:
        needed = [n for claim in still_open.values() if (n := claim.judgement.seeds_needed)]
        count = max((n for n in needed if n <= MOST_SEEDS), default=0)
        steps = [step(fresh[:count], results.alpha)] if count else []
    return Coming(
        claims=len(claims),
        open=still_open,
        looks=results.looks.planned,
        missing=variants * len(seeds) - len(finished),
        ended=results.looks.ended,
        steps=tuple(steps),
        least=None if steps else _least(results, still_open.values()),
    )


def _least(results: Results, still_open: Iterable[Claim]) -> int | None:
    """Fewest seeds that can decide one of these claims, if some have no two seeds and the study has ended."""
    unknown = [claim for claim in still_open if (d := claim.judgement.difference) is None or d.n < 2]
    if not unknown or results.looks.planned or not results.looks.ended:
        return None
    return min(least_seeds(c.judgement.test, len(results.claims), results.alpha) for c in unknown)


def coming_as_data(found: Coming) -> experiments.Next:
    """``ablate next --json``."""
    return {
        "claims": found.claims,
        "missing_runs": found.missing,
        "looks": [{"seeds": look.seeds, "alpha": look.alpha} for look in found.looks],
        "open": [
            {
                "number": number,
                "text": claim.text,
                "p_corrected": claim.judgement.p_corrected,
                "level": claim.level,
                "seeds_needed": claim.judgement.seeds_needed,
            }
            for number, claim in found.open.items()
        ],
        "steps": [
            {
                "seeds": list(step.seeds),
                "level": step.level,
                "chances": {str(number): finite(p) for number, p in step.chances.items()},
                "runs": step.runs,
                "optimizer_steps": step.steps,
                "hours": step.hours,
                "device": step.device,
            }
            for step in found.steps
        ],
        "least_seeds": found.least,
    }
