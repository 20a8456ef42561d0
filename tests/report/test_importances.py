"""Shares of fields: the field that decides has the largest, each within its interval."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import synthetic
from synthetic import gathered

from ablate.report.importances import FEWEST, fanova, ped_anova
from ablate.report.search import Trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.report.importances import Share
    from ablate.report.search import Searched

METHODS = [ped_anova, fanova]


@pytest.fixture(scope="module")
def searched() -> Searched:
    found = gathered(synthetic.search(objectives=["fid", "seconds_per_image"])).searched
    assert found
    return found


def with_values(searched: Searched, value: Callable[[dict[str, Any]], float]) -> Searched:
    """The same trials with another objective."""
    trials = tuple(
        replace(trial, values={"fid": value(dict(trial.params))} if trial.values else {})
        for trial in searched.trials
    )
    return replace(searched, trials=trials)


@pytest.mark.parametrize("shares_of", METHODS)
def test_the_field_that_alone_decides_has_the_largest_share(
    searched: Searched, shares_of: Callable[[Searched, str], dict[str, Share]]
) -> None:
    shares = shares_of(with_values(searched, lambda params: params["sample.guidance"]), "fid")
    assert max(shares, key=lambda name: shares[name].value) == "sample.guidance"
    if shares_of is fanova:
        assert shares["sample.guidance"].value > 0.9


@pytest.mark.parametrize("shares_of", METHODS)
def test_a_share_has_an_interval_around_it_and_is_the_same_each_time(
    searched: Searched, shares_of: Callable[[Searched, str], dict[str, Share]]
) -> None:
    shares = shares_of(searched, "fid")
    assert all(0 <= share.low < share.high <= 1 for share in shares.values())
    assert all(share.low <= share.value <= share.high for share in shares.values())
    assert shares_of(searched, "fid") == shares


def test_of_a_field_that_does_not_always_exist_only_ped_anova_knows(searched: Searched) -> None:
    assert set(ped_anova(searched, "fid")) - set(fanova(searched, "fid")) == {"losses.lpips.weight"}


@pytest.mark.parametrize("shares_of", METHODS)
def test_of_few_trials_nothing_is_said(
    searched: Searched, shares_of: Callable[[Searched, str], dict[str, Share]]
) -> None:
    assert shares_of(replace(searched, trials=searched.trials[: FEWEST - 1]), "fid") == {}


def test_where_all_trials_are_equally_good_no_field_has_a_share_in_the_variance(searched: Searched) -> None:
    assert fanova(with_values(searched, lambda params: 1.0), "fid") == {}


def test_a_field_on_a_logarithmic_scale_counts_by_its_decades(searched: Searched) -> None:
    field = {"options": None, "log": False, "step": None}
    fields = {
        "rate": {**field, "low": 0.01, "high": 1.0, "log": True},
        "guidance": {**field, "low": 0.0, "high": 1.0},
    }
    points = np.random.default_rng(0).uniform(size=(64, 2))
    trials = tuple(
        Trial(f"{n}", 0, {"rate": 0.01 * 100**x, "guidance": y}, {"fid": (x < 0.5) + (y < 0.5)}, True, 0, "")
        for n, (x, y) in enumerate(points.tolist())
    )
    spec = {**searched.spec, "factors": {}, "fields": fields}
    shares = fanova(replace(searched, trials=trials, spec=spec), "fid")
    assert shares["rate"].value == pytest.approx(0.5, abs=0.1)  # one decade of two; of the range it is 9 %
    assert shares["guidance"].value == pytest.approx(0.5, abs=0.1)
