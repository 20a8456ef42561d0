"""Differences paired by seed, and the sign-flip test.

Two variants with the same seed share initial weights, data order and noise, so the difference within
a seed has less variance than the values themselves. All comparisons go through these differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.stats.intervals import LEVEL, Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

EXACT_UP_TO = 16
"""Largest number of pairs whose 2^n sign patterns are all enumerated."""

MONTE_CARLO_DRAWS = 100_000
"""Sign patterns drawn where there are more pairs: more than 2^16 and fewer than 2^17."""

SMALLEST_P = 1 / (1 + MONTE_CARLO_DRAWS)
"""The smallest p-value that ``sign_flip_p`` can give with any number of pairs."""


@dataclass(frozen=True)
class PairedDifference(Interval):
    """Mean of variant − baseline over common seeds, its interval, and a two-sided p-value."""

    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero. False where there is no interval."""
        return self.low > 0 or self.high < 0


def paired_difference(
    variant: Mapping[int, float], baseline: Mapping[int, float], level: float = LEVEL
) -> PairedDifference:
    """``mean_difference`` of variant − baseline (seed → value) over the seeds that both have.

    Raises ValueError for no common seed, or a value that is not finite.
    """
    seeds = sorted(variant.keys() & baseline.keys())
    if not seeds:
        raise ValueError("the two variants have no seed in common")
    return mean_difference([variant[seed] - baseline[seed] for seed in seeds], level)


def mean_difference(differences: Sequence[float], level: float = LEVEL) -> PairedDifference:
    """The mean of differences, one a seed: with Student's t interval and ``sign_flip_p``.

    Raises ValueError for no differences, or one that is not finite.
    """
    return PairedDifference(**vars(mean_interval(differences, level)), p=sign_flip_p(differences))


def sign_flip_p(differences: Sequence[float] | NDArray[np.float64]) -> float:
    """Two-sided p-value of the sign-flip (Fisher's paired randomization) test that the mean is zero.

    Where a variant makes no difference each ``dᵢ`` is as likely as ``−dᵢ``, so all 2^n sign patterns
    ``s`` are equally likely, and ``p`` is the share of them with ``|Σ sᵢdᵢ| ≥ |Σ dᵢ|`` (Fisher, "The
    Design of Experiments", 1935, § 21). Up to n = 16 all are counted; beyond, 100 000 patterns from a
    fixed seed give ``(1 + hits)/(1 + draws)``, which is valid too (Phipson and Smyth 2010). Fewer than
    two differences say nothing: p = 1.
    """
    import numpy as np

    d = np.asarray(differences, dtype=np.float64)
    if d.size < 2:
        return 1.0

    from scipy.stats import permutation_test

    # Sums that differ by rounding only are ties. scipy's own tolerance is relative to the observed sum,
    # which rounding swamps where the differences cancel, so the statistic itself says what counts.
    least = abs(d.sum()) - 1e-12 * np.abs(d).sum()

    def counts(flipped: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        hits: NDArray[np.bool_] = np.abs(flipped.sum(axis=axis)) >= least
        return hits.astype(np.float64)

    result = permutation_test(
        (d,),
        counts,
        permutation_type="samples",  # with one sample: flip signs
        alternative="greater",
        n_resamples=MONTE_CARLO_DRAWS,  # scipy enumerates where there are no more patterns than this
        vectorized=True,
        random_state=np.random.default_rng(0),
    )
    return float(result.pvalue)


def smallest_p(n: int) -> float:
    """The smallest two-sided p-value that ``sign_flip_p`` can give with ``n`` pairs: 2^(1−n).

    A pattern and its mirror image always have the same ``|Σ sᵢdᵢ|``, so at least two of 2^n count. Among the
    patterns that are drawn for 17 and 18 pairs, two and one are these.
    """
    return float(2.0 ** (1 - n)) if n <= EXACT_UP_TO else {17: 3, 18: 2}.get(n, 1) * SMALLEST_P
