"""FID and KID are clean-fid's to six digits, and torchmetrics' and their formulas' to three or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from cleanfid import fid as cleanfid
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.metrics.clip import cosine
from ablate.metrics.distance import fid, kid

if TYPE_CHECKING:
    from collections.abc import Callable

# clean-fid calls scipy with an argument that scipy is about to drop; torchmetrics warns of memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning"),
]

Features = np.ndarray


def features(n: int, dimension: int, seed: int, shift: float = 0.0) -> Features:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(dimension).normal(size=(dimension, dimension)) / dimension**0.5
    return (rng.normal(size=(n, dimension)) @ mixing + shift).astype(np.float32)


PAIRS = {
    "more images than dimensions": (features(300, 16, 0), features(200, 16, 1, 0.3)),
    "fewer images than dimensions": (features(40, 64, 0), features(30, 64, 1, 0.3)),
}


def independent_fid(a: Features, b: Features) -> float:
    """‖μ_a − μ_b‖² + tr(S_a + S_b − 2·(S_a^½·S_b·S_a^½)^½), by eigenvalues in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s_a, s_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(s_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ s_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * cross)


def independent_kid(a: Features, b: Features) -> float:
    """The unbiased estimate of MMD² with the kernel (x·y/D + 1)³, over all pairs at once."""
    a, b = a.astype(np.float64), b.astype(np.float64)

    def kernel(x: Features, y: Features) -> Features:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal(k: Features) -> float:
        return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))

    return off_diagonal(kernel(a, a)) + off_diagonal(kernel(b, b)) - 2 * float(kernel(a, b).mean())


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
class TestFid:
    def test_it_is_that_of_clean_fid(self, pair: tuple[Features, Features]) -> None:
        a, b = (side.astype(np.float64) for side in pair)
        expected = cleanfid.frechet_distance(
            a.mean(0), np.cov(a, rowvar=False), b.mean(0), np.cov(b, rowvar=False)
        )
        assert fid(*pair) == pytest.approx(expected, abs=1e-6)

    def test_it_is_that_of_torchmetrics(
        self, pair: tuple[Features, Features], torchmetrics_fid: Callable[..., float]
    ) -> None:
        assert fid(*pair) == pytest.approx(torchmetrics_fid(*pair), rel=1e-3)

    def test_it_is_that_of_the_formula(self, pair: tuple[Features, Features]) -> None:
        assert fid(*pair) == pytest.approx(independent_fid(*pair), abs=1e-3)

    def test_it_is_zero_between_equal_sets_and_the_same_both_ways(
        self, pair: tuple[Features, Features]
    ) -> None:
        a, b = pair
        assert fid(a, a) == pytest.approx(0, abs=1e-3)
        assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(-3, 3))
def test_moving_a_set_adds_the_squared_distance_to_the_fid(shift: float) -> None:
    a = features(100, 8, 0)
    assert fid(a, a + np.float32(shift)) == pytest.approx(8 * shift**2, abs=1e-3)


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
class TestKid:
    def test_it_is_that_of_clean_fid(self, pair: tuple[Features, Features]) -> None:
        np.random.seed(0)
        expected = cleanfid.kernel_distance(*(side.astype(np.float64) for side in pair))
        assert kid(*pair) == pytest.approx(expected, abs=1e-6)

    def test_it_is_that_of_torchmetrics_on_the_same_subsets(
        self, pair: tuple[Features, Features], torchmetrics_kid: Callable[..., float]
    ) -> None:
        assert kid(*pair) == pytest.approx(torchmetrics_kid(*pair), rel=1e-3)

    def test_it_does_not_depend_on_numpys_global_generator_and_leaves_it_as_it_was(
        self, pair: tuple[Features, Features]
    ) -> None:
        np.random.seed(1)
        first = kid(*pair)
        after = np.random.random()
        np.random.seed(1)
        assert np.random.random() == after
        assert kid(*pair) == first


def test_kid_of_sets_of_one_size_is_that_of_the_formula() -> None:
    a, b = features(120, 16, 0), features(120, 16, 1, 0.3)
    assert kid(a, b) == pytest.approx(independent_kid(a, b), abs=1e-6)


def test_kid_of_equal_distributions_lies_about_zero_and_can_be_below() -> None:
    values = [kid(features(60, 8, seed), features(60, 8, seed + 100)) for seed in range(8)]
    assert min(values) < 0 < max(values)


def test_the_cosine_is_taken_row_by_row() -> None:
    a = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    b = np.array([[1, 0], [0, -1], [0.8, 0.6]], np.float32)
    np.testing.assert_allclose(cosine(a, b), [1, -1, 0.96], atol=1e-7)
    assert cosine(a, b).dtype == np.float64
