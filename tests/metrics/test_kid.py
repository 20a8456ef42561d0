"""KID is clean-fid's to six digits, and torchmetrics' and its formula's to three or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from cleanfid import fid as cleanfid
from feature_sets import PAIRS, features

from ablate.metrics.kid import Kid

if TYPE_CHECKING:
    from collections.abc import Callable

    from feature_sets import Features

# clean-fid calls scipy with an argument that scipy is about to drop; torchmetrics warns of memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning"),
]

kid = Kid().compute


def independent_kid(a: Features, b: Features) -> float:
    """The unbiased estimate of MMD² with the kernel (x·y/D + 1)³, over all pairs at once."""
    a, b = a.astype(np.float64), b.astype(np.float64)

    def kernel(x: Features, y: Features) -> Features:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def off_diagonal(k: Features) -> float:
        return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))

    return off_diagonal(kernel(a, a)) + off_diagonal(kernel(b, b)) - 2 * float(kernel(a, b).mean())


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
