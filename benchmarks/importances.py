"""What the intervals of importances are worth: ``python benchmarks/importances.py``. Nothing is trained.

Random trials of a sum of four fields with weights 2, 1, 0.5 and 0, with noise. How often does an interval
hold the true share? Of fANOVA that is known; of PED-ANOVA the share among 2000 trials without noise is taken
for it.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from ablate.metrics import METRICS
from ablate.report.importances import fanova, ped_anova
from ablate.report.search import Searched, Trial

WEIGHTS = {"a": 2.0, "b": 1.0, "c": 0.5, "d": 0.0}
NOISE = 0.2
SETS = 30
RANGE = {"low": 0.0, "high": 1.0, "log": False, "step": None, "options": None}


def searched(count: int, noise: float, seed: int) -> Searched:
    """A search of so many random trials."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(size=(count, len(WEIGHTS)))
    values = points @ np.array([*WEIGHTS.values()]) + rng.normal(0, noise, count)
    trials = tuple(
        Trial(str(n), 0, dict(zip(WEIGHTS, point, strict=True)), {"fid": value}, True, 0, "")
        for n, (point, value) in enumerate(zip(points.tolist(), values.tolist(), strict=True))
    )
    spec = {"factors": {}, "fields": dict.fromkeys(WEIGHTS, RANGE)}
    return Searched("random", "", {"fid": METRICS["fid"]}, (0,), (), trials, (), {}, (), (), spec)


def main() -> None:
    """Prints a line for each method and number of trials."""
    squares = {name: weight**2 for name, weight in WEIGHTS.items()}
    large = ped_anova(searched(2000, 0.0, 99), "fid")
    true = {
        fanova: {name: square / sum(squares.values()) for name, square in squares.items()},
        ped_anova: {name: share.value for name, share in large.items()},
    }
    for count in (15, 30, 60):
        for method, shares in true.items():
            held: Counter[str] = Counter()
            means: Counter[str] = Counter()
            for seed in range(SETS):
                for name, share in method(searched(count, NOISE, seed), "fid").items():
                    # A share that would be printed as the same whole per cent.
                    held[name] += share.low - 0.005 <= shares[name] <= share.high + 0.005
                    means[name] += share.value / SETS
            print(
                f"{method.__name__}, {count} trials: holds the true share in "
                f"{held.total() / SETS / len(WEIGHTS):.0%};",
                ", ".join(
                    f"{n} {means[n]:.0%} ({shares[n]:.0%}), held {held[n] / SETS:.0%}" for n in WEIGHTS
                ),
            )


if __name__ == "__main__":
    main()
