"""Differences paired by seed, and the sign-flip test against brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.stats import mean_difference, paired_difference, sign_flip_p, smallest_p

values = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
whole_numbers = st.lists(st.integers(-20, 20), min_size=2, max_size=7)


def enumerated_p(differences: list[int]) -> float:
    """The definition, in whole numbers, where ties are exact."""
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, differences, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    return sum(total >= abs(sum(differences)) for total in sums) / len(sums)


@settings(deadline=None)
@given(whole_numbers, st.sampled_from([1.0, 0.1, 1e-6, 1 / 3, 1e9]))
def test_p_is_the_share_of_sign_patterns_at_least_as_far_from_zero(d: list[int], unit: float) -> None:
    # Scaled, equal sums differ by rounding; they are ties all the same.
    assert sign_flip_p([unit * x for x in d]) == enumerated_p(d)


@pytest.mark.parametrize("n", [10, 16])
def test_p_is_exact_up_to_16_pairs(n: int) -> None:
    d = np.random.default_rng(n).normal(0.4, 1, n)
    signs = np.where(np.arange(2**n)[:, None] >> np.arange(n) & 1, -1.0, 1.0)
    assert sign_flip_p(d) == np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)


def test_more_pairs_are_drawn_from_a_fixed_seed_and_agree_with_the_exact_test() -> None:
    d = np.random.default_rng(1).normal(0.4, 1, 17)
    signs = np.where(np.arange(2**17)[:, None] >> np.arange(17) & 1, -1.0, 1.0)
    exact = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-9)
    assert sign_flip_p(d) == sign_flip_p(d)
    assert sign_flip_p(d) == pytest.approx(exact, abs=0.003)
    assert sign_flip_p(d) != exact


@pytest.mark.parametrize("n", [1, 2, 3, 6, 9, 16])
def test_differences_of_one_sign_reach_the_smallest_p(n: int) -> None:
    differences = np.random.default_rng(n).uniform(1, 2, n)
    assert sign_flip_p(differences) == smallest_p(n) == 2.0 ** (1 - n)


@pytest.mark.parametrize("n", [17, 18, 19, 20, 40])
def test_many_differences_of_one_sign_reach_the_smallest_p_that_can_be_drawn(n: int) -> None:
    assert sign_flip_p([1.0] * n) == pytest.approx(smallest_p(n), rel=1e-12)
    assert smallest_p(40) == 1 / 100_001


def test_no_difference_at_all_has_p_1() -> None:
    assert sign_flip_p([0.0] * 6) == 1.0


@pytest.mark.parametrize("few", [[], [5.0]])
def test_fewer_than_two_differences_say_nothing(few: list[float]) -> None:
    assert sign_flip_p(few) == 1.0


@pytest.mark.parametrize("d", [[0.1, 0.2, -0.3], [0.3, -0.1, -0.2], [1.0, 0.1, 0.2, -0.3, -1.0]])
def test_sums_that_cancel_up_to_rounding_are_ties(d: list[float]) -> None:
    assert sign_flip_p(d) == 1.0


def test_difference_is_paired_over_common_seeds() -> None:
    difference = paired_difference({0: 5.0, 1: 7.0, 9: 100.0}, {1: 4.0, 0: 3.0, 8: -100.0})
    assert (difference.mean, difference.n) == (2.5, 2)
    assert difference.p == 0.5
    assert difference == mean_difference([2.0, 3.0])


def test_what_all_variants_of_a_seed_share_drops_out() -> None:
    seeds = {seed: 10.0 * seed for seed in range(6)}
    difference = paired_difference({seed: value + 1 for seed, value in seeds.items()}, seeds)
    assert (difference.low, difference.mean, difference.high) == (1, 1, 1)
    assert difference.excludes_zero


def test_one_common_seed_has_no_interval_and_says_nothing() -> None:
    difference = paired_difference({0: 2.0}, {0: 1.0})
    assert difference.p == 1.0
    assert math.isnan(difference.low)
    assert not difference.excludes_zero


def test_without_a_common_seed_there_is_no_difference() -> None:
    with pytest.raises(ValueError, match="no seed in common"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        paired_difference({0: 1.0, 1: math.nan}, {0: 1.0, 1: 1.0})


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 99), st.tuples(values, values), min_size=2, max_size=8))
def test_exchanging_the_sides_mirrors_the_difference(pairs: dict[int, tuple[float, float]]) -> None:
    left = {seed: pair[0] for seed, pair in pairs.items()}
    right = {seed: pair[1] for seed, pair in reversed(pairs.items())}
    one, other = paired_difference(left, right), paired_difference(right, left)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-6)
    assert one.p == other.p
    assert smallest_p(one.n) <= one.p <= 1
