"""Main effects and interactions of a factorial design."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ablate.stats import Effect, PairedDifference, effects, mean_difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.facts.metrics import MetricFacts

Cell = tuple[tuple[str, str], ...]
"""(factor, level) of one or more factors."""


@dataclass(frozen=True)
class FactorialMetric:
    """One metric of a factorial design."""

    metric: MetricFacts
    effects: Mapping[Cell, Effect]
    """Main effects, then interactions."""
    means: Mapping[Cell, float]
    """Mean of one level, or of two levels together, over all other factors and seeds."""
    steps: Mapping[Cell, PairedDifference]
    """Of the same: its difference to the first level of its first factor, the other level unchanged."""


@dataclass(frozen=True)
class FactorialFacts:
    """A factorial design, and what each level does."""

    factors: Mapping[str, tuple[str, ...]]
    """Factor → levels, the reference first."""
    metrics: tuple[FactorialMetric, ...]
    """Those that every combination of levels has, in one space, with a seed in common."""
    left_out: tuple[MetricFacts, ...]

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """All pairs of factors."""
        return tuple(combinations(self.factors, 2))


def factorial(
    factors: Mapping[str, Mapping[str, Any]], metrics: Sequence[MetricFacts]
) -> FactorialFacts | None:
    """None where the design is another."""
    if not factors or not metrics:
        return None
    levels = {factor: tuple(overrides) for factor, overrides in factors.items()}
    found = {metric.key: _metric(metric, levels) for metric in metrics}
    return FactorialFacts(
        factors=levels,
        metrics=tuple(facts for facts in found.values() if facts),
        left_out=tuple(metric for metric in metrics if found[metric.key] is None),
    )


def _metric(metric: MetricFacts, factors: Mapping[str, tuple[str, ...]]) -> FactorialMetric | None:
    values = {
        levels: metric.values.get(".".join(map("-".join, zip(factors, levels, strict=True))), {})
        for levels in product(*factors.values())
    }
    seeds = sorted(set.intersection(*(set(seeds) for seeds in values.values())))
    if not seeds or metric.mixed_spaces:
        return None

    def by_seed(cell: Cell) -> list[float]:
        """Mean of a cell over all other factors, for each seed."""
        chosen = [
            of_variant
            for levels, of_variant in values.items()
            if set(cell) <= set(zip(factors, levels, strict=True))
        ]
        return [fmean(of_variant[seed] for of_variant in chosen) for seed in seeds]

    def step(cell: Cell) -> PairedDifference:
        (factor, _), *rest = cell
        reference = by_seed(((factor, factors[factor][0]), *rest))
        return mean_difference([ours - theirs for ours, theirs in zip(by_seed(cell), reference, strict=True)])

    cells = [cell for number in (1, 2) for cell in _cells(factors, number)]
    return FactorialMetric(
        metric=metric,
        effects={tuple(zip(e.factors, e.levels, strict=True)): e for e in effects(values, factors)},
        means={cell: fmean(by_seed(cell)) for cell in cells},
        steps={cell: step(cell) for cell in cells if cell[0][1] != factors[cell[0][0]][0]},
    )


def _cells(factors: Mapping[str, tuple[str, ...]], number: int) -> list[Cell]:
    """All choices of ``number`` factors with a level each."""
    return [
        tuple(zip(names, levels, strict=True))
        for names in combinations(factors, number)
        for levels in product(*(factors[name] for name in names))
    ]
