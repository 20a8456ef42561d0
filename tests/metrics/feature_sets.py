"""Sets of features that the distances are computed of."""

from __future__ import annotations

import numpy as np

Features = np.ndarray


def features(n: int, dimension: int, seed: int, shift: float = 0.0) -> Features:
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(dimension).normal(size=(dimension, dimension)) / dimension**0.5
    return (rng.normal(size=(n, dimension)) @ mixing + shift).astype(np.float32)


PAIRS = {
    "more images than dimensions": (features(300, 16, 0), features(200, 16, 1, 0.3)),
    "fewer images than dimensions": (features(40, 64, 0), features(30, 64, 1, 0.3)),
}
