"""FID is clean-fid's to six digits, and torchmetrics' and its formula's to three or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from cleanfid import fid as cleanfid
from feature_sets import PAIRS, features
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.metrics.fid import Fid

if TYPE_CHECKING:
    from collections.abc import Callable

    from feature_sets import Features

# clean-fid calls scipy with an argument that scipy is about to drop; torchmetrics warns of memory.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance`:UserWarning"),
]

fid = Fid().compute


def independent_fid(a: Features, b: Features) -> float:
    """‖μ_a − μ_b‖² + tr(S_a + S_b − 2·(S_a^½·S_b·S_a^½)^½), by eigenvalues in float64."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s_a, s_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    values, vectors = np.linalg.eigh(s_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ s_b @ root).clip(0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s_a) + np.trace(s_b) - 2 * cross)


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
