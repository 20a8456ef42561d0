"""Where the noise comes from: training, sampling, or both together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class VarianceSplit:
    """Variance components of a metric, in its unit squared, each zero or more.

    ``training`` is what differs between training runs, ``sampling`` between sampling seeds whatever the
    training, ``residual`` the rest: their interaction and noise, which one value a cell cannot tell apart.
    """

    training: float
    sampling: float
    residual: float

    @property
    def shares(self) -> dict[str, float]:
        """Component → share of the sum of all three, 0 to 1. NaN where nothing varies."""
        total = self.training + self.sampling + self.residual
        return {name: part / total if total > 0 else math.nan for name, part in vars(self).items()}


def variance_split(values: Mapping[tuple[int, int], float]) -> VarianceSplit:
    """Split the variance of ``values``: (training seed, sampling seed) → value, completely crossed.

    Two-way random effects without replication, ``yᵢⱼ = μ + aᵢ + bⱼ + eᵢⱼ``, by the method of moments:
    ``σ²ₑ = MSₑ``, ``σ²ₐ = (MSₐ − MSₑ)/J``, ``σ²_b = (MS_b − MSₑ)/I`` for I training and J sampling seeds
    (Searle, Casella and McCulloch, "Variance Components", 1992, ch. 4). A negative component is zero.

    Raises ValueError for an incomplete crossing, fewer than two seeds on a side, or a value not finite.
    """
    import numpy as np

    trainings = sorted({training for training, _ in values})
    samplings = sorted({sampling for _, sampling in values})
    i, j = len(trainings), len(samplings)
    if i < 2 or j < 2:
        raise ValueError(f"two or more training seeds and sampling seeds, not {i} and {j}")
    missing = [(t, s) for t in trainings for s in samplings if (t, s) not in values]
    if missing:
        raise ValueError(f"every training seed needs every sampling seed; missing: {missing}")

    y = np.array([[values[t, s] for s in samplings] for t in trainings], dtype=np.float64)
    if not np.isfinite(y).all():
        raise ValueError("the values must be finite")
    rows, columns, mean = y.mean(axis=1), y.mean(axis=0), y.mean()
    residuals = y - rows[:, None] - columns[None, :] + mean

    ms_training = j * rows.var(ddof=1)
    ms_sampling = i * columns.var(ddof=1)
    ms_residual = np.square(residuals).sum() / ((i - 1) * (j - 1))
    return VarianceSplit(
        training=max(0.0, float(ms_training - ms_residual) / j),
        sampling=max(0.0, float(ms_sampling - ms_residual) / i),
        residual=float(ms_residual),
    )
