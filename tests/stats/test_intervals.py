"""Intervals of a mean: known values, properties, and coverage by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.stats import Interval, bca_interval, mean_interval

IntervalOf = Callable[..., Interval]

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


@pytest.mark.parametrize("n", [3, 6, 8, 12])
def test_interval_covers_the_true_mean_as_often_as_it_says(n: int) -> None:
    draws = np.random.default_rng(7).normal(10, 3, (4000, n))
    intervals = [mean_interval(list(x)) for x in draws]
    coverage = np.mean([i.low <= 10 <= i.high for i in intervals])
    assert coverage == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


def test_bca_interval_agrees_with_its_formula() -> None:
    from scipy.special import ndtr, ndtri

    x = np.random.default_rng(4).gamma(2, 1, 10)
    means = np.random.default_rng(8).choice(x, (200_000, 10)).mean(axis=1)
    bias = ndtri(np.mean(means < x.mean()))
    without_one = (x.sum() - x) / 9
    u = without_one.mean() - without_one
    acceleration = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    z = bias + ndtri([0.025, 0.975])
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))

    interval = bca_interval(list(x))
    assert (interval.mean, interval.n) == (x.mean(), 10)
    # Two independent bootstraps differ by their resamples.
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.04 * (high - low))


def test_bca_interval_is_the_same_each_time() -> None:
    assert bca_interval([1.0, 2.0, 4.0, 8.0]) == bca_interval([1.0, 2.0, 4.0, 8.0])


def test_bca_interval_follows_skewness() -> None:
    x = [0.1, 0.2, 0.3, 0.4, 0.5, 6.0]
    interval = bca_interval(x)
    assert interval.high - interval.mean > 1.5 * (interval.mean - interval.low)


def test_bca_interval_of_two_values_is_from_one_to_the_other() -> None:
    interval = bca_interval([3.0, 1.0])
    assert (interval.low, interval.mean, interval.high) == (1, 2, 3)


@pytest.mark.parametrize("x", [[0.0] * 3, [0.7] * 6, [0.1 + 0.2, 0.3, 0.3]])
def test_bca_interval_of_equal_values_is_their_mean(x: list[float]) -> None:
    interval = bca_interval(x)
    assert interval.low == interval.mean == interval.high == pytest.approx(x[0])


@settings(deadline=None, max_examples=50)
@given(samples)
def test_bca_interval_stays_within_the_values_and_widens_with_the_level(x: list[float]) -> None:
    narrow, wide = bca_interval(x, 0.5), bca_interval(x, 0.99)
    order = [min(x), wide.low, narrow.low, narrow.high, wide.high, max(x)]
    assert order == pytest.approx(sorted(order), abs=1e-9 * max(map(abs, x)))


@settings(deadline=None, max_examples=50)
@given(samples)
def test_bca_interval_is_mirrored_with_its_values(x: list[float]) -> None:
    one, other = bca_interval(x), bca_interval([-value for value in x])
    size = max(x) - min(x) + 1e-9
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-3 * size)


@pytest.mark.parametrize(("n", "stated"), [(6, 0.88), (12, 0.91)])
def test_bca_interval_covers_less_than_it_says_with_few_values(n: int, stated: float) -> None:
    draws = np.random.default_rng(9).normal(10, 3, (600, n))
    intervals = [bca_interval(list(x)) for x in draws]
    coverage = np.mean([i.low <= 10 <= i.high for i in intervals])
    assert coverage == pytest.approx(stated, abs=0.04)  # 3 standard errors


@pytest.mark.parametrize("interval_of", [mean_interval, bca_interval])
class TestBothIntervals:
    def test_one_value_has_a_mean_and_no_bounds(self, interval_of: IntervalOf) -> None:
        interval = interval_of([4.0])
        assert interval.mean == 4.0
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert math.isnan(interval.half_width)

    @pytest.mark.parametrize("bad", [[], [1.0, math.nan], [math.inf]])
    def test_values_that_have_no_mean_are_refused(self, interval_of: IntervalOf, bad: list[float]) -> None:
        with pytest.raises(ValueError, match="finite"):
            interval_of(bad)

    def test_level_outside_0_and_1_is_refused(self, interval_of: IntervalOf) -> None:
        with pytest.raises(ValueError, match="level"):
            interval_of([1.0, 2.0], level=95)
