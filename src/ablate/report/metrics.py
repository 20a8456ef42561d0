"""A metric over all variants: values, means with intervals, differences and ratios paired by seed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.stats import Interval, PairedDifference, mean_difference, mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ablate.metrics.base import Figure
    from ablate.records import RunRecord


@dataclass(frozen=True)
class Metric:
    """One metric over all variants."""

    key: str
    name: str
    """Its label without its feature space: ``FID``."""
    label: str
    """With its feature space, if it has one: ``FID (sprites-clip)``, never plain ``FID``."""
    lower_is_better: bool
    baseline: str
    values: Mapping[str, Mapping[int, float]]
    """Variant → seed → value, finished runs with a finite value only."""
    spaces: Mapping[str, set[str]]
    """Variant → the spaces its runs were measured in, as labels say them. More than one over all: not all
    comparable."""

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """Variant → mean over seeds."""
        return {variant: mean_interval(list(values.values())) for variant, values in self.values.items()}

    @cached_property
    def differences(self) -> dict[str, PairedDifference]:
        """Variant → its difference to the baseline, where there is one."""
        others = (variant for variant in self.values if variant != self.baseline)
        paired = ((variant, list(self.paired(variant, self.baseline).values())) for variant in others)
        return {variant: mean_difference(differences) for variant, differences in paired if differences}

    @cached_property
    def decimals(self) -> int:
        """Decimals for all values of the metric."""
        return numbers.decimals_of(self.intervals.values())

    @cached_property
    def decimals_of_differences(self) -> int:
        """Decimals for the differences to the baseline: paired ones spread far less than values."""
        return numbers.decimals_of(self.differences.values())

    def mean(self, variant: str) -> str:
        """``81.2 ± 1.4`` in a cell."""
        return numbers.mean(self.intervals.get(variant), self.decimals)

    def difference(self, variant: str) -> str:
        """The difference to the baseline in a cell: ``+12.3 [+8.1, +16.5]``."""
        return numbers.difference(self.differences.get(variant), self.decimals_of_differences)

    @property
    def title(self) -> str:
        """The label with an arrow to where better values lie: the head of a column, the title of a panel."""
        return f"{self.label} {'↓' if self.lower_is_better else '↑'}"

    @property
    def mixed_spaces(self) -> bool:
        """Whether some variants cannot be compared since they were measured in different spaces."""
        return len(set().union(*self.spaces.values())) > 1

    def paired(self, variant: str, against: str) -> dict[int, float]:
        """Seed → ``variant`` − ``against``; empty where they were measured in different spaces."""
        ours, theirs = self.values.get(variant, {}), self.values.get(against, {})
        seeds = sorted(ours.keys() & theirs.keys())
        if not seeds or len(self.spaces[variant] | self.spaces[against]) > 1:
            return {}
        return {seed: ours[seed] - theirs[seed] for seed in seeds}

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


def measure(key: str, figure: Figure, finished: Sequence[RunRecord], baseline: str) -> Metric | None:
    """One metric of the finished runs, in their order; None where no run has it."""
    values = values_of(key, finished)
    spaces = _spaces(figure, [run for run in finished if run.seed in values.get(run.variant, {})])
    everywhere = sorted(set().union(*spaces.values()))
    found = Metric(
        key=key,
        name=figure.label,
        label=f"{figure.label} ({', '.join(everywhere)})" if everywhere else figure.label,
        lower_is_better=figure.lower_is_better,
        baseline=baseline,
        values=values,
        spaces=spaces,
    )
    return found if values else None


def _spaces(figure: Figure, runs: Sequence[RunRecord]) -> dict[str, set[str]]:
    """Variant → the spaces its ``runs`` have the figure in: their names, and where several networks have one
    name, the network as well."""
    found: dict[str, set[tuple[str, str]]] = {run.variant: set() for run in runs}
    for run in runs:
        if (name := figure.space(run)) is not None:
            found[run.variant].add((name or "space not recorded", run.networks.get(name, "")))
    networks: dict[str, set[str]] = {}
    for name, network in set().union(*found.values()):
        networks.setdefault(name, set()).update([network] if network else [])

    def shown(name: str, network: str) -> str:
        if not network or len(networks[name]) == 1:
            return name
        digest = network.removeprefix("content:")
        return f"{name} {digest[:8] if digest != network else network}"  # a part of a hub has its name

    return {variant: {shown(*space) for space in spaces} for variant, spaces in found.items()}


def values_of(key: str, runs: Iterable[RunRecord]) -> dict[str, dict[int, float]]:
    """Variant → seed → value of a figure, where it is finite."""
    values: dict[str, dict[int, float]] = {}
    for run in runs:
        value = run.metrics.get(key, math.nan)
        if math.isfinite(value):
            values.setdefault(run.variant, {})[run.seed] = value
    return values
