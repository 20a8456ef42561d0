"""How often verdicts are wrong, and how often they are right, by simulating whole experiments.

An A/A experiment has four variants and a baseline that only chance tells apart, so each verdict on a
direction is wrong. The four share the baseline, as in a real experiment, so they depend on each other.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ablate.stats import Question, Verdict, detectable_effect, judge, spend
from ablate.stats.verdicts import Evidence, conclude, weigh

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
EXPERIMENTS = 2000
CLAIMS = 4
LOOKS = (6, 9, 12)


def at_most(rate: float, experiments: int) -> float:
    """A simulated share up to this agrees with ``rate``: three binomial standard errors above."""
    return rate + 3 * float(np.sqrt(rate * (1 - rate) / experiments))


def null_experiments(noise: str, n: int) -> NDArray[np.float64]:
    """Differences of A/A experiments, shape (experiments, claims, seeds)."""
    rng = np.random.default_rng([n, len(noise)])
    shape = (EXPERIMENTS, 1 + CLAIMS, n)
    values = {
        "normal": rng.normal(size=shape),
        "laplace": rng.laplace(size=shape),
        "exponential": rng.exponential(size=shape),
    }[noise]
    return values[:, 1:] - values[:, :1]


@cache
def sign_patterns(n: int) -> NDArray[np.float64]:
    """Half of the sign patterns of n differences, the others are mirror images: shape (seeds, patterns)."""
    return np.where(np.arange(2 ** (n - 1)) >> np.arange(n)[:, None] & 1, -1.0, 1.0)


def evidence_of(differences: NDArray[np.float64]) -> list[Evidence]:
    """What ``weigh`` finds for "higher", by one matrix product: shape (claims, seeds)."""
    signs = sign_patterns(differences.shape[-1])
    sums = np.abs(differences.sum(axis=-1, keepdims=True))
    p = (np.abs(differences @ signs) >= sums - 1e-9).mean(axis=-1)
    sides = np.where(differences.mean(axis=-1) > 0, Verdict.SUPPORTED, Verdict.REFUTED)
    return [Evidence(float(one), "sign-flip", Verdict(side)) for one, side in zip(p, sides, strict=True)]


def verdicts(evidence: list[Evidence]) -> list[Verdict]:
    """What ``conclude`` says; it makes no p smaller, so it is asked only where one is small enough."""
    if min(found.p for found in evidence) > ALPHA:
        return [Verdict.INCONCLUSIVE] * len(evidence)
    return [verdict for _, verdict in conclude(evidence, ALPHA)]


def any_decided(evidence: list[Evidence]) -> bool:
    return any(verdict is not Verdict.INCONCLUSIVE for verdict in verdicts(evidence))


@pytest.mark.parametrize("n", [6, 8])
def test_what_is_not_asked_would_be_inconclusive(n: int) -> None:
    for differences in null_experiments("normal", n)[:100]:
        evidence = evidence_of(differences)
        assert verdicts(evidence) == [verdict for _, verdict in conclude(evidence, ALPHA)]


@pytest.mark.parametrize("n", [6, 8, 12])
def test_the_simulation_weighs_as_the_package_does(n: int) -> None:
    for differences in null_experiments("normal", n)[:20] + 0.5:
        questions = [Question(tuple(d), "higher") for d in differences]
        assert evidence_of(differences) == [weigh(question) for question in questions]


@pytest.mark.parametrize("n", [6, 8])
def test_judge_says_what_the_simulation_concludes(n: int) -> None:
    for differences in null_experiments("normal", n)[:10] + 1.5:
        judged = judge([Question(tuple(d), "higher") for d in differences], ALPHA)
        concluded = conclude(evidence_of(differences), ALPHA)
        assert [(j.p_corrected, j.verdict) for j in judged] == concluded


@pytest.mark.parametrize("noise", ["normal", "laplace", "exponential"])
@pytest.mark.parametrize("n", [6, 8, 12])
def test_any_verdict_without_a_difference_is_as_rare_as_alpha(n: int, noise: str) -> None:
    wrong = np.mean([any_decided(evidence_of(d)) for d in null_experiments(noise, n)])
    assert wrong <= at_most(ALPHA, EXPERIMENTS)


def test_four_claims_use_up_alpha_with_seeds_enough() -> None:
    # Not only rare: 12 seeds leave little of alpha unused, in spite of the claims' dependence.
    wrong = np.mean([any_decided(evidence_of(d)) for d in null_experiments("normal", 12)])
    assert wrong > 0.025


@pytest.mark.parametrize("n", [6, 8, 12])
def test_without_the_correction_wrong_verdicts_exceed_alpha(n: int) -> None:
    wrong = np.mean(
        [any(any_decided([one]) for one in evidence_of(d)) for d in null_experiments("normal", n)]
    )
    assert wrong > at_most(ALPHA, EXPERIMENTS)


@pytest.mark.parametrize("n", [6, 8])
def test_equality_with_a_difference_at_the_margin_is_wrongly_supported_as_rarely_as_alpha(n: int) -> None:
    draws = np.random.default_rng(n).normal(1.0, 0.4, (EXPERIMENTS, n))
    found = [verdicts([weigh(Question(tuple(d), "equal", 1.0))])[0] for d in draws]
    supported = np.mean([verdict is Verdict.SUPPORTED for verdict in found])
    assert ALPHA - (at_most(ALPHA, EXPERIMENTS) - ALPHA) <= supported <= at_most(ALPHA, EXPERIMENTS)
    # On the far side of the margin only half of the sign-flip test's level is left.
    refuted = np.mean([verdict is Verdict.REFUTED for verdict in found])
    assert refuted <= at_most(ALPHA / 2, EXPERIMENTS)


def test_equality_of_several_claims_at_the_margin_is_wrongly_supported_as_rarely_as_alpha() -> None:
    draws = np.random.default_rng(3).normal(1.0, 0.4, (500, CLAIMS, 6))
    wrong = 0
    for differences in draws:
        evidence = [weigh(Question(tuple(d), "equal", 1.0)) for d in differences]
        wrong += Verdict.SUPPORTED in verdicts(evidence)
    assert wrong / 500 <= at_most(ALPHA, 500)


@pytest.mark.parametrize(("n", "claims"), [(6, 1), (7, 1), (7, 2), (8, 1), (8, 4), (12, 1), (12, 4)])
def test_the_sign_flip_test_sees_a_detectable_effect_in_four_of_five_experiments(n: int, claims: int) -> None:
    effect = detectable_effect(1.0, n, claims, ALPHA)
    draws = np.random.default_rng(n).normal(effect, 1.0, (EXPERIMENTS, 1, n))
    seen = np.mean([evidence_of(d)[0].p <= ALPHA / claims for d in draws])
    assert seen == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("n", [8, 12])
def test_large_effects_get_the_right_verdicts(n: int) -> None:
    rng = np.random.default_rng(n)
    right = 0
    for _ in range(20):
        up, down = rng.normal(5, 1, n), rng.normal(-5, 1, n)
        questions = [
            Question(tuple(up), "higher"),
            Question(tuple(down), "higher"),
            Question(tuple(up), "lower"),
            Question(tuple(down), "equal", 1.0),
        ]
        supported, *refuted = [verdict for _, verdict in conclude([weigh(q) for q in questions], ALPHA)]
        right += supported is Verdict.SUPPORTED and refuted == [Verdict.REFUTED] * 3
    assert right == 20


def wrong_at(evidence: list[list[Evidence]], levels: list[float]) -> bool:
    """Whether any look at an experiment without effects comes to a verdict."""
    return any(
        min(one.p for one in found) <= level
        and any(verdict != Verdict.INCONCLUSIVE for _, verdict in conclude(found, level))
        for found, level in zip(evidence, levels, strict=True)
    )


@pytest.mark.parametrize("claims", [1, 4])
def test_with_planned_looks_wrong_verdicts_are_as_rare_as_alpha_and_without_they_are_not(claims: int) -> None:
    experiments = [
        [evidence_of(differences[:claims, :n]) for n in LOOKS]
        for differences in null_experiments("normal", LOOKS[-1])
    ]
    planned = [look.alpha for look in spend(LOOKS, ALPHA)]
    assert np.mean([wrong_at(each, planned) for each in experiments]) <= at_most(ALPHA, EXPERIMENTS)
    unplanned = [ALPHA] * len(LOOKS)
    assert np.mean([wrong_at(each, unplanned) for each in experiments]) > at_most(ALPHA, EXPERIMENTS)
