"""Where the spread between runs comes from: the training's seed, or that of the sampling noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.stats import VarianceSplit, variance_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.facts.metrics import MetricFacts


@dataclass(frozen=True)
class VarianceFacts:
    """Variants that differ in ``sample.seed`` only: each training, sampled with several noises."""

    variants: tuple[str, ...]
    splits: Mapping[str, VarianceSplit]
    """Metric's key → its split."""
    trainings: int
    """Training seeds that all of them have."""


def variances(
    configs: Mapping[str, Mapping[str, Any]], metrics: Sequence[MetricFacts]
) -> tuple[VarianceFacts, ...]:
    """One for each group of variants with two or more sampling seeds, and as many training seeds."""
    groups: dict[str, dict[int, str]] = {}
    for variant, config in configs.items():
        seed = config.get("sample", {}).get("seed")
        # Without a seed of its own, a variant is sampled with the training's: that is not crossed.
        if seed is not None:
            rest = {**config, "sample": {**config["sample"], "seed": None}}
            groups.setdefault(repr(rest), {}).setdefault(seed, variant)
    found = (_split(group, metrics) for group in groups.values())
    return tuple(facts for facts in found if facts)


def _split(group: Mapping[int, str], metrics: Sequence[MetricFacts]) -> VarianceFacts | None:
    splits, counts = {}, []
    for metric in metrics:
        values = {seed: metric.values.get(variant, {}) for seed, variant in group.items()}
        trainings = set.intersection(*(set(by_seed) for by_seed in values.values()))
        if len(group) > 1 and len(trainings) > 1 and not metric.mixed_spaces:
            crossed = {(training, seed): values[seed][training] for training in trainings for seed in values}
            splits[metric.key] = variance_split(crossed)
            counts.append(len(trainings))
    return VarianceFacts(tuple(group.values()), splits, min(counts)) if splits else None
