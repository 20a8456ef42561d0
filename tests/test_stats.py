"""Intervals and paired differences: known values, properties, and coverage by simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.stats import mean_interval, paired_difference, sign_flip_p, smallest_p

values = st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3))
samples = st.lists(values, min_size=2, max_size=9)


def test_interval_of_known_values() -> None:
    # mean 3, s² = 2.5, t(0.975; 4) = 2.776445: half-width 2.776445 · √(2.5/5)
    interval = mean_interval([1, 2, 3, 4, 5])
    assert (interval.mean, interval.n) == (3.0, 5)
    assert interval.half_width == pytest.approx(1.963243, abs=1e-6)
    assert (interval.low, interval.high) == pytest.approx((1.036757, 4.963243), abs=1e-6)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 6, 40])
def test_interval_agrees_with_scipy(n: int, level: float) -> None:
    from scipy import stats

    x = np.random.default_rng(n).normal(3, 2, n)
    low, high = stats.t.interval(level, n - 1, loc=x.mean(), scale=stats.sem(x))
    interval = mean_interval(list(x), level)
    assert (interval.low, interval.high) == pytest.approx((low, high), rel=1e-10)


def test_one_value_has_a_mean_and_no_bounds() -> None:
    interval = mean_interval([4.0])
    assert interval.mean == 4.0
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert math.isnan(interval.half_width)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf]])
def test_values_that_have_no_mean_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval(bad)


def test_level_outside_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        mean_interval([1.0, 2.0], level=95)


@given(samples, values, st.floats(0.01, 100))
def test_interval_moves_and_scales_with_its_values(x: list[float], shift: float, scale: float) -> None:
    before = mean_interval(x)
    after = mean_interval([scale * value + shift for value in x])
    size = abs(shift) + scale * max(map(abs, x)) + 1
    assert after.mean == pytest.approx(scale * before.mean + shift, abs=1e-9 * size)
    assert after.half_width == pytest.approx(scale * before.half_width, abs=1e-6 * size)


@given(samples)
def test_interval_holds_its_mean_and_widens_with_the_level(x: list[float]) -> None:
    narrow, wide = mean_interval(x, 0.5), mean_interval(x, 0.99)
    assert wide.low <= narrow.low <= narrow.mean <= narrow.high <= wide.high


@pytest.mark.parametrize("n", [3, 6])
def test_interval_covers_the_true_mean_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(7).normal(10, 3, (4000, n))
    intervals = [mean_interval(list(x)) for x in draws]
    coverage = np.mean([i.low <= 10 <= i.high for i in intervals])
    assert coverage == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


@pytest.mark.parametrize("n", range(1, 10))
def test_differences_of_one_sign_reach_the_smallest_p(n: int) -> None:
    differences = list(np.random.default_rng(n).uniform(1, 2, n))
    assert sign_flip_p(differences) == smallest_p(n) == 2.0 ** (1 - n)


def test_p_counts_all_sign_patterns() -> None:
    d = [3.0, -1.0, 2.0, 0.5]
    sums = [
        abs(sum(s * x for s, x in zip(signs, d, strict=True)))
        for signs in itertools.product((1, -1), repeat=4)
    ]
    assert sign_flip_p(d) == sum(total >= 4.5 for total in sums) / 16


def test_p_agrees_with_scipy() -> None:
    from scipy import stats

    d = np.random.default_rng(3).normal(0.5, 1, 8)
    exact = stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_p(list(d)) == pytest.approx(exact.pvalue)


def test_no_difference_at_all_has_p_1() -> None:
    assert sign_flip_p([0.0] * 6) == 1.0


def test_equal_sums_count_as_ties_in_spite_of_rounding() -> None:
    assert sign_flip_p([0.1, 0.2, -0.3]) == 1.0


def test_many_pairs_are_drawn_from_a_fixed_seed_and_agree_with_the_exact_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    d = list(np.random.default_rng(1).normal(0.4, 1, 16))
    exact = sign_flip_p(d)
    monkeypatch.setattr("ablate.stats.EXACT_UP_TO", 15)
    drawn = sign_flip_p(d)
    assert drawn == sign_flip_p(d)
    assert drawn == pytest.approx(exact, abs=0.005)


def test_false_alarms_are_as_rare_as_p_says() -> None:
    draws = np.random.default_rng(5).normal(0, 1, (2000, 6))
    alarms = np.mean([sign_flip_p(list(d)) <= 2 / 64 for d in draws])
    assert alarms == pytest.approx(2 / 64, abs=0.012)


def test_difference_is_paired_over_common_seeds() -> None:
    difference = paired_difference({0: 5.0, 1: 7.0, 9: 100.0}, {1: 4.0, 0: 3.0, 8: -100.0})
    assert (difference.mean, difference.n) == (2.5, 2)
    assert difference.p == 0.5


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


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 99), st.tuples(values, values), min_size=2, max_size=8))
def test_exchanging_the_sides_mirrors_the_difference(pairs: dict[int, tuple[float, float]]) -> None:
    left = {seed: pair[0] for seed, pair in pairs.items()}
    right = {seed: pair[1] for seed, pair in reversed(pairs.items())}
    one, other = paired_difference(left, right), paired_difference(right, left)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-6)
    assert one.p == other.p
    assert smallest_p(one.n) <= one.p <= 1
