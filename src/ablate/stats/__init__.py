"""How sure are we: intervals, comparisons paired by seed, verdicts on claims, and what a design can see.

Nothing here imports scipy or statsmodels before a function needs it, so planning stays fast.
"""

from ablate.stats.effects import Effect, effects
from ablate.stats.fronts import best_first, front
from ablate.stats.intervals import LEVEL, Interval, bca_interval, mean_interval
from ablate.stats.looks import Look, judge_at_looks, spend
from ablate.stats.paired import (
    SMALLEST_P,
    PairedDifference,
    mean_difference,
    paired_difference,
    sign_flip_p,
    smallest_p,
)
from ablate.stats.power import POWER, chance, detectable_effect, least_seeds, seeds_for_alpha, seeds_needed
from ablate.stats.variance import VarianceSplit, variance_split
from ablate.stats.verdicts import Direction, Judgement, Question, Verdict, judge

__all__ = [
    "LEVEL",
    "POWER",
    "SMALLEST_P",
    "Direction",
    "Effect",
    "Interval",
    "Judgement",
    "Look",
    "PairedDifference",
    "Question",
    "VarianceSplit",
    "Verdict",
    "bca_interval",
    "best_first",
    "chance",
    "detectable_effect",
    "effects",
    "front",
    "judge",
    "judge_at_looks",
    "least_seeds",
    "mean_difference",
    "mean_interval",
    "paired_difference",
    "seeds_for_alpha",
    "seeds_needed",
    "sign_flip_p",
    "smallest_p",
    "spend",
    "variance_split",
]
