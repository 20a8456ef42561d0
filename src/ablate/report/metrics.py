"""A metric over all variants: values, means with intervals, differences and ratios paired by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ablate.stats import Interval, PairedDifference, mean_difference, mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ablate.metrics.base import Figure
    from ablate.records import RunRecord

Values = dict[str, dict[int, float]]
"""Variant → seed → value."""


@dataclass(frozen=True)
class Metric:
    """One metric over all variants."""

    key: str
    name: str
    """Its label without its feature space: ``FID``."""
    label: str
    """With its feature space, if it has one: ``FID (sprites-clip)``, never plain ``FID``."""
    lower_is_better: bool
    values: Mapping[str, Mapping[int, float]]
    """Variant → seed → value, finished runs with a finite value only."""
    spaces: Mapping[str, frozenset[str]]
    """Variant → the spaces its runs were measured in. More than one over all: not all comparable."""
    intervals: Mapping[str, Interval]
    """Variant → mean over seeds."""
    differences: Mapping[str, PairedDifference]
    """Variant → its difference to the baseline, where there is one."""

    @property
    def arrow(self) -> str:
        """Where better values lie."""
        return "↓" if self.lower_is_better else "↑"

    @property
    def title(self) -> str:
        """The label with the arrow: the head of a column, the title of a panel."""
        return f"{self.label} {self.arrow}"

    @property
    def mixed_spaces(self) -> bool:
        """Whether some variants cannot be compared since they were measured in different spaces."""
        return len(frozenset().union(*self.spaces.values())) > 1

    def paired(self, variant: str, against: str) -> dict[int, float]:
        """Seed → ``variant`` − ``against``; empty where they were measured in different spaces."""
        return _paired(self.values, self.spaces, variant, against)

    def gains(self, variant: str, against: str) -> dict[int, float]:
        """Seed → how much better ``variant`` is than ``against``; negative where it is worse."""
        sign = -1 if self.lower_is_better else 1
        return {seed: sign * difference for seed, difference in self.paired(variant, against).items()}

    def ratio(self, variant: str, against: str) -> Interval | None:
        """``variant`` / ``against``: the geometric mean over common seeds, and its 95 % interval.

        None without a common seed in one space, or where a value is not above zero.
        """
        pairs = [(self.values[variant][s], self.values[against][s]) for s in self.paired(variant, against)]
        if not pairs or min(map(min, pairs)) <= 0:
            return None
        logs = mean_interval([math.log(ours / theirs) for ours, theirs in pairs])
        return Interval(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high), logs.n)


def measure(
    key: str, figure: Figure, finished: Sequence[RunRecord], variants: Sequence[str], baseline: str
) -> Metric | None:
    """One metric of the finished runs; None where no run has it."""
    values = values_of(key, finished)
    if not values:
        return None
    shown = [variant for variant in variants if variant in values]
    measured = [run for run in finished if run.seed in values.get(run.variant, {})]
    spaces = {v: frozenset(_space(figure, run) for run in measured if run.variant == v) - {""} for v in shown}
    paired = {v: _paired(values, spaces, v, baseline) for v in shown if v != baseline}
    everywhere = sorted(frozenset().union(*spaces.values()))
    return Metric(
        key=key,
        name=figure.label,
        label=f"{figure.label} ({', '.join(everywhere)})" if everywhere else figure.label,
        lower_is_better=figure.lower_is_better,
        values={variant: values[variant] for variant in shown},
        spaces=spaces,
        intervals={variant: mean_interval(list(values[variant].values())) for variant in shown},
        differences={v: mean_difference(list(pairs.values())) for v, pairs in paired.items() if pairs},
    )


def meanvalues_of(key: str, finished: Sequence[RunRecord]) -> dict[str, float]:
    """Variant → mean of a figure over seeds."""
    return {variant: fmean(values.values()) for variant, values in values_of(key, finished).items()}


def values_of(key: str, runs: Iterable[RunRecord]) -> Values:
    """Variant → seed → value of a figure, where it is finite."""
    values: Values = {}
    for run in runs:
        value = run.metrics.get(key, math.nan)
        if math.isfinite(value):
            values.setdefault(run.variant, {})[run.seed] = value
    return values


def _space(figure: Figure, run: RunRecord) -> str:
    name = figure.space(run)
    return "" if name is None else name or "space not recorded"


def _paired(
    values: Mapping[str, Mapping[int, float]],
    spaces: Mapping[str, frozenset[str]],
    variant: str,
    against: str,
) -> dict[int, float]:
    ours, theirs = values.get(variant, {}), values.get(against, {})
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds or len(spaces[variant] | spaces[against]) > 1:
        return {}
    return {seed: ours[seed] - theirs[seed] for seed in seeds}
