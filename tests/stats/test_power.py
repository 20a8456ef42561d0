"""What a number of seeds can see: known values, and agreement with statsmodels."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.stats import chance, detectable_effect, seeds_for_alpha, seeds_needed, smallest_p
from ablate.stats.verdicts import tost_p


@pytest.mark.parametrize(
    ("claims", "alpha", "seeds"),
    [(1, 0.05, 6), (2, 0.05, 7), (4, 0.05, 8), (8, 0.05, 9), (1, 0.5, 2), (1000, 0.05, 16), (5000, 0.05, 19)],
)
def test_seeds_for_alpha(claims: int, alpha: float, seeds: int) -> None:
    assert seeds_for_alpha(claims, alpha) == seeds


@given(st.integers(1, 1000), st.floats(0.01, 0.5))
def test_seeds_for_alpha_is_the_smallest_number_that_can_decide(claims: int, alpha: float) -> None:
    n = seeds_for_alpha(claims, alpha)
    assert smallest_p(n) <= alpha / claims < smallest_p(n - 1)


def test_a_level_that_no_number_of_seeds_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 6000 claims"):
        seeds_for_alpha(6000, 0.05)


@pytest.mark.parametrize(("claims", "alpha"), [(0, 0.05), (1, 0.0), (1, 1.0), (4, 5.0)])
def test_no_claims_and_no_level_are_refused(claims: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"claims|alpha"):
        seeds_for_alpha(claims, alpha)
    with pytest.raises(ValueError, match=r"claims|alpha"):
        detectable_effect(1.0, 6, claims, alpha)


@pytest.mark.parametrize("claims", [1, 4, 40])
@pytest.mark.parametrize("n", [2, 3, 6, 12, 100, 2000])
def test_an_effect_detectable_by_t_tests_has_80_percent_power(n: int, claims: int) -> None:
    from statsmodels.stats.power import TTestPower

    effect = detectable_effect(3.0, n, claims, 0.05, test="TOST") / 3.0
    power = TTestPower().power(effect, n, 0.05 / claims / 2, alternative="larger")
    assert power == pytest.approx(0.8, abs=1e-4)


def test_a_known_detectable_effect() -> None:
    # Cohen 1988, table 2.4.1, for one sample: d√n = 2.80 in the limit; 34 pairs for d = 0.5.
    assert detectable_effect(1.0, 34, 1, 0.05) == pytest.approx(0.5, abs=0.01)
    assert detectable_effect(1.0, 10_000, 1, 0.05) == pytest.approx(0.028016, abs=1e-5)


@pytest.mark.parametrize(("sd", "n"), [(1.0, 0), (1.0, 1), (0.0, 6), (math.nan, 6)])
def test_nothing_is_known_to_be_detectable_without_known_noise(sd: float, n: int) -> None:
    assert math.isnan(detectable_effect(sd, n, 1, 0.05))


def test_nothing_is_detectable_with_fewer_seeds_than_can_decide() -> None:
    assert math.isnan(detectable_effect(1.0, 5, 1, 0.05))
    assert detectable_effect(1.0, 5, 1, 0.05, test="TOST") > 0


def test_noisier_differences_and_more_claims_hide_more() -> None:
    one = detectable_effect(1.0, 8, 1, 0.05)
    assert detectable_effect(2.0, 8, 1, 0.05) == pytest.approx(2 * one)
    assert detectable_effect(1.0, 8, 4, 0.05) > one > detectable_effect(1.0, 9, 1, 0.05)


@settings(deadline=None)
@given(st.floats(0.05, 3), st.floats(0.1, 10), st.integers(1, 20))
def test_seeds_needed_is_the_smallest_number_that_sees_the_effect(
    ratio: float, sd: float, claims: int
) -> None:
    n = seeds_needed(-ratio * sd, sd, claims, 0.05)
    assert n is not None
    assert detectable_effect(sd, n, claims, 0.05) <= ratio * sd
    least = seeds_for_alpha(claims, 0.05)
    assert n == least or detectable_effect(sd, n - 1, claims, 0.05) > ratio * sd


def test_an_effect_of_half_the_noise_needs_34_seeds() -> None:
    assert seeds_needed(0.5, 1.0, 1, 0.05) == 34


def test_a_huge_effect_still_needs_seeds_enough_to_decide() -> None:
    assert seeds_needed(1e9, 1.0, 4, 0.05) == 8


@pytest.mark.parametrize(("effect", "sd"), [(0.0, 1.0), (1.0, 0.0), (0.001, 1.0)])
def test_no_number_of_seeds_is_named_without_effect_or_noise_or_beyond_10_000(
    effect: float, sd: float
) -> None:
    assert seeds_needed(effect, sd, 1, 0.05) is None


def test_planning_imports_nothing_heavy() -> None:
    script = (
        "import sys, ablate.stats as stats; stats.smallest_p(6); stats.seeds_for_alpha(4, 0.05); "
        "print([name for name in ('numpy', 'scipy', 'statsmodels', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("n", "claims"), [(8, 1), (12, 4), (30, 2)])
def test_the_chance_to_see_a_detectable_effect_is_80_percent(n: int, claims: int) -> None:
    effect = detectable_effect(2.0, n, claims, 0.05)
    assert chance(effect, 2.0, n, claims, 0.05) == pytest.approx(0.8)
    assert chance(-effect, 2.0, n, claims, 0.05) == pytest.approx(0.8)


def test_fewer_seeds_than_can_decide_have_no_chance() -> None:
    assert chance(100.0, 1.0, 5, 1, 0.05) == 0
    assert chance(100.0, 1.0, 6, 1, 0.05) == pytest.approx(1)


def test_the_chance_is_unknown_where_nothing_is_known_about_the_noise() -> None:
    assert math.isnan(chance(1.0, 0.0, 8, 1, 0.05))


def test_that_two_are_equal_can_be_shown_with_fewer_seeds_than_a_direction() -> None:
    assert chance(2.0, 1.0, 5, 1, 0.05) == 0
    assert chance(2.0, 1.0, 5, 1, 0.05, test="TOST") > 0.8
    assert seeds_needed(2.0, 1.0, 1, 0.05) == 6
    assert seeds_needed(2.0, 1.0, 1, 0.05, test="TOST") == 5


def test_the_chance_of_equal_is_near_what_trials_give() -> None:
    """A margin of two standard deviations, a true difference of zero."""
    draws = np.random.default_rng(0).normal(size=(400, 5))
    supported = np.mean([tost_p(d, 2.0) <= 0.05 for d in draws])
    assert chance(2.0, 1.0, 5, 1, 0.05, test="TOST") == pytest.approx(supported, abs=0.12)
