"""What a number of seeds can and cannot see.

All levels are Bonferroni's ``alpha/claims``, the first and strictest of Holm's steps. Differences are taken
to be normal. With so few seeds that only differences which all agree decide, the power of the sign-flip test
is ``Φ(effect/sd)ⁿ``; with more it is taken from the paired t test, which is within 0.05 of it. Two one-sided
t tests (TOST), which decide that two are equal, come within 0.1 of that, and need two seeds.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from statistics import NormalDist
from typing import Literal

from ablate.stats.paired import EXACT_UP_TO, smallest_p

Test = Literal["sign-flip", "TOST"]
"""The tests that decide."""

POWER = 0.8
"""Probability with which a difference counts as seen."""

MOST_SEEDS = 10_000
"""``seeds_needed`` looks no further."""


def seeds_for_alpha(claims: int, alpha: float) -> int:
    """The smallest number of seeds whose ``smallest_p`` is at most ``alpha/claims``.

    With fewer seeds no claim can be decided, however large the effect: 6 seeds for one claim at 0.05,
    8 for four. It says what is possible, not what is likely; that is ``seeds_needed``.

    Raises ValueError for no claims, alpha outside (0, 1), or a level below any p that the test can give.
    """
    level = _level(claims, alpha)
    for n in range(1, EXACT_UP_TO + 4):
        if smallest_p(n) <= level:
            return n
    raise ValueError(f"no number of seeds reaches p ≤ {level:g}; make fewer than {claims} claims")


def detectable_effect(sd: float, n: int, claims: int, alpha: float, *, test: Test = "sign-flip") -> float:
    """The smallest true mean difference that ``n`` seeds would show, on the right side, with 80 % power.

    ``sd`` is the standard deviation of the paired differences; the result has its unit. Where the sign-flip
    test asks that all seeds agree, each does with probability ``Φ(effect/sd)``. Else the power is that of a
    two-sided paired t test at ``alpha/claims``: the noncentral t distribution with ``n − 1`` degrees of
    freedom and noncentrality ``√n · effect/sd`` (Cohen, "Statistical Power Analysis", 1988, ch. 2). NaN where
    nothing is known about the noise (fewer than two seeds, or ``sd`` not above zero), and where no difference
    can be decided with so few seeds. Raises ValueError for no claims, or alpha outside (0, 1).
    """
    level = _level(claims, alpha)
    if n < 2 or not sd > 0 or (test == "sign-flip" and smallest_p(n) > level):
        return math.nan
    if _all_must_agree(test, n, level):
        return sd * NormalDist().inv_cdf(POWER ** (1 / n))

    # Not statsmodels' solve_power: it returns its bracket's end for n ≤ 3 and NaN where the far tail is.
    from scipy.special import nctdtrinc, stdtrit

    critical = stdtrit(n - 1, 1 - level / 2)
    noncentrality = nctdtrinc(n - 1, 1 - POWER, critical)
    return float(noncentrality * sd / math.sqrt(n))


def chance(effect: float, sd: float, n: int, claims: int, alpha: float, *, test: Test = "sign-flip") -> float:
    """The probability, 0 to 1, that ``n`` seeds show a true mean difference of ``effect``, on its side.

    The power whose inverse is ``detectable_effect``; zero below the least number of seeds with which
    ``test`` can decide, whatever the effect. NaN where nothing is known about the noise: ``sd`` not above
    zero. Raises as ``seeds_for_alpha``.
    """
    level = _level(claims, alpha)
    if n < least_seeds(test, claims, alpha):
        return 0.0
    if not sd > 0:
        return math.nan
    if _all_must_agree(test, n, level):
        return NormalDist().cdf(abs(effect) / sd) ** n

    from scipy.special import nctdtr, stdtrit

    return float(1 - nctdtr(n - 1, math.sqrt(n) * abs(effect) / sd, stdtrit(n - 1, 1 - level / 2)))


def seeds_needed(
    effect: float, sd: float, claims: int, alpha: float, *, test: Test = "sign-flip"
) -> int | None:
    """The smallest number of seeds that shows a true mean difference of ``effect`` with 80 % power.

    ``effect`` and ``sd`` have the same unit; the sign of ``effect`` does not matter. At least as many as
    ``test`` needs to decide anything: ``seeds_for_alpha``, or 2 for "TOST". None where no number can be
    named: no effect, ``sd`` not above zero, or more than 10 000 seeds. Raises as ``seeds_for_alpha``.
    """
    least = least_seeds(test, claims, alpha)
    if effect == 0 or not sd > 0:
        return None
    candidates = range(least, MOST_SEEDS + 1)
    found = bisect_left(
        candidates, True, key=lambda n: detectable_effect(sd, n, claims, alpha, test=test) <= abs(effect)
    )
    return candidates[found] if found < len(candidates) else None


def least_seeds(test: Test, claims: int, alpha: float) -> int:
    """The fewest seeds with which ``test`` can decide anything. Raises as ``seeds_for_alpha``."""
    return 2 if test == "TOST" else max(2, seeds_for_alpha(claims, alpha))


def _all_must_agree(test: Test, n: int, level: float) -> bool:
    """Whether no second pattern of signs has a p as small as ``level``."""
    return test == "sign-flip" and n <= EXACT_UP_TO and 2 * smallest_p(n) > level


def _level(claims: int, alpha: float) -> float:
    if claims < 1:
        raise ValueError(f"one or more claims, not {claims}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")
    return alpha / claims
