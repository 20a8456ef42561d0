"""Verdicts on claims written before the run.

Each claim is tested over its seeds, then Holm's correction over all claims of the experiment bounds the
probability of any wrong verdict by alpha (Holm, "A Simple Sequentially Rejective Multiple Test
Procedure", Scand. J. Stat. 1979). Three steps: ``weigh`` each question, ``conclude`` over all of them,
and describe what was found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

from ablate.stats.intervals import Interval, bca_interval, is_constant
from ablate.stats.paired import PairedDifference, mean_difference, sign_flip_p
from ablate.stats.power import Test, detectable_effect, seeds_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Direction = Literal["higher", "lower", "equal"]


class Verdict(StrEnum):
    """What the seeds say about a claim."""

    SUPPORTED = "supported"
    REFUTED = "refuted"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Question:
    """A claim about the true mean μ of ``differences`` (variant − against, one a seed, maybe none).

    "higher" claims μ ≥ margin (μ > 0 for margin 0), "lower" μ ≤ −margin, "equal" −margin < μ < margin.
    The margin has the unit of the metric. Raises ValueError for a margin below zero, one of zero for
    "equal", or a value that is not finite.
    """

    differences: tuple[float, ...]
    direction: Direction
    margin: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0):
            raise ValueError(f"the margin must be zero or more, not {self.margin}")
        if self.direction == "equal" and self.margin == 0:
            raise ValueError('"equal" needs a margin above zero: no number of seeds shows exact equality')
        if not all(map(math.isfinite, self.differences)):
            raise ValueError(f"the differences must be finite, not {self.differences}")


@dataclass(frozen=True)
class Evidence:
    """One question by itself: the p-value of ``test``, and the verdict if that p is small enough."""

    p: float
    test: Test
    points_to: Verdict


@dataclass(frozen=True)
class Judgement:
    """The verdict on one question, and what it rests on.

    ``difference`` and ``bca`` describe the differences themselves, whatever the margin, and are None
    without any; ``difference.p`` is against zero. ``p`` is that of ``test``, against the margin;
    ``p_corrected`` (Holm) decides. ``detectable`` is ``detectable_effect`` in the unit of the metric (NaN
    if unknown). ``distance`` is that of the mean from the nearest margin that decides, and ``sd`` the
    standard deviation of the differences (0 if they do not vary). ``seeds_needed`` is the number of seeds
    that would show this distance, if it were the true one.
    """

    verdict: Verdict
    difference: PairedDifference | None
    bca: Interval | None
    p: float
    p_corrected: float
    test: Test
    detectable: float
    distance: float
    sd: float
    seeds_needed: int | None


def judge(questions: Sequence[Question], alpha: float = 0.05) -> list[Judgement]:
    """Judge all questions of an experiment together: one judgement a question, in their order.

    With probability at least ``1 − alpha`` no verdict is wrong, however the questions depend on each
    other. This asks for independent seeds; differences that are symmetric about their mean, which those
    of two variants that only chance tells apart are; and normal ones where "equal" is supported. A
    question with fewer than two differences is inconclusive at p = 1, and still counts in the
    correction: dropping it would make the others easier.

    Raises ValueError for alpha outside (0, 1), or more questions than ``seeds_for_alpha`` can answer.
    """
    evidence = [weigh(question) for question in questions]
    conclusions = conclude(evidence, alpha)
    return [
        _describe(question, found, corrected, verdict, len(questions), alpha)
        for question, found, (corrected, verdict) in zip(questions, evidence, conclusions, strict=True)
    ]


def weigh(question: Question) -> Evidence:
    """Test one question by itself.

    Directions: the two-sided sign-flip test (``sign_flip_p``) that the mean lies on the margin; the side
    of the mean says what it points to. "equal": a mean within the margins can only support, by two
    one-sided t tests (``tost_p``); one beyond a margin can only refute, by the sign-flip test there.
    """
    import numpy as np

    d = np.asarray(question.differences, dtype=np.float64)
    if d.size < 2:
        return Evidence(1.0, "TOST" if question.direction == "equal" else "sign-flip", Verdict.INCONCLUSIVE)

    if question.direction == "equal":
        if abs(d.mean()) <= question.margin:
            return Evidence(tost_p(d, question.margin), "TOST", Verdict.SUPPORTED)
        beyond = d - math.copysign(question.margin, d.mean())
        return Evidence(sign_flip_p(beyond), "sign-flip", Verdict.REFUTED)

    beyond = (d if question.direction == "higher" else -d) - question.margin
    points_to = Verdict.SUPPORTED if beyond.mean() > 0 else Verdict.REFUTED
    return Evidence(sign_flip_p(beyond), "sign-flip", points_to)


def conclude(evidence: Sequence[Evidence], alpha: float) -> list[tuple[float, Verdict]]:
    """Correct the p-values of an experiment by Holm: for each, the corrected p and the verdict. Raises
    ValueError for alpha outside (0, 1)."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    if not evidence:
        return []

    from statsmodels.stats.multitest import multipletests

    corrected = multipletests([found.p for found in evidence], method="holm")[1]
    return [
        (float(p), found.points_to if p <= alpha else Verdict.INCONCLUSIVE)
        for p, found in zip(corrected, evidence, strict=True)
    ]


def tost_p(differences: NDArray[np.float64], margin: float) -> float:
    """p-value of two one-sided t tests against ``|μ| ≥ margin`` (Schuirmann, J. Pharmacokin. 1987).

    ``differences`` has shape (n,), n ≥ 2. A small p says that μ lies within ±margin. Where the
    differences do not vary at all, p is 0 or 1.
    """
    from statsmodels.stats.weightstats import DescrStatsW

    if is_constant(differences):
        return 0.0 if abs(differences.mean()) < margin else 1.0
    return float(DescrStatsW(differences).ttost_mean(-margin, margin)[0])


def _describe(
    question: Question, found: Evidence, corrected: float, verdict: Verdict, claims: int, alpha: float
) -> Judgement:
    import numpy as np

    d = np.asarray(question.differences, dtype=np.float64)
    sd = float(d.std(ddof=1)) if d.size > 1 and not is_constant(d) else 0.0
    distance = _distance(question) if d.size else math.nan
    return Judgement(
        verdict=verdict,
        difference=mean_difference(question.differences) if d.size else None,
        bca=bca_interval(question.differences) if d.size else None,
        p=found.p,
        p_corrected=corrected,
        test=found.test,
        detectable=detectable_effect(sd, d.size, claims, alpha, test=found.test),
        distance=distance,
        sd=sd,
        seeds_needed=seeds_needed(distance, sd, claims, alpha, test=found.test) if d.size > 1 else None,
    )


def _distance(question: Question) -> float:
    """How far the mean lies from the nearest margin that decides, in the unit of the metric."""
    import numpy as np

    mean = float(np.mean(question.differences))
    if question.direction == "equal":
        return question.margin - abs(mean)
    return (mean if question.direction == "higher" else -mean) - question.margin
