"""Claims judged at several planned looks, while seeds are added, without more wrong verdicts.

Each look may spend a part of alpha (Lan and DeMets, "Discrete Sequential Boundaries for Clinical Trials",
Biometrika 1983): here in proportion to the seeds that it adds, their linear spending function. At a look all
claims are judged at its part with Holm's correction, whether they were decided before or not. The parts add
up to alpha, so the probability of any wrong verdict at any look is at most alpha (Boole), however the looks
and the claims depend on each other. Bounds from the joint distribution of the looks would be a little less
strict, and would need one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ablate.stats.verdicts import Judgement, Question, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Look:
    """A number of seeds after which claims are judged, and the level at which they are."""

    seeds: int
    alpha: float


def spend(counts: Sequence[int], alpha: float) -> tuple[Look, ...]:
    """Looks after so many seeds, whose levels add up to ``alpha``: ``αₖ = α · (nₖ − nₖ₋₁)/n_K``.

    Raises ValueError for no looks, numbers that do not rise, or alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    if not counts or any(later <= earlier for earlier, later in pairwise((0, *counts))):
        raise ValueError(f"numbers of seeds that rise, not {list(counts)}")
    return tuple(Look(n, alpha * (n - before) / counts[-1]) for before, n in pairwise((0, *counts)))


def judge_at_looks(
    questions: Sequence[Sequence[Question]], looks: Sequence[Look]
) -> list[tuple[Judgement, Look]]:
    """Judge all questions of an experiment at each look that was taken.

    ``questions`` has, for each of ``looks``, the same questions with the differences of the seeds that the
    look sees. For each question: the first judgement that decides and its look, or else the last one. A
    verdict stays as it is, whatever later looks say. Raises ValueError as ``judge``.
    """
    by_look = [
        [(judgement, look) for judgement in judge(asked, look.alpha)]
        for asked, look in zip(questions, looks, strict=True)
    ]
    return [
        next((found for found in each if found[0].verdict != Verdict.INCONCLUSIVE), each[-1])
        for each in zip(*by_look, strict=True)
    ]
