"""The cosine is taken of rows that belong together."""

from __future__ import annotations

import numpy as np

from ablate.metrics.cosine import cosine


def test_the_cosine_is_taken_row_by_row() -> None:
    a = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    b = np.array([[1, 0], [0, -1], [0.8, 0.6]], np.float32)
    np.testing.assert_allclose(cosine(a, b), [1, -1, 0.96], atol=1e-7)
    assert cosine(a, b).dtype == np.float64
