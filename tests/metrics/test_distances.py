"""FID and KID of sets of features are what other implementations and their formulas say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from cleanfid import fid as cleanfid
from feature_sets import PAIRS, features
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.metrics.fid import Fid
from ablate.metrics.kid import Kid

if TYPE_CHECKING:
    from collections.abc import Callable

    from feature_sets import Features

# clean-fid calls scipy with an argument that scipy is about to drop; torchmetrics warns of memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning"),
]

fid, kid = Fid().compute, Kid().compute


def fid_of_clean_fid(a: Features, b: Features) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    moments = (a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False))
    return float(cleanfid.frechet_distance(*moments))


def kid_of_clean_fid(a: Features, b: Features) -> float:
    np.random.seed(0)
    return float(cleanfid.kernel_distance(a.astype(np.float64), b.astype(np.float64)))


def fid_of_the_formula(a: Features, b: Features) -> float:
    """‖μ_a − μ_b‖² + tr(S_a + S_b − 2·(S_a^½·S_b·S_a^½)^½), by eigenvalues in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s_a, s_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(s_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ s_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * cross)


def kid_of_the_formula(a: Features, b: Features) -> float:
    """The unbiased estimate of MMD² with the kernel (x·y/D + 1)³, over all pairs at once."""
    a, b = a.astype(np.float64), b.astype(np.float64)

    def kernel(x: Features, y: Features) -> Features:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal(k: Features) -> float:
        return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))

    return off_diagonal(kernel(a, a)) + off_diagonal(kernel(b, b)) - 2 * float(kernel(a, b).mean())


@dataclass(frozen=True)
class Distance:
    """One of ours, with what others make of the same sets and how near ours must be."""

    ours: Callable[[Features, Features], float]
    clean_fid: Callable[[Features, Features], float]
    formula: Callable[[Features, Features], float]
    formula_within: float
    torchmetrics: str
    """The fixture that gives it; for KID over the subsets that clean-fid draws."""


DISTANCES = {
    "fid": Distance(fid, fid_of_clean_fid, fid_of_the_formula, 1e-3, "torchmetrics_fid"),
    "kid": Distance(kid, kid_of_clean_fid, kid_of_the_formula, 1e-6, "torchmetrics_kid"),
}
each_distance = pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
each_pair = pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)


@each_distance
@each_pair
def test_it_is_that_of_clean_fid(distance: Distance, pair: tuple[Features, Features]) -> None:
    assert distance.ours(*pair) == pytest.approx(distance.clean_fid(*pair), abs=1e-6)


@each_distance
@each_pair
def test_it_is_that_of_torchmetrics(
    distance: Distance, pair: tuple[Features, Features], request: pytest.FixtureRequest
) -> None:
    theirs = request.getfixturevalue(distance.torchmetrics)
    assert distance.ours(*pair) == pytest.approx(theirs(*pair), rel=1e-3)


# KID of sets of two sizes is a mean over subsets, so it is the formula's where the sizes are equal.
FORMULA: list[Any] = [
    *(pytest.param("fid", pair, id=f"fid, {name}") for name, pair in PAIRS.items()),
    pytest.param("kid", (features(120, 16, 0), features(120, 16, 1, 0.3)), id="kid, sets of one size"),
]


@pytest.mark.parametrize(("name", "pair"), FORMULA)
def test_it_is_that_of_the_formula(name: str, pair: tuple[Features, Features]) -> None:
    distance = DISTANCES[name]
    assert distance.ours(*pair) == pytest.approx(distance.formula(*pair), abs=distance.formula_within)


@each_distance
@each_pair
def test_it_does_not_depend_on_numpys_global_generator_and_leaves_it_as_it_was(
    distance: Distance, pair: tuple[Features, Features]
) -> None:
    np.random.seed(1)
    first = distance.ours(*pair)
    after = np.random.random()
    np.random.seed(1)
    assert np.random.random() == after
    assert distance.ours(*pair) == first


@each_pair
def test_fid_is_zero_between_equal_sets_and_the_same_both_ways(pair: tuple[Features, Features]) -> None:
    a, b = pair
    assert fid(a, a) == pytest.approx(0, abs=1e-3)
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-3, 3))
def test_moving_a_set_adds_the_squared_distance_to_the_fid(shift: float) -> None:
    a = features(100, 8, 0)
    assert fid(a, a + np.float32(shift)) == pytest.approx(8 * shift**2, abs=1e-3)


def test_kid_of_equal_distributions_lies_about_zero_and_can_be_below() -> None:
    values = [kid(features(60, 8, seed), features(60, 8, seed + 100)) for seed in range(8)]
    assert min(values) < 0 < max(values)
