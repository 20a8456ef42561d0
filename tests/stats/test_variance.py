"""Variance components of a crossing of training and sampling seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ablate.stats import variance_split


def crossing(table: object) -> dict[tuple[int, int], float]:
    return {index: float(value) for index, value in np.ndenumerate(np.asarray(table))}


def test_a_known_crossing() -> None:
    # Row means 2 and 4, column means 1, 3 and 5, residuals 1, 0, −1 and −1, 0, 1. So MS training = 3 · 2,
    # MS sampling = 2 · 4, MS residual = 4 / 2.
    split = variance_split(crossing([[1, 2, 3], [1, 4, 7]]))
    assert (split.training, split.sampling, split.residual) == pytest.approx((4 / 3, 3.0, 2.0))
    assert split.shares == pytest.approx({"training": 4 / 19, "sampling": 9 / 19, "residual": 6 / 19})


def test_the_mean_squares_are_those_of_statsmodels() -> None:
    import pandas as pd
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    rng = np.random.default_rng(2)
    table = 3 * rng.normal(size=(5, 1)) + 2 * rng.normal(size=(1, 4)) + rng.normal(size=(5, 4))
    frame = pd.DataFrame([(*key, value) for key, value in crossing(table).items()], columns=["t", "s", "y"])
    ms = anova_lm(ols("y ~ C(t) + C(s)", frame).fit())["mean_sq"]

    split = variance_split(crossing(table))
    assert split.residual == pytest.approx(ms["Residual"])
    assert split.training == pytest.approx((ms["C(t)"] - ms["Residual"]) / 4)
    assert split.sampling == pytest.approx((ms["C(s)"] - ms["Residual"]) / 5)


def test_the_components_are_those_that_made_the_values() -> None:
    rng = np.random.default_rng(6)
    tables = (
        2 * rng.normal(size=(300, 8, 1))
        + 1 * rng.normal(size=(300, 1, 8))
        + 0.5 * rng.normal(size=(300, 8, 8))
    )
    splits = [variance_split(crossing(table)) for table in tables]
    assert np.mean([split.training for split in splits]) == pytest.approx(4, rel=0.1)
    assert np.mean([split.sampling for split in splits]) == pytest.approx(1, rel=0.1)
    assert np.mean([split.residual for split in splits]) == pytest.approx(0.25, rel=0.05)


def test_only_trainings_differ() -> None:
    split = variance_split(crossing([[1, 1, 1], [3, 3, 3]]))
    assert (split.training, split.sampling, split.residual) == (2, 0, 0)
    assert split.shares == {"training": 1, "sampling": 0, "residual": 0}


def test_a_negative_component_is_zero() -> None:
    split = variance_split(crossing([[0, 2], [2, 0]]))
    assert (split.training, split.sampling) == (0, 0)
    assert split.residual == 4


def test_exchanging_the_sides_exchanges_the_components() -> None:
    table = np.random.default_rng(3).normal(size=(3, 5)).cumsum(axis=0)
    one, other = variance_split(crossing(table)), variance_split(crossing(table.T))
    assert (one.training, one.sampling) == pytest.approx((other.sampling, other.training))
    assert one.residual == pytest.approx(other.residual)


def test_seeds_may_be_any_numbers_in_any_order() -> None:
    table = np.random.default_rng(3).normal(size=(3, 2))
    renamed = {((30, 7, 19)[t], (5, 1)[s]): value for (t, s), value in crossing(table).items()}
    shuffled = dict(reversed(renamed.items()))
    one, other = variance_split(crossing(table)), variance_split(shuffled)
    assert (one.training, one.sampling, one.residual) == pytest.approx(
        (other.training, other.sampling, other.residual)
    )


def test_nothing_varies_and_nothing_has_a_share() -> None:
    split = variance_split(crossing([[1, 1], [1, 1]]))
    assert (split.training, split.sampling, split.residual) == (0, 0, 0)
    assert all(math.isnan(share) for share in split.shares.values())


@pytest.mark.parametrize("table", [[[1.0, 2.0]], [[1.0], [2.0]], np.zeros((0, 0))])
def test_fewer_than_two_seeds_on_a_side_are_refused(table: object) -> None:
    with pytest.raises(ValueError, match="two or more"):
        variance_split(crossing(table))


def test_an_incomplete_crossing_is_refused_and_says_what_is_missing() -> None:
    values = crossing(np.zeros((2, 3)))
    del values[1, 2]
    with pytest.raises(ValueError, match=r"\(1, 2\)"):
        variance_split(values)


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        variance_split(crossing([[1, 2], [3, math.nan]]))
