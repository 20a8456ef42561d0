"""How sure are we: intervals, comparisons paired by seed, verdicts on claims, and what a design can see.

Nothing here imports scipy or statsmodels before a function needs it, so planning stays fast.
"""

from ablate.stats.effects import Effect, effects
from ablate.stats.fronts import best_first, front
from ablate.stats.intervals import LEVEL, Interval, bca_interval, mean_interval
from ablate.stats.paired import PairedDifference, mean_difference, paired_difference, sign_flip_p, smallest_p
from ablate.stats.power import POWER, detectable_effect, seeds_for_alpha, seeds_needed
from ablate.stats.variance import VarianceSplit, variance_split
from ablate.stats.verdicts import Direction, Judgement, Question, Verdict, judge

__all__ = [
    "LEVEL",
    "POWER",
    "Direction",
    "Effect",
    "Interval",
    "Judgement",
    "PairedDifference",
    "Question",
    "VarianceSplit",
    "Verdict",
    "bca_interval",
    "best_first",
    "detectable_effect",
    "effects",
    "front",
    "judge",
    "mean_difference",
    "mean_interval",
    "paired_difference",
    "seeds_for_alpha",
    "seeds_needed",
    "sign_flip_p",
    "smallest_p",
    "variance_split",
]
