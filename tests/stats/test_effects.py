"""Main effects and interactions of full factorial designs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ablate.stats import effects, mean_difference, paired_difference

Design = dict[tuple[str, ...], dict[int, float]]


def test_a_2_by_2_design_by_hand() -> None:
    values: Design = {
        ("off", "small"): {0: 10.0, 1: 20.0},
        ("off", "large"): {0: 14.0, 1: 22.0},
        ("on", "small"): {0: 11.0, 1: 23.0},
        ("on", "large"): {0: 9.0, 1: 21.0},
    }
    ema, size, both = effects(values, {"ema": ["off", "on"], "size": ["small", "large"]})

    assert (ema.factors, ema.levels) == (("ema",), ("on",))
    assert ema.difference == mean_difference([-2.0, 1.0])  # (1 − 5)/2, (3 − 1)/2
    assert (size.factors, size.levels) == (("size",), ("large",))
    assert size.difference == mean_difference([1.0, 0.0])  # (4 − 2)/2, (2 − 2)/2
    assert (both.factors, both.levels) == (("ema", "size"), ("on", "large"))
    assert both.difference == mean_difference([-6.0, -4.0])  # −5 − 1, −1 − 3


def test_one_factor_is_the_comparison_with_its_first_level() -> None:
    rng = np.random.default_rng(0)
    values: Design = {(level,): dict(enumerate(rng.normal(size=6))) for level in "abc"}
    found = effects(values, {"only": ["a", "b", "c"]})
    assert [effect.levels for effect in found] == [("b",), ("c",)]
    assert [effect.difference for effect in found] == [
        paired_difference(values["b",], values["a",]),
        paired_difference(values["c",], values["a",]),
    ]


def test_planted_effects_are_found_in_a_2_by_3_by_2_design() -> None:
    factors = {"a": ["a0", "a1"], "b": ["b0", "b1", "b2"], "c": ["c0", "c1"]}
    planted = {"a1": 1.0, "b1": 2.0, "b2": -3.0, "c1": 5.0}
    values: Design = {
        levels: {
            # What a seed does to all combinations alike drops out.
            seed: 100.0 * seed
            + sum(planted.get(level, 0) for level in levels)
            + 8.0 * ({"a1", "b2"} <= {*levels})
            for seed in range(4)
        }
        for levels in itertools.product(*factors.values())
    }
    found = {effect.levels: effect.difference.mean for effect in effects(values, factors)}
    assert found == pytest.approx(
        {
            ("a1",): 1 + 8 / 3,  # with b2, one of three levels
            ("b1",): 2,
            ("b2",): -3 + 8 / 2,  # with a1, one of two levels
            ("c1",): 5,
            ("a1", "b1"): 0,
            ("a1", "b2"): 8,
            ("a1", "c1"): 0,
            ("b1", "c1"): 0,
            ("b2", "c1"): 0,
        }
    )


def test_the_effects_are_contrasts_of_a_linear_model() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols

    rng = np.random.default_rng(5)
    factors = {"a": ["0", "1"], "b": ["0", "1", "2"]}
    values: Design = {
        levels: dict(enumerate(rng.normal(size=5))) for levels in itertools.product("01", "012")
    }
    rows = [(*levels, y) for levels, seeds in values.items() for y in seeds.values()]
    fit = ols("y ~ C(a) * C(b)", pd.DataFrame(rows, columns=["a", "b", "y"])).fit()
    found = {(effect.factors, effect.levels): effect.difference.mean for effect in effects(values, factors)}
    assert found[("a", "b"), ("1", "1")] == pytest.approx(fit.params["C(a)[T.1]:C(b)[T.1]"])
    assert found[("a", "b"), ("1", "2")] == pytest.approx(fit.params["C(a)[T.1]:C(b)[T.2]"])


def test_only_seeds_that_all_combinations_have_are_used() -> None:
    values: Design = {("0",): {0: 1.0, 1: 2.0, 2: 50.0}, ("1",): {1: 5.0, 0: 2.0, 7: -50.0}}
    (effect,) = effects(values, {"a": ["0", "1"]})
    assert effect.difference == mean_difference([1.0, 3.0])


def test_a_factor_with_one_level_has_no_effect() -> None:
    values: Design = {("x", "0"): {0: 1.0, 1: 2.0}, ("x", "1"): {0: 2.0, 1: 4.0}}
    found = effects(values, {"fixed": ["x"], "a": ["0", "1"]})
    assert [effect.factors for effect in found] == [("a",)]


@pytest.mark.parametrize("levels", [["0", "1", "2"], ["0"]])
def test_missing_and_unknown_combinations_are_refused(levels: list[str]) -> None:
    values: Design = {("0",): {0: 1.0}, ("1",): {0: 2.0}}
    with pytest.raises(ValueError, match="full factorial"):
        effects(values, {"a": levels})


def test_combinations_without_a_common_seed_are_refused() -> None:
    with pytest.raises(ValueError, match="no seed"):
        effects({("0",): {0: 1.0}, ("1",): {1: 2.0}}, {"a": ["0", "1"]})
