"""How sure are we: intervals of a mean over seeds, and differences paired by seed.

Two variants with the same seed share initial weights, data order and noise, so the difference within
a seed has less variance than the values themselves. All comparisons go through these differences.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LEVEL = 0.95
"""Confidence level of every interval unless asked otherwise."""

EXACT_UP_TO = 16
"""Largest number of pairs whose 2^n sign patterns are all enumerated."""

MONTE_CARLO_DRAWS = 100_000


@dataclass(frozen=True)
class Interval:
    """A mean and its confidence interval, in the unit of the values. NaN bounds: only one value."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """The ± of ``mean ± half_width``; NaN with one value."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Mean of variant − baseline over common seeds, its interval, and a two-sided p-value."""

    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero. False where there is no interval."""
        return self.low > 0 or self.high < 0


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Student's t interval of the mean: ``x̄ ± t(1 − (1−level)/2; n − 1) · s/√n``.

    ``s`` is the sample standard deviation (divisor n − 1); the interval covers the true mean with
    probability ``level`` where values are independent and normal (Student, "The Probable Error of a
    Mean", Biometrika 1908). With one value the bounds are NaN.

    Raises:
        ValueError: no values, a value that is not finite, or a level outside (0, 1).
    """
    from scipy.special import stdtrit  # the t quantile, without the second that scipy.stats takes

    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"an interval needs one or more finite values, not {list(values)}")
    n, mean = array.size, float(array.mean())
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stdtrit(n - 1, (1 + level) / 2) * array.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(
    variant: Mapping[int, float], baseline: Mapping[int, float], level: float = LEVEL
) -> PairedDifference:
    """Compare two variants over the seeds that both have (seed → value).

    The interval is Student's t interval of the differences ``d = variant − baseline``; ``p`` is
    ``sign_flip_p`` of them. Seeds that only one side has are left out.

    Raises:
        ValueError: no common seed, or a value that is not finite.
    """
    seeds = sorted(variant.keys() & baseline.keys())
    if not seeds:
        raise ValueError("the two variants have no seed in common")
    differences = [variant[seed] - baseline[seed] for seed in seeds]
    interval = mean_interval(differences, level)
    return PairedDifference(interval.mean, interval.low, interval.high, interval.n, sign_flip_p(differences))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p-value of the sign-flip (Fisher's paired randomization) test that the mean is zero.

    Where a variant makes no difference each ``dᵢ`` is as likely as ``−dᵢ``, so all 2^n sign patterns
    ``s`` are equally likely, and ``p`` is the share of them with ``|Σ sᵢdᵢ| ≥ |Σ dᵢ|`` (Fisher, "The
    Design of Experiments", 1935, § 21). Up to n = 16 all are counted; beyond, 100 000 patterns from a
    fixed seed give ``(1 + hits)/(1 + draws)``, which is valid too (Phipson and Smyth 2010).
    """
    d = np.asarray(differences, dtype=np.float64)
    exact = d.size <= EXACT_UP_TO
    signs = _all_signs(d.size) if exact else _random_signs(d.size)
    # Sums that differ by rounding only are ties.
    tolerance = 1e-12 * np.abs(d).sum()
    hits = np.abs(signs @ d) >= abs(d.sum()) - tolerance
    return float(hits.mean()) if exact else float((1 + hits.sum()) / (1 + hits.size))


def smallest_p(n: int) -> float:
    """The smallest two-sided p-value that ``sign_flip_p`` can give with ``n`` pairs: 2^(1−n).

    A pattern and its mirror image always have the same ``|Σ sᵢdᵢ|``, so at least two of 2^n count.
    """
    return float(2.0 ** (1 - n)) if n <= EXACT_UP_TO else 1 / (1 + MONTE_CARLO_DRAWS)


def _all_signs(n: int) -> NDArray[np.float64]:
    """Half of the 2^n sign patterns: with the first sign fixed, the others are mirror images."""
    patterns = np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1
    return np.where(patterns == 1, -1.0, 1.0)


def _random_signs(n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    return rng.choice(np.array([-1.0, 1.0]), size=(MONTE_CARLO_DRAWS, n))
